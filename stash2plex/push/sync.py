"""Enqueue many scenes because a person asked for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta

from stash2plex.queue.job import Kind, Reason
from stash2plex.queue.store import JobStore
from stash2plex.stash.answers import is_since, text_bound
from stash2plex.stash.client import StashClient


class Syncer:
    """Turns a wish for many scenes into jobs; the worker does the rest."""

    def __init__(
        self,
        stash: StashClient,
        jobs: JobStore,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._stash = stash
        self._jobs = jobs
        self._now = now

    async def scenes(self, scene_ids: Sequence[int]) -> int:
        """Enqueue these scenes, ahead of everything else; returns how many."""
        return await self._jobs.enqueue_many(Kind.SCENE, scene_ids, Reason.MANUAL)

    async def all(self, hours: int | None = None) -> int:
        """Enqueue every scene, or those updated within *hours*; returns how many.

        They go behind fresh edits, which must not wait for a whole library.
        """
        count = 0
        async for ids in self.ids(hours):
            count += await self._jobs.enqueue_many(Kind.SCENE, ids, Reason.EXPANDED)
        return count

    async def ids(self, hours: int | None = None) -> AsyncIterator[list[int]]:
        """Walk the ids of every scene, or of those updated within *hours*."""
        if hours is None:
            async for ids in self._stash.ids():
                yield ids
            return
        since = self._now() - timedelta(hours=hours)
        async for page in self._stash.entries(updated_since=text_bound(since)):
            yield [one.id for one in page if is_since(one, since)]
