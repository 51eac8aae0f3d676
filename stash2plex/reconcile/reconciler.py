"""Comparing both libraries: list them, find the gaps, enqueue what a push can mend.

One run at a time. Whatever fails leaves catalogue and gaps as they were, and the
run says why.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from stash2plex.catalog.gaps import FoundGap, Gaps
from stash2plex.errors import Braked, Restarting, Stash2PlexError, StoreUnavailable
from stash2plex.gap_kinds import COMPARED, REPAIRABLE, GapKind
from stash2plex.queue.dead import unchanged_since
from stash2plex.queue.job import PARTS, Kind, Reason
from stash2plex.reconcile.comparison import Comparison
from stash2plex.reconcile.runs import KEPT, Run, Runs, RunState
from stash2plex.reconcile.vanished import lost_parts
from stash2plex.stash.answers import is_since, text_bound

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog
    from stash2plex.config import Scope
    from stash2plex.push.scanning import FolderScans
    from stash2plex.queue.store import JobStore
    from stash2plex.reconcile.whole import WholeReading
    from stash2plex.stash.client import StashClient

log = structlog.get_logger()

# When a failed run that nobody waits for is tried again: at first, and at last,
# seconds.
_AGAIN, _LONGEST = 120.0, 3600.0
_DOUBLINGS = 10
# Gaps written down in one transaction.
_RECORDED = 1000
_HOURS: dict[Scope, int] = {"24h": 24, "7d": 7 * 24}
# How far Plex's clock may be from ours when we ask what changed lately, seconds.
_CLOCKS = 3600


class Reconciler:
    """Runs one comparison after another."""

    def __init__(
        self,
        runs: Runs,
        comparison: Comparison,
        *,
        catalog: Catalog,
        whole: WholeReading,
        stash: StashClient,
        gaps: Gaps,
        jobs: JobStore,
        scans: FolderScans | None,
        mends: bool,
        wake: Callable[[], None],
        took: Callable[[str, float], None] = lambda scope, seconds: None,
    ) -> None:
        self._mends = mends
        self._ended = False
        self._failures = 0  # in a row
        self._again: asyncio.TimerHandle | None = None
        self._retried: Run | None = None  # what it is to try again
        self._runs = runs
        self._comparison = comparison
        self._catalog = catalog
        self._whole = whole
        self._stash = stash
        self._gaps = gaps
        self._jobs = jobs
        self._scans = scans
        self._wake = wake
        self._took = took
        self._waiting: list[Run] = []
        self._any = asyncio.Event()
        self._asking: set[asyncio.Task[None]] = set()
        # What ended while the database took nothing: the newest, by number.
        self._unsaved: dict[int, Run] = {}
        self.current: Run | None = None

    async def request(
        self,
        scope: Scope,
        *,
        reason: str = "manual",
        dry_run: bool = False,
        force: bool = False,
        only_empty: bool = False,
        anew: bool = False,
    ) -> Run:
        """Ask for a run; returns it, or one that is going or waiting and covers it.

        *anew* wants one that begins from now on. Raises `Restarting` while another
        configuration takes over.
        """
        if self._ended:
            raise Restarting("another configuration takes over; ask again in a moment")
        wanted = Run(
            id=0, scope=scope, dry_run=dry_run, force=force, only_empty=only_empty
        )
        for run in self._waiting if anew else self._unfinished():
            if run.covers(wanted):
                return run
        run = await self._runs.begin(
            scope, reason=reason, dry_run=dry_run, force=force, only_empty=only_empty
        )
        self._waiting.append(run)
        self._any.set()
        return run

    def _unfinished(self) -> list[Run]:
        return [*([self.current] if self.current else []), *self._waiting]

    async def find(self, run_id: int) -> Run | None:
        """Return a run by its number, as it is at this moment."""
        for run in self._unfinished():
            if run.id == run_id:
                return run
        return self._unsaved.get(run_id) or await self._runs.one(run_id)

    async def run(self) -> None:
        """Do what is asked for until cancelled, what was left undone first."""
        self._ended = False
        try:
            with suppress(StoreUnavailable):
                waiting = {run.id for run in self._waiting}
                left = await self._runs.abandoned()
                self._waiting[:0] = [run for run in left if run.id not in waiting]
            while True:
                if not self._waiting:
                    self._any.clear()
                    await self._any.wait()
                self.current = run = self._waiting.pop(0)
                try:
                    await self._carry_out(run)
                finally:
                    self.current = None
        finally:
            self._ended = True

    async def _carry_out(self, run: Run) -> None:
        run.started_at = self._runs.now()
        run.gaps = dict.fromkeys(COMPARED, 0)
        log.info("reconcile_started", run=run.id, scope=run.scope, reason=run.reason)
        try:
            await self._runs.note_start(run)
            await self._compare(run)
            run.state = RunState.DONE
            self._failures = 0
            if self._again is not None and run.scope == "all" and not run.dry_run:
                self._again.cancel()
                self._retried = None
        except Braked as error:
            run.state, run.error = RunState.STOPPED, str(error)
        except Stash2PlexError as error:
            run.state, run.error = RunState.FAILED, str(error)
            if run.reason != "manual":
                self._retry(run)
        except asyncio.CancelledError:
            raise  # it is taken up again by who comes after us
        except Exception:
            run.state, run.error = RunState.FAILED, "a bug; the log tells more"
            log.exception("reconcile_crashed", run=run.id)
        run.finished_at = self._runs.now()
        self._took(run.scope, run.finished_at - run.started_at)
        try:
            await self._runs.save(run)
        except StoreUnavailable:
            self._unsaved[run.id] = run
            while len(self._unsaved) > KEPT:
                del self._unsaved[next(iter(self._unsaved))]
        say = log.info if run.state is RunState.DONE else log.error
        say(
            "reconcile_ended",
            run=run.id,
            state=run.state.value,
            scenes=run.scenes,
            items=run.items,
            **run.counted(),
            gaps=run.gaps,
            seconds=round(run.finished_at - run.started_at, 1),
            error=run.error,
        )

    def _retry(self, failed: Run) -> None:
        """Try again after a while; one wait at a time, however many runs fail."""
        if self._retried is not None and self._retried.covers_scope(failed):
            failed = self._retried  # the wider one is still to come
        self._retried = failed
        delay = min(_AGAIN * 2 ** min(self._failures, _DOUBLINGS), _LONGEST)
        self._failures += 1
        if self._again is not None:
            self._again.cancel()
        loop = asyncio.get_running_loop()
        self._again = loop.call_later(delay, self._try_again, failed)

    def _try_again(self, failed: Run) -> None:
        """Ask for a run once more that nobody else will ask for."""

        async def ask() -> None:
            try:
                await self.request(failed.scope, reason=failed.reason)
            except StoreUnavailable:
                loop.call_later(_LONGEST, self._try_again, failed)

        loop = asyncio.get_running_loop()
        self._retried = None
        if not self._ended:
            task = loop.create_task(ask())
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _compare(self, run: Run) -> None:
        scene_ids, since = await self._list(run)
        counts: Counter[GapKind] = Counter()
        everything: list[FoundGap] = []
        # Only at its end is anything done about it: a server that fails half-way leaves
        # gaps and queue as they were, and no delivery comes before its gap.
        async for found, scenes in self._comparison.gaps(scene_ids, since):
            run.scenes += scenes
            counts.update(gap.kind for gap in found)
            run.gaps = {kind.value: counts[kind] for kind in COMPARED}
            everything += found
        for start in range(0, len(everything), _RECORDED):
            await self._act_on(run, everything[start : start + _RECORDED])
        _, run.items = await self._catalog.store.counts()
        if not run.dry_run:
            await self._gaps.resolve_unseen(
                run.id,
                kinds=[
                    o for o in COMPARED if run.scope == "all" or o is not GapKind.DRIFT
                ],
                scene_ids=scene_ids,
                before=run.started_at,
                unread=self._comparison.unread,
            )

    async def _list(self, run: Run) -> tuple[list[int] | None, int]:
        """Bring the catalogue up to date; returns which scenes and items are meant.

        The scenes are None for all, and the items those that changed since a time.
        """
        catalog = self._catalog
        complete = catalog.plex_complete and catalog.stash_complete
        hours = _HOURS.get(run.scope)
        if hours is None or run.force or not complete:
            # By force a dry run would forget what it is only to tell of.
            await catalog.refresh(
                force=run.force and not run.dry_run,
                follow=not run.dry_run,
                join=run.reason != "import",
            )
            if catalog.unsteady:
                run.error = (
                    f"{', '.join(catalog.unsteady)} changed while it was listed,"
                    " miscounts or repeats itself: what is gone from it was not"
                    " forgotten"
                )
        if hours is None:
            await self._whole.read(dry_run=run.dry_run)
            await self._look_for_lost_parts(run)
            await self._revive_parts(run)
            return None, 0
        since = datetime.now(UTC) - timedelta(hours=hours)
        scene_ids: list[int] = []
        async for page in self._stash.entries(updated_since=text_bound(since)):
            recent = [one for one in page if is_since(one, since)]
            await catalog.note_scenes(recent)
            scene_ids += [one.id for one in recent]
        # Once it is read it is no news to others, so a dry run leaves it.
        if not run.dry_run:
            await catalog.take_news()
        return scene_ids, int(since.timestamp()) - _CLOCKS

    async def _look_for_lost_parts(self, run: Run) -> None:
        """Look at the scenes of performers, studios, tags and groups that are gone."""
        for kind in PARTS:
            gone = await lost_parts(
                self._stash, self._catalog, kind, forget=not run.dry_run
            )
            if gone and self._mends:
                run.enqueued += len(gone)
            if gone and self._mends and not run.dry_run:
                await self._jobs.enqueue_many(kind, gone, Reason.RECONCILE)
                log.info("parts_gone", kind=kind.value, count=len(gone))
                self._wake()

    async def _revive_parts(self, run: Run) -> None:
        """Look again at performers, studios, tags and groups that a fault kept away."""
        faults = await self._jobs.died_of_faults()
        for kind in PARTS:
            dead = [one.stash_id for one in faults if one.kind == kind]
            if dead and self._mends:
                run.enqueued += len(dead)
            if dead and self._mends and not run.dry_run:
                await self._jobs.enqueue_many(kind, dead, Reason.RECONCILE)
                self._wake()

    async def _act_on(self, run: Run, found: Sequence[FoundGap]) -> None:
        """Write gaps down; have those mended that a push can, and files scanned."""
        missing = [gap for gap in found if gap.kind is GapKind.MISSING_IN_PLEX]
        if missing and self._scans and not run.dry_run:
            known = await self._gaps.open_among(gap.subject for gap in missing)
            for gap in missing:
                if gap.subject not in known:
                    self._scans.want_path(gap.path)
        if not run.dry_run:
            await self._gaps.record_found(found, run.id)
        await self._mend(run, found)

    async def _still_dead(self, scene_ids: Set[int]) -> set[int]:
        """Return the dead letters among scenes that were not changed since.

        But those that a server's fault made: it was read to the end just now.
        """
        dead = await self._jobs.dead_among(Kind.SCENE, scene_ids)
        rows = await self._catalog.store.entries(ids=dead, limit=len(dead))
        changed_at = {scene.id: scene.updated_at for scene, _ in rows}
        faults = await self._jobs.died_of_faults()
        faulty = {one.stash_id for one in faults if one.kind == Kind.SCENE}
        return unchanged_since(dead, changed_at, self._stash.ahead) - faulty

    async def _mend(self, run: Run, found: Sequence[FoundGap]) -> None:
        """Enqueue what a push can mend, behind everything else.

        A dead letter stays one as long as nothing changed that would mend it.
        """
        kinds = (GapKind.EMPTY,) if run.only_empty else REPAIRABLE
        mendable = {
            int(gap.subject.partition(":")[2]) for gap in found if gap.kind in kinds
        }
        if mendable and self._mends:
            scene_ids = sorted(mendable - await self._still_dead(mendable))
            run.enqueued += len(scene_ids)
            if scene_ids and not run.dry_run:
                await self._jobs.enqueue_many(Kind.SCENE, scene_ids, Reason.RECONCILE)
                self._wake()
