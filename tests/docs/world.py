"""The world that the examples of the documents speak of, with a real daemon in it.

Scenes 1, 2, 3, 7 and 8 in Stash, items 41, 42, 43 and 47 in Plex, and 60, which Stash
lacks. Plex refuses 43; scene 7 was changed after it was delivered; scene 8 is not in
Plex; and Plex was away for a moment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stash2plex.plugin import IN_PROCESS_HOOKS
from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.server import serving
from stash2plex.sandbox.stash import PretendStash
from stash2plex.sandbox.subscriptions import LOG
from tests import packages
from tests.conftest import make_settings
from tests.running import RunningDaemon, running

RULE = {
    "name": "videos",
    "stash": "^/data/(?P<rest>.+)$",
    "plex": "^/media/videos/(?P<rest>.+)$",
}
TITLES = {
    1: "Late Checkout",
    2: "Second Floor",
    3: "Room Service",
    7: "Lobby",
    8: "Balcony",
}
REFUSED = 43
# Whoever sleeps because Plex has no item sleeps through the examples.
_LATER = timedelta(seconds=30)
_PATIENT = {"not_found_base": 36_000.0, "not_found_cap": 36e3}


def furnish(stash: PretendStash, plex: PretendPlex) -> None:
    """Put everything into both servers."""
    for number, title in TITLES.items():
        name = title.lower().replace(" ", "-")
        size = 1_200_000_000 + number
        stash.add(
            f"/data/Summer/{name}.mp4",
            scene_id=number,
            size=size,
            title=title,
            details="Two guests meet in a quiet hotel.",
            date="2024-05-17",
            studio="North Harbor",
            performers=["Ana Example", "Bruno Sample"],
            tags=["Hotel", "Night"],
            rating100=84,
        )
        if title != "Balcony":
            plex.add(
                f"/media/videos/Summer/{name}.mp4", rating_key=40 + number, size=size
            )
    plex.add("/media/videos/holiday.mp4", rating_key=60, size=77_000_000)
    plex.status_of[REFUSED] = 409
    plex.machine = "0f1e2d3c4b5a69788796a5b4c3d2e1f000112233"


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[RunningDaemon]:
    """Run all of it, after what the examples take for granted has happened."""
    stash, plex = PretendStash(), PretendPlex()
    async with serving(stash.app) as stash.url, serving(plex.app) as plex.url:
        furnish(stash, plex)
        settings = make_settings(stash, plex, folder, queue=_PATIENT, path_rules=[RULE])
        stash.installer = packages.installer(folder / "plugins")
        stash.put_plugin(IN_PROCESS_HOOKS.folder)
        async with running(settings, stash, plex) as daemon:
            await daemon.cataloged()
            await stash.facts.until(lambda: LOG in stash.subscriptions.listening)
            await stash.fire("Scene.Update.Post", 1, {"id": "1"}, ["title"])
            await daemon.until(lambda status: status["stash"]["hooks"]["last_at"])
            stash.plugins.clear()  # the page of commands installs them
            await _live(daemon)
            yield daemon


async def _live(daemon: RunningDaemon) -> None:
    await daemon.post("sync", {"scope": "all"})
    await daemon.until(lambda status: status["queue"]["dead"] and _rests(status))
    daemon.plex.status = 503
    await daemon.post("sync", {"scene_ids": [1]})
    await daemon.until(lambda status: status["outages"]["current"])
    daemon.plex.status = None
    await daemon.until(
        lambda status: not status["outages"]["current"] and _rests(status)
    )
    await daemon.post("reconcile", {"scope": "all"})
    await daemon.until(
        lambda status: (
            not status["reconcile"]["running"]
            and status["reconcile"]["last"]
            and _rests(status)
        )
    )
    # Stash's times are whole seconds; this one is certainly later than the delivery.
    daemon.stash.clock = lambda: datetime.now(UTC) + _LATER
    daemon.stash.change(7, title="Lobby at Night")


def _rests(status: dict[str, Any]) -> bool:
    return not status["queue"]["queued"] + status["queue"]["running"]


def config_file(daemon: RunningDaemon, folder: Path) -> Path:
    """Write the configuration of the daemon for commands that ask it."""
    settings = daemon.settings
    file = folder / "config.toml"
    file.write_text(
        f'[server]\nhost = "127.0.0.1"\nport = {settings.server.port}\n'
        f'token = "{settings.server.token.get_secret_value()}"\n'
        f'data_dir = "{settings.server.data_dir}"\n'
        f'[stash]\nurl = "{settings.stash.url}"\n'
        f'[plex]\nurl = "{settings.plex.url}"\n'
        f'token = "{settings.plex.token.get_secret_value()}"\n'
        f"[[path_rules]]\n"
        + "".join(f"{key} = '{value}'\n" for key, value in RULE.items())
    )
    return file
