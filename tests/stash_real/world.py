"""A real Stash, a pretend Plex and the real daemon, about the same few videos."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from stash2plex.plugin import IN_PROCESS_HOOKS, PLUGIN_ID, Plugin
from stash2plex.sandbox.items import PretendItem
from stash2plex.sandbox.plex import PretendPlex
from tests.conftest import make_settings
from tests.reconcile.test_reconcile import reconciled
from tests.running import RunningDaemon, running
from tests.stash_real.server import RealStash, make_video

PICTURED = {"fields": {"poster": True, "background": True}}


class World:
    """What the tests act on."""

    def __init__(self, stash: RealStash, plex: PretendPlex) -> None:
        self.stash = stash
        self.plex = plex
        self.daemon: RunningDaemon

    def show(self, path: Path | str) -> PretendItem:
        """Have Plex scan a file, and tell of it."""
        item = self.plex.add(str(path), size=Path(path).stat().st_size)
        self.plex.tell_scan_ended()
        return item

    def item(self, path: Path | str) -> PretendItem:
        """Return Plex's item of a file."""
        return next(
            one
            for one in self.plex.items.values()
            if any(file == str(path) for file, _ in one.files)
        )

    async def until(self, fact: Callable[[], object], seconds: float = 15.0) -> bool:
        """Wait for something to be true of Plex; whether it came to be."""
        try:
            await self.plex.facts.until(fact, seconds)
        except TimeoutError:
            return False
        return True

    async def compared(self) -> dict[str, Any]:
        """Have both libraries compared, and what that enqueued delivered."""
        run: dict[str, Any] = await reconciled(self.daemon)
        await self.daemon.until(
            lambda found: not (found["queue"]["queued"] or found["queue"]["running"])
        )
        return run

    async def install_plugins(self, *plugins: Plugin) -> None:
        """Copy plugins and set them, as the page of Stash would."""
        for one in plugins:
            target = self.stash.plugins / one.id
            await asyncio.to_thread(shutil.copytree, one.folder, target)
        await self.stash.ask("mutation { reloadPlugins }")
        await self.point_plugin()
        if IN_PROCESS_HOOKS in plugins:
            await self.daemon.until(lambda found: found["stash"]["hooks"]["listening"])

    async def point_plugin(self) -> None:
        """Set the plugin's settings, to this daemon."""
        await self.stash.ask(
            "mutation C($id: ID!, $i: Map!) { configurePlugin(plugin_id: $id, input: $i) }",
            id=PLUGIN_ID,
            i={"daemonUrl": self.daemon.url, "daemonToken": "test-token"},
        )


@asynccontextmanager
async def world(
    stash: RealStash, plex: PretendPlex, folder: Path, /, **sections: Any
) -> AsyncIterator[World]:
    """Run the daemon between a Stash that runs and Plex, for the length of the block."""
    made = World(stash, plex)
    given = {
        "stash": {"poll_interval": 1, "api_key": stash.key},
        "plex": {"notifications": True},
        "sync": PICTURED,
        "queue": {"not_found_base": 600.0},
        **sections,
    }
    settings = make_settings(stash, plex, folder, **given)
    async with running(settings, stash, plex) as daemon:
        made.daemon = daemon
        await daemon.cataloged()
        yield made


async def make_videos(stash: RealStash, count: int, first: int = 1) -> list[Path]:
    """Make numbered videos; returns their paths."""
    paths = [stash.media / f"clip {n}.mp4" for n in range(first, first + count)]
    return [await make_video(one, n) for n, one in enumerate(paths, first)]


def told(value: Any) -> str:
    """Return a value as it is shown in a failure."""
    return json.dumps(value, default=str)[:300]


__all__ = ["World", "make_videos", "told", "world"]
