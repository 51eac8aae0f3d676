"""Durability, order and merging of jobs."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stash2plex.db.database import Database
from stash2plex.errors import RequestRejected, StoreUnavailable
from stash2plex.queue.job import Kind, Reason
from stash2plex.queue.retry import Fate, Verdict
from stash2plex.queue.store import Enqueued, JobStore

ERROR = RequestRejected("no")


async def end(jobs, database, job, fate, delay=0.0):
    async with database.transaction() as transaction:
        await jobs.settle(transaction, job, Verdict(fate, delay), ERROR)


async def test_a_second_request_merges_into_the_waiting_one(jobs):
    assert await jobs.enqueue(Kind.SCENE, 7, Reason.RECONCILE) is Enqueued.QUEUED
    assert await jobs.enqueue(Kind.SCENE, 7, Reason.HOOK) is Enqueued.MERGED

    (job,) = await jobs.claim(10)
    assert job.reason is Reason.HOOK
    assert (await jobs.counts())["running"] == 1


async def test_the_urgent_go_first(jobs):
    for scene, reason in enumerate(reversed(Reason), 1):
        await jobs.enqueue(Kind.SCENE, scene, reason)

    assert [job.reason for job in await jobs.claim(10)] == list(Reason)


async def test_a_batch_is_limited(jobs):
    await jobs.enqueue_many(Kind.SCENE, range(1, 8), Reason.HOOK)

    assert [job.stash_id for job in await jobs.claim(3)] == [1, 2, 3]


async def test_a_running_scene_is_not_claimed_again(jobs):
    await jobs.enqueue(Kind.SCENE, 7, Reason.HOOK)
    await jobs.claim(1)
    await jobs.enqueue(Kind.SCENE, 7, Reason.HOOK)

    assert await jobs.claim(1) == []


async def test_a_change_during_the_run_causes_another_run(jobs, database):
    await jobs.enqueue(Kind.SCENE, 7, Reason.HOOK)
    (running,) = await jobs.claim(1)
    await jobs.enqueue(Kind.SCENE, 7, Reason.HOOK)

    async with database.transaction() as transaction:
        await jobs.complete(transaction, [running])

    assert len(await jobs.claim(1)) == 1


async def test_a_failed_job_yields_to_a_newer_one(jobs, database):
    for fate in (Fate.RETRIED, Fate.BURIED, Fate.RELEASED, Fate.ASLEEP):
        await jobs.enqueue(Kind.SCENE, 7, Reason.HOOK)
        (failed,) = await jobs.claim(1)
        await jobs.enqueue(Kind.SCENE, 7, Reason.HOOK)

        await end(jobs, database, failed, fate, 60)

        counts = await jobs.counts()
        assert (counts["queued"], counts["waiting"], counts["dead"]) == (1, 0, 0)
        (fresh,) = await jobs.claim(1)
        assert fresh.attempts == fresh.lookups == 0
        async with database.transaction() as transaction:
            await jobs.complete(transaction, [fresh])


@pytest.mark.parametrize(
    ("fate", "attempts", "lookups"),
    [(Fate.RETRIED, 1, 0), (Fate.ASLEEP, 0, 1), (Fate.RELEASED, 0, 0)],
)
async def test_what_waits_is_not_due_before_its_time(
    jobs, database, clock, fate, attempts, lookups
):
    await jobs.enqueue(Kind.SCENE, 7, Reason.HOOK)
    await end(jobs, database, (await jobs.claim(1))[0], fate, 60)

    assert await jobs.claim(1) == []
    assert await jobs.next_due() == 60
    assert (await jobs.counts())["waiting"] == 1
    clock.now += 60
    (again,) = await jobs.claim(1)
    assert (again.attempts, again.lookups) == (attempts, lookups)


async def test_nothing_blocks_what_stands_behind_it(jobs, database):
    await jobs.enqueue(Kind.SCENE, 1, Reason.MANUAL)
    await end(jobs, database, (await jobs.claim(1))[0], Fate.ASLEEP, 600)
    await jobs.enqueue(Kind.SCENE, 2, Reason.RECONCILE)

    assert [job.stash_id for job in await jobs.claim(1)] == [2]


async def test_an_ended_job_is_gone(jobs, database):
    await jobs.enqueue(Kind.SCENE, 7, Reason.HOOK)
    await end(jobs, database, (await jobs.claim(1))[0], Fate.ENDED)

    assert await jobs.next_due() is None
    assert (await jobs.counts())["oldest_seconds"] is None


async def test_a_buried_job_stays_dead_until_something_changes(jobs, database):
    await jobs.enqueue(Kind.SCENE, 7, Reason.HOOK)
    await end(jobs, database, (await jobs.claim(1))[0], Fate.BURIED)
    assert (await jobs.counts())["dead"] == 1
    assert await jobs.claim(1) == []

    await jobs.enqueue(Kind.SCENE, 7, Reason.HOOK)

    counts = await jobs.counts()
    assert (counts["queued"], counts["dead"]) == (1, 0)
    assert (await jobs.claim(1))[0].attempts == 0


async def test_a_fresh_hook_ends_the_wait(jobs, database):
    await jobs.enqueue(Kind.SCENE, 7, Reason.HOOK)
    await end(jobs, database, (await jobs.claim(1))[0], Fate.ASLEEP, 600)

    await jobs.enqueue(Kind.SCENE, 7, Reason.HOOK)

    assert (await jobs.claim(1))[0].lookups == 0


async def test_a_killed_daemon_takes_its_jobs_back(tmp_path, clock):
    path = tmp_path / "x.db"
    async with Database.open(path) as database:
        jobs = JobStore(database, now=clock)
        await jobs.enqueue_many(Kind.SCENE, [1, 2], Reason.HOOK)
        await jobs.claim(2)
        await jobs.enqueue(Kind.SCENE, 2, Reason.HOOK)
    async with Database.open(path) as database:
        jobs = JobStore(database, now=clock)

        assert await jobs.take_back_running() == 2

        assert sorted(job.stash_id for job in await jobs.claim(10)) == [1, 2]


async def test_jobs_handed_back_are_as_before(jobs):
    await jobs.enqueue_many(Kind.SCENE, [1, 2], Reason.HOOK)
    taken = await jobs.claim(2)
    await jobs.enqueue(Kind.SCENE, 2, Reason.MANUAL)

    await jobs.hand_back(taken)

    assert [job.stash_id for job in await jobs.claim(10)] == [2, 1]


async def test_held_jobs_become_due_together(jobs, database):
    await jobs.enqueue_many(Kind.SCENE, [1, 2], Reason.HOOK)
    released, asleep = await jobs.claim(2)
    await end(jobs, database, released, Fate.RELEASED, 600)
    await end(jobs, database, asleep, Fate.ASLEEP, 600)

    await jobs.make_held_due()

    assert [job.stash_id for job in await jobs.claim(10)] == [1]


async def test_attempts_of_an_outage_are_given_back(jobs, database):
    await jobs.enqueue_many(Kind.SCENE, [1, 2, 3], Reason.HOOK)
    retried, buried, running = await jobs.claim(3)
    await end(jobs, database, retried, Fate.RETRIED, 600)
    await end(jobs, database, buried, Fate.BURIED)

    await jobs.give_back_attempts({retried.id: 1, buried.id: 5, running.id: 1})

    assert (await jobs.counts())["dead"] == 0
    assert {job.stash_id: job.attempts for job in await jobs.claim(10)} == {1: 0, 2: 0}


async def test_concurrent_requests_share_a_commit_and_lose_nothing(jobs):
    outcomes = await asyncio.gather(
        *(
            jobs.enqueue(Kind.SCENE, 1 + number % 40, Reason.HOOK)
            for number in range(200)
        )
    )

    assert len(outcomes) == 200
    assert (await jobs.counts())["queued"] == 40


async def test_one_who_hangs_up_costs_the_others_nothing(jobs):
    tasks = [
        asyncio.create_task(jobs.enqueue(Kind.SCENE, number, Reason.HOOK))
        for number in range(1, 20)
    ]
    await asyncio.sleep(0)
    tasks[0].cancel()

    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert results[1:] == [Enqueued.QUEUED] * 18
    assert (await jobs.counts())["queued"] >= 18


async def test_a_store_that_cannot_be_written_accepts_nothing(tmp_path):
    async with Database.open(tmp_path / "x.db") as database:
        jobs = JobStore(database)
        await database._writer.execute("PRAGMA query_only = ON")

        with pytest.raises(StoreUnavailable):
            await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)

        await database._writer.execute("PRAGMA query_only = OFF")
        assert await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK) is Enqueued.QUEUED


async def test_those_who_share_a_failed_commit_all_hear_of_it(tmp_path):
    async with Database.open(tmp_path / "x.db") as database:
        jobs = JobStore(database)
        await database._writer.execute("PRAGMA query_only = ON")
        tasks = [
            asyncio.create_task(jobs.enqueue(Kind.SCENE, number, Reason.HOOK))
            for number in range(1, 6)
        ]
        await asyncio.sleep(0)
        tasks[3].cancel()

        results = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(results[3], asyncio.CancelledError)
    assert all(isinstance(results[index], StoreUnavailable) for index in (0, 1, 2, 4))


async def test_one_who_leaves_a_shared_commit_gets_no_answer(jobs):
    first = asyncio.create_task(jobs.enqueue(Kind.SCENE, 1, Reason.HOOK))
    others = [
        asyncio.create_task(jobs.enqueue(Kind.SCENE, number, Reason.HOOK))
        for number in range(2, 6)
    ]
    await asyncio.sleep(0)
    others[1].cancel()

    assert await first is Enqueued.QUEUED
    results = await asyncio.gather(*others, return_exceptions=True)

    assert [one for one in results if one is Enqueued.QUEUED] == [Enqueued.QUEUED] * 3


async def test_no_ids_is_no_work(jobs):
    assert await jobs.enqueue_many(Kind.SCENE, [], Reason.MANUAL) == 0
    assert await jobs.enqueue_many(Kind.SCENE, [3, 3], Reason.MANUAL) == 1


steps = st.lists(
    st.tuples(
        st.sampled_from(["enqueue", "claim", *Fate, "complete", "back"]),
        st.integers(1, 3),
    ),
    max_size=25,
)


@given(steps)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_history_keeps_one_queued_and_one_running_job(
    tmp_path_factory, steps
):
    async with Database.open(tmp_path_factory.mktemp("h") / "x.db") as database:
        jobs = JobStore(database)
        running = {}
        for step, scene in steps:
            if step == "enqueue":
                await jobs.enqueue(Kind.SCENE, scene, Reason.HOOK)
            elif step == "claim":
                running |= {job.stash_id: job for job in await jobs.claim(scene)}
            elif scene in running:
                job = running.pop(scene)
                if step == "complete":
                    async with database.transaction() as transaction:
                        await jobs.complete(transaction, [job])
                elif step == "back":
                    await jobs.hand_back([job])
                else:
                    await end(jobs, database, job, step)
            rows = await database.fetch("SELECT stash_id, state FROM job")
            assert len(rows) == len({tuple(row) for row in rows})
            assert (await jobs.counts())["running"] == len(running)


async def crash(jobs, times=1):
    """Let the daemon die *times* over all that it can claim together."""
    for _ in range(times):
        assert await jobs.claim(10)
        await jobs.take_back_running()


async def test_what_ran_in_two_crashes_is_claimed_alone(jobs):
    await jobs.enqueue_many(Kind.SCENE, [1, 2], Reason.HOOK)
    await crash(jobs, 2)

    assert await jobs.claim(10) == []
    (alone,) = await jobs.claim_alone()
    assert alone.stash_id == 1


async def test_an_innocent_batch_is_not_buried(jobs, database):
    await jobs.enqueue_many(Kind.SCENE, [1, 2], Reason.HOOK)
    await crash(jobs, 2)
    for _ in range(3):
        (poison,) = await jobs.claim_alone()
        assert poison.stash_id == 1
        await jobs.take_back_running()

    (innocent,) = await jobs.claim_alone()
    assert innocent.stash_id == 2
    (dead,), total = await jobs.dead(10, 0)
    assert (dead.stash_id, dead.code, total) == (1, "internal", 1)
    assert "died each time" in (dead.error or "")


async def test_a_job_that_ended_somehow_is_no_suspect(jobs, database, clock):
    await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
    await crash(jobs, 2)
    (job,) = await jobs.claim_alone()
    await end(jobs, database, job, Fate.RETRIED, 5)
    clock.now += 5

    assert await jobs.claim_alone() == []
    assert [job.stash_id for job in await jobs.claim(10)] == [1]


async def test_an_end_in_good_order_is_no_crash(jobs):
    await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
    await crash(jobs, 2)
    for _ in range(5):
        await jobs.hand_back(await jobs.claim_alone())

    (job,) = await jobs.claim_alone()
    assert job.stash_id == 1


async def test_a_clock_that_was_set_back_keeps_nobody_waiting(jobs, clock):
    await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
    clock.now -= 601

    assert [job.stash_id for job in await jobs.claim(10, longest_wait=600)] == [1]


async def test_a_wait_as_long_as_any_is_kept(jobs, clock):
    await jobs.enqueue(Kind.SCENE, 1, Reason.HOOK)
    clock.now -= 600

    assert await jobs.claim(10, longest_wait=600) == []
