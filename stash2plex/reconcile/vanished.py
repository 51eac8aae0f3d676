"""What vanished from Stash, or appeared there, and nobody told of it.

Stash tells how many things there are, and the highest number among them: its numbers
only grow. What was made since is known by that, so what is missing is gone. Which one
it is, only a list of all numbers tells; it is asked for when the counts disagree.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import structlog

from stash2plex.catalog.brake import STASH
from stash2plex.errors import UnsteadyListing
from stash2plex.queue.job import PARTS, Kind, Reason

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog
    from stash2plex.db.database import Database
    from stash2plex.queue.store import JobStore
    from stash2plex.stash.client import StashClient
    from stash2plex.stash.look import Newest

log = structlog.get_logger()

_COUNTS = "stash_counts"
# How long a doubt waits until Stash is quieter, seconds.
_PATIENCE = 60.0
# If more scenes than this are gone or new, a comparison looks at them.
_MANY = 1000


async def lost_parts(
    stash: StashClient, catalog: Catalog, kind: Kind, *, forget: bool
) -> list[int]:
    """Return the performers, studios, tags or groups of scenes that are gone.

    When one is deleted or merged into another, nothing about its scenes tells. *forget*
    what polls saw of them, too.
    """
    there = await stash.changed_parts(kind, "")
    if forget:
        await catalog.store.forget_polled_parts(kind, there)
    return sorted(await catalog.store.parts(kind) - there.keys())


class Vanished:
    """Compares counts, and finds what they tell of.

    *compare* is called, with the reason, where a comparison had better look.
    """

    def __init__(
        self,
        database: Database,
        stash: StashClient,
        catalog: Catalog,
        jobs: JobStore,
        compare: Callable[[str], Awaitable[bool]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._database = database
        self._stash = stash
        self._catalog = catalog
        self._jobs = jobs
        self._compare = compare
        # By kind: how many there were, and the highest number so far.
        self._counts: dict[str, list[int]] | None = None
        # By how much the catalogue was off at the last look, and how much is expected;
        # what was enqueued over that.
        self._off_before = self._known_off = (0, True)
        self._looked_into: set[tuple[int, bool]] = set()
        # Whether scenes had better be counted again at the next look, and since when
        # what they tell is put off.
        self.is_in_doubt = False
        self._waits_since: float | None = None

    async def check_parts(self, newest: Mapping[str, Newest]) -> int:
        """Enqueue performers and so on that are gone; returns how many."""
        counts = dict(await self._last_counts())
        enqueued = 0
        for kind in PARTS:
            now = newest.get(kind)
            if now is None or now.count is None:
                continue
            count, highest = counts.get(kind, (now.count, now.id))
            if count + max(0, now.id - highest) > now.count:
                lost = await self._enqueue_lost(kind)
                if lost is None:
                    continue  # it is looked for again
                enqueued += lost
            counts[kind] = [now.count, now.id]
        await self._remember(counts)
        return enqueued

    async def _enqueue_lost(self, kind: Kind) -> int | None:
        """Enqueue what is gone; returns how many, None if that could not be told."""
        try:
            gone = await lost_parts(self._stash, self._catalog, kind, forget=True)
        except UnsteadyListing as error:
            log.warning("listing_unsteady", library=STASH, error=str(error))
            return None
        if gone:
            log.info("parts_gone", kind=kind.value, count=len(gone))
        return await self._jobs.enqueue_many(kind, gone, Reason.EXPANDED)

    async def check_scenes(self, newest: Newest, *, is_steady: bool) -> int:
        """Enqueue scenes that are gone, or that nobody told of; returns how many.

        Once it is sure that the counts disagree: nothing is under way that would
        explain it, or they still do the next time. Not before it *is_steady*, when no
        scene changed a moment ago; where something always does, after a while.
        """
        catalog = self._catalog
        if newest.count is None or not (
            catalog.stash_complete and catalog.plex_complete
        ):
            return 0
        since = self._waits_since or self._monotonic()
        may_wait = self._monotonic() - since < _PATIENCE
        if not is_steady and may_wait:
            self._waits_since = since
            return 0
        off = await self._off(newest.count, newest.id)
        before, self._off_before = self._off_before, off
        self.is_in_doubt = False
        if off == (0, True):
            self._looked_into = set()
        if off == self._known_off:
            self._waits_since = None
            return 0
        if off != before and may_wait and await self._jobs.is_working_on(Kind.SCENE):
            self.is_in_doubt, self._waits_since = True, since
            return 0
        self._waits_since = None
        try:
            return await self._enqueue_differing(off)
        except UnsteadyListing as error:
            log.warning("listing_unsteady", library=STASH, error=str(error))
            return 0

    async def _off(self, count: int, newest: int) -> tuple[int, bool]:
        """Return by how many scenes the catalogue is off, and if it has the newest."""
        # What was made since it was counted has a higher number than any before.
        counts = await self._last_counts()
        highest = max(newest, counts.get(Kind.SCENE, [0, 0])[1])
        known, knows_newest = await self._catalog.store.scenes_up_to(highest, newest)
        await self._remember(counts | {Kind.SCENE: [count, highest]})
        return count - known, knows_newest or not newest

    async def _enqueue_differing(self, off: tuple[int, bool]) -> int:
        """Enqueue the scenes that only one side knows, but for those that were already.

        What is left of these stays so: it makes no sense, or the brake holds it.
        """
        there: set[int] = set()
        async for page in self._stash.ids():
            there.update(page)
        ours = await self._catalog.store.scene_ids()
        gone, new = ours - there, there - ours
        differing = {*((one, True) for one in gone), *((one, False) for one in new)}
        fresh = sorted({key for key, _ in differing - self._looked_into})
        count = 0
        if fresh:
            log.info("scenes_differ", gone=len(gone), new=len(new))
        if len(fresh) > _MANY:
            if not await self._compare("changes"):
                return 0
        elif fresh:
            count = await self._jobs.enqueue_many(Kind.SCENE, fresh, Reason.EXPANDED)
        self._looked_into = differing
        self._known_off = (0, True) if fresh else off
        return count

    async def _last_counts(self) -> dict[str, list[int]]:
        if self._counts is None:
            self._counts = json.loads(await self._database.fact(_COUNTS) or "{}")
        return self._counts

    async def _remember(self, counts: dict[str, list[int]]) -> None:
        if counts != self._counts:
            await self._database.set_fact(_COUNTS, json.dumps(counts))
            self._counts = counts
