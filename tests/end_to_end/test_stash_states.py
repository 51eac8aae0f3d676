"""A Stash that answers, and cannot be asked: not set up, waiting, its disk full."""

from __future__ import annotations

import pytest

from stash2plex.sandbox.stash import PretendStash
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.end_to_end.test_outages import delivered
from tests.running import running

STATES = {
    "NEEDS_MIGRATION": "Stash waits for its database to be migrated: open its page",
    "SETUP": "Stash was not set up yet: open its page",
    "disk I/O error": "Stash cannot read its database: disk I/O error",
}


def put_into(stash: PretendStash, state: str) -> None:
    if state.isupper():
        stash.state = state
    else:
        stash.fails_reading = state


def mend(stash: PretendStash) -> None:
    stash.state, stash.fails_reading = "OK", ""


@pytest.fixture
async def ready(daemon, stash, plex):
    """A daemon that has read both libraries of thirty scenes."""
    for number in range(1, 31):
        sample(stash, plex, number)
    await daemon.cataloged()
    return daemon


@pytest.mark.parametrize("jobs", [1, 20])
@pytest.mark.parametrize("state", STATES)
async def test_it_is_an_outage_from_the_first_job_on(ready, stash, plex, state, jobs):
    put_into(stash, state)
    await ready.post("sync", {"scene_ids": list(range(1, jobs + 1))})
    down = await ready.until(lambda found: found["stash"]["state"] == "down")

    assert down["stash"]["error"] == STATES[state]
    assert down["plex"]["error"] is None
    assert down["queue"]["dead"] == 0
    await ready.until(lambda found: found["outages"]["current"])
    current = (await ready.get("outages"))["outages"][0]
    assert (current["service"], current["cause"]) == ("Stash", STATES[state])
    assert current["ended_at"] is None
    assert current["jobs"] == jobs
    waiting = (await ready.get("queue"))["jobs"]
    assert {one["attempts"] for one in waiting} == {0}

    mend(stash)
    await ready.idle()

    assert delivered(plex, *range(1, jobs + 1))
    await ready.until(lambda found: found["outages"]["current"] is None)


@pytest.mark.parametrize("state", STATES)
async def test_an_idle_daemon_notices_with_its_first_probe(
    stash, plex, tmp_path, state
):
    sample(stash, plex, 1)
    put_into(stash, state)
    settings = make_settings(stash, plex, tmp_path, outage={"failure_threshold": 9})
    async with running(settings, stash, plex) as daemon:
        down = await daemon.until(lambda found: found["stash"]["state"] == "down")
        assert down["stash"]["error"] == STATES[state]
        noted = await daemon.until(lambda found: found["outages"]["current"])
        assert noted["outages"]["current"]["service"] == "Stash"
        mend(stash)
        await daemon.until(lambda found: found["stash"]["state"] == "up")
        await daemon.cataloged()


async def test_a_stash_that_waits_is_asked_seldom(ready, stash, clock):
    """Each question that reads is dozens of lines in its log."""
    put_into(stash, "NEEDS_MIGRATION")
    await ready.post("sync", {"scene_ids": list(range(1, 21))})
    await ready.until(lambda found: found["stash"]["state"] == "down")
    before = stash.failed_questions
    questions = stash.operations.total()
    await stash.facts.until(lambda: stash.operations.total() >= questions + 4)

    assert stash.failed_questions == before  # its state is asked for first


@pytest.mark.parametrize("state", STATES)
async def test_every_question_of_ours_says_the_same(ready, stash, state):
    put_into(stash, state)
    async with ready.session.post(
        f"{ready.url}/api/v1/sync", json={"scope": "all"}
    ) as answer:
        told = await answer.json()
    assert (answer.status, told["message"]) == (503, STATES[state])
    async with ready.session.get(f"{ready.url}/api/v1/explain?q=scene:1") as answer:
        assert STATES[state] in await answer.text()
    async with ready.session.post(
        f"{ready.url}/api/v1/reconcile", json={"scope": "all"}
    ) as answer:
        assert answer.status == 202
    status = await ready.until(
        lambda found: (found["reconcile"]["last"] or {}).get("state") == "failed"
    )
    assert status["reconcile"]["last"]["error"] == STATES[state]


async def test_a_failing_poll_is_noted(stash, plex, tmp_path):
    settings = make_settings(stash, plex, tmp_path, stash={"poll_interval": 1})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        asked = stash.operations["Stash2PlexLook"]
        await stash.facts.until(lambda: stash.operations["Stash2PlexLook"] > asked)
        # From now on nobody has anything to do with Stash but the poll.
        put_into(stash, "disk I/O error")
        down = await daemon.until(lambda found: found["stash"]["state"] == "down")
        assert down["stash"]["error"] == STATES["disk I/O error"]


async def test_a_login_that_is_switched_on(ready, stash, plex):
    stash.wants_login = True
    await ready.post("sync", {"scene_ids": [1]})
    denied = await ready.until(lambda found: found["stash"]["state"] == "denied")
    assert denied["stash"]["error"] == (
        "Stash now wants a login: set stash.api_key to the key under Settings >"
        " Security"
    )
    stash.wants_login = False
    await ready.idle()
    assert delivered(plex, 1)


async def test_long_errors_of_stash_are_kept_short(ready, stash, plex):
    values = ", ".join(f"'secret value {n}'" for n in range(20_000))
    stash.failing[3] = f"error executing `SELECT * FROM x WHERE y IN ({values})`: no"
    await ready.post("sync", {"scene_ids": [3]})
    await ready.until(lambda found: found["queue"]["waiting"])
    (job,) = (await ready.get("queue"))["jobs"]
    assert len(job["error"]) < 400
    assert job["error"].startswith("Stash: error executing `SELECT * FROM x")
    assert job["error"].endswith("`: no")


async def test_an_outage_says_what_it_is_about_by_now(ready, stash, plex):
    """An upgrade: it is away, and then back, but waits for its migration."""
    stash.status = 503
    await ready.post("sync", {"scene_ids": [1]})
    await ready.until(lambda found: "HTTP 503" in (found["stash"]["error"] or ""))
    stash.status = None
    stash.state = "NEEDS_MIGRATION"
    said = STATES["NEEDS_MIGRATION"]
    await ready.until(lambda found: found["stash"]["error"] == said)
    await ready.until(
        lambda found: (found["outages"]["current"] or {}).get("cause") == said
    )
    mend(stash)
    await ready.idle()
    assert delivered(plex, 1)


async def test_a_daemon_that_is_started_anew_says_the_same(stash, plex, tmp_path):
    sample(stash, plex, 1)
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        stash.state = "NEEDS_MIGRATION"
        await daemon.post("sync", {"scene_ids": [1]})
        await daemon.until(lambda found: found["outages"]["current"])
    async with running(settings, stash, plex) as daemon:
        async with daemon.session.post(
            f"{daemon.url}/api/v1/sync", json={"scope": "all"}
        ) as answer:
            assert (await answer.json())["message"] == STATES["NEEDS_MIGRATION"]
        mend(stash)
        await daemon.idle()
        assert delivered(plex, 1)
