"""What becomes of a job when its delivery ends, one way or another."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from stash2plex.config import QueueSettings
from stash2plex.errors import (
    ItemNotFound,
    RequestRejected,
    ServerFault,
    ServiceUnavailable,
    StoreUnavailable,
)
from stash2plex.health.breaker import CircuitBreaker, State
from stash2plex.queue.job import Kind, Reason
from stash2plex.queue.outcome import Outcome, Result
from stash2plex.queue.retry import RetryPolicy
from stash2plex.queue.store import JobStore
from stash2plex.queue.worker import BATCH, Worker
from tests.patience import patient

DONE = Outcome(result=Result.WRITTEN)


@pytest.fixture
def jobs(database):
    return JobStore(database)


@pytest.fixture
def breaker():
    return CircuitBreaker("Plex", threshold=1, open_seconds=60)


@asynccontextmanager
async def working(database, jobs, breaker, deliver, **queue):
    policy = RetryPolicy(
        QueueSettings(**{"retry_base": 0.01, "retry_cap": 0.01} | queue)
    )
    worker = Worker(database, jobs, deliver, policy, (breaker,), poll=0.2, grace=0.3)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(task, patient(15))


async def test_a_batch_is_claimed_at_once(database, jobs, breaker):
    await jobs.enqueue_many(Kind.SCENE, range(1, 121), Reason.HOOK)
    batches: asyncio.Queue[int] = asyncio.Queue()

    async def deliver(batch, settle):
        batches.put_nowait(len(batch))
        for job in batch:
            await settle(job, DONE)

    async with working(database, jobs, breaker, deliver) as worker:
        sizes = [await batches.get() for _ in range(3)]
    assert sizes == [BATCH, BATCH, 20]
    assert worker.results[Result.WRITTEN] == 120


async def test_a_bug_in_a_delivery_does_not_stop_the_queue(database, jobs, breaker):
    await jobs.enqueue_many(Kind.SCENE, [1, 2], Reason.HOOK)
    seen: asyncio.Queue[int] = asyncio.Queue()

    async def deliver(batch, settle):
        for job in sorted(batch, key=lambda job: -job.stash_id):
            seen.put_nowait(job.stash_id)
            if job.stash_id == 1:
                raise ZeroDivisionError
            await settle(job, DONE)

    async with working(database, jobs, breaker, deliver, max_attempts=2):
        assert [await seen.get() for _ in range(3)] == [2, 1, 1]
    counts = await jobs.counts()
    assert (counts["dead"], counts["queued"], counts["waiting"]) == (1, 0, 0)


async def test_a_change_at_work_is_worked_off_again(database, jobs, breaker):
    await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
    started, go = asyncio.Queue(), asyncio.Event()

    async def deliver(batch, settle):
        started.put_nowait(len(batch))
        await go.wait()
        await settle(batch[0], DONE)

    async with working(database, jobs, breaker, deliver) as worker:
        await started.get()
        await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
        worker.wake()
        go.set()
        await started.get()
    assert worker.results[Result.WRITTEN] == 2


async def test_work_that_does_not_end_is_handed_back(database, jobs, breaker):
    await jobs.enqueue_many(Kind.SCENE, [1, 2], Reason.HOOK)
    started = asyncio.Event()

    async def deliver(batch, settle):
        await settle(batch[0], DONE)
        started.set()
        await asyncio.Event().wait()

    async with working(database, jobs, breaker, deliver):
        await started.wait()

    (job,) = await jobs.claim(10)
    assert (job.stash_id, job.attempts) == (2, 0)


async def test_one_trial_goes_through_a_half_open_breaker(database, jobs, breaker):
    await jobs.enqueue_many(Kind.SCENE, range(1, 11), Reason.HOOK)
    breaker.fail(ServiceUnavailable("Plex", "x"))
    sizes: asyncio.Queue[int] = asyncio.Queue()

    async def deliver(batch, settle):
        sizes.put_nowait(len(batch))
        for job in batch:
            await settle(job, DONE)
        breaker.succeed()

    async with working(database, jobs, breaker, deliver):
        breaker.probe_succeeded()
        assert [await sizes.get(), await sizes.get()] == [1, 9]
    assert breaker.state is State.CLOSED


async def test_a_buried_job_counts_as_failed(database, jobs, breaker):
    await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
    settled = asyncio.Event()

    async def deliver(batch, settle):
        await settle(
            batch[0], Outcome(result=Result.FAILED, error=RequestRejected("no"))
        )
        settled.set()

    async with working(database, jobs, breaker, deliver) as worker:
        await settled.wait()
    assert worker.results[Result.FAILED] == 1
    assert (await jobs.counts())["dead"] == 1


async def test_a_full_disk_costs_nothing(database, jobs, breaker):
    """What was done to Plex is done again once the store can be written."""
    await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
    filled, freed, again = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def deliver(batch, settle):
        if not freed.is_set():
            await database._writer.execute("PRAGMA query_only = ON")
            filled.set()
        await settle(batch[0], DONE)
        again.set()

    async with working(database, jobs, breaker, deliver) as worker:
        await filled.wait()
        with pytest.raises(StoreUnavailable):
            await jobs.enqueue(Kind.SCENE, 2, Reason.HOOK)
        freed.set()
        await database._writer.execute("PRAGMA query_only = OFF")
        await asyncio.wait_for(again.wait(), patient(10))
    assert worker.results[Result.WRITTEN] == 1
    assert await jobs.next_due() is None


async def test_a_store_that_stays_full_does_not_keep_it_from_ending(
    database, jobs, breaker
):
    await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
    started = asyncio.Event()

    async def deliver(batch, settle):
        await database._writer.execute("PRAGMA query_only = ON")
        started.set()
        await settle(batch[0], DONE)

    async with working(database, jobs, breaker, deliver):
        await started.wait()

    await database._writer.execute("PRAGMA query_only = OFF")
    assert await jobs.take_back_running() == 1


async def test_a_server_that_stumbles_gives_the_attempts_back(database, jobs):
    """HTTP 500 over one item after another: the breaker opens, nobody pays."""
    breaker = CircuitBreaker("Plex", threshold=3, open_seconds=60)
    await jobs.enqueue_many(Kind.SCENE, [1, 2, 3], Reason.HOOK)
    opened = asyncio.Event()

    async def deliver(batch, settle):
        for job in batch:
            breaker.stumble(job.stash_id, ServerFault("Plex", "HTTP 500"))
            error = ServerFault("Plex", "HTTP 500")
            await settle(job, Outcome(result=Result.FAILED, error=error))
        opened.set()

    async with working(database, jobs, breaker, deliver):
        await opened.wait()

    assert breaker.state is State.OPEN
    await jobs.make_held_due()
    assert {job.stash_id: job.attempts for job in await jobs.claim(10)} == {
        1: 0,
        2: 0,
        3: 0,
    }


async def test_a_third_batch_waits_its_turn(database, jobs, breaker):
    await jobs.enqueue_many(Kind.SCENE, range(1, 151), Reason.HOOK)
    at_once, most, ended, go = 0, 0, asyncio.Queue(), asyncio.Event()

    async def deliver(batch, settle):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if most == 2:
            go.set()
        await go.wait()
        for job in batch:
            await settle(job, DONE)
        at_once -= 1
        ended.put_nowait(1)

    async with working(database, jobs, breaker, deliver):
        for _ in range(3):
            await ended.get()
    assert most == 2


async def test_only_one_trial_runs_at_a_time(database, jobs, breaker):
    """A look for more work in the meantime must not let a second one through."""
    await jobs.enqueue_many(Kind.SCENE, [1, 2, 3], Reason.HOOK)
    breaker.fail(ServiceUnavailable("Plex", "x"))
    started, go = asyncio.Queue(), asyncio.Event()

    async def deliver(batch, settle):
        started.put_nowait(len(batch))
        await go.wait()
        for job in batch:
            await settle(job, DONE)
        breaker.succeed()

    async with working(database, jobs, breaker, deliver) as worker:
        breaker.probe_succeeded()
        assert await started.get() == 1
        for _ in range(5):
            worker.wake()
            await jobs.counts()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(started.get(), 0.5)
        go.set()
        assert await started.get() == 2


@pytest.mark.parametrize("way", ["cancelled", "crashed"])
async def test_a_store_that_fails_while_a_batch_ends_badly(
    database, jobs, breaker, way
):
    """The jobs stay claimed, and the next start takes them back."""
    await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
    started = asyncio.Event()

    async def deliver(batch, settle):
        await database._writer.execute("PRAGMA query_only = ON")
        started.set()
        if way == "crashed":
            raise ZeroDivisionError
        await asyncio.Event().wait()

    async with working(database, jobs, breaker, deliver):
        await started.wait()

    await database._writer.execute("PRAGMA query_only = OFF")
    assert await jobs.take_back_running() == 1


async def test_a_disk_that_is_freed_lets_a_crashed_batch_go_on(database, jobs, breaker):
    await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
    filled, again = asyncio.Event(), asyncio.Event()

    async def deliver(batch, settle):
        if not filled.is_set():
            await database._writer.execute("PRAGMA query_only = ON")
            filled.set()
            raise ZeroDivisionError
        await settle(batch[0], DONE)
        again.set()

    async with working(database, jobs, breaker, deliver) as worker:
        await filled.wait()
        with pytest.raises(StoreUnavailable):
            await jobs.enqueue(Kind.SCENE, 2, Reason.HOOK)
        assert not database.is_writable
        await database._writer.execute("PRAGMA query_only = OFF")
        await asyncio.wait_for(again.wait(), patient(10))
    assert worker.results[Result.WRITTEN] == 1
    assert database.is_writable


class WatchedStore(JobStore):
    """A store that tells when jobs could not be handed back."""

    def __init__(self, database):
        super().__init__(database)
        self.refused = asyncio.Event()

    async def hand_back(self, jobs):
        try:
            await super().hand_back(jobs)
        except StoreUnavailable:
            self.refused.set()
            raise


async def test_jobs_are_handed_back_as_soon_as_there_is_room(database, breaker):
    jobs = WatchedStore(database)
    await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
    again = asyncio.Event()

    async def deliver(batch, settle):
        if not jobs.refused.is_set():
            await database._writer.execute("PRAGMA query_only = ON")
        await settle(batch[0], DONE)
        again.set()

    async with working(database, jobs, breaker, deliver) as worker:
        await jobs.refused.wait()
        await database._writer.execute("PRAGMA query_only = OFF")
        await asyncio.wait_for(again.wait(), patient(10))
    assert worker.results[Result.WRITTEN] == 1


async def test_what_a_killed_daemon_left_running_is_taken_back(database, jobs, breaker):
    await jobs.enqueue_many(Kind.SCENE, [1, 2], Reason.HOOK)
    assert len(await jobs.claim(10)) == 2
    ended: asyncio.Queue[int] = asyncio.Queue()

    async def deliver(batch, settle):
        for job in batch:
            await settle(job, DONE)
            ended.put_nowait(job.stash_id)

    async with working(database, jobs, breaker, deliver):
        assert [await ended.get(), await ended.get()] == [1, 2]


async def test_a_job_that_ends_as_a_gap_records_it(database, jobs, breaker):
    await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
    recorded = asyncio.Event()

    async def gap(_):
        recorded.set()

    async def deliver(batch, settle):
        error = ItemNotFound("not there")
        await settle(batch[0], Outcome(result=Result.FAILED, error=error, ended=gap))

    async with working(database, jobs, breaker, deliver, not_found_attempts=1):
        await recorded.wait()
    assert await jobs.next_due() is None


async def test_a_stop_during_a_burst_starts_nothing_more(database, jobs, breaker):
    delivered = []

    async def deliver(batch, settle):
        delivered.extend(batch)

    async with working(database, jobs, breaker, deliver) as worker:
        for _ in range(5):
            worker.wake()
            await jobs.counts()
        await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
        worker.wake()

    assert delivered == []
    assert (await jobs.counts())["queued"] == 1


async def test_nothing_runs_beside_a_suspect(database, jobs, breaker):
    await jobs.enqueue_many(Kind.SCENE, [1, 2, 3], Reason.HOOK)
    for _ in range(2):  # two crashes
        await jobs.claim(10)
        await jobs.take_back_running()
    await jobs.enqueue(Kind.SCENE, 4, Reason.HOOK)
    running: set[int] = set()
    batches: asyncio.Queue[set[int]] = asyncio.Queue()

    async def deliver(batch, settle):
        running.update(job.stash_id for job in batch)
        batches.put_nowait(set(running))
        await asyncio.sleep(0)
        for job in batch:
            running.discard(job.stash_id)
            await settle(job, DONE)

    async with working(database, jobs, breaker, deliver) as worker:
        seen = [await batches.get() for _ in range(2)]
        await jobs.enqueue(Kind.SCENE, 5, Reason.HOOK)
        worker.wake()
        seen += [await batches.get() for _ in range(3)]

    assert sorted(map(sorted, seen)) == [[1], [2], [3], [4], [5]]


async def test_a_disk_that_cannot_be_read_does_not_end_it(
    database, jobs, breaker, monkeypatch, log_lines
):
    import sqlite3

    import aiosqlite

    usual = aiosqlite.Connection.execute_fetchall
    failed = asyncio.Event()

    def broken(connection, sql, *values):
        if "min(due_at)" in sql and not failed.is_set():
            failed.set()
            raise sqlite3.OperationalError("disk I/O error")
        return usual(connection, sql, *values)

    monkeypatch.setattr(aiosqlite.Connection, "execute_fetchall", broken)
    done = asyncio.Event()

    async def deliver(batch, settle):
        for job in batch:
            await settle(job, DONE)
        done.set()

    async with working(database, jobs, breaker, deliver) as worker:
        await failed.wait()
        await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
        worker.wake()
        await done.wait()

    assert any(line["event"] == "store_unavailable" for line in log_lines)


async def test_what_ran_is_taken_back_once_the_disk_takes_it(database, jobs, breaker):
    await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
    await jobs.claim(1)
    await database._writer.execute("PRAGMA query_only = ON")
    done = asyncio.Event()

    async def deliver(batch, settle):
        await settle(batch[0], DONE)
        done.set()

    async with working(database, jobs, breaker, deliver):
        await asyncio.sleep(0)
        assert not done.is_set()
        await database._writer.execute("PRAGMA query_only = OFF")
        await asyncio.wait_for(done.wait(), patient(10))


async def test_a_disk_that_stays_full_from_the_start_does_not_keep_it_from_ending(
    database, jobs, breaker
):
    await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
    await jobs.claim(1)
    await database._writer.execute("PRAGMA query_only = ON")

    async def deliver(batch, settle):
        raise AssertionError

    async with working(database, jobs, breaker, deliver):
        await asyncio.sleep(0)
    await database._writer.execute("PRAGMA query_only = OFF")
    assert (await jobs.counts())["running"] == 1
