"""How long servers ask us to stay away, and how far we obey."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stash2plex.config import OutageSettings, QueueSettings
from stash2plex.errors import ServiceUnavailable
from stash2plex.health.breaker import CircuitBreaker
from stash2plex.health.probe import Probe
from stash2plex.pause import pause_asked
from stash2plex.queue.job import Job, Kind, Reason
from stash2plex.queue.retry import RetryPolicy
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.running import running


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("0", 0),
        ("-5", 0),
        ("1e9", 0),
        ("soon", 0),
        ("", 0),
        ("٣", 0),
        ("99999999999999999999999", 999_999_999),
        ("Thu, 01 Jan 1970 00:20:00 GMT", 200),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 99 Jan 1970 00:00:00 GMT", 0),
    ],
)
def test_what_is_asked(text, seconds):
    assert pause_asked({"Retry-After": text}, 1000.0) == seconds


def test_nothing_is_asked():
    assert pause_asked({}, 1000.0) == 0


def job() -> Job:
    return Job(1, Kind.SCENE, 1, Reason.HOOK, 0, 0)


@pytest.mark.parametrize(("asked", "delay"), [(0, 5), (20, 20), (1e6, 80)])
def test_a_job_waits_as_asked_within_reason(asked, delay):
    policy = RetryPolicy(QueueSettings(), spread=lambda _, most: most)
    error = ServiceUnavailable("Plex", "HTTP 429", pause=asked)

    assert policy.judge(job(), error).delay == delay


@pytest.mark.parametrize(("asked", "delay"), [(0, 5), (20, 20), (1e6, 60)])
def test_a_probe_waits_as_asked_within_reason(asked, delay):
    breaker = CircuitBreaker("Plex", threshold=1, open_seconds=60)
    breaker.fail(ServiceUnavailable("Plex", "HTTP 503", pause=asked))

    assert Probe(None, breaker, OutageSettings())._back_off() == delay


@pytest.mark.parametrize("server", ["plex", "stash"])
async def test_the_header_is_read_of_both_servers(stash, plex, tmp_path, server):
    sample(stash, plex)
    settings = make_settings(stash, plex, tmp_path, queue={"retry_cap": 9000})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        pretend = plex if server == "plex" else stash
        pretend.status, pretend.retry_after = 429, "3000"
        await daemon.hook(1)
        await daemon.until(lambda found: found["queue"]["waiting"])
        async with daemon.session.get(f"{daemon.url}/api/v1/queue") as answer:
            (waiting,) = (await answer.json())["jobs"]

    due = datetime.fromisoformat(waiting["due_at"])
    assert waiting["code"] == "service_unavailable"
    assert (due - datetime.now(UTC)).total_seconds() == pytest.approx(3000, abs=60)
