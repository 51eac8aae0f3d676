"""What Plex refuses, and what it says about it: HTTP 400 and 414."""

from __future__ import annotations

from datetime import datetime

import pytest

from stash2plex.sandbox.scenes import cover
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import PICTURES, sample
from tests.running import running


@pytest.mark.parametrize("with_400", [True, False])
async def test_a_plex_that_starts_up_costs_nothing(daemon, stash, plex, with_400):
    """Reads are answered all the while."""
    plex.habits.starts_with_400 = with_400
    for number in range(1, 41):
        sample(stash, plex, number)
    await daemon.cataloged()
    plex.is_starting = True
    for number in range(1, 41):
        await daemon.hook(number)
    status = await daemon.until(lambda s: s["plex"]["breaker"] != "closed")
    assert (status["queue"]["dead"], status["deliveries"]["written"]) == (0, 0)
    (job, *_) = (await daemon.get("queue"))["jobs"]

    plex.is_starting = False
    await daemon.idle()

    (outage,) = (await daemon.get("outages"))["outages"]
    assert "starting up" in outage["cause"]

    assert job["attempts"] == 0
    assert all(one.text["title"].startswith("Title") for one in plex.items.values())


async def test_a_bad_field_is_the_subject_of_the_dead_letter(daemon, stash, plex):
    _, item = sample(stash, plex, studio="S", date="2024-05-01", code="C")
    plex.refused_field = "originallyAvailableAt"

    status = await daemon.deliver(1)

    assert status["queue"]["dead"] == 1
    (dead,) = (await daemon.get("dead"))["dead"]
    assert dead["error"] == "date: Plex answered HTTP 400: Bad Request"
    assert (item.text["studio"], item.text["tagline"]) == ("S", "C")
    assert item.tags["genre"] == ["a", "b"]
    # What arrived is remembered: only the date is tried again.
    plex.refused_field = ""
    plex.requests.clear()
    await daemon.post("dead/retry", {}, status=200)
    await daemon.idle()
    (put,) = [path for how, path in plex.requests if how == "PUT"]
    assert "originallyAvailableAt.value=2024-05-01" in put
    assert "studio" not in put


async def test_what_is_refused_whole_is_tried_for_five_minutes(stash, plex, tmp_path):
    sample(stash, plex)
    plex.status_of[1] = 400
    settings = make_settings(stash, plex, tmp_path, queue={"max_attempts": 3})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.hook(1)
        waits = []
        for attempt in (1, 2):
            await daemon.until(lambda s: s["queue"]["waiting"] == 1)
            (job,) = (await daemon.get("queue"))["jobs"]
            assert job["attempts"] == attempt
            waits.append((job["due_at"], job["failed_at"]))
            await daemon.post("queue/process", {}, status=200)
            if attempt == 1:
                await daemon.until(lambda s: s["queue"]["waiting"] == 0)
        await daemon.until(lambda s: s["queue"]["dead"] == 1)
        (dead,) = (await daemon.get("dead"))["dead"]

    seconds = [
        (datetime.fromisoformat(due) - datetime.fromisoformat(failed)).total_seconds()
        for due, failed in waits
    ]
    assert sum(seconds) >= 299  # whole seconds are shown
    assert dead["error"].startswith(
        "content rating, tags, summary, title, sort title: Plex answered"
    )
    assert dead["error"].endswith("HTTP 400: Bad Request")
    assert dead["attempts"] == 3


async def test_a_summary_is_cut_and_that_is_said(daemon, stash, plex, log_lines):
    _, item = sample(stash, plex, details="\u6f22" * 9000)

    await daemon.deliver(1)

    shown = item.text["summary"]
    assert shown.endswith("\u2026")
    assert 3000 < len(shown) < 3334
    (line,) = [one for one in log_lines if one["event"] == "text_cut"]
    assert (line["scene"], line["fields"], line["longest"]) == (1, ["summary"], 30_000)
    writes = item.writes
    status = await daemon.deliver(1)
    assert (item.writes, status["deliveries"]["unchanged"]) == (writes, 1)


@pytest.mark.parametrize("limit", [8 * 1024, 16 * 1024, 32 * 1024, None])
async def test_every_summary_arrives(daemon, stash, plex, limit):
    """What fits is whole, what does not is cut; nothing is refused for good."""
    plex.habits.longest_target = limit
    for number in range(1, 9):
        sample(stash, plex, number, details="\u6f22" * (600 * number))
    await daemon.cataloged()

    status = await daemon.deliver(*range(1, 9))

    assert status["queue"]["dead"] == 0
    longest = {8 * 1024: 800, 16 * 1024: 1500}.get(limit, 3000)
    for number in range(1, 9):
        shown = plex.items[number].text["summary"].rstrip("\u2026")
        assert shown == "\u6f22" * len(shown)
        assert len(shown) >= min(600 * number, longest)
    writes = sum(one.writes for one in plex.items.values())
    await daemon.deliver(*range(1, 9))
    assert sum(one.writes for one in plex.items.values()) == writes


async def test_pictures_wait_for_a_plex_that_starts_up(stash, plex, tmp_path):
    """The text is there already: only writes of pictures are refused."""
    for number in range(1, 7):
        sample(stash, plex, number, cover=cover(number))
    settings = make_settings(stash, plex, tmp_path, sync=PICTURES)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(*range(1, 7))
        for number in range(1, 7):
            stash.change(number, cover=cover(number + 10))
        plex.is_starting = True
        await daemon.post("sync", {"scene_ids": list(range(1, 7))})
        status = await daemon.until(lambda s: s["plex"]["breaker"] != "closed")
        assert {one["attempts"] for one in (await daemon.get("queue"))["jobs"]} == {0}
        plex.is_starting = False
        status = await daemon.idle()

    assert status["queue"]["dead"] == 0
    assert all(plex.items[n].picture("art") == cover(n + 10) for n in range(1, 7))


async def test_uploads_alone_that_are_refused_are_a_dead_letter(stash, plex, tmp_path):
    """A proxy's limit, say: everything else works, so no circuit opens."""
    sample(stash, plex, cover=cover(1))
    plex.picture_status = 503
    settings = make_settings(stash, plex, tmp_path, sync=PICTURES)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        status = await daemon.deliver(1)

    assert (status["queue"]["dead"], status["plex"]["breaker"]) == (1, "closed")


@pytest.mark.parametrize("more", [{}, {"title": "Also new"}])
async def test_a_rating_that_cannot_be_taken_back_is_named(daemon, stash, plex, more):
    _, item = sample(stash, plex, rating100=80)
    await daemon.deliver(1)
    plex.refuses_ratings = True
    stash.change(1, rating100=None, **more)
    await daemon.hook(1)
    if not more:
        await daemon.until(lambda s: s["queue"]["waiting"] == 1)
        (job,) = (await daemon.get("queue"))["jobs"]
        assert job["error"] == "rating: Plex answered HTTP 400: Bad Request"
        return
    status = await daemon.idle()
    assert status["queue"]["dead"] == 1
    (dead,) = (await daemon.get("dead"))["dead"]
    assert dead["error"] == "rating: Plex answered HTTP 400: Bad Request"
    assert item.text["title"] == "Also new"


async def test_a_refused_edit_holds_up_no_picture(stash, plex, tmp_path):
    _, item = sample(stash, plex, cover=cover(1))
    plex.refused_field = "title"
    settings = make_settings(
        stash,
        plex,
        tmp_path,
        sync={
            "fields": {
                "poster": True,
                "background": True,
                "tags": False,
                "summary": False,
                "content_rating": False,
            }
        },
        queue={"max_attempts": 2},
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.hook(1)
        await daemon.until(lambda s: s["queue"]["dead"] == 1)
        (dead,) = (await daemon.get("dead"))["dead"]

    assert dead["error"] == "title: Plex answered HTTP 400: Bad Request"
    assert item.picture("art") == cover(1)
