"""Scenes that lose all metadata clear Plex; a Stash that was set up anew does not."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta

import pytest

from stash2plex.doctor import examine
from stash2plex.sandbox.scenes import cover
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import PICTURES, sample
from tests.reconcile.test_reconcile import gaps, reconciled
from tests.running import running

FULL = {
    "performers": ["Ann"],
    "studio": "North",
    "date": "2024-05-01",
    "rating100": 80,
    "director": "Dir",
}
EMPTY = {
    "details": "",
    "tags": [],
    "performers": [],
    "studio": "",
    "date": "",
    "rating100": None,
    "director": "",
}


def later(stash, **time):
    """Let Stash's clock go on."""
    moment = datetime.now(UTC) + timedelta(**time)
    stash.clock = lambda: moment


def full(stash, plex, count):
    for number in range(1, count + 1):
        sample(stash, plex, number, **FULL)


def is_clear(item):
    return not any(
        [
            item.text.get("summary"),
            item.text.get("studio"),
            item.text.get("originallyAvailableAt"),
            item.text.get("userRating"),
            *item.tags.values(),
        ]
    )


def is_full(item):
    return (
        item.text["summary"] == "Text"
        and item.tags["actor"] == ["Ann"]
        and item.tags["genre"] == ["a", "b"]
    )


@pytest.mark.parametrize("by", ["hook", "poll", "comparison"])
async def test_one_emptied_scene_is_cleared(stash, plex, tmp_path, by):
    full(stash, plex, 3)
    settings = make_settings(
        stash, plex, tmp_path, stash={"poll_interval": 0.2 if by == "poll" else 0}
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1, 2, 3)
        written = (await daemon.status())["deliveries"]["written"]
        later(stash, seconds=2)
        stash.change(2, title="All that is left", **EMPTY)
        if by == "hook":
            await daemon.hook(2)
        elif by == "comparison":
            await reconciled(daemon)
        await daemon.until(lambda s: s["deliveries"]["written"] > written)
        await daemon.idle()
        assert is_clear(plex.items[2])
        assert plex.items[2].text["title"] == "All that is left"
        assert is_full(plex.items[1])
        # It stays so, and its title goes on to arrive.
        stash.change(2, title="Other")
        await daemon.deliver(2)
        assert plex.items[2].text["title"] == "Other"
        await reconciled(daemon)
        assert await gaps(daemon) == []


async def test_what_would_be_cleared_is_shown_before(daemon, stash, plex):
    full(stash, plex, 1)
    await daemon.cataloged()
    await daemon.deliver(1)
    stash.change(1, **EMPTY)

    (found,) = (await daemon.post("sync", {"scene_ids": [1], "dry_run": True}, 200))[
        "differences"
    ]

    assert found["reason"] is None
    assert {"summary", "genre", "actor"} <= {one["field"] for one in found["changes"]}
    told = await daemon.get("explain?q=scene:1")
    assert told["verdict"]["state"] == "differs"


async def test_a_scene_that_was_never_delivered_clears_nothing(daemon, stash, plex):
    stash.add("/media/1.mp4", title="Only a title")
    plex.add("/media/1.mp4", summary="a person's")
    await daemon.cataloged()

    status = await daemon.deliver(1)

    assert status["deliveries"]["skipped"] == 1
    assert plex.items[1].text["summary"] == "a person's"


def anew(stash, *, offset):
    """Set Stash up anew: empty scenes of the same files, found by a scan."""
    later(stash, seconds=5)
    scenes = [stash.remove(key) for key in sorted(stash.scenes)]
    for scene in scenes:
        path, size = scene.files[0]
        stash.add(path, scene_id=scene.id + offset, size=size)


@pytest.mark.parametrize("offset", [0, 100])
async def test_a_new_stash_over_the_same_files_clears_nothing(
    stash, plex, tmp_path, offset
):
    full(stash, plex, 8)
    for number in range(1, 9):
        stash.change(number, cover=cover(number))
    settings = make_settings(stash, plex, tmp_path, sync=PICTURES)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(*range(1, 9))
        writes = [item.writes for item in plex.items.values()]
        anew(stash, offset=offset)

        await reconciled(daemon, force=True)
        await daemon.deliver(*sorted(stash.scenes))
        await daemon.post("sync", {"scope": "all"})
        await daemon.idle()

        assert all(is_full(item) for item in plex.items.values())
        assert [item.writes for item in plex.items.values()] == writes
        assert (await daemon.status())["catalog"].get("brake") is None
        # And once it was filled and emptied there, it is cleared.
        key = 1 + offset
        later(stash, seconds=10)
        stash.change(key, title="Again", **FULL)
        await daemon.deliver(key)
        later(stash, seconds=20)
        stash.change(key, **EMPTY)
        await daemon.deliver(key)
        assert is_clear(plex.items[1])


async def test_an_older_copy_of_stash_clears_nothing(daemon, stash, plex):
    """It is from between the scan and the first edit."""
    for number in range(1, 5):
        sample(stash, plex, number, title="", details="", tags=[])
    backup = copy.deepcopy(stash.scenes)
    later(stash, seconds=2)
    for number in range(1, 5):
        stash.change(number, title="T", details="Text", tags=["a", "b"], **FULL)
    await daemon.cataloged()
    await daemon.deliver(1, 2, 3, 4)
    assert is_full(plex.items[1])

    stash.scenes.update(backup)
    await reconciled(daemon, force=True)
    await daemon.deliver(1, 2, 3, 4)

    assert all(is_full(item) for item in plex.items.values())
    # Who empties a scene of the copy means it.
    later(stash, seconds=10)
    stash.change(1, title="x")
    await daemon.deliver(1)
    assert is_clear(plex.items[1])


async def test_many_at_once_are_held_until_somebody_agrees(daemon, stash, plex):
    full(stash, plex, 130)
    await daemon.cataloged()
    await daemon.deliver(*range(1, 131))
    later(stash, seconds=2)
    for number in range(1, 121):
        stash.change(number, title="x", **EMPTY)
    await daemon.post("sync", {"scene_ids": list(range(1, 131))})
    status = await daemon.until(
        lambda s: (
            s["catalog"]["brake"] and s["queue"]["running"] == s["queue"]["queued"] == 0
        )
    )

    cleared = sum(is_clear(item) for item in plex.items.values())
    assert cleared <= 100
    assert sum(is_full(item) for item in plex.items.values()) == 130 - cleared
    assert "lost all metadata within an hour" in status["catalog"]["brake"]
    assert status["queue"]["waiting"] == 120 - cleared
    # What listings show does not end it.
    await reconciled(daemon)
    assert (await daemon.status())["catalog"]["brake"]
    assert sum(is_clear(item) for item in plex.items.values()) == cleared

    findings = {one.code: one async for one in examine(daemon.settings, daemon.status)}
    assert "lost all metadata" in findings["brake"].message

    await reconciled(daemon, force=True)
    status = await daemon.idle()

    assert sum(is_clear(item) for item in plex.items.values()) == 120
    assert status["catalog"]["brake"] is None


async def test_all_of_ten_are_held(daemon, stash, plex):
    full(stash, plex, 10)
    await daemon.cataloged()
    await daemon.deliver(*range(1, 11))
    later(stash, seconds=2)
    for number in range(1, 11):
        stash.change(number, **EMPTY)

    await daemon.post("sync", {"scene_ids": list(range(1, 11))})
    await daemon.until(lambda s: s["catalog"]["brake"])
    await daemon.until(lambda s: s["queue"]["waiting"] == 10)

    assert all(is_full(item) for item in plex.items.values())


async def test_nine_of_nine_are_not(daemon, stash, plex):
    full(stash, plex, 9)
    await daemon.cataloged()
    await daemon.deliver(*range(1, 10))
    later(stash, seconds=2)
    for number in range(1, 10):
        stash.change(number, **EMPTY)

    await daemon.deliver(*range(1, 10))

    assert all(is_clear(item) for item in plex.items.values())


async def test_scenes_whose_tags_plex_had_already_count_too(daemon, stash, plex):
    for number in range(1, 13):
        _, item = sample(stash, plex, number, details="")
        item.tags["genre"] = ["a", "b"]
    await daemon.cataloged()
    await daemon.deliver(*range(1, 13))
    later(stash, seconds=2)
    for number in range(1, 13):
        stash.change(number, tags=[])

    await daemon.post("sync", {"scene_ids": list(range(1, 13))})
    await daemon.until(lambda s: s["catalog"]["brake"])
    await daemon.until(lambda s: s["queue"]["waiting"] == 12)

    assert all(item.tags["genre"] == ["a", "b"] for item in plex.items.values())


async def test_the_file_of_another_item_is_not_cleared(daemon, stash, plex):
    full(stash, plex, 3)
    theirs = plex.add("/media/b.mp4", rating_key=50, size=50, summary="a person's")
    await daemon.cataloged()
    await daemon.deliver(1, 2, 3)
    later(stash, seconds=2)
    stash.change(1, **EMPTY)
    stash.scenes[1].files = [("/media/b.mp4", 50)]

    await daemon.deliver(1)

    assert theirs.text["summary"] == "a person's"


async def test_a_restart_does_not_begin_to_count_anew(stash, plex, tmp_path):
    full(stash, plex, 12)
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(*range(1, 13))
        later(stash, seconds=2)
        for number in range(1, 12):
            stash.change(number, **EMPTY)
        await daemon.deliver(*range(1, 12))
    stash.change(12, **EMPTY)
    async with running(settings, stash, plex) as daemon:
        await daemon.post("sync", {"scene_ids": [12]})
        await daemon.until(lambda s: s["catalog"]["brake"])
        await daemon.until(lambda s: s["queue"]["waiting"] == 1)

    assert is_full(plex.items[12])


async def test_an_emptied_scene_that_was_found_by_name(daemon, stash, plex):
    for number in range(1, 4):
        path = f"/data/{number}.mp4"
        stash.add(path, size=number, title="T", details="Text", tags=["a"])
        plex.add(f"/media/{number}.mp4", size=number)
    await daemon.cataloged()
    await daemon.deliver(1, 2, 3)
    later(stash, seconds=2)
    stash.change(1, title="New", **EMPTY)

    await daemon.deliver(1)

    assert plex.items[1].text["title"] == "New"
    assert is_clear(plex.items[1])


async def test_cleared_also_on_a_restored_plex(stash, plex, tmp_path):
    full(stash, plex, 3)
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1, 2, 3)
    later(stash, seconds=2)
    stash.change(1, **EMPTY)
    plex.machine = "another-machine"
    async with running(settings, stash, plex) as daemon:
        await daemon.until(lambda s: s["plex"]["state"] == "up")
        await reconciled(daemon)
        await daemon.deliver(1, 2, 3)

    assert not plex.items[1].text.get("summary")
    assert is_full(plex.items[2])
