"""The job table. No other module knows its SQL."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import TypedDict

from stash2plex.db.database import Database, Transaction
from stash2plex.db.grouping import GroupCommit
from stash2plex.queue.job import PRIORITY, Job, Kind, Reason
from stash2plex.queue.retry import Fate, Verdict, code_of

# A fresh request for a waiting job forgets its failures: something changed. That it
# takes away a dead letter a trigger sees to.
_ENQUEUE = """
    INSERT INTO job (kind, stash_id, reason, priority, due_at, created_at)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, ?2, ?2
    FROM json_each(?1) WHERE true
    ON CONFLICT (kind, stash_id) WHERE state = 'queued' DO UPDATE SET
        reason   = iif(excluded.priority > priority, excluded.reason, reason),
        priority = max(priority, excluded.priority),
        due_at   = min(due_at, excluded.due_at),
        attempts = 0, lookups = 0, held = 0, requests = requests + 1
    RETURNING kind, stash_id, requests
"""
_CLAIM = """
    UPDATE job SET state = 'running' WHERE id IN (
        SELECT id FROM job AS next
        WHERE state = 'queued' AND due_at <= ?1 AND NOT EXISTS (
            SELECT 1 FROM job WHERE state = 'running'
            AND kind = next.kind AND stash_id = next.stash_id)
        ORDER BY priority DESC, due_at, id LIMIT ?2)
    RETURNING *
"""
# A newer request for the same thing may be waiting already: then it wins.
_YIELD_TO_NEWER = """
    DELETE FROM job WHERE id = ?1 AND EXISTS (
        SELECT 1 FROM job AS newer WHERE newer.state = 'queued'
        AND newer.kind = job.kind AND newer.stash_id = job.stash_id
        AND newer.id != job.id)
"""
_REQUEUE = """
    UPDATE job SET state = 'queued', due_at = ?2, attempts = ?3, lookups = ?4,
        held = ?5, error_code = ?6, error = ?7, failed_at = ?8
    WHERE id = ?1
"""
_BURY = """
    UPDATE job SET state = 'dead', attempts = ?2, error_code = ?3, error = ?4,
        failed_at = ?5
    WHERE id = ?1
"""
_COUNTS = """
    SELECT coalesce(sum(state = 'queued' AND due_at <= ?1), 0) AS queued,
           coalesce(sum(state = 'queued' AND due_at > ?1), 0)  AS waiting,
           coalesce(sum(state = 'running'), 0)                 AS running,
           coalesce(sum(state = 'dead'), 0)                    AS dead,
           min(CASE WHEN state != 'dead' THEN created_at END)  AS oldest
    FROM job
"""
# A message longer than this says nothing more to anybody.
_ERROR_LENGTH = 500

Request = tuple[Kind, int, Reason]


class Enqueued(StrEnum):
    """What a request to look at something became."""

    QUEUED = "queued"
    MERGED = "merged"


class Counts(TypedDict):
    """How many jobs are in each state; *oldest_seconds* is the age of the oldest."""

    queued: int
    waiting: int
    running: int
    dead: int
    oldest_seconds: float | None


class JobStore:
    """Durable jobs: at most one queued and one running for the same thing."""

    def __init__(
        self, database: Database, *, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._now = now
        self._enqueuing = GroupCommit(self._insert)

    async def enqueue(self, kind: Kind, stash_id: int, reason: Reason) -> Enqueued:
        """Add a job, or merge it into the one already waiting; durable on return.

        Requests that arrive while another commit is under way share the next one.
        """
        return await self._enqueuing.submit((kind, stash_id, reason))

    async def enqueue_many(
        self, kind: Kind, stash_ids: Iterable[int], reason: Reason
    ) -> int:
        """Add or merge a job for each of *stash_ids* in one transaction."""
        requests = [(kind, stash_id, reason) for stash_id in dict.fromkeys(stash_ids)]
        if requests:
            await self._insert(requests)
        return len(requests)

    async def claim(self, limit: int) -> list[Job]:
        """Take the most urgent due jobs, at most *limit*, most urgent first."""
        async with self._database.transaction(durable=False) as transaction:
            rows = await transaction.run(_CLAIM, self._now(), limit)
        jobs = [Job.from_row(row) for row in rows]
        return sorted(jobs, key=lambda job: (-PRIORITY[job.reason], job.id))

    async def complete(self, transaction: Transaction, jobs: Iterable[Job]) -> None:
        """Forget jobs that are done."""
        await transaction.run(
            "DELETE FROM job WHERE id IN (SELECT value FROM json_each(?))",
            json.dumps([job.id for job in jobs]),
        )

    async def settle(
        self, transaction: Transaction, job: Job, verdict: Verdict, error: Exception
    ) -> None:
        """Carry out the *verdict* on a job that failed with *error*."""
        counts = verdict.fate in {Fate.RETRIED, Fate.BURIED}
        attempts = job.attempts + counts
        text = str(error)[:_ERROR_LENGTH] or type(error).__name__
        now = self._now()
        match verdict.fate:
            case Fate.ENDED:
                await self.complete(transaction, [job])
            case Fate.BURIED:
                await transaction.run(_YIELD_TO_NEWER, job.id)
                await transaction.run(
                    _BURY, job.id, attempts, code_of(error), text, now
                )
            case fate:
                await transaction.run(_YIELD_TO_NEWER, job.id)
                await transaction.run(
                    _REQUEUE,
                    job.id,
                    now + verdict.delay,
                    attempts,
                    job.lookups + (fate is Fate.ASLEEP),
                    int(fate is Fate.RELEASED),
                    code_of(error),
                    text,
                    now,
                )

    async def hand_back(self, jobs: Sequence[Job]) -> None:
        """Put claimed jobs back as if untouched."""
        async with self._database.transaction() as transaction:
            for job in jobs:
                await transaction.run(_YIELD_TO_NEWER, job.id)
                await transaction.run(
                    "UPDATE job SET state = 'queued' WHERE id = ?", job.id
                )

    async def take_back_running(self) -> int:
        """Reclaim what a killed daemon left running; return how many."""
        async with self._database.transaction() as transaction:
            rows = await transaction.run("SELECT id FROM job WHERE state = 'running'")
            for row in rows:
                await transaction.run(_YIELD_TO_NEWER, row["id"])
            await transaction.run(
                "UPDATE job SET state = 'queued', due_at = ?1 WHERE state = 'running'",
                self._now(),
            )
        return len(rows)

    async def make_held_due(self) -> None:
        """Wake every job that waits for a server or for the catalogue."""
        await self._database.write(
            "UPDATE job SET held = 0, due_at = min(due_at, ?1)"
            " WHERE state = 'queued' AND held = 1",
            self._now(),
        )

    async def give_back_attempts(self, counts: dict[int, int]) -> None:
        """Undo failures that turned out to be an outage (job id -> how many)."""
        now = self._now()
        async with self._database.transaction() as transaction:
            for job_id, attempts in counts.items():
                await transaction.run(_YIELD_TO_NEWER, job_id)
                await transaction.run(
                    "UPDATE job SET state = iif(state = 'dead', 'queued', state),"
                    " attempts = max(0, attempts - ?2), due_at = ?3, held = 1"
                    " WHERE id = ?1 AND state != 'running'",
                    job_id,
                    attempts,
                    now,
                )

    async def next_due(self) -> float | None:
        """Return the seconds until the next job is due, or None without one."""
        rows = await self._database.fetch(
            "SELECT min(due_at) AS due FROM job WHERE state = 'queued'"
        )
        due = rows[0]["due"]
        return None if due is None else max(0.0, due - self._now())

    async def counts(self) -> Counts:
        """Count the jobs by state."""
        (row,) = await self._database.fetch(_COUNTS, self._now())
        oldest = row["oldest"]
        age = None if oldest is None else round(max(0.0, self._now() - oldest), 1)
        return Counts(
            queued=row["queued"],
            waiting=row["waiting"],
            running=row["running"],
            dead=row["dead"],
            oldest_seconds=age,
        )

    async def _insert(self, requests: Sequence[Request]) -> list[Enqueued]:
        rows = json.dumps(
            [
                [kind, stash_id, reason, PRIORITY[reason]]
                for kind, stash_id, reason in requests
            ]
        )
        inserted = await self._database.write(_ENQUEUE, rows, self._now())
        # RETURNING promises no order.
        merged = {
            (row["kind"], row["stash_id"]) for row in inserted if row["requests"] > 1
        }
        return [
            Enqueued.MERGED if (kind, stash_id) in merged else Enqueued.QUEUED
            for kind, stash_id, _ in requests
        ]
