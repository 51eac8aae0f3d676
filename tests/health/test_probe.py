"""A server is asked whether it is there, more and more seldom while it is not."""

from __future__ import annotations

import asyncio

import pytest

from stash2plex.config import OutageSettings
from stash2plex.errors import AccessDenied, ServerFault, ServiceUnavailable
from stash2plex.health.breaker import CircuitBreaker, State
from stash2plex.health.probe import Probe
from tests.patience import patient

DOWN = ServiceUnavailable("Plex", "no connection")


class Server:
    def __init__(self):
        self.error = None
        self.asked = asyncio.Queue()

    async def ask(self):
        self.asked.put_nowait(None)
        if self.error:
            raise self.error
        return "1.43"


@pytest.fixture
def breaker():
    return CircuitBreaker("Plex", threshold=1, open_seconds=60)


@pytest.fixture
def server():
    return Server()


@pytest.fixture
async def probe(server, breaker):
    probe = Probe(server.ask, breaker, OutageSettings(probe_min=0.01, probe_max=0.05))
    task = asyncio.create_task(probe.run())
    yield probe
    task.cancel()
    await asyncio.wait([task])


async def test_a_healthy_server_is_asked_at_the_start(probe, server):
    assert probe.state == "unknown"
    await server.asked.get()
    await asyncio.sleep(0)

    assert probe.state == "up"
    assert probe.version == "1.43"
    assert probe.latency_ms is not None


async def test_an_outage_is_probed_until_it_ends(probe, server, breaker):
    await server.asked.get()
    server.error = DOWN
    breaker.fail(DOWN)
    assert probe.state == "down"
    for _ in range(3):
        await asyncio.wait_for(server.asked.get(), patient(2))

    server.error = None
    await asyncio.wait_for(server.asked.get(), patient(2))
    await asyncio.sleep(0)

    assert breaker.state is State.HALF_OPEN
    breaker.succeed()
    assert probe.state == "up"
    assert probe.error is None


async def test_an_outage_is_noticed_while_there_is_nothing_to_do(server):
    """One probe that fails is none yet, and its end needs no trial."""
    breaker = CircuitBreaker("Plex", threshold=3, open_seconds=60)
    probe = Probe(server.ask, breaker, OutageSettings())
    server.error = DOWN
    for _ in range(2):
        assert not await probe.check()
        assert breaker.state is State.CLOSED
    assert probe.state == "down"
    assert probe.error == str(DOWN)
    await probe.check()
    assert breaker.state is State.OPEN
    server.error = None
    assert await probe.check()
    assert breaker.state is State.HALF_OPEN
    await probe.check()

    assert breaker.state is State.CLOSED


async def test_signs_of_life_excuse_nothing(server):
    """A server may answer probes and fail at everything else."""
    breaker = CircuitBreaker("Plex", threshold=3, open_seconds=60)
    probe = Probe(server.ask, breaker, OutageSettings())
    for number in range(3):
        breaker.fail(DOWN)
        await probe.check()
        assert breaker.state is (State.HALF_OPEN if number == 2 else State.CLOSED)
    breaker.allowance(1)  # what was tried decides
    breaker.stumble(7, ServerFault("Plex", "HTTP 500"))
    breaker.trial_ended()
    await probe.check()

    assert breaker.state is State.HALF_OPEN


async def test_a_refused_token_is_a_state_of_its_own(server, breaker):
    probe = Probe(server.ask, breaker, OutageSettings())
    server.error = AccessDenied("Plex", "Plex refused the token")

    await probe.check()
    await probe.check()
    assert probe.state == "denied"
    server.error = None
    await probe.check()

    assert breaker.state is State.HALF_OPEN


def test_the_back_off_grows_to_its_limit_and_survives_a_failed_trial(server):
    breaker = CircuitBreaker("Plex", threshold=1, open_seconds=60)
    probe = Probe(server.ask, breaker, OutageSettings())
    breaker.fail(DOWN)
    waits = [probe._after_change(State.CLOSED)]
    waits += [probe._back_off() for _ in range(3)]
    assert waits == [5, 10, 20, 40]

    waits = [probe._after_change(State.HALF_OPEN), probe._back_off()]
    assert waits == [60, 60]

    breaker.probe_succeeded()
    breaker.succeed()
    assert probe._after_change(State.HALF_OPEN) == 0
    breaker.fail(DOWN)
    assert probe._after_change(State.CLOSED) == 5


async def test_a_trial_that_fails_does_not_put_off_the_next_probe(server):
    """The breaker let it through because it had waited long enough."""
    breaker = CircuitBreaker("Plex", threshold=1, open_seconds=60)
    probe = Probe(server.ask, breaker, OutageSettings(probe_min=0.05, probe_max=30))
    server.error = DOWN
    breaker.fail(DOWN)
    probe._waited = 20.0
    task = asyncio.create_task(probe.run())
    await server.asked.get()  # at once; the next wait is 30 seconds
    await asyncio.sleep(0)
    before = probe._waited
    breaker._opened_at -= 60
    assert breaker.allowance(1) == 1
    breaker.fail(DOWN)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert breaker.state is State.OPEN
    assert probe._waited == before
