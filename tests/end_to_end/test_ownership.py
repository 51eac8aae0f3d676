"""What is ours and what is a person's, after things went wrong half-way."""

from __future__ import annotations

import itertools
import json
import sqlite3
from datetime import timedelta

import pytest

from stash2plex.sandbox.scenes import cover
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import PICTURES, sample
from tests.end_to_end.test_pictures import THEIRS, Clock
from tests.reconcile.test_reconcile import reconciled
from tests.running import running

NO_PICTURES = {"poster": False, "background": False}


@pytest.fixture(autouse=True)
def plex_clock(plex):
    plex.clock = Clock()


@pytest.fixture
def make(stash, plex, tmp_path):
    def made(fields=PICTURES["fields"], **sync):
        sync = {"fields": fields} | sync
        return running(make_settings(stash, plex, tmp_path, sync=sync), stash, plex)

    return made


@pytest.fixture
def change(stash):
    """Change a scene some hours ago, each time later than before."""
    minutes = itertools.count(1)

    def changed(**fields):
        stash.change(1, **fields)
        ago = timedelta(hours=20) - timedelta(minutes=next(minutes))
        stash.scenes[1].updated_at -= ago

    return changed


def as_the_last_release_left_it(tmp_path):
    """Take out of the ledger what that did not know."""
    database = sqlite3.connect(tmp_path / "data" / "stash2plex.db")
    for key, text in database.execute(
        "SELECT rating_key, pictures FROM ledger"
    ).fetchall():
        known = {
            name: {"hash": one["hash"], "etag": one["etag"], "shown": "/x/1"}
            for name, one in json.loads(text).items()
        }
        database.execute(
            "UPDATE ledger SET pictures = ?, checked = 0 WHERE rating_key = ?",
            (json.dumps(known), key),
        )
    database.commit()
    database.close()


# --- tags ---------------------------------------------------------------------


@pytest.mark.parametrize("twice", [True, False])
async def test_a_tag_with_a_comma_takes_no_other_along(make, stash, plex, twice):
    plex.habits.decodes_removed_twice = twice
    _, item = sample(stash, plex, tags=["100%", "Rain, Snow", "x"])
    item.tags["genre"] = ["Rain"]  # a person's
    async with make(NO_PICTURES, mode="merge") as daemon:
        await daemon.deliver(1)
        stash.change(1, tags=["Rain, Snow", "x"])
        await daemon.deliver(1)
        assert "100%" not in item.tags["genre"]
        stash.change(1, tags=["x"])
        await daemon.deliver(1)

    assert "Rain" in item.tags["genre"]


async def test_one_more_tag_keeps_a_long_list_where_lists_replace(make, stash, plex):
    plex.habits.replaces_tags = True
    _, item = sample(stash, plex, tags=["x"])
    theirs = [f"\u65e5\u672c\u8a9e\u306e\u30bf\u30b0 {n}" * 2 for n in range(80)]
    item.tags["genre"] = list(theirs)
    async with make(NO_PICTURES, mode="merge") as daemon:
        await daemon.deliver(1)

    assert {*theirs, "x"} == set(item.tags["genre"])


async def test_a_removal_that_failed_is_still_to_do(make, stash, plex):
    _, item = sample(stash, plex, tags=["a", "x"])
    async with make(NO_PICTURES, mode="merge") as daemon:
        await daemon.deliver(1)
        plex.keeps_tags = True
        stash.change(1, tags=["x"])
        assert (await daemon.deliver(1))["queue"]["dead"] == 1
        plex.keeps_tags = False
        await daemon.deliver(1)

    assert item.tags["genre"] == ["x"]


async def test_a_removal_that_nobody_saw_is_not_done(make, stash, plex):
    plex.habits.decodes_removed_twice = False
    _, item = sample(stash, plex, tags=["100%", "x"])
    async with make(NO_PICTURES, mode="merge") as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
        stash.change(1, tags=["x"])
        # The read before the edit is answered, the one after it is not.
        plex.fails_once = [("PUT", "/all", 500)]
        await daemon.deliver(1)
        await daemon.deliver(1)

    assert item.tags["genre"] == ["x"]


async def test_what_was_added_beside_a_refused_removal_is_ours(make, stash, plex):
    _, item = sample(stash, plex, tags=["a", "x"])
    async with make(NO_PICTURES, mode="merge") as daemon:
        await daemon.deliver(1)
        plex.refuses_removals = True
        stash.change(1, tags=["x", "new"])
        await daemon.deliver(1)
        assert "new" in item.tags["genre"]
        plex.refuses_removals = False
        stash.change(1, tags=["x"])
        await daemon.deliver(1)

    assert item.tags["genre"] == ["x"]


# --- pictures -------------------------------------------------------------------


@pytest.mark.parametrize("lock", [True, False])
@pytest.mark.parametrize("provided", [True, False])
async def test_a_cover_after_none_arrives(make, stash, plex, change, lock, provided):
    _, item = sample(stash, plex, cover=cover(1))
    if provided:
        item.provided["art"] = THEIRS
    async with make(respect_locks=True, lock=lock) as daemon:
        await daemon.deliver(1)
        change(cover=None)
        await daemon.deliver(1)
        assert item.picture("art") == (THEIRS if provided else None)
        plex.touch(1)
        await daemon.deliver(1)
        change(cover=cover(2))
        await daemon.deliver(1)

    assert item.picture("art") == cover(2)


@pytest.mark.parametrize("how", ["unlocked", "switched off"])
async def test_a_cover_that_was_respected_away_comes_later(
    make, stash, plex, change, how
):
    _, item = sample(stash, plex, cover=cover(1))
    async with make(respect_locks=True) as daemon:
        await daemon.deliver(1)
        plex.choose(1, "art", THEIRS)
        change(cover=cover(2))
        await daemon.deliver(1)
        assert item.picture("art") == THEIRS
    if how == "unlocked":
        item.locked.discard("art")
        plex.touch(1)
    async with make(respect_locks=how == "unlocked") as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)

    assert item.picture("art") == cover(2)


async def test_a_choice_that_was_respected_stays_after_more_covers(
    make, stash, plex, change
):
    _, item = sample(stash, plex, cover=cover(1))
    async with make(respect_locks=True) as daemon:
        await daemon.deliver(1)
        plex.choose(1, "art", THEIRS)
        await reconciled(daemon)
        for number in (2, 3, 1):
            change(cover=cover(number))
            await daemon.deliver(1)
            assert item.picture("art") == THEIRS


@pytest.mark.parametrize("other", [{"mode": "fill"}, {"fields": NO_PICTURES}])
async def test_a_cover_that_changed_while_pictures_were_left_alone(
    make, stash, plex, change, other
):
    _, item = sample(stash, plex, cover=cover(1))
    async with make() as daemon:
        await daemon.deliver(1)
    change(cover=cover(2))
    async with make(**other) as daemon:
        await daemon.deliver(1)
        assert item.picture("art") == cover(1)
    async with make() as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)

    assert item.picture("art") == cover(2)


async def test_of_the_last_release_two_uploads_and_a_foreign_edit(
    make, stash, plex, change, tmp_path
):
    _, item = sample(stash, plex, cover=cover(1))
    async with make(respect_locks=True) as daemon:
        await daemon.deliver(1)
        change(cover=cover(2))
        await daemon.deliver(1)
    as_the_last_release_left_it(tmp_path)
    plex.touch(1)
    async with make(respect_locks=True) as daemon:
        await daemon.cataloged()
        await reconciled(daemon)
        await daemon.idle()
        change(cover=cover(3))
        await daemon.deliver(1)

    assert item.picture("art") == cover(3)


async def test_of_the_last_release_a_cover_is_not_what_was_there_before(
    make, stash, plex, change, tmp_path
):
    _, item = sample(stash, plex, cover=cover(1))
    async with make() as daemon:
        await daemon.deliver(1)
    as_the_last_release_left_it(tmp_path)
    plex.touch(1)
    async with make() as daemon:
        change(cover=cover(2))
        await daemon.deliver(1)
        change(cover=None)
        await daemon.deliver(1)

    assert item.picture("art") is None


async def test_a_picture_that_failed_beside_tags_tried_again(make, stash, plex):
    plex.habits.decodes_removed_twice = False
    _, item = sample(stash, plex, cover=cover(1), tags=["100%", "x"])
    async with make() as daemon:
        await daemon.deliver(1)
        ours = item.picture("art")
        plex.choose(1, "art", THEIRS)
        stash.change(1, tags=["x"])
        plex.fails_once = [("PUT", "/art", 500)]
        await daemon.deliver(1)

    assert item.picture("art") == ours
    assert item.tags["genre"] == ["x"]


async def test_uploads_whose_answers_were_lost_are_ours(make, stash, plex, change):
    """They arrived, were told to have failed, and are not wanted any more."""
    _, item = sample(stash, plex, cover=cover(1))
    async with make() as daemon:
        await daemon.cataloged()
        plex.loses_uploads = 2
        await daemon.post("sync", {"scene_ids": [1]})
        await plex.facts.until(lambda: not plex.loses_uploads)
        change(cover=None)
        await daemon.idle()
        await daemon.deliver(1)

    assert item.picture("art") is None
    assert item.picture("thumb") is None


async def test_the_lock_of_our_selection_is_ours_even_if_nobody_read_it(
    make, stash, plex, change
):
    _, item = sample(stash, plex, cover=cover(1))
    async with make(respect_locks=True, lock=False) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
        change(cover=cover(2))
        await daemon.deliver(1)
        change(cover=cover(1))
        plex.unread_after_select = True
        await daemon.deliver(1)
        assert item.picture("art") == cover(1)
        assert "art" in item.locked
        plex.unread_after_select = False
        change(cover=cover(3))
        await daemon.deliver(1)

    assert item.picture("art") == cover(3)


async def test_a_delivery_during_a_comparison_is_not_forgotten(
    make, stash, plex, change
):
    _, item = sample(stash, plex, cover=cover(1))
    async with make(respect_locks=True) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
        plex.touch(1)

        async def deliver():
            change(cover=cover(2))
            await daemon.deliver(1)
            assert item.picture("art") == cover(2)

        plex.before_list = deliver
        await reconciled(daemon)
        await daemon.idle()
        change(cover=cover(3))
        await daemon.deliver(1)

    assert item.picture("art") == cover(3)
