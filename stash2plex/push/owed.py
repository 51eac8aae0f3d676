"""Covers that Stash could not read: looked at again, and delivered once it can."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING

import structlog

from stash2plex.errors import (
    PictureFailed,
    PictureNotFound,
    PictureUnreadable,
    PictureUnusable,
    ServiceUnavailable,
    Stash2PlexError,
)
from stash2plex.gap_kinds import GapKind
from stash2plex.queue.job import Kind, Reason
from stash2plex.stash.client import UNREADABLE

if TYPE_CHECKING:
    from stash2plex.catalog.gaps import Gaps
    from stash2plex.health.covers import CoverHealth
    from stash2plex.queue.store import JobStore
    from stash2plex.stash.client import StashClient

log = structlog.get_logger()

_FIRST_WAIT, _LONGEST_WAIT = 60.0, 900.0
# One may be damaged, or its scene gone.
_SAMPLE = 5
READABLE_AGAIN = "Stash can read the cover again; it goes out with the next delivery"


class _Look(Enum):
    """What looking at a cover again brought."""

    READ = auto()
    LOST = auto()
    GONE = auto()
    UNKNOWN = auto()


class OwedCovers:
    """Looks now and then whether covers that could not be read can be by now.

    The gaps tell which these are, so a restart forgets none. Each is enqueued once:
    what becomes of it then is its job's business.
    """

    def __init__(
        self,
        gaps: Gaps,
        stash: StashClient,
        jobs: JobStore,
        health: CoverHealth,
        *,
        delivers: bool,
        wake: Callable[[], None],
    ) -> None:
        """Enqueue only if this daemon *delivers*."""
        self._gaps = gaps
        self._stash = stash
        self._jobs = jobs
        self._health = health
        self._delivers = delivers
        self._wake = wake

    async def run(self) -> None:
        """Look until cancelled, ever more seldom as long as something waits."""
        wait = _FIRST_WAIT
        while True:
            await asyncio.sleep(wait)
            try:
                waiting = await self._look()
            except Stash2PlexError as error:
                log.debug("covers_not_looked_at", error=str(error))
                waiting = True
            wait = min(wait * 2, _LONGEST_WAIT) if waiting else _FIRST_WAIT

    async def _look(self) -> bool:
        """Deliver what is owed if any of it can be read; whether something waited."""
        owed = await self._gaps.scenes_with(GapKind.PICTURE, UNREADABLE)
        candidates = owed or self._health.lost
        if not candidates:
            self._health.recovered()
            return False
        looks = await self._sampled(candidates)
        gone = [key for key, look in looks.items() if look is _Look.GONE]
        for scene_id in gone:
            self._health.forget(scene_id)
        await self._gaps.close_kind(GapKind.PICTURE, gone)
        if _Look.READ in looks.values():
            self._health.recovered()
            await self._deliver(sorted({*owed} - {*gone}))
        return True

    async def _sampled(self, scene_ids: Sequence[int]) -> dict[int, _Look]:
        sample = random.sample(scene_ids, min(_SAMPLE, len(scene_ids)))
        return {scene_id: await self._look_at(scene_id) for scene_id in sample}

    async def _look_at(self, scene_id: int) -> _Look:
        try:
            await self._stash.cover(scene_id, notes=False)
        except PictureUnreadable:
            return _Look.LOST
        except PictureNotFound:
            return _Look.GONE
        except PictureUnusable:
            return _Look.READ
        except ServiceUnavailable:
            raise
        except PictureFailed:
            return _Look.UNKNOWN
        return _Look.READ

    async def _deliver(self, scene_ids: Sequence[int]) -> None:
        if not self._delivers or not scene_ids:
            return
        await self._gaps.reword(GapKind.PICTURE, scene_ids, READABLE_AGAIN)
        count = await self._jobs.enqueue_many(Kind.SCENE, scene_ids, Reason.EXPANDED)
        log.info("covers_readable_again", scenes=count)
        self._wake()
