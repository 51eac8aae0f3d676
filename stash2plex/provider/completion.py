"""After Plex took a scene from the provider, push brings what a provider cannot.

That is picture bytes where Plex cannot reach us, the owner's rating, and the removal
of tags: Plex keeps those that a provider stops returning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from stash2plex.errors import StoreUnavailable
from stash2plex.queue.job import Kind, Reason
from stash2plex.queue.store import JobStore

log = structlog.get_logger()

# Time for Plex to store what it was just told, seconds; several items share a job run.
_SETTLING = 10.0


class Completion:
    """Turns scenes that Plex asked for into jobs, a little later."""

    def __init__(self, jobs: JobStore, wake: Callable[[], None]) -> None:
        self._jobs = jobs
        self._wake = wake
        self._scenes: dict[int, None] = {}
        self._any = asyncio.Event()

    def add(self, scene_id: int) -> None:
        """Look at a scene once Plex is done with it."""
        self._scenes[scene_id] = None
        self._any.set()

    async def run(self) -> None:
        """Enqueue what was added, until cancelled; then what is left."""
        try:
            while True:
                await self._any.wait()
                self._any.clear()
                await asyncio.sleep(_SETTLING)
                await self._enqueue()
        finally:
            await self._enqueue()

    async def _enqueue(self) -> None:
        scenes, self._scenes = self._scenes, {}
        try:
            # That Plex asks again is no reason to try again what came to nothing.
            await self._jobs.enqueue_many(
                Kind.SCENE, scenes, Reason.EXPANDED, spares_dead=True
            )
            self._wake()
        except StoreUnavailable as error:
            # Nothing is lost that the next refresh or comparison would not bring.
            log.warning("completion_failed", scenes=len(scenes), error=str(error))
