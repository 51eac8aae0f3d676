"""Scenes for Plex: from a short cache, from Stash, or as they were last known.

However many requests Plex makes, few go to Stash: what several want at the same time
is read once, what is wanted meanwhile is read together in the next request.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from stash2plex.errors import ServiceUnavailable, Stash2PlexError, StoreUnavailable
from stash2plex.health.breaker import CircuitBreaker
from stash2plex.scene import Scene, SceneEntry

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog
    from stash2plex.provider.background import Background
    from stash2plex.stash.client import StashClient

log = structlog.get_logger()

# Plex asks for metadata, pictures and extras of one item in one go, seconds.
_FRESH = 60.0
_MOST_KEPT = 2000
# How long Stash may take while there is something else to answer with, seconds.
PATIENCE = 3.0
_SLOW = 10.0
# Reads under way, and scenes in one of them.
_AT_ONCE = 4
_BATCH = 25

Reading = Scene | Stash2PlexError | None


@dataclass(frozen=True, slots=True)
class _Kept:
    scene: Scene | None
    read_at: float


class SceneReader:
    """Reads scenes with all that a provider shows of them."""

    def __init__(
        self,
        stash: StashClient,
        catalog: Catalog,
        breaker: CircuitBreaker,
        background: Background,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stash = stash
        self._catalog = catalog
        self._breaker = breaker
        self._background = background
        self._now = now
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._wanted: OrderedDict[int, asyncio.Future[Reading]] = OrderedDict()
        self._under_way: dict[int, asyncio.Future[Reading]] = {}
        # When a scene, or all of them, changed: numbers that only ever grow.
        self._changes = 0
        self._slow_since = float("-inf")
        self._changed: dict[int, int] = {}
        self._all_changed = 0
        self._readers = 0
        self._unsaved: dict[int, Scene] = {}
        self._saving = False

    def forget(self, scene_id: int | None = None) -> None:
        """Read a scene (or all) afresh next time: it changed in Stash.

        What is under way may have been read before the change.
        """
        self._changes += 1
        if scene_id is None:
            self._all_changed = self._changes
            self._kept.clear()
            self._under_way.clear()
        else:
            self._changed[scene_id] = self._changes
            self._kept.pop(scene_id, None)
            self._under_way.pop(scene_id, None)

    async def scene(self, scene_id: int) -> Scene | None:
        """Return a scene, None if Stash has none of this id.

        While Stash fails or takes long, as it was last read; raises Stash's error when
        it never was.
        """
        reading = (await self.read_patiently([scene_id]))[scene_id]
        if not isinstance(reading, Stash2PlexError):
            return reading
        known = await self._catalog.documents.get(scene_id)
        return known if known is not None else await self.present(scene_id)

    async def present(self, scene_id: int) -> Scene | None:
        """Return a scene as it is in Stash; raises Stash's errors."""
        reading = (await self.read([scene_id]))[scene_id]
        if isinstance(reading, Stash2PlexError):
            raise reading
        return reading

    async def read_patiently(self, scene_ids: Sequence[int]) -> dict[int, Reading]:
        """Return scenes as they are in Stash, an error when that takes too long."""
        late = ServiceUnavailable("Stash", "no answer in time")
        readings: dict[int, Reading] = dict.fromkeys(scene_ids, late)
        if self.is_slow:
            return readings | self._fresh(scene_ids)
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.read(scene_ids)
        except TimeoutError:
            self._slow_since = self._now()
            return readings | self._fresh(scene_ids)

    @property
    def is_slow(self) -> bool:
        """Whether Stash took too long a moment ago: a request waits for that once."""
        return self._now() - self._slow_since < _SLOW

    def _fresh(self, scene_ids: Sequence[int]) -> dict[int, Reading]:
        earliest = self._now() - _FRESH
        return {
            key: kept.scene
            for key in scene_ids
            if (kept := self._kept.get(key)) and kept.read_at > earliest
        }

    async def keep(self, entries: Sequence[SceneEntry]) -> None:
        """Take over what was just read from Stash by somebody else."""
        for one in entries:
            if isinstance(one, Scene):
                self._keep(one.id, one)
        await self._catalog.note_read(entries)

    async def read(self, scene_ids: Sequence[int]) -> dict[int, Reading]:
        """Return scenes as they are in Stash, or why they cannot be read."""
        readings = self._fresh(scene_ids)
        waiting = {key: self._want(key) for key in scene_ids if key not in readings}
        for scene_id, future in waiting.items():
            # Others wait for the same reading, which one who gives up must not end.
            readings[scene_id] = await asyncio.shield(future)
        return readings

    def _want(self, scene_id: int) -> asyncio.Future[Reading]:
        future = self._under_way.get(scene_id) or self._wanted.get(scene_id)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            self._wanted[scene_id] = future
            if self._readers < _AT_ONCE:
                self._readers += 1
                _ = self._background.start(self._read_wanted())
        return future

    async def _read_wanted(self) -> None:
        try:
            while self._wanted:
                await self._read_batch()
        finally:
            self._readers -= 1
            if not self._readers:
                self._changed.clear()  # nothing under way is older

    async def _read_batch(self) -> None:
        count = min(_BATCH, len(self._wanted))
        batch = dict(self._wanted.popitem(last=False) for _ in range(count))
        self._under_way |= batch
        readings: dict[int, Reading] = {}
        bug: Exception | None = None
        try:
            readings = await self._ask(list(batch))
        except Stash2PlexError as error:
            readings = dict.fromkeys(batch, error)
        except Exception as error:
            bug = error
        finally:
            for scene_id, future in batch.items():
                if self._under_way.get(scene_id) is future:
                    del self._under_way[scene_id]
                if scene_id in readings:
                    future.set_result(readings[scene_id])
                elif bug is not None:
                    future.set_exception(bug)
                    future.exception()  # who waited for it may be gone
                else:
                    future.cancel()

    async def _ask(self, scene_ids: Sequence[int]) -> dict[int, Reading]:
        self._breaker.refuse_while_open()
        before = self._changes
        readings = await self._stash.scenes(scene_ids, pictures=True)
        for scene_id, reading in readings.items():
            changed = max(self._changed.get(scene_id, 0), self._all_changed)
            if not isinstance(reading, Stash2PlexError) and changed <= before:
                self._keep(scene_id, reading)
            if isinstance(reading, Scene):
                self._unsaved[scene_id] = reading
        if self._unsaved and not self._saving:
            self._saving = True
            _ = self._background.start(self._save())
        return readings

    async def _save(self) -> None:
        """Remember what was read, while Plex has its answer already."""
        try:
            while self._unsaved:
                scenes, self._unsaved = self._unsaved, {}
                await self._catalog.note_read(list(scenes.values()))
        except StoreUnavailable as error:
            log.warning("document_not_saved", error=str(error))
        finally:
            self._saving = False

    def _keep(self, scene_id: int, scene: Scene | None) -> None:
        self._kept[scene_id] = _Kept(scene, self._now())
        self._kept.move_to_end(scene_id)
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
