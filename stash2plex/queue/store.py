"""The job table. No other module knows its SQL."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict

from stash2plex.db.database import Database, Transaction
from stash2plex.db.doubt import doubt_job
from stash2plex.db.grouping import GroupCommit
from stash2plex.errors import ServerFault, Stash2PlexError
from stash2plex.queue.job import PRIORITY, Job, Kind, Reason
from stash2plex.queue.retry import Fate, Verdict, code_of

# A fresh request for a waiting job forgets its failures: something changed. That it
# takes away a dead letter a trigger sees to.
_ENQUEUE = """
    INSERT INTO job (kind, stash_id, reason, priority, due_at, created_at)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, ?2, ?2
    FROM json_each(?1) WHERE NOT (?3 AND EXISTS (SELECT 1 FROM job WHERE
        state = 'dead' AND kind = value ->> 0 AND stash_id = value ->> 1))
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
        WHERE state = 'queued' AND due_at <= ?1 AND crashes < ?3 AND NOT EXISTS (
            SELECT 1 FROM job WHERE state = 'running'
            AND kind = next.kind AND stash_id = next.stash_id)
        ORDER BY priority DESC, due_at, id LIMIT ?2)
    RETURNING *
"""
# Nothing waits longer than the longest wait: the clock was set back since.
_CLOCK_SET_BACK = """
    UPDATE job SET due_at = ?1 WHERE state = 'queued' AND due_at > ?1 + ?2
"""
_CLAIM_ALONE = """
    UPDATE job SET state = 'running', alone = 1 WHERE id = (
        SELECT id FROM job
        WHERE state = 'queued' AND due_at <= ?1 AND crashes >= ?2
        ORDER BY priority DESC, due_at, id LIMIT 1)
    RETURNING *
"""
# A job that the daemon died over so often, with others or without, is suspect.
_SUSPECT = 2
_POISONOUS = 3
# A newer request for the same thing may be waiting already: then it wins.
_YIELD_TO_NEWER = """
    DELETE FROM job WHERE id = ?1 AND EXISTS (
        SELECT 1 FROM job AS newer WHERE newer.state = 'queued'
        AND newer.kind = job.kind AND newer.stash_id = job.stash_id
        AND newer.id != job.id)
"""
_REQUEUE = """
    UPDATE job SET state = 'queued', due_at = ?2, attempts = ?3, lookups = ?4,
        held = ?5, error_code = ?6, error = ?7, failed_at = ?8,
        crashes = 0, alone_crashes = 0, alone = 0,
        first_failed_at = coalesce(first_failed_at, ?8)
    WHERE id = ?1
"""
# The outage that it fell into: one that goes on, or began since its first failure.
_BURY = """
    UPDATE job SET state = 'dead', attempts = ?2, error_code = ?3, error = ?4,
        failed_at = ?5, first_failed_at = coalesce(first_failed_at, ?5),
        outage_id = (SELECT max(id) FROM outage WHERE ended_at IS NULL
            OR ended_at >= coalesce(job.first_failed_at, ?5))
    WHERE id = ?1
"""
_CHOSEN = """
    state = 'dead'
    AND (?1 IS NULL OR (kind = 'scene' AND stash_id IN
        (SELECT value FROM json_each(?1))))
    AND (?2 IS NULL OR error_code IN (SELECT value FROM json_each(?2)))
    AND (?3 IS NULL OR failed_at < ?3)
"""
_COUNTS = """
    SELECT coalesce(sum(state = 'queued' AND due_at <= ?1), 0) AS queued,
           coalesce(sum(state = 'queued' AND due_at > ?1), 0)  AS waiting,
           coalesce(sum(state = 'running'), 0)                 AS running,
           coalesce(sum(state = 'dead'), 0)                    AS dead,
           min(CASE WHEN state != 'dead' THEN created_at END)  AS oldest
    FROM job
"""
# What only a server that is away can cost.
_OUTAGE_CODES = frozenset({"service_unavailable", "access_denied", "schema_mismatch"})
# What may have been one, if there was one at the time.
_DURING_OUTAGES = frozenset({"server_fault", "picture_failed", "stale_catalog"})
_SHOWN = (
    "SELECT id, kind, stash_id, reason, state, attempts, lookups, due_at,"
    " created_at, error_code, error, first_failed_at, failed_at, outage_id FROM job"
)
_A_DAY = 24 * 3600.0
_CHUNK = 1000
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which dead letters: all of what is given must hold.

    *before* is a time in unix seconds; the last failure was earlier.
    """

    scene_ids: tuple[int, ...] | None = None
    codes: tuple[str, ...] | None = None
    before: float | None = None

    @property
    def values(self) -> tuple[str | None, str | None, float | None]:
        """The parameters of `_CHOSEN`."""
        ids = None if self.scene_ids is None else json.dumps(self.scene_ids)
        codes = None if self.codes is None else json.dumps(self.codes)
        return ids, codes, self.before


EVERY = Choice()


@dataclass(frozen=True, slots=True)
class Entry:
    """A job as it is shown; times in unix seconds, None for what never happened."""

    id: int
    kind: str
    stash_id: int
    reason: str
    state: str
    attempts: int
    lookups: int
    due_at: float
    created_at: float
    code: str | None
    error: str | None
    first_failed_at: float | None
    failed_at: float | None
    outage_id: int | None


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
        self,
        kind: Kind,
        stash_ids: Iterable[int],
        reason: Reason,
        *,
        spares_dead: bool = False,
    ) -> int:
        """Add or merge a job for each of *stash_ids*; returns how many they are.

        A job takes the place of a dead letter, unless that is told to be spared. A
        thousand in one transaction, so that hooks get their turn in between.
        """
        requests = [(kind, stash_id, reason) for stash_id in dict.fromkeys(stash_ids)]
        for start in range(0, len(requests), _CHUNK):
            chunk = requests[start : start + _CHUNK]
            await self._insert(chunk, spares_dead=spares_dead)
        return len(requests)

    async def enqueue_undelivered(self) -> int:
        """Enqueue the scenes whose jobs ended while nothing might be written."""
        rows = await self._database.fetch("SELECT scene_id FROM undelivered")
        ids = [row["scene_id"] for row in rows]
        await self.enqueue_many(Kind.SCENE, ids, Reason.EXPANDED)
        if ids:
            await self._database.write(
                "DELETE FROM undelivered WHERE scene_id IN"
                " (SELECT value FROM json_each(?))",
                json.dumps(ids),
            )
        return len(ids)

    async def claim(self, limit: int, longest_wait: float = _A_DAY) -> list[Job]:
        """Take the most urgent due jobs, at most *limit*, most urgent first.

        No job may wait for more than *longest_wait* seconds.
        """
        async with self._database.transaction(durable=False) as transaction:
            await transaction.run(_CLOCK_SET_BACK, self._now(), longest_wait)
            rows = await transaction.run(_CLAIM, self._now(), limit, _SUSPECT)
        jobs = [Job.from_row(row) for row in rows]
        return sorted(jobs, key=lambda job: (-PRIORITY[job.reason], job.id))

    async def claim_alone(self) -> list[Job]:
        """Take one job that the daemon died over twice; nothing else may run with it.

        If it dies again, that was its doing.
        """
        suspects = await self._database.fetch(
            "SELECT 1 FROM job WHERE state = 'queued' AND crashes >= 2"
            " AND due_at <= ? LIMIT 1",
            self._now(),
        )
        if not suspects:
            return []
        async with self._database.transaction() as transaction:
            rows = await transaction.run(_CLAIM_ALONE, self._now(), _SUSPECT)
        return [Job.from_row(row) for row in rows]

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
        if verdict.fate in {Fate.ENDED, Fate.BURIED}:
            await doubt_job(transaction, job.kind, job.stash_id)
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
                    "UPDATE job SET state = 'queued', alone = 0 WHERE id = ?", job.id
                )

    async def take_back_running(self) -> int:
        """Reclaim what a killed daemon left running; return how many.

        What it died over alone, again and again, is a dead letter.
        """
        async with self._database.transaction() as transaction:
            rows = await transaction.run("SELECT id FROM job WHERE state = 'running'")
            for row in rows:
                await transaction.run(_YIELD_TO_NEWER, row["id"])
            now = self._now()
            ended = await transaction.run(
                "UPDATE job SET crashes = crashes + 1, due_at = ?1, alone = 0,"
                " alone_crashes = alone_crashes + alone,"
                " state = iif(alone_crashes + alone >= ?2, 'dead', 'queued'),"
                " error_code = iif(alone_crashes + alone >= ?2, ?3, error_code),"
                " error = iif(alone_crashes + alone >= ?2, ?4, error),"
                " failed_at = ?1, first_failed_at = coalesce(first_failed_at, ?1)"
                " WHERE state = 'running' RETURNING kind, stash_id, state",
                now,
                _POISONOUS,
                Stash2PlexError.code,
                "the daemon died each time it was delivered; please report it",
            )
            for row in ended:
                if row["state"] == "dead":
                    await doubt_job(transaction, row["kind"], row["stash_id"])
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

    async def dead(
        self, limit: int, offset: int, choice: Choice = EVERY
    ) -> tuple[list[Entry], int]:
        """Return a page of dead letters, the newest first, and how many are chosen."""
        chosen = choice.values
        (total,) = await self._database.fetch(
            f"SELECT count(*) AS count FROM job WHERE {_CHOSEN}", *chosen
        )
        rows = await self._database.fetch(
            f"{_SHOWN} WHERE {_CHOSEN} ORDER BY failed_at DESC, id LIMIT ?4 OFFSET ?5",
            *chosen,
            limit,
            offset,
        )
        return [Entry(*row) for row in rows], total["count"]

    async def dead_among(
        self, kind: Kind, stash_ids: Iterable[int]
    ) -> dict[int, float]:
        """Return which of *stash_ids* are dead letters, and when each was last due.

        In unix seconds. What they are about was read after that, and may have changed
        since, before they failed.
        """
        rows = await self._database.fetch(
            "SELECT stash_id, due_at FROM job WHERE state = 'dead' AND kind = ?"
            " AND stash_id IN (SELECT value FROM json_each(?))",
            kind,
            json.dumps(list(stash_ids)),
        )
        return {row["stash_id"]: row["due_at"] for row in rows}

    async def is_working_on(self, kind: Kind) -> bool:
        """Whether a job of this kind runs or is due."""
        rows = await self._database.fetch(
            "SELECT 1 FROM job WHERE kind = ?1 AND (state = 'running'"
            " OR (state = 'queued' AND due_at <= ?2)) LIMIT 1",
            kind,
            self._now(),
        )
        return bool(rows)

    async def died_of_faults(self) -> list[Entry]:
        """Return the dead letters of outages, and of whatever a server stumbled over.

        Not what a server refused: that comes to nothing again.
        """
        return await self.died_of_outages({ServerFault.code})

    async def of_scene(self, scene_id: int) -> list[Entry]:
        """Return the jobs of a scene in every state: one of each at most."""
        rows = await self._database.fetch(
            f"{_SHOWN} WHERE kind = 'scene' AND stash_id = ?", scene_id
        )
        return [Entry(*row) for row in rows]

    async def waiting(self, limit: int, offset: int) -> tuple[list[Entry], int]:
        """Return a page of what runs, is queued or waits, and how many that are."""
        order = "state = 'queued', due_at, priority DESC"
        return await self._listed("state != 'dead'", order, limit, offset)

    async def retry_dead(self, choice: Choice) -> int:
        """Look again at what dead letters are about, as if it had just changed."""
        rows = await self._database.write(
            "UPDATE job SET state = 'queued', reason = 'manual', priority = ?4,"
            " due_at = ?5, attempts = 0, lookups = 0, held = 0, first_failed_at = NULL,"
            f" outage_id = NULL WHERE {_CHOSEN} RETURNING 1",
            *choice.values,
            PRIORITY[Reason.MANUAL],
            self._now(),
        )
        return len(rows)

    async def clear_dead(self, choice: Choice) -> int:
        """Forget dead letters; returns how many."""
        rows = await self._database.write(
            f"DELETE FROM job WHERE {_CHOSEN} RETURNING 1", *choice.values
        )
        return len(rows)

    async def died_of_outages(self, codes: Iterable[str]) -> list[Entry]:
        """Return the dead letters of an outage, and those with one of *codes*."""
        wanted = _OUTAGE_CODES | set(codes)
        rows, _ = await self._listed("state = 'dead'", "id", -1, 0)
        return [
            one
            for one in rows
            if one.code in wanted
            or (one.outage_id is not None and one.code in _DURING_OUTAGES)
        ]

    async def make_all_due(self) -> int:
        """Make everything that waits due now; returns how many."""
        rows = await self._database.write(
            "UPDATE job SET due_at = ?1, held = 0"
            " WHERE state = 'queued' AND due_at > ?1 RETURNING 1",
            self._now(),
        )
        return len(rows)

    async def clear_waiting(self) -> int:
        """Drop what is queued or waits; what runs is not touched."""
        rows = await self._database.write(
            "DELETE FROM job WHERE state = 'queued' RETURNING 1"
        )
        return len(rows)

    async def _listed(
        self, condition: str, order: str, limit: int, offset: int
    ) -> tuple[list[Entry], int]:
        (total,) = await self._database.fetch(
            f"SELECT count(*) AS count FROM job WHERE {condition}"
        )
        rows = await self._database.fetch(
            f"{_SHOWN} WHERE {condition} ORDER BY {order}, id LIMIT ? OFFSET ?",
            limit,
            offset,
        )
        return [Entry(*row) for row in rows], total["count"]

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

    async def _insert(
        self, requests: Sequence[Request], *, spares_dead: bool = False
    ) -> list[Enqueued]:
        rows = json.dumps(
            [
                [kind, stash_id, reason, PRIORITY[reason]]
                for kind, stash_id, reason in requests
            ]
        )
        inserted = await self._database.write(
            _ENQUEUE, rows, self._now(), int(spares_dead)
        )
        # RETURNING promises no order.
        merged = {
            (row["kind"], row["stash_id"]) for row in inserted if row["requests"] > 1
        }
        return [
            Enqueued.MERGED if (kind, stash_id) in merged else Enqueued.QUEUED
            for kind, stash_id, _ in requests
        ]
