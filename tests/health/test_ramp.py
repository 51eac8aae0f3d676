"""How fast jobs go out once Plex is back."""

from __future__ import annotations

import pytest

from stash2plex.config import OutageSettings
from stash2plex.health.breaker import CircuitBreaker
from stash2plex.health.pace import Pace
from stash2plex.health.ramp import Ramp
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.health.test_breaker import DOWN
from tests.running import running


@pytest.fixture
def ramp(clock):
    return Ramp(OutageSettings(), now=clock)


def started(ramp, clock, seconds: float, step: float = 0.01) -> int:
    """Let jobs start as fast as they may for *seconds*; returns how many did."""
    count = 0
    for _ in range(round(seconds / step)):
        count += ramp.allowance(50)
        clock.now += step
    return count


def test_without_an_outage_there_is_no_limit(ramp):
    assert ramp.allowance(50) == 50
    assert ramp.seconds_until_next() == 0.0
    assert ramp.allowance(0) == 0


def test_it_climbs_from_start_to_end(ramp, clock):
    ramp.begin(clock.now)
    assert ramp.rate == 5
    assert started(ramp, clock, 10) == pytest.approx(50, abs=5)
    clock.now = 1_000_150.0
    assert ramp.rate == pytest.approx(12.5)
    assert started(ramp, clock, 10) == pytest.approx(127, abs=6)
    clock.now = 1_000_299.0
    assert ramp.rate == pytest.approx(20, abs=0.1)
    clock.now = 1_000_300.0

    assert ramp.allowance(50) == 50


def test_no_burst_after_a_rest(ramp, clock):
    ramp.begin(clock.now)
    clock.now += 60

    assert [ramp.allowance(50) for _ in range(3)] == [1, 0, 0]
    assert 0 < ramp.seconds_until_next() < 0.2


def test_a_token_that_found_no_job_is_put_back(ramp, clock):
    ramp.begin(clock.now)
    assert ramp.allowance(50) == 1
    ramp.give_back()

    assert ramp.allowance(50) == 1


def test_many_failures_begin_it_anew(ramp, clock):
    ramp.begin(clock.now)
    clock.now += 200
    for number in range(20):
        ramp.note(failed=number % 5 == 0)
    assert ramp.rate == pytest.approx(15)
    for _ in range(4):
        ramp.note(failed=True)

    assert ramp.rate == 5


def test_a_plex_that_slows_down_begins_it_anew(ramp, clock):
    pace = Pace(4, on_slow=ramp.begin_anew)
    pace.observe(0.1)
    for _ in range(3):
        pace.observe(2.0)
    assert not ramp.on  # without an outage there is nothing to begin anew
    ramp.begin(clock.now)
    clock.now += 200
    for _ in range(3):
        pace.observe(2.0)

    assert ramp.rate == 5


def test_a_clock_that_was_set_back_does_not_stretch_it(ramp, clock):
    ramp.begin(clock.now)
    clock.now -= 10_000
    assert ramp.on
    clock.now += 300

    assert not ramp.on


def test_it_begins_when_the_breaker_closes(ramp, clock):
    breaker = CircuitBreaker(
        "Plex", threshold=1, open_seconds=60, now=clock, clock=clock
    )
    breaker.listeners.append(ramp.noticed)
    breaker.fail(DOWN)
    breaker.probe_succeeded()
    assert not ramp.on
    breaker.succeed()

    assert ramp.on


async def test_a_queue_drains_by_itself_and_no_faster(stash, plex, tmp_path):
    for number in range(1, 31):
        sample(stash, plex, number)
    outage = {"ramp_start": 20, "ramp_end": 20, "ramp_seconds": 60}
    settings = make_settings(stash, plex, tmp_path, outage=outage)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        plex.status = 503
        await daemon.post("sync", {"scene_ids": list(range(1, 31))})
        await daemon.until(lambda status: status["plex"]["breaker"] == "open")
        plex.status = None
        await plex.facts.until(lambda: sum(one.writes for one in plex.items.values()))
    written = sum(one.writes for one in plex.items.values())
    assert written < 30
    async with running(settings, stash, plex) as daemon:
        import time

        started_at = time.monotonic()
        await daemon.idle()
        seconds = time.monotonic() - started_at

    assert all(item.writes == 1 for item in plex.items.values())
    # The ramp survived the restart.
    assert seconds > (30 - written) / 20 * 0.8
