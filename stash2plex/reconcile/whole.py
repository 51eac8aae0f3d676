"""Reading scenes whole: for changes that no time tells of.

An import keeps the times that are in its files, and a hook may be lost whose scene
keeps its time too. After an import every scene is read, else a seventh of them a day.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from stash2plex.catalog.catalog import READ_ALL
from stash2plex.errors import (
    PictureFailed,
    PictureNotFound,
    PictureUnreadable,
    PictureUnusable,
    Stash2PlexError,
)
from stash2plex.gates import refusal
from stash2plex.scene import Scene

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog
    from stash2plex.config import SyncSettings
    from stash2plex.db.database import Database
    from stash2plex.push.ledger import Ledger
    from stash2plex.stash.client import StashClient

log = structlog.get_logger()

_PLACE = "whole_read"
# So many parts make the library, and one is read so often at most, seconds.
_PARTS, _EVERY = 7, 20 * 3600.0
# Scenes in one request, and covers asked for at a time.
_BATCH, _AT_ONCE = 50, 4


class WholeReading:
    """Reads scenes, and doubts the delivery of those that are not as delivered."""

    def __init__(
        self,
        database: Database,
        stash: StashClient,
        catalog: Catalog,
        ledger: Ledger,
        sync: SyncSettings,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._stash = stash
        self._catalog = catalog
        self._ledger = ledger
        self._sync = sync
        self._now = now

    async def read(self, *, dry_run: bool) -> int:
        """Read what is due; returns how many scenes differ from what was delivered.

        A comparison finds them then. A *dry_run* reads only after an import, and leaves
        that to be done. Raises Stash's errors.
        """
        everything = await self._database.fact(READ_ALL)
        place = json.loads(await self._database.fact(_PLACE) or '{"after": 0, "at": 0}')
        now = self._now()
        if not everything and (dry_run or 0 <= now - place["at"] < _EVERY):
            return 0
        started, read, differing = time.monotonic(), 0, 0
        last = place["after"]
        async for ids in self._due(None if everything else last):
            scenes = await self._stash.scenes(ids)
            whole = [one for one in scenes.values() if isinstance(one, Scene)]
            differing += await self._compare(whole, imported=bool(everything))
            if everything:
                differing += await self._look_closer(scenes)
            read += len(whole)
            last = ids[-1]
        if not dry_run:
            # Not if another one came after that.
            await self._database.write(
                "UPDATE fact SET value = '' WHERE name = ? AND value = ?",
                READ_ALL,
                everything or "",
            )
            place = {"after": 0 if everything else last, "at": now}
            await self._database.set_fact(_PLACE, json.dumps(place))
        seconds = round(time.monotonic() - started, 1)
        log.info("scenes_read", scenes=read, differing=differing, seconds=seconds)
        return differing

    async def _due(self, after: int | None) -> AsyncIterator[list[int]]:
        """Walk the ids of all scenes, or of the next part *after* one."""
        ids = sorted(await self._catalog.store.scene_ids())
        if after is not None:
            size = -(-len(ids) // _PARTS)
            ids = (
                [one for one in ids if one > after]
                + [one for one in ids if one <= after]
            )[:size]
        for start in range(0, len(ids), _BATCH):
            yield ids[start : start + _BATCH]

    async def _compare(self, scenes: Sequence[Scene], *, imported: bool) -> int:
        await self._catalog.note_scenes(scenes)
        store = self._catalog.store
        kept_out = await store.kept_out_among(one.id for one in scenes)
        taking_part = [
            one.id
            for one in scenes
            if one.id in kept_out and refusal(one, self._sync) is None
        ]
        if taking_part:
            await store.note_taking_part(taking_part)
        return await self._ledger.doubt_if_other(scenes, imported=imported)

    async def _look_closer(
        self, scenes: Mapping[int, Scene | Stash2PlexError | None]
    ) -> int:
        """Doubt deliveries of scenes that could not be read, or have another cover.

        Returns of how many.
        """
        doubtful = [k for k, one in scenes.items() if isinstance(one, Stash2PlexError)]
        known = await self._ledger.cover_etags(scenes)
        asked = iter(
            [(k, etag) for k, etag in known.items() if isinstance(scenes[k], Scene)]
        )

        async def ask() -> None:
            for key, etag in asked:
                if await self._has_other_cover(key, etag):
                    doubtful.append(key)

        await asyncio.gather(*(ask() for _ in range(_AT_ONCE)))
        await self._ledger.doubt(doubtful)
        return len(doubtful)

    async def _has_other_cover(self, scene_id: int, etag: str) -> bool:
        try:
            answer = await self._stash.cover(scene_id, etag, notes=False)
        except (PictureUnusable, PictureUnreadable, PictureNotFound):
            return False  # there is nothing to show then
        except PictureFailed:
            return True  # a delivery tries again
        return not answer.unchanged and bool(etag or answer.data)
