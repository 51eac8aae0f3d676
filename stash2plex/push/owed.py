"""Covers that Stash could not read: looked at again, and delivered once it can."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from stash2plex.errors import PictureUnreadable, Stash2PlexError
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


class OwedCovers:
    """Looks now and then whether covers that could not be read can be by now.

    The gaps tell which these are, so a restart forgets none.
    """

    def __init__(
        self,
        gaps: Gaps,
        stash: StashClient,
        jobs: JobStore,
        health: CoverHealth,
        *,
        wake: Callable[[], None],
    ) -> None:
        self._gaps = gaps
        self._stash = stash
        self._jobs = jobs
        self._health = health
        self._wake = wake

    async def run(self) -> None:
        """Look until cancelled, ever more seldom while nothing changes."""
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
        """Deliver what is owed if any of it can be read; whether some still waits."""
        owed = await self._gaps.scenes_with(GapKind.PICTURE, UNREADABLE)
        if not owed:
            self._health.recovered()
            return False
        if not await self._any_readable(random.sample(owed, min(_SAMPLE, len(owed)))):
            return True
        self._health.recovered()
        count = await self._jobs.enqueue_many(Kind.SCENE, owed, Reason.EXPANDED)
        log.info("covers_readable_again", scenes=count)
        self._wake()
        return False

    async def _any_readable(self, scene_ids: Sequence[int]) -> bool:
        for scene_id in scene_ids:
            try:
                await self._stash.cover(scene_id)
            except PictureUnreadable:
                continue
            return True
        return False
