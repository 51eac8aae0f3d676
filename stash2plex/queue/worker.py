"""The one loop that changes Plex: claim a batch, deliver it, settle each job."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from stash2plex.db.database import Database
from stash2plex.db.grouping import GroupCommit
from stash2plex.errors import (
    Braked,
    PictureFailed,
    PictureNotFound,
    PictureUnusable,
    ServerFault,
    ServiceUnavailable,
    StaleCatalog,
    StoreUnavailable,
)
from stash2plex.health.breaker import CircuitBreaker, State
from stash2plex.health.proof import Proof
from stash2plex.health.ramp import Ramp
from stash2plex.queue.job import Job
from stash2plex.queue.outcome import Deliver, Outcome, Result, nothing
from stash2plex.queue.retry import Fate, RetryPolicy, Verdict, code_of
from stash2plex.queue.store import JobStore
from stash2plex.queue.summary import Summary

log = structlog.get_logger()

BATCH = 50
# Batches under way at once: one that hangs on an item does not hold up the next.
_AT_ONCE = 2
# A bulk edit sends a hook for each scene: work starts when none came for so long, or
# when the first of them has waited the longest it may, seconds.
_QUIET = 0.1
_LONGEST_LINGER = 0.5
_POLL = 5.0
_LEAST_WAIT = 0.05
# How long work in hand may take once `stop` was called, seconds.
_GRACE = 6.0


@dataclass(frozen=True, slots=True)
class _End:
    """A job that is to be settled."""

    job: Job
    outcome: Outcome
    error: Exception | None
    verdict: Verdict | None

    @property
    def result(self) -> Result | None:
        """What it counts as, or None for a job that will run again."""
        if self.verdict is None:
            return self.outcome.result
        return Result.FAILED if self.verdict.fate is Fate.BURIED else None


class Worker:
    """Takes due jobs in batches and delivers them until told to stop."""

    def __init__(
        self,
        database: Database,
        store: JobStore,
        deliver: Deliver,
        policy: RetryPolicy,
        breakers: Sequence[CircuitBreaker],
        *,
        proofs: Sequence[Proof] = (),
        ramp: Ramp | None = None,
        summary: Summary | None = None,
        results: Counter[Result] | None = None,
        poll: float = _POLL,
        grace: float = _GRACE,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._store = store
        self._deliver = deliver
        self._policy = policy
        self._breakers = breakers
        self._proofs = proofs
        self._ramp = ramp
        self._summary = summary or Summary()
        self._poll = poll
        self._grace = grace
        self._now = now
        self._woken_at = float("-inf")
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._batches: set[asyncio.Task[None]] = set()
        # Whether the batch under way is of a job that may bring the daemon down.
        self._is_alone = False
        self._settling = GroupCommit(self._commit)
        self.results: Counter[Result] = Counter() if results is None else results

    def wake(self) -> None:
        """Look for work now instead of at the next poll."""
        self._woken_at = self._now()
        self._woken.set()

    def stop(self) -> None:
        """Finish the work in hand, or hand it back, then return from `run`."""
        self._stopping.set()
        self._woken.set()

    async def run(self) -> None:
        """Work until `stop`; raises what a bug in here raises."""
        await self._take_back()
        try:
            while True:
                await self._linger()
                if self._stopping.is_set():
                    break
                self._woken.clear()
                if not await self._start_batch():
                    await self._pause()
        finally:
            await self._finish_batches()

    async def _take_back(self) -> None:
        """Take back what a killed daemon left running, once that can be written."""
        while not self._stopping.is_set():
            try:
                taken = await self._store.take_back_running()
            except StoreUnavailable as error:
                log.error("store_unavailable", error=str(error))  # noqa: TRY400 - no bug
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), self._poll)
            else:
                if taken:
                    log.info("jobs_taken_back", jobs=taken)
                return

    async def _start_batch(self) -> bool:
        """Claim and start a batch; False when there is nothing to do now."""
        self._collect()
        if len(self._batches) >= _AT_ONCE or self._is_alone:
            return False
        limit = BATCH
        trials: list[CircuitBreaker] = []
        for breaker in self._breakers:
            limit = breaker.allowance(limit)
            if limit and breaker.state is State.HALF_OPEN:
                trials.append(breaker)
        if self._ramp:
            limit = self._ramp.allowance(limit)
        jobs = await self._claimed(limit)
        if not jobs:
            _end_trials(trials)
            if self._ramp and limit:
                self._ramp.give_back()
            return False
        batch = asyncio.create_task(self._work(jobs, trials), name="batch")
        batch.add_done_callback(lambda _: self._woken.set())
        self._batches.add(batch)
        return True

    async def _claimed(self, limit: int) -> list[Job]:
        if not limit:
            return []
        jobs: list[Job] = []
        try:
            jobs = await self._store.claim(limit, self._policy.longest_wait)
            if not jobs and not self._batches:
                jobs = await self._store.claim_alone()
                self._is_alone = bool(jobs)
        except StoreUnavailable as error:
            log.error("store_unavailable", error=str(error))  # noqa: TRY400 - no bug
        return jobs

    def _collect(self) -> None:
        """Forget finished batches; a bug in one surfaces here."""
        if all(one.done() for one in self._batches):
            self._is_alone = False
        for batch in [one for one in self._batches if one.done()]:
            self._batches.discard(batch)
            batch.result()

    async def _work(
        self, jobs: Sequence[Job], trials: Sequence[CircuitBreaker]
    ) -> None:
        unsettled = {job.id: job for job in jobs}

        async def settle(job: Job, outcome: Outcome) -> None:
            await self._settle(job, outcome)
            unsettled.pop(job.id, None)

        try:
            await self._deliver(jobs, settle)
        except asyncio.CancelledError:
            # What cannot be handed back now is taken back at the next start.
            with suppress(StoreUnavailable):
                await asyncio.shield(self._store.hand_back(list(unsettled.values())))
            raise
        except StoreUnavailable as error:
            # What was done to Plex is done; doing it again is harmless.
            log.error("store_unavailable", error=str(error))  # noqa: TRY400 - no bug
            await self._hand_back_later(list(unsettled.values()))
        except Exception as error:
            log.exception("batch_crashed", jobs=len(unsettled))
            await self._fail_later(list(unsettled.values()), error)
        finally:
            _end_trials(trials)

    async def _commit(self, ends: Sequence[_End]) -> Sequence[None]:
        """End jobs as their outcomes say, together with what must be remembered.

        Not durable: after a power cut they are delivered again, and nothing differs.
        """
        # Counted first, so that an empty queue never comes with yesterday's counts.
        counts = Counter(end.result for end in ends if end.result)
        self.results.update(counts)
        try:
            await self._end_all(ends)
        except BaseException:
            self.results.subtract(counts)
            raise
        return [None] * len(ends)

    async def _end_all(self, ends: Sequence[_End]) -> None:
        async with self._database.transaction(durable=False) as transaction:
            for end in ends:
                if end.outcome.record is not nothing:
                    await end.outcome.record(transaction)
                if end.error and end.verdict:
                    await self._store.settle(
                        transaction, end.job, end.verdict, end.error
                    )
                    if end.verdict.fate is Fate.ENDED:
                        await end.outcome.ended(transaction)
            well = [end.job for end in ends if end.error is None]
            if well:
                await self._store.complete(transaction, well)

    async def _settle(self, job: Job, outcome: Outcome) -> None:
        error = await self._in_context(outcome.error)
        if self._ramp:
            self._ramp.note(failed=isinstance(error, ServiceUnavailable | ServerFault))
        verdict = self._policy.judge(job, error) if error else None
        await self._settling.submit(end := _End(job, outcome, error, verdict))
        code = code_of(error) if error else None
        self._summary.note(outcome, end.result, code)
        if error is None or verdict is None:
            return
        await self._note_attempt(job, error, verdict)
        severity = "error" if verdict.fate is Fate.BURIED else "warning"
        if verdict.fate in {Fate.ASLEEP, Fate.ENDED}:
            severity = "info"
        elif isinstance(error, StaleCatalog) and verdict.fate is Fate.RETRIED:
            severity = "debug"  # the listing tells how many items have other keys
        elif isinstance(error, Braked):
            severity = "debug"  # the brake was told of when it was pulled
        getattr(log, severity)(
            f"job_{verdict.fate}",
            kind=job.kind,
            stash_id=job.stash_id,
            code=code_of(error),
            error=str(error),
            again_in=round(verdict.delay, 1) or None,
        )

    async def _note_attempt(self, job: Job, error: Exception, verdict: Verdict) -> None:
        """Keep count of what stumbling servers cost, and undo it if they are down."""
        counted = verdict.fate in {Fate.RETRIED, Fate.BURIED}
        for breaker in self._breakers:
            if (
                counted
                and isinstance(error, ServerFault)
                and error.service == breaker.service
            ):
                breaker.attempt_counted(job.id)
            if attempts := breaker.take_counted():
                await self._store.give_back_attempts(attempts)

    async def _in_context(self, error: Exception | None) -> Exception | None:
        """Call a failure what it is when its server fails at everything."""
        for breaker in self._breakers:
            if (
                isinstance(error, ServerFault)
                and error.service == breaker.service
                and breaker.state is State.OPEN
            ):
                return ServiceUnavailable(error.service, str(error))
        for proof in self._proofs:
            if _may_be_of(error, proof.service) and (down := await proof.disproof()):
                return down
        return error

    async def _fail_later(self, jobs: Sequence[Job], error: Exception) -> None:
        try:
            for job in jobs:
                await self._settle(job, Outcome(result=Result.FAILED, error=error))
        except StoreUnavailable:
            await self._hand_back_later(jobs)

    async def _hand_back_later(self, jobs: Sequence[Job]) -> None:
        """Hand jobs back as soon as the store can be written again."""
        while not self._stopping.is_set():
            try:
                await self._store.hand_back(jobs)
            except StoreUnavailable:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), self._poll)
            else:
                return

    async def _finish_batches(self) -> None:
        if not self._batches:
            return
        _, late = await asyncio.wait(self._batches, timeout=self._grace)
        for batch in late:
            batch.cancel()
        for batch in late:
            with suppress(asyncio.CancelledError):
                await batch

    async def _pause(self) -> None:
        """Wait for a wake-up, or until the next job is due."""
        full = len(self._batches) >= _AT_ONCE or self._is_alone
        wait = self._poll
        closed = [one for one in self._breakers if not one.allows_some]
        if closed:
            # Any change of theirs wakes us; until then nothing can be done.
            wait = max(one.seconds_until_trial() for one in closed) or self._poll
        elif self._database.is_writable and not full:
            due = await self._next_due()
            if due is not None:
                if self._ramp:
                    due = max(due, self._ramp.seconds_until_next())
                wait = min(wait, max(due, _LEAST_WAIT))
        waits: list[asyncio.Future[object]] = [
            asyncio.ensure_future(self._woken.wait())
        ]
        waits += [asyncio.ensure_future(one.changed()) for one in self._breakers]
        try:
            await asyncio.wait(waits, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _next_due(self) -> float | None:
        try:
            return await self._store.next_due()
        except StoreUnavailable as error:
            log.error("store_unavailable", error=str(error))  # noqa: TRY400 - no bug
            return None

    async def _linger(self) -> None:
        """Let a burst of wake-ups pass, so that it is worked off in few batches."""
        latest = self._now() + _LONGEST_LINGER
        while (wait := min(self._woken_at + _QUIET, latest) - self._now()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)
                return


def _may_be_of(error: Exception | None, service: str) -> bool:
    """Whether *error* may be over because its server fails at everything."""
    if isinstance(error, ServerFault):
        return error.service == service
    # It may be either server's.
    return isinstance(error, PictureFailed) and not isinstance(
        error, PictureUnusable | PictureNotFound
    )


def _end_trials(trials: Sequence[CircuitBreaker]) -> None:
    """Let the next trial through; whose trial told something has moved on anyway."""
    for breaker in trials:
        breaker.trial_ended()
