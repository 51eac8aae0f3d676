"""The database is lost: what we wrote before is known again by its locks and bytes."""

from __future__ import annotations

import shutil

import pytest

from stash2plex.sandbox.scenes import cover
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.running import running

EVERYTHING = {"fields": {"poster": True, "background": True}}


@pytest.fixture
async def lost(stash, plex, tmp_path):
    """Two scenes, delivered with pictures by a daemon whose data is gone since."""
    for number in (1, 2):
        sample(stash, plex, number, cover=cover(number), studio="North", rating100=80)
    settings = make_settings(stash, plex, tmp_path, sync=EVERYTHING)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1, 2)
    assert plex.items[1].text["userRating"] == "8.0"
    shutil.rmtree(tmp_path / "data")
    plex.requests.clear()
    return settings


@pytest.mark.parametrize("respects", [False, True])
async def test_nothing_is_written_again(lost, stash, plex, tmp_path, respects):
    sync = EVERYTHING | {"respect_locks": respects}
    settings = make_settings(stash, plex, tmp_path, sync=sync)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        status = await daemon.deliver(1, 2)
        assert status["deliveries"]["unchanged"] == 2
        assert plex.count("PUT") == plex.count("POST") == 0

        # And all of it is ours: it changes and goes as it does in Stash.
        stash.change(1, studio="", rating100=None, cover=cover(9), title="New")
        await daemon.deliver(1)

    item = plex.items[1]
    assert item.text["title"] == "New"
    assert item.text["userRating"] == ""
    assert item.tags["collection"] == []
    assert len(item.uploads["thumb"]) == 2
    assert plex.items[2].writes == 1 + 2  # the edit, and two pictures, before the loss


@pytest.mark.parametrize("fault", ["the answer is lost", "it is never sent"])
async def test_a_rating_that_may_be_ours_goes_too(stash, plex, tmp_path, fault):
    """Only what was there before us, or what a human gave since, is a human's."""
    for number in (1, 2):
        sample(stash, plex, number, rating100=60)
    async with running(make_settings(stash, plex, tmp_path), stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1, 2)
        if fault == "the answer is lost":
            plex.loses_answers = 1
        else:
            plex.status_of[1] = 500
        stash.change(1, rating100=100)
        await daemon.hook(1)
        await plex.facts.until(
            lambda: (
                not plex.loses_answers and (plex.status_of == {} or plex.refused[500])
            )
        )
        stash.change(1, rating100=None)
        plex.status_of.clear()
        plex.items[2].text["userRating"] = "2.0"
        stash.change(2, rating100=None)
        await daemon.deliver(1, 2)

    assert plex.items[1].text["userRating"] == ""
    assert plex.items[2].text["userRating"] == "2.0"


async def test_a_picture_that_a_human_chose_stays_if_wished(
    lost, stash, plex, tmp_path
):
    item = plex.items[1]
    plex.choose(1, "thumb", b"\xff\xd8\xffhuman")
    sync = EVERYTHING | {"respect_locks": True}
    settings = make_settings(stash, plex, tmp_path, sync=sync)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
        stash.change(1, cover=cover(9))
        await daemon.deliver(1)

    assert item.picture("thumb") == b"\xff\xd8\xffhuman"
    assert len(item.uploads["art"]) == 2  # that one was ours


async def test_without_that_wish_ours_is_shown_again(lost, stash, plex):
    item = plex.items[1]
    ours = item.selected["thumb"]
    plex.choose(1, "thumb", b"\xff\xd8\xffhuman")
    async with running(lost, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)

    assert item.selected["thumb"] == ours


@pytest.mark.parametrize("status", [500, 503])
async def test_a_list_of_pictures_that_fails_is_asked_for_again(
    lost, stash, plex, status
):
    plex.read_status_of["/library/metadata/1/"] = status
    async with running(lost, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.post("sync", {"scene_ids": [1]})
        await plex.facts.until(
            lambda: any("/1/posters" in target for _, target in plex.requests)
        )
        plex.read_status_of.clear()
        status = await daemon.idle()

    assert status["queue"]["dead"] == 0
    assert plex.count("POST") == 0
