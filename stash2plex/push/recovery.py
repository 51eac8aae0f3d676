"""Trying again what died of an outage, once that is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stash2plex.errors import ServiceUnavailable
from stash2plex.health.probe import Probe
from stash2plex.queue.job import Kind, Reason
from stash2plex.queue.store import Choice, JobStore
from stash2plex.stash.client import StashClient

_BATCH = 100


@dataclass(frozen=True, slots=True)
class Recovered:
    """How many dead letters were queued again, and how many were about nothing."""

    requeued: int
    gone: int


class Recovery:
    """Requeues the dead letters of outages."""

    def __init__(
        self, jobs: JobStore, stash: StashClient, probes: Sequence[Probe]
    ) -> None:
        self._jobs = jobs
        self._stash = stash
        self._probes = probes

    async def run(self, codes: Sequence[str] = ()) -> Recovered:
        """Requeue what died of an outage, or of one of *codes*, and still exists.

        What is queued again is no dead letter any more, so a second run does nothing.
        Raises `ServiceUnavailable` while a server is down.
        """
        for probe in self._probes:
            if not await probe.check():
                error = ServiceUnavailable(probe.service, "")
                error.args = (f"{probe.error}; try again when it is well",)
                raise error
        dead = await self._jobs.died_of_outages(codes)
        ids = [one.stash_id for one in dead if one.kind == Kind.SCENE]
        requeued = gone = 0
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            found = await self._stash.entries_present(batch)
            missing = tuple(sorted(set(batch) - found))
            gone += await self._jobs.clear_dead(Choice(scene_ids=missing))
            requeued += await self._jobs.retry_dead(
                Choice(scene_ids=tuple(sorted(found)))
            )
        for one in dead:
            if one.kind != Kind.SCENE:  # its scenes are looked for when it runs
                await self._jobs.enqueue(Kind(one.kind), one.stash_id, Reason.MANUAL)
                requeued += 1
        return Recovered(requeued, gone)
