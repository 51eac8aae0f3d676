"""The history of outages: one record for each, whatever happens to the daemon."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from stash2plex.errors import AccessDenied, ServiceUnavailable
from stash2plex.health.breaker import CircuitBreaker, State
from stash2plex.health.outages import KEPT, Outage, OutageLog, reliability
from tests.conftest import Clock, make_settings
from tests.end_to_end.test_delivery import sample
from tests.patience import patient
from tests.running import running

DOWN = ServiceUnavailable("Plex", "no connection")


@asynccontextmanager
async def followed(database, clock, service="Plex"):
    """A breaker that is followed as long as a daemon lives, and its history."""
    log = OutageLog(database, now=clock)
    breaker = CircuitBreaker(
        service, threshold=2, open_seconds=60, now=clock, clock=clock
    )
    await log.adopt(breaker)
    task = asyncio.create_task(log.run())
    await asyncio.sleep(0)
    try:
        yield breaker, log
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_from_the_first_failure_to_the_first_success(database, clock):
    async with followed(database, clock) as (breaker, log):
        breaker.fail(DOWN)
        clock.now += 10
        breaker.fail(DOWN)
        clock.now += 20
        breaker.probe_succeeded()
        breaker.fail(DOWN)  # the trial: it is still the same outage
        clock.now += 30
        breaker.probe_succeeded()
        breaker.succeed()
    (outage,) = await log.listed()

    assert outage.started_at == 1_000_000.0
    assert outage.ended_at == 1_000_060.0
    assert (outage.service, outage.code) == ("Plex", "service_unavailable")
    assert outage.cause == "Plex is unavailable: no connection"


async def test_failures_that_open_nothing_are_no_outage(database, clock):
    async with followed(database, clock) as (breaker, log):
        breaker.fail(DOWN)
        breaker.succeed()

    assert await log.listed() == []


async def test_a_restart_neither_ends_nor_doubles_it(database, clock):
    async with followed(database, clock) as (breaker, _):
        breaker.fail(DOWN)
        breaker.fail(DOWN)
    clock.now += 100
    async with followed(database, clock) as (breaker, log):
        assert breaker.state is State.OPEN
        assert str(breaker.error) == "Plex is unavailable: no connection"
        breaker.probe_succeeded()
        breaker.fail(DOWN)
        (outage,) = await log.listed()
        assert outage.ended_at is None
        breaker.probe_succeeded()
        breaker.succeed()
    (outage,) = await log.listed()

    assert (outage.started_at, outage.ended_at) == (1_000_000.0, 1_000_100.0)


async def test_a_refused_token_is_still_refused_after_a_restart(database, clock):
    async with followed(database, clock) as (breaker, _):
        breaker.fail(AccessDenied("Plex", "Plex refused the token: HTTP 401"))
    async with followed(database, clock) as (breaker, _):
        assert breaker.is_denied
        assert str(breaker.error) == "Plex refused the token: HTTP 401"


@pytest.mark.parametrize(
    "stored", ["", "nonsense", "[]", '{"state": "ajar"}', '{"state": "open"}']
)
async def test_a_state_that_makes_no_sense_is_closed(database, clock, stored):
    async with followed(database, clock) as (breaker, _):
        breaker.fail(DOWN)
        breaker.fail(DOWN)
    await database.set_fact("breaker_Plex", stored)
    clock.now += 5
    async with followed(database, clock) as (breaker, log):
        assert breaker.state is State.CLOSED
        (outage,) = await log.listed()

    assert outage.ended_at == clock.now  # none is left open


async def test_only_the_last_thirty_are_kept(database, clock):
    async with followed(database, clock) as (breaker, log):
        for _ in range(KEPT + 5):
            clock.now += 60
            breaker.fail(DOWN)
            breaker.fail(DOWN)
            breaker.succeed()
    listed = await log.listed()

    assert len(listed) == KEPT
    assert listed[0].started_at == clock.now


async def test_a_clock_that_was_set_back(database, clock):
    async with followed(database, clock) as (breaker, log):
        breaker.fail(DOWN)
        breaker.fail(DOWN)
        clock.now -= 5000
        breaker.succeed()
    (outage,) = await log.listed()
    figures = await log.reliability([outage])

    assert outage.ended_at == outage.started_at
    assert 0 <= figures.availability <= 1


def outage(start: float, end: float | None) -> Outage:
    return Outage(1, "Plex", start, end, "service_unavailable", "x", 0)


@pytest.mark.parametrize(
    ("outages", "wanted"),
    [
        ([], (0, None, None, 1.0)),
        ([outage(100, 200)], (1, 100.0, None, 0.9)),
        ([outage(100, 200), outage(500, 800)], (2, 200.0, 300.0, 0.6)),
        ([outage(900, None)], (1, None, None, 0.9)),
        ([outage(0, None)], (1, None, None, 0.0)),
    ],
)
def test_figures(outages, wanted):
    found = reliability(outages, 0.0, 1000.0)

    assert found.count == wanted[0]
    assert (found.mttr, found.mtbf) == wanted[1:3]
    assert found.availability == pytest.approx(wanted[3])


async def test_an_outage_across_restarts_of_the_daemon(stash, plex, tmp_path):
    scene, item = sample(stash, plex)
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
    plex.status = 503
    for _ in range(2):
        async with running(settings, stash, plex) as daemon:
            await daemon.hook(scene.id)
            status = await daemon.until(lambda s: s["plex"]["breaker"] == "open")
            status = await daemon.until(lambda s: s["outages"]["current"])
            assert status["outages"]["count"] == 1
    async with running(settings, stash, plex) as daemon:
        assert (await daemon.status())["plex"]["breaker"] == "open"
        plex.status = None
        await daemon.until(lambda s: s["plex"]["breaker"] == "closed")
        await daemon.until(lambda s: not s["outages"]["current"])
        await daemon.idle()
        async with daemon.session.get(f"{daemon.url}/api/v1/outages") as answer:
            report = await answer.json()

    assert item.text["title"] == "Title 1"
    (shown,) = report["outages"]
    assert shown["cause"] == "Plex is unavailable: HTTP 503, starting up"
    assert shown["ended_at"] >= shown["started_at"]
    assert report["mttr_seconds"] == pytest.approx(shown["seconds"], abs=0.1)
    assert report["availability"] < 1


@pytest.mark.parametrize("step", [30 * 24 * 3600.0, -1_261_440_000.0])
async def test_a_clock_that_is_put_during_an_outage(database, clock, step):
    """A machine without a clock of its own learns the time after its start."""
    elapsed = Clock()
    breaker = CircuitBreaker(
        "Plex", threshold=2, open_seconds=60, now=elapsed, clock=clock
    )
    log = OutageLog(database, now=clock)
    await log.adopt(breaker)
    writing = asyncio.create_task(log.run())

    def passes(seconds):
        clock.now += seconds
        elapsed.now += seconds

    breaker.fail(DOWN)
    breaker.fail(DOWN)
    passes(10)
    await written(log, lambda listed: listed)
    clock.now += step
    passes(5)
    (current,) = await log.listed()
    assert clock.now - current.started_at == 15

    breaker.probe_succeeded()
    breaker.succeed()
    (outage,) = await written(log, lambda listed: listed[0].ended_at)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)

    assert outage.ended_at - outage.started_at == 15
    assert (await log.reliability([outage])).mttr == 15


async def written(log, fact):
    """Wait until what was listed is as it should be."""
    async with asyncio.timeout(patient(10)):
        while not fact(listed := await log.listed()):  # noqa: ASYNC110
            await asyncio.sleep(0)
    return listed
