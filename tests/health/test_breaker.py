"""When a server counts as down, and when it is trusted again."""

from __future__ import annotations

import asyncio

import pytest

from stash2plex.errors import (
    AccessDenied,
    ServerFault,
    ServiceUnavailable,
    Unreachable,
)
from stash2plex.health.breaker import CircuitBreaker, State
from tests.patience import patient

DOWN = ServiceUnavailable("Plex", "no connection")


@pytest.fixture
def breaker(clock):
    return CircuitBreaker("Plex", threshold=3, open_seconds=60, now=clock)


FAULT = ServerFault("Plex", "HTTP 500")


def open_up(breaker):
    for _ in range(3):
        breaker.fail(DOWN)
    assert breaker.state is State.OPEN


def test_consecutive_failures_open_it(breaker):
    breaker.fail(DOWN)
    breaker.fail(DOWN)
    breaker.succeed()
    breaker.fail(DOWN)
    breaker.fail(DOWN)
    assert breaker.allowance(50) == 50

    breaker.fail(DOWN)

    assert breaker.state is State.OPEN
    assert breaker.allowance(50) == 0
    assert not breaker.allows_some


def test_a_successful_probe_ends_the_wait_with_one_trial(breaker):
    open_up(breaker)

    breaker.probe_succeeded()

    assert breaker.state is State.HALF_OPEN
    assert breaker.allows_some
    assert breaker.allowance(50) == 1
    assert breaker.allowance(50) == 0
    assert not breaker.allows_some
    breaker.succeed()
    assert breaker.state is State.CLOSED
    assert breaker.error is None
    assert breaker.allowance(50) == 50


def test_without_a_probe_a_trial_comes_after_the_longest_wait(breaker, clock):
    open_up(breaker)
    clock.now += 59
    assert breaker.allowance(50) == 0

    clock.now += 1

    assert breaker.allows_some
    assert breaker.allowance(50) == 1


def test_a_failed_trial_opens_it_again(breaker):
    open_up(breaker)
    breaker.probe_succeeded()
    breaker.allowance(1)

    breaker.fail(DOWN)

    assert breaker.state is State.OPEN


def test_a_trial_that_tells_nothing_lets_the_next_one_try(breaker):
    open_up(breaker)
    breaker.probe_succeeded()
    assert breaker.allowance(1) == 1

    breaker.trial_ended()

    assert breaker.allowance(1) == 1


def test_a_refused_token_opens_it_at_once_and_only_a_probe_helps(breaker, clock):
    breaker.fail(AccessDenied("Plex", "refused"))

    assert breaker.is_denied
    clock.now += 1000
    assert breaker.allowance(50) == 0
    breaker.probe_succeeded()
    breaker.succeed()
    assert not breaker.is_denied


def test_stumbling_over_one_item_moves_nothing(breaker):
    for _ in range(10):
        breaker.stumble(42, FAULT)
        breaker.attempt_counted(1)

    assert breaker.state is State.CLOSED
    assert breaker.take_counted() == {}


def test_stumbling_over_different_items_is_an_outage_and_costs_nothing(breaker):
    breaker.stumble(1, FAULT)
    breaker.attempt_counted(101)
    breaker.stumble(1, FAULT)
    breaker.attempt_counted(101)
    breaker.stumble(2, FAULT)
    breaker.attempt_counted(102)
    breaker.stumble(3, FAULT)

    assert breaker.state is State.OPEN
    assert breaker.take_counted() == {101: 2, 102: 1}
    assert breaker.take_counted() == {}


def test_a_success_in_between_blames_the_items(breaker):
    breaker.stumble(1, FAULT)
    breaker.stumble(2, FAULT)
    breaker.succeed()
    breaker.stumble(3, FAULT)

    assert breaker.state is State.CLOSED


def test_a_trial_that_stumbles_leaves_it_to_the_next(breaker):
    open_up(breaker)
    breaker.probe_succeeded()
    for thing in (1, 2):
        assert breaker.allowance(50) == 1
        breaker.stumble(thing, FAULT)
        breaker.trial_ended()
        assert breaker.state is State.HALF_OPEN

    breaker.allowance(50)
    breaker.stumble(3, FAULT)

    assert breaker.state is State.OPEN


async def test_whoever_waits_hears_of_every_change(breaker):
    waiting = asyncio.create_task(breaker.changed())
    await asyncio.sleep(0)

    open_up(breaker)

    await asyncio.wait_for(waiting, patient(1))


def test_one_failure_may_be_about_one_request(breaker):
    breaker.fail(DOWN)
    assert not breaker.is_failing

    breaker.fail(DOWN)
    assert breaker.is_failing
    breaker.reached()  # which says nothing of what it was asked for
    assert breaker.is_failing
    breaker.succeed()
    assert not breaker.is_failing


def test_connections_that_are_refused_in_a_row(breaker):
    refused = Unreachable("Plex", "connection refused")
    breaker.unreached(refused)
    assert breaker.is_failing
    breaker.reached()
    assert not breaker.is_failing
    for _ in range(2):
        breaker.unreached(refused)
    assert breaker.state is State.CLOSED

    breaker.unreached(refused)
    assert breaker.state is State.OPEN
