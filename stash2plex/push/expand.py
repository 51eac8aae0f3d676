"""What changed was a performer, studio, tag or group: look at its scenes again."""

from __future__ import annotations

from collections.abc import Sequence

from stash2plex.catalog.store import CatalogStore
from stash2plex.queue.dead import unchanged_since
from stash2plex.queue.job import Job, Kind, Reason
from stash2plex.queue.store import JobStore
from stash2plex.stash.client import StashClient


class Expander:
    """Turns one job into a job for each scene, at low priority."""

    def __init__(
        self, stash: StashClient, catalog: CatalogStore, jobs: JobStore
    ) -> None:
        self._stash = stash
        self._catalog = catalog
        self._jobs = jobs

    async def expand(self, job: Job) -> int:
        """Enqueue the scenes that *job* is about; returns how many.

        Those that have it, and those that had it when they were last read: of what was
        deleted Stash knows no scenes any more.
        """
        changed_at = ""
        if job.reason is Reason.EXPANDED:  # by a poll; a hook told of it, perhaps
            changed_at = await self._catalog.part_changed_at(job.kind, job.stash_id)
        had = await self._catalog.scenes_with_part(job.kind, job.stash_id)
        found = set(had)
        await self._enqueue(had, changed_at)
        async for scene_ids in self._stash.scenes_of(job.kind, job.stash_id):
            more = [one for one in scene_ids if one not in found]
            found.update(more)
            await self._enqueue(more, changed_at)
        return len(found)

    async def _enqueue(self, scene_ids: Sequence[int], changed_at: str) -> None:
        """Enqueue scenes, but for dead letters that failed since the change."""
        spared: set[int] = set()
        if changed_at:
            dead = await self._jobs.dead_among(Kind.SCENE, scene_ids)
            changes = dict.fromkeys(dead, changed_at)
            spared = unchanged_since(dead, changes, self._stash.ahead)
        wanted = [one for one in scene_ids if one not in spared]
        await self._jobs.enqueue_many(Kind.SCENE, wanted, Reason.EXPANDED)

    async def look_again(self, scene_ids: Sequence[int]) -> None:
        """Enqueue scenes that something about another one may have changed."""
        await self._jobs.enqueue_many(Kind.SCENE, scene_ids, Reason.EXPANDED)
