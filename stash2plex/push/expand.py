"""What changed was a performer, studio, tag or group: look at its scenes again."""

from __future__ import annotations

from stash2plex.queue.job import Job, Kind, Reason
from stash2plex.queue.store import JobStore
from stash2plex.stash.client import StashClient


class Expander:
    """Turns one job into a job for each scene, at low priority."""

    def __init__(self, stash: StashClient, jobs: JobStore) -> None:
        self._stash = stash
        self._jobs = jobs

    async def expand(self, job: Job) -> int:
        """Enqueue the scenes that *job* is about; returns how many."""
        count = 0
        async for scene_ids in self._stash.scenes_of(job.kind, job.stash_id):
            count += await self._jobs.enqueue_many(
                Kind.SCENE, scene_ids, Reason.EXPANDED
            )
        return count
