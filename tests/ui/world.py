"""Everything a page needs behind it: the daemon, its two servers, and the page of one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stash2plex.plugin import PLUGIN_ID, Hooks, wanted
from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.stash import PretendStash
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.running import RunningDaemon, running
from tests.ui.pretend_page import Site, Texts, page_of

OPERATION = "Stash2PlexOperation"
PAGE = f"/plugins/{PLUGIN_ID}"
# Whoever sleeps because Plex has no item sleeps through the test.
PATIENT = {"not_found_base": 36_000.0, "not_found_cap": 36e3}


@dataclass(slots=True)
class World:
    """A daemon between its two servers, and where the page of its Stash is."""

    daemon: RunningDaemon
    stash: PretendStash
    plex: PretendPlex
    site: Site

    @property
    def url(self) -> str:
        return self.site.url

    @property
    def operations(self) -> int:
        """How often the page asked."""
        return self.stash.operations[OPERATION]

    def point_plugin(self, url: str = "", token: str = "") -> None:
        """Set the settings of the plugin, to what is right unless told."""
        self.stash.plugin_settings[PLUGIN_ID] = {
            "daemonUrl": url or self.daemon.url,
            "daemonToken": token or "test-token",
        }


def furnish(stash: PretendStash, plex: PretendPlex) -> None:
    """Ten scenes, one that Plex lacks, an item that Stash lacks, one Plex refuses."""
    for number in range(1, 11):
        sample(stash, plex, number)
    stash.add("/media/only.mp4", scene_id=50, title="<script>", details="x")
    plex.add("/media/plex only.mp4", size=77)
    plex.status_of[3] = 409
    # As Plex's own are; others are no part of a link.
    plex.machine = "0f1e2d3c4b5a69788796a5b4c3d2e1f000112233"
    for plugin in wanted(Hooks.IN_PROCESS):
        stash.put_plugin(plugin.folder)


@asynccontextmanager
async def world(
    stash: PretendStash,
    plex: PretendPlex,
    folder: Path,
    texts: Texts,
    **sections: Any,
) -> AsyncIterator[World]:
    """Run all of it for the length of the block."""
    settings = make_settings(stash, plex, folder, **({"queue": PATIENT} | sections))
    async with (
        running(settings, stash, plex) as daemon,
        page_of(stash, texts) as site,
    ):
        await daemon.cataloged()
        made = World(daemon, stash, plex, site)
        made.point_plugin()
        yield made


async def trouble(made: World) -> None:
    """Deliver all, so that there is a dead letter and gaps; and live through an outage."""
    daemon, plex = made.daemon, made.plex
    await daemon.post("sync", {"scope": "all"})
    await daemon.until(
        lambda status: (
            status["queue"]["dead"] == 1
            and status["deliveries"]["written"] == 9
            and not status["queue"]["queued"] + status["queue"]["running"]
        )
    )
    await daemon.post("reconcile", {"scope": "all"})
    await daemon.until(
        lambda status: (
            not status["reconcile"]["running"]
            and status["reconcile"]["last"]
            and not status["queue"]["queued"] + status["queue"]["running"]
        )
    )
    plex.status = 503
    await daemon.post("sync", {"scene_ids": [1, 2]})
    await daemon.until(lambda status: status["outages"]["current"])
    plex.status = None
    await daemon.until(
        lambda status: (
            not status["outages"]["current"]
            and status["plex"]["state"] == "up"
            and not status["queue"]["queued"] + status["queue"]["running"]
        )
    )
