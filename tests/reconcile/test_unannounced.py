"""What no hook and no time tells of arrives all the same, within three looks.

The scenes were changed last days ago: a look that asks for the last hours once more
must not be what finds it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from stash2plex.db.database import DATABASE
from stash2plex.reconcile.whole import WholeReading
from stash2plex.sandbox.scenes import cover
from stash2plex.sandbox.stash import PretendStash
from stash2plex.sandbox.stash_filters import time_text
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.reconcile.test_reconcile import gaps, reconciled, settled
from tests.reconcile.test_silent import SETTLED, looked, title_of
from tests.running import running

SCENES = 12
LOOK = "Stash2PlexLook"
# One that finds files on their own, and one that does not.
RELEASES = ["v0.30.1", "v0.27.2"]
# One may be under way when the change is made.
LOOKS = 3 + 1


def quick(stash, plex, tmp_path, interval=0.2, **sections):
    """Return settings of a daemon that hears of nothing and looks often."""
    given = {
        "stash": {"poll_interval": interval},
        "plex": {"notifications": True},
        "queue": {"not_found_base": 36_000.0},
    }
    return make_settings(stash, plex, tmp_path, **given | sections)


def fill(stash, plex):
    """Put scenes in step with Plex that were changed last five days ago."""
    clock = stash.clock
    stash.clock = lambda: clock() - timedelta(days=5)
    for number in range(1, SCENES + 1):
        sample(
            stash,
            plex,
            number,
            performers=["Old", "Kept"],
            tags=["Old"],
            studio="Old",
            groups=["Old"],
        )
    stash.clock = lambda: clock() - SETTLED


@pytest.fixture
async def old(request, stash, plex, tmp_path):
    stash.become(getattr(request, "param", "v0.30.1"))
    fill(stash, plex)
    async with running(quick(stash, plex, tmp_path), stash, plex) as daemon:
        await in_step(daemon, stash)
        yield daemon


async def in_step(daemon, stash):
    await daemon.cataloged()
    await daemon.post("sync", {"scope": "all"})
    await daemon.idle()
    await looked(stash, 3)


def all_show(plex, field, names):
    return lambda: all(i.tags.get(field, []) == names for i in plex.items.values())


def performer_deleted(stash, plex):
    stash.remove_entity("performer", stash.entity("performer", "Old"))
    return all_show(plex, "actor", ["Kept"])


def tag_deleted(stash, plex):
    stash.remove_entity("tag", stash.entity("tag", "Old"))
    return all_show(plex, "genre", [])


def studio_deleted(stash, plex):
    stash.remove_entity("studio", stash.entity("studio", "Old"))
    return lambda: not any(item.text.get("studio") for item in plex.items.values())


def group_deleted(stash, plex):
    stash.remove_entity("group", stash.entity("group", "Old"))
    return all_show(plex, "collection", ["Old"])  # the studio's


def one_deleted_and_one_made(stash, plex):
    """There are as many as before, but their numbers tell."""
    stash.remove_entity("tag", stash.entity("tag", "Old"))
    stash.entity("tag", "Young")
    return all_show(plex, "genre", [])


def tags_merged(stash, plex):
    new = stash.entity("tag", "New")
    stash.merge_entities("tag", stash.entity("tag", "Old"), new)
    return all_show(plex, "genre", ["New"])


def file_assigned(stash, plex):
    stash.assign_file("/media/1.mp4", 2)
    return lambda: title_of(plex, 1) == title_of(plex, 2)


def file_assigned_to_a_scene_with_none(stash, plex):
    stash.assign_file("/media/1.mp4", 2)
    stash.assign_file("/media/1.mp4", 1)
    stash.assign_file("/media/3.mp4", 4)
    return lambda: (title_of(plex, 1), title_of(plex, 3)) == ("Title 1", "Title 4")


def imported_with_their_times(stash, plex):
    job = stash.begin_import()
    stash.scenes[1].title = "Imported"
    stash.end_import(job)
    return lambda: title_of(plex, 1) == "Imported"


def imported_anew(stash, plex):
    """All scenes have other numbers, and one has another title."""
    job = stash.begin_import()
    stash.scenes[1].title = "Imported"
    stash.end_import(job, order=list(range(SCENES, 0, -1)))
    return lambda: (
        title_of(plex, 1) == "Imported"
        and [title_of(plex, n) for n in range(2, SCENES + 1)]
        == [f"Title {n}" for n in range(2, SCENES + 1)]
    )


def added_with_an_old_time(stash, plex):
    """An import that nobody told of."""
    plex.add("/media/old.mp4", size=99)
    scene = stash.add("/media/old.mp4", size=99, title="Old", details="x")
    for name in ("updated_at", "created_at", "files_updated_at"):
        setattr(scene, name, getattr(scene, name) - timedelta(days=400))
    return lambda: title_of(plex, SCENES + 1) == "Old"


CHANGES = [
    performer_deleted,
    tag_deleted,
    studio_deleted,
    group_deleted,
    one_deleted_and_one_made,
    tags_merged,
    file_assigned,
    file_assigned_to_a_scene_with_none,
    imported_with_their_times,
    imported_anew,
    added_with_an_old_time,
]


@pytest.mark.parametrize("old", RELEASES, indirect=True)
@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
async def test_it_arrives_within_three_looks(old, stash, plex, change):
    before = stash.operations[LOOK]
    arrived = change(stash, plex)
    await plex.facts.until(arrived)

    assert stash.operations[LOOK] - before <= LOOKS
    await old.idle()
    await looked(stash, 4)
    delivered = (await old.status())["deliveries"]
    await looked(stash, 4)
    # Nothing of it goes on for ever.
    assert (await old.status())["deliveries"] == delivered


@pytest.mark.parametrize("how", ["removed", "destroyed and scanned anew"])
async def test_a_scene_that_is_gone(old, stash, plex, how):
    before = stash.operations[LOOK]
    stash.remove(3)
    if how != "removed":
        stash.add("/media/3.mp4", size=3, title="Anew", details="x")
        await plex.facts.until(lambda: title_of(plex, 3) == "Anew")
    await stash.facts.until(lambda: stash.operations[LOOK] - before >= LOOKS)
    await old.idle()

    assert set(await gaps(old)) == (
        {("missing_in_stash", 3)} if how == "removed" else set()
    )
    assert (await old.status())["catalog"]["scenes"] == len(stash.scenes)


@pytest.mark.parametrize("old", RELEASES, indirect=True)
@pytest.mark.parametrize("name", ["/renamed", "/media2", "/media/below", "/Media"])
async def test_a_folder_that_was_renamed_is_found_after_the_scan(
    old, stash, plex, name
):
    """Plex has found its files anew, and knows nothing of them."""
    stash.rename_folder("/media", name)
    for key in list(plex.items):
        plex.remove(key)
        plex.add(f"{name}/{key}.mp4", size=key)
    plex.tell_scan_ended()
    stash.subscriptions.tell_scan_completed()
    await plex.facts.until(
        lambda: (
            {item.text.get("title") for item in plex.items.values()}
            == {f"Title {number}" for number in range(1, SCENES + 1)}
        )
    )
    await old.idle()
    assert set(await gaps(old)) == set()


async def test_a_file_between_scenes_of_several(stash, plex, tmp_path):
    """They have several files before and after, so only the files tell."""
    fill(stash, plex)
    for number, (one, other) in enumerate([(1, 2), (1, 2)]):
        for key in (one, other):
            path = f"/media/{key}.{number}.mp4"
            stash.scenes[key].files.append((path, 100 + key))
            plex.add(path, size=100 + key)
    async with running(quick(stash, plex, tmp_path), stash, plex) as daemon:
        await in_step(daemon, stash)
        before = stash.operations[LOOK]
        item = next(i for i in plex.items.values() if i.files[0][0] == "/media/1.1.mp4")
        assert item.text["title"] == "Title 1"
        stash.assign_file("/media/1.1.mp4", 2)
        await plex.facts.until(lambda: item.text["title"] == "Title 2")
        assert stash.operations[LOOK] - before <= LOOKS


async def test_many_that_are_gone_pull_the_brake(old, stash, plex):
    for number in range(1, SCENES + 1):
        stash.remove(number)
    await old.until(lambda one: one["catalog"]["brake"])
    assert all(item.text["title"] for item in plex.items.values())
    assert (await old.status())["catalog"]["scenes"] > 0


async def test_deletions_that_hooks_told_of_cause_no_listing(old, stash, plex):
    listed = stash.operations["Stash2PlexIds"]
    for number in (1, 2):
        stash.remove(number)
        await old.hook(number, "Scene.Destroy.Post")
    await old.idle()
    await looked(stash, 4)
    assert stash.operations["Stash2PlexIds"] == listed


async def test_new_scenes_cause_no_listing(old, stash, plex):
    """They are looked at a moment later; that they are unknown means nothing till then."""
    stash.clock = PretendStash().clock
    listed = stash.operations["Stash2PlexIds"]
    for number in range(20, 26):
        stash.add(f"/media/{number}.mp4", title=f"Title {number}", details="x")
        plex.add(f"/media/{number}.mp4")
        await looked(stash)
    await plex.facts.until(
        lambda: all(item.text.get("title") for item in plex.items.values())
    )
    await looked(stash, 4)
    assert stash.operations["Stash2PlexIds"] == listed


async def test_counts_are_remembered_from_one_run_to_the_next(stash, plex, tmp_path):
    fill(stash, plex)
    settings = quick(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await in_step(daemon, stash)
    stash.remove_entity("tag", stash.entity("tag", "Old"))
    async with running(settings, stash, plex):
        await plex.facts.until(all_show(plex, "genre", []))


@pytest.mark.parametrize("others", [0, 1], ids=["no other change", "another change"])
async def test_a_seventh_is_read_whole_in_each_comparison(
    stash, plex, tmp_path, monkeypatch, others
):
    """A change that keeps its time, and of which nothing at all tells."""
    monkeypatch.setattr("stash2plex.reconcile.whole._EVERY", 0.0)
    fill(stash, plex)
    settings = quick(stash, plex, tmp_path, interval=0)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.post("sync", {"scope": "all"})
        await daemon.idle()
        stash.scenes[SCENES].title = "Unheard of"
        if others:
            stash.change(1, title="Heard of")
        runs, read = 0, stash.operations["Stash2PlexScenes"]
        while title_of(plex, SCENES) != "Unheard of":
            runs += 1
            assert runs <= 7
            await reconciled(daemon)
            await settled(daemon)
        assert runs > 1
        # One request for a part, and those of deliveries.
        assert stash.operations["Stash2PlexScenes"] - read <= runs + 1 + others


async def test_once_a_day_is_enough_for_a_seventh(old, stash, plex):
    await reconciled(old)
    read = stash.operations["Stash2PlexScenes"]
    await reconciled(old)
    assert stash.operations["Stash2PlexScenes"] == read


async def test_a_dry_run_leaves_the_reading_after_an_import_to_be_done(
    stash, plex, tmp_path
):
    fill(stash, plex)
    settings = quick(stash, plex, tmp_path, interval=0)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.post("sync", {"scope": "all"})
        await daemon.idle()
        order = list(range(SCENES, 0, -1))
        stash.end_import(stash.begin_import(), order=order)
        stash.scenes[SCENES].title = "Imported"  # the first item's
        run = await reconciled(daemon, dry_run=True)
        assert run["gaps"]["stale"] == SCENES
        await reconciled(daemon)
        await settled(daemon)

        assert title_of(plex, 1) == "Imported"


async def test_an_import_that_ends_while_a_comparison_reads(
    stash, plex, tmp_path, monkeypatch
):
    """The comparison that is under way may have read the scene before."""
    fill(stash, plex)
    read, inside, goes_on = WholeReading._compare, asyncio.Event(), asyncio.Event()

    async def held(self, *given, **more):
        inside.set()
        await goes_on.wait()
        return await read(self, *given, **more)

    monkeypatch.setattr(WholeReading, "_compare", held)
    async with running(quick(stash, plex, tmp_path), stash, plex) as daemon:
        await in_step(daemon, stash)
        await daemon.post("reconcile", {"scope": "all"})
        await inside.wait()
        job = stash.begin_import()
        for number in range(1, SCENES + 1):
            stash.scenes[number].title = f"Imported {number}"
        stash.end_import(job)
        await looked(stash, 4)
        goes_on.set()
        await plex.facts.until(imported(plex))


def imported(plex):
    return lambda: all(
        title_of(plex, number) == f"Imported {number}"
        for number in range(1, SCENES + 1)
    )


async def test_an_import_before_a_restart(stash, plex, tmp_path):
    fill(stash, plex)
    settings = quick(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await in_step(daemon, stash)
        stash.begin_import()
        await looked(stash)
    (job,) = stash.jobs
    for number in range(1, SCENES + 1):
        stash.scenes[number].title = f"Imported {number}"
    stash.end_import(job)
    async with running(settings, stash, plex):
        await plex.facts.until(imported(plex))


async def test_an_import_while_nobody_looked(stash, plex, tmp_path):
    """Only the first listing tells: many scenes have other files than before."""
    fill(stash, plex)
    settings = quick(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await in_step(daemon, stash)
    order = [3, 2, 1, *range(4, SCENES + 1)]
    stash.end_import(stash.begin_import(), order=order)
    stash.scenes[SCENES].title = "Imported"
    async with running(settings, stash, plex):
        await plex.facts.until(lambda: title_of(plex, SCENES) == "Imported")


async def test_a_comparison_after_an_import_outlives_a_smaller_one_that_fails(
    stash, plex, tmp_path, monkeypatch
):
    monkeypatch.setattr("stash2plex.reconcile.reconciler._AGAIN", 1.0)
    fill(stash, plex)
    settings = quick(stash, plex, tmp_path, reconcile={"on_start": True})
    async with running(settings, stash, plex) as daemon:
        await in_step(daemon, stash)
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as file, file:
        file.execute("DELETE FROM run")  # so that there is one at the start
    stash.begin_import()
    plex.status = 503
    async with running(settings, stash, plex) as daemon:
        await daemon.until(failed_because(["start"]))
        (job,) = stash.jobs
        stash.scenes[1].title = "Imported"
        stash.end_import(job)
        await daemon.until(failed_because(["import"]))
        await daemon.until(failed_because(["start", "import"]))
        plex.status = None
        await plex.facts.until(lambda: title_of(plex, 1) == "Imported")


def failed_because(reasons):
    def fact(status):
        last = status["reconcile"]["last"]
        return last and last["state"] == "failed" and last["reason"] in reasons

    return fact


async def test_a_scene_that_cannot_be_read_after_an_import(stash, plex, tmp_path):
    fill(stash, plex)
    async with running(quick(stash, plex, tmp_path), stash, plex) as daemon:
        await in_step(daemon, stash)
        job = stash.begin_import()
        for number in range(1, SCENES + 1):
            stash.scenes[number].title = f"Imported {number}"
        stash.failing[1] = "database is locked"
        stash.end_import(job)
        await plex.facts.until(lambda: title_of(plex, 2) == "Imported 2")
        await daemon.until(lambda one: not one["queue"]["queued"])
        del stash.failing[1]
        await daemon.post("queue/process", {}, status=200)
        await plex.facts.until(imported(plex))


async def test_covers_that_were_imported(stash, plex, tmp_path):
    """A cover keeps its time as well; only what Stash calls it tells."""
    fill(stash, plex)
    for number in (1, 2):
        stash.scenes[number].cover = cover(number)
    pictures = {"fields": {"poster": False, "background": True}}
    settings = quick(stash, plex, tmp_path, sync=pictures)
    async with running(settings, stash, plex) as daemon:
        await in_step(daemon, stash)
        writes = [plex.items[key].writes for key in range(4, SCENES + 1)]
        job = stash.begin_import()
        stash.scenes[1].cover = cover(9)
        stash.scenes[3].cover = cover(10)
        stash.end_import(job)
        await plex.facts.until(
            lambda: (
                plex.items[1].picture("art") == cover(9)
                and plex.items[3].picture("art") == cover(10)
            )
        )
        await daemon.idle()
        assert [plex.items[key].writes for key in range(4, SCENES + 1)] == writes


async def test_a_cover_that_fails_after_an_import(stash, plex, tmp_path, monkeypatch):
    fill(stash, plex)
    stash.scenes[1].cover = cover(1)
    pictures = {"fields": {"poster": False, "background": True}}
    settings = quick(stash, plex, tmp_path, sync=pictures)
    async with running(settings, stash, plex) as daemon:
        await in_step(daemon, stash)
        asked, compare = stash.picture_requests, WholeReading._look_closer

        async def failing(self, scenes):
            stash.picture_status = 500
            try:
                return await compare(self, scenes)
            finally:
                stash.picture_status = None

        monkeypatch.setattr(WholeReading, "_look_closer", failing)
        job = stash.begin_import()
        stash.scenes[1].cover = cover(9)
        stash.end_import(job)
        await plex.facts.until(lambda: plex.items[1].picture("art") == cover(9))
        assert stash.picture_requests > asked


async def test_folders_that_cannot_be_listed_stop_nothing_else(old, stash, plex):
    stash.fails_listing_folders = "no folders today"
    stash.subscriptions.tell_scan_completed()
    await looked(stash, 3)
    await plex.facts.until(imported_with_their_times(stash, plex))


async def test_the_first_import_after_an_upgrade(stash, plex, tmp_path):
    """What an earlier release delivered is not taken for what is there now."""
    fill(stash, plex)
    settings = quick(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await in_step(daemon, stash)
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as file, file:
        file.execute("UPDATE ledger SET scene_digest = ''")
    async with running(settings, stash, plex):
        await looked(stash, 3)
        job = stash.begin_import()
        for number in range(1, SCENES + 1):
            stash.scenes[number].title = f"Imported {number}"
        stash.end_import(job)
        await plex.facts.until(imported(plex))


# --- what cannot be known ---------------------------------------------------------------


async def test_a_newest_scene_that_makes_no_sense_causes_no_listing_each_time(
    old, stash, plex
):
    stash.add("/media/odd.mp4", title="x", details="x")
    stash.odd[SCENES + 1] = {"files": None}
    await looked(stash, 12)
    listed = stash.operations["Stash2PlexIds"]
    buried = (await old.status())["queue"]["dead"]
    await looked(stash, 12)
    assert stash.operations["Stash2PlexIds"] == listed
    assert (await old.status())["queue"]["dead"] == buried


async def test_a_scene_that_makes_no_sense_hides_no_deletion(old, stash, plex):
    stash.odd[6] = {"files": None}
    stash.add("/media/odd.mp4", scene_id=100, title="x", details="x")
    stash.odd[100] = {"files": None}
    await looked(stash, 12)
    stash.remove(3)
    await old.until(lambda one: one["catalog"]["scenes"] == SCENES - 1)


# --- not more often than needed -------------------------------------------------------


def handled(status):
    deliveries = status["deliveries"]
    return deliveries["written"] + deliveries["unchanged"]


async def test_one_edit_is_two_deliveries_at_most(old, stash, plex):
    stash.clock = PretendStash().clock  # it is looked at while it is young
    before = handled(await old.status())
    for number in range(1, SCENES + 1):
        stash.change(number, title=f"Edited {number}")
        await old.hook(number)
    await looked(stash, 3)
    await stash.facts.until(settled_at(stash), 15)
    await looked(stash, 3)
    await old.idle()
    assert handled(await old.status()) - before <= 2 * SCENES


async def test_a_new_tag_of_many_scenes_is_two_deliveries_at_most(old, stash, plex):
    stash.clock = PretendStash().clock
    before = handled(await old.status())
    for number in range(1, SCENES + 1):
        stash.change(number, tags=["Old", "Brand new"])
        await old.hook(number)
    await looked(stash, 3)
    await stash.facts.until(settled_at(stash), 15)
    await looked(stash, 3)
    await old.idle()
    assert handled(await old.status()) - before <= 2 * SCENES
    assert all("Brand new" in item.tags["genre"] for item in plex.items.values())


async def test_a_renamed_tag_is_two_deliveries_of_each_scene_at_most(old, stash, plex):
    stash.clock = PretendStash().clock
    before = handled(await old.status())
    stash.rename("tag", tag := stash.entity("tag", "Old"), "New")
    await old.hook(tag, "Tag.Update.Post")
    await looked(stash, 3)
    await stash.facts.until(settled_at(stash), 15)
    await looked(stash, 3)
    await old.idle()
    assert handled(await old.status()) - before <= 2 * SCENES
    assert all_show(plex, "genre", ["New"])()


def settled_at(stash):
    """Return what tells that the changes of this moment are old enough."""
    later = time_text(stash.clock() + timedelta(seconds=5))
    return lambda: time_text(stash.clock()) > later


async def test_the_first_listing_serves_a_comparison_that_waits(stash, plex, tmp_path):
    fill(stash, plex)
    settings = quick(stash, plex, tmp_path, interval=0, reconcile={"on_start": True})
    async with running(settings, stash, plex) as daemon:
        await daemon.until(lambda one: one["reconcile"]["last"])
        await daemon.cataloged()
        status = await daemon.status()
    assert status["reconcile"]["last"]["state"] == "done"
    assert stash.operations["Stash2PlexEntries"] <= 2  # all, and the last day's
    lists = [path for how, path in plex.requests if path.endswith("/all")]
    assert len(lists) <= 2


# --- what a gap says of it ------------------------------------------------------------


async def test_folders_that_differ_in_case_alone_are_named(old, stash, plex):
    """They are one to Stash: its path is not the one on the disk."""
    stash.add("/media/Folder/one.mp4", size=41, title="One", details="x")
    stash.add("/media/Folder/two.mp4", size=42, title="Two", details="x")
    plex.add("/media/Folder/one.mp4", size=41)
    item = plex.add("/media/folder/two.mp4", size=43)  # replaced, and not scanned yet
    await reconciled(old)
    found = (await old.get("gaps?limit=50"))["gaps"]
    (gap,) = [one for one in found if one["kind"] == "missing_in_stash"]
    assert gap["detail"] == (
        "Stash has it as '/media/Folder/two.mp4': folders whose names differ in case"
        " alone are one to Stash"
    )
    told = await old.get(f"explain?q=plex:{item.rating_key}")
    assert gap["detail"] in told["verdict"]["message"]


async def test_an_empty_file_is_named(old, stash, plex):
    plex.add("/media/empty.mp4", size=0)
    await reconciled(old)
    found = (await old.get("gaps?limit=50"))["gaps"]
    (gap,) = [one for one in found if one["kind"] == "missing_in_stash"]
    assert gap["detail"] == "the file is empty, and Stash skips empty files"


async def test_copies_and_links_are_named(old, stash, plex):
    stash.change(1, files=[*stash.scenes[1].files, ("/media/link.mp4", 1)])
    told = await old.get("explain?q=scene:1")
    (story,) = told["scenes"]
    assert story["notes"] == [
        "it has 2 files: Stash makes one scene of copies of a video and links to it"
    ]
