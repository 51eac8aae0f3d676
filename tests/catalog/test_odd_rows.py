"""Rows that make no sense, and listings that never go on: the rest is used."""

from __future__ import annotations

import pytest

from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.reconcile.test_reconcile import gaps, reconciled
from tests.running import running

ABSURD = ["-1", "99999999999999999999999", "Infinity", "1e999", "soon", "1.5"]


def named(log_lines):
    found = [line for line in log_lines if line["event"] == "row_ignored"]
    return {(one["service"], one.get("item") or one.get("scene")) for one in found}


@pytest.mark.parametrize("value", ABSURD)
@pytest.mark.parametrize("name", ["updatedAt", "librarySectionID"])
async def test_one_odd_item_is_left_out_and_named(
    daemon, stash, plex, log_lines, name, value
):
    for number in (1, 2, 3):
        sample(stash, plex, number)
    plex.odd[2] = {name: value}

    status = await daemon.cataloged()
    assert status["catalog"]["items"] == 2
    await daemon.deliver(1, 3)

    shown = [plex.items[number].text["title"] for number in (1, 2, 3)]
    assert shown == ["Title 1", "2", "Title 3"]
    assert named(log_lines) == {("Plex", 2)}
    (line,) = [one for one in log_lines if one["event"] == "row_ignored"]
    assert line["reason"] == f"{name} is {value!r}"


async def test_an_item_that_does_not_say_which_it_is(daemon, stash, plex, log_lines):
    for number in (1, 2):
        sample(stash, plex, number)
    plex.odd[2] = {"ratingKey": "x"}

    status = await daemon.cataloged()

    assert status["catalog"]["items"] == 1
    (line,) = [one for one in log_lines if one["event"] == "row_ignored"]
    assert line["reason"] == "ratingKey is 'x'"


async def test_an_item_that_turns_odd_is_not_gone(daemon, stash, plex, log_lines):
    for number in (1, 2, 3):
        sample(stash, plex, number)
    await daemon.cataloged()
    await daemon.deliver(1, 2, 3)
    await reconciled(daemon)
    plex.odd[2] = {"updatedAt": "-1"}

    run = await reconciled(daemon)

    assert (run["state"], run["error"]) == ("done", None)
    assert (await daemon.status())["catalog"]["items"] == 3
    assert await gaps(daemon) == []
    # What is wrong with it is said where it stands in the way.
    stash.change(2, title="New")
    stash.change(3, title="New")
    await daemon.deliver(2, 3)
    assert plex.items[3].text["title"] == "New"
    (dead,) = (await daemon.get("dead"))["dead"]
    assert dead["error"] == "Plex: item 2 makes no sense: updatedAt is '-1'"
    assert (await daemon.status())["plex"]["breaker"] == "closed"
    # And once it is well again, an edit is enough.
    plex.odd.clear()
    await daemon.deliver(2)
    assert plex.items[2].text["title"] == "New"


async def test_hints_of_an_odd_item_do_not_forget_it(stash, plex, tmp_path):
    for number in (1, 2, 3):
        sample(stash, plex, number)
    settings = make_settings(stash, plex, tmp_path, plex={"notifications": True})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.until(lambda s: s["plex"]["listening"])
        plex.odd[2] = {"updatedAt": "-1"}
        plex.add("/media/4.mp4", rating_key=4)
        plex._tell_item(2, state=5)
        plex._tell_item(3, state=5)
        await daemon.until(lambda s: s["catalog"]["items"] == 4)
        plex.remove(3)
        await daemon.until(lambda s: s["catalog"]["items"] == 3)


async def test_an_answer_without_any_sense_is_no_empty_library(daemon, stash, plex):
    for number in (1, 2):
        sample(stash, plex, number)
        plex.odd[number] = {"ratingKey": ""}

    status = await daemon.until(lambda s: s["catalog"].get("error") or True)

    run = await reconciled(daemon)
    assert run["state"] == "failed"
    assert "makes no sense; is plex.url right?" in run["error"]
    assert status["catalog"]["refreshed_at"] is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", 7),
        ("updated_at", {}),
        ("files", None),
        ("files", [{"path": None, "size": 1, "duration": 1}]),
        ("files", [{"size": 1, "duration": 1}]),
        ("date", ["2024"]),
    ],
)
async def test_one_odd_scene_is_left_out_and_named(
    daemon, stash, plex, log_lines, name, value
):
    for number in (1, 2, 3):
        sample(stash, plex, number)
    stash.odd[2] = {name: value}

    status = await daemon.cataloged()
    assert status["catalog"]["scenes"] == 2
    await daemon.deliver(1, 2, 3)

    shown = [plex.items[number].text["title"] for number in (1, 2, 3)]
    assert shown == ["Title 1", "2", "Title 3"]
    assert named(log_lines) == {("Stash", 2)}
    (dead,) = (await daemon.get("dead"))["dead"]
    assert dead["error"].startswith("Stash: scene 2 makes no sense: ")
    assert dead["attempts"] == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rating100", "best"),
        ("rating100", 10**12),
        ("rating100", True),
        ("details", 3),
        ("performers", [{"id": "x", "name": "Ann"}]),
        ("performers", [{"id": 1, "name": 5}]),
        ("tags", [{"id": 1, "name": 5}]),
        ("studio", {"id": 1, "name": []}),
        ("paths", 5),
    ],
)
async def test_an_odd_field_of_one_scene_concerns_that_scene(
    daemon, stash, plex, name, value
):
    for number in (1, 2, 3):
        sample(stash, plex, number)
    stash.odd[2] = {name: value}
    await daemon.cataloged()

    await daemon.deliver(1, 2, 3)

    assert plex.items[1].text["title"] == "Title 1"
    assert plex.items[3].text["title"] == "Title 3"
    (dead,) = (await daemon.get("dead"))["dead"]
    assert (dead["id"], dead["code"]) == (2, "request_rejected")
    assert (await daemon.status())["stash"]["state"] == "up"


@pytest.mark.parametrize("duration", [float("inf"), float("nan"), -5, 1e300])
async def test_an_absurd_duration_is_none(daemon, stash, plex, duration):
    sample(stash, plex)
    files = [{"path": "/media/1.mp4", "size": 1, "duration": duration}]
    stash.odd[1] = {"files": files}
    await daemon.cataloged()

    status = await daemon.deliver(1)

    assert status["queue"]["dead"] == 0
    assert plex.items[1].text["title"] == "Title 1"


async def test_a_scene_that_turns_odd_is_not_gone(daemon, stash, plex):
    for number in (1, 2, 3):
        sample(stash, plex, number)
    await daemon.cataloged()
    await daemon.deliver(1, 2, 3)
    stash.odd[2] = {"title": 7}

    run = await reconciled(daemon)

    assert run["state"] == "done"
    assert (await daemon.status())["catalog"]["scenes"] == 3
    assert await gaps(daemon) == []


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr("stash2plex.plex.library.PAGE_SIZE", 4)


async def test_a_plex_that_repeats_its_pages_forgets_nothing(
    small_pages, daemon, stash, plex, log_lines
):
    for number in range(1, 11):
        sample(stash, plex, number)
    await daemon.cataloged()
    plex.repeats_pages = True
    plex.remove(10)

    run = await reconciled(daemon)

    assert run["state"] == "done"
    assert "Plex's library 'Scenes' changed while it was listed" in run["error"]
    assert (await daemon.status())["catalog"]["items"] == 10
    plex.repeats_pages = False
    assert (await reconciled(daemon))["error"] is None
    assert (await daemon.status())["catalog"]["items"] == 9


async def test_a_plex_that_always_answers_whole_is_steady(
    small_pages, daemon, stash, plex, monkeypatch
):
    """It pays no heed to the size of a page either."""
    monkeypatch.setattr("stash2plex.sandbox.plex._PAGE_SIZE", "X-Unheard-Of")
    monkeypatch.setattr("stash2plex.sandbox.plex._PAGE_START", "X-Unheard-Of")
    for number in range(1, 11):
        sample(stash, plex, number)

    run = await reconciled(daemon)

    assert (run["error"], run["items"]) == (None, 10)


async def test_a_stash_that_repeats_its_pages_forgets_nothing(
    stash, plex, tmp_path, log_lines, monkeypatch
):
    monkeypatch.setattr("stash2plex.stash.listings._IDS", 10)
    for number in range(1, 26):
        sample(stash, plex, number, performers=["Ann"])
    settings = make_settings(
        stash, plex, tmp_path, stash={"page_size": 10, "poll_interval": 0.2}
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        stash.repeats_pages = True
        stash.remove(25)

        run = await reconciled(daemon)

        assert run["state"] == "done"
        assert "Stash changed while it was listed" in run["error"]
        assert (await daemon.status())["catalog"]["scenes"] == 25
        # Whoever else walks a listing comes to an end too.
        await daemon.hook(1, "Performer.Update.Post", ["name"])
        await daemon.until(
            lambda s: (
                s["queue"]["dead"] and not s["queue"]["queued"] + s["queue"]["running"]
            )
        )
        dead = (await daemon.get("dead"))["dead"]  # perhaps also what polls found
        assert "performer" in {one["kind"] for one in dead}
        told = {one["error"] for one in dead}
        assert told == {"Stash: a listing repeats its pages"}
        stash.repeats_pages = False
        assert (await reconciled(daemon))["error"] is None
        assert (await daemon.status())["catalog"]["scenes"] == 24


@pytest.mark.parametrize("value", ABSURD)
async def test_what_is_of_little_matter_costs_no_row(daemon, stash, plex, value):
    sample(stash, plex)
    plex.odd[1] = {"addedAt": value}
    await daemon.cataloged()

    await daemon.deliver(1)

    assert plex.items[1].text["title"] == "Title 1"
