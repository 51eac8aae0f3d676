"""Every change that Stash makes without telling anybody, and how it arrives.

The rows are those of Stash's own code: what fires no hook, and which times it moves. A
hook that got lost is the same thing. What moves a time is found by the next look, the
rest by a comparison.
"""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO

import pytest
from PIL import Image

from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.reconcile.test_reconcile import gaps, reconciled, settled
from tests.running import running

SCENES = 6
# How long ago changes were made here, so that they are looked at at once.
SETTLED = timedelta(seconds=10)


@pytest.fixture
async def quiet(stash, plex, tmp_path):
    """A daemon that gets no hooks, between libraries that have been in step for long."""
    clock = stash.clock
    stash.clock = lambda: clock() - timedelta(hours=1)
    for number in range(1, SCENES + 1):
        sample(stash, plex, number, performers=["Old"], tags=["Old"], studio="Old")
    stash.clock = lambda: clock() - SETTLED
    settings = make_settings(
        stash,
        plex,
        tmp_path,
        stash={"poll_interval": 0.1},
        plex={"notifications": True},
        queue={"not_found_base": 36_000.0},
        sync={"fields": {"poster": True, "background": False}},
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.post("sync", {"scope": "all"})
        await daemon.idle()
        await looked(stash)
        yield daemon


async def looked(stash, times=2):
    """Wait until Stash was looked at so many times more, to the end."""
    seen = stash.operations["Stash2PlexLook"]
    await stash.facts.until(
        lambda: stash.operations["Stash2PlexLook"] >= seen + times + 1
    )


def later(stash, scene_id):
    """Date a change so that no two are of one second."""
    stash.scenes[scene_id].updated_at += timedelta(seconds=5)


def title_of(plex, key=1):
    return plex.items[key].text["title"]


# --- found by the next look -----------------------------------------------------------


def edited(stash, plex):
    stash.change(1, title="Edited")
    return lambda: title_of(plex) == "Edited"


def several_edited(stash, plex):
    for number in range(1, SCENES + 1):
        stash.change(number, title=f"Bulk {number}")
    return lambda: all(
        title_of(plex, number) == f"Bulk {number}" for number in range(1, SCENES + 1)
    )


def identified(stash, plex):
    stash.change(1, tags=["Old", "Skipped: several matches"])
    return lambda: "Skipped: several matches" in plex.items[1].tags["genre"]


def scanned(stash, plex):
    plex.add("/media/new.mp4", size=99)
    stash.add("/media/new.mp4", size=99, title="Scanned", details="x")
    return lambda: title_of(plex, SCENES + 1) == "Scanned"


def copy_found(stash, plex):
    plex.add("/media/copy.mp4", size=1)
    scene = stash.scenes[1]
    stash.change(1, files=[*scene.files, ("/media/copy.mp4", 1)])
    plex.tell_scan_ended()
    return lambda: title_of(plex, SCENES + 1) == scene.title


def cover_made(stash, plex):
    file = BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    uploads = len(plex.items[1].uploads.get("thumb", {}))
    stash.change(1, cover=file.getvalue())
    return lambda: len(plex.items[1].uploads.get("thumb", {})) > uploads


def scenes_merged(stash, plex):
    stash.change(2, title="Of both")
    stash.merge_scenes(1, 2)
    later(stash, 2)
    return lambda: [title_of(plex, key) for key in (1, 2)] == ["Of both"] * 2


def file_moved(stash, plex):
    plex.items[1].files = [("/media/moved.mp4", 1)]
    plex.items[1].updated_at += 100
    plex.tell_scan_ended()
    stash.move_file(1, "/media/moved.mp4")
    stash.scenes[1].title = "With its file"
    return lambda: title_of(plex) == "With its file"


def performer_renamed(stash, plex):
    stash.rename("performer", stash.entity("performer", "Old"), "New")
    return lambda: all(item.tags["actor"] == ["New"] for item in plex.items.values())


def studio_renamed(stash, plex):
    stash.rename("studio", stash.entity("studio", "Old"), "New")
    return lambda: all(item.text["studio"] == "New" for item in plex.items.values())


def tag_renamed(stash, plex):
    stash.rename("tag", stash.entity("tag", "Old"), "New")
    return lambda: all(item.tags["genre"] == ["New"] for item in plex.items.values())


LOOKED_FOR = [
    edited,
    several_edited,
    identified,
    scanned,
    copy_found,
    cover_made,
    scenes_merged,
    file_moved,
    performer_renamed,
    studio_renamed,
    tag_renamed,
]


@pytest.mark.parametrize("change", LOOKED_FOR, ids=lambda one: one.__name__)
async def test_found_by_the_next_look(quiet, stash, plex, change):
    arrived = change(stash, plex)
    assert not arrived()
    await plex.facts.until(arrived)


# --- found by a comparison ------------------------------------------------------------


def folder_renamed(stash, plex):
    """Not even the file's time moves; Plex has scanned it under the new name."""
    stash.rename_folder("/media", "/renamed")
    for item in plex.items.values():
        item.files = [(one.replace("/media", "/renamed"), n) for one, n in item.files]
        item.updated_at += 100
    return set(), lambda: True


def scene_destroyed(stash, plex):
    stash.remove(1)
    return {("missing_in_stash", 1)}, lambda: True


def one_of_several_files_cleaned(stash, plex):
    """The other file's item is nobody's then."""
    stash.scenes[1].files = []
    later(stash, 1)
    return {("missing_in_stash", 1)}, lambda: True


def file_assigned(stash, plex):
    """No time moves: the file of one scene is another's now."""
    (file,) = stash.scenes[1].files
    stash.scenes[1].files = []
    stash.scenes[2].files.append(file)
    return set(), lambda: title_of(plex, 1) == title_of(plex, 2)


def files_deleted(stash, plex):
    stash.scenes[1].files.clear()
    return {("missing_in_stash", 1)}, lambda: True


def performer_deleted(stash, plex):
    stash.remove_entity("performer", stash.entity("performer", "Old"))
    return set(), lambda: not any(item.tags["actor"] for item in plex.items.values())


def studio_deleted(stash, plex):
    stash.remove_entity("studio", stash.entity("studio", "Old"))
    return set(), lambda: not any(i.text.get("studio") for i in plex.items.values())


def tags_merged(stash, plex):
    new = stash.entity("tag", "New")
    stash.merge_entities("tag", stash.entity("tag", "Old"), new)
    return set(), lambda: all(i.tags["genre"] == ["New"] for i in plex.items.values())


def performers_merged(stash, plex):
    new = stash.entity("performer", "New")
    stash.merge_entities("performer", stash.entity("performer", "Old"), new)
    return set(), lambda: all(i.tags["actor"] == ["New"] for i in plex.items.values())


def imported_anew(stash, plex):
    """An import keeps the file's times, which are older than what was delivered."""
    stash.change(1, title="Imported")
    stash.scenes[1].updated_at -= timedelta(days=400)
    return set(), lambda: title_of(plex) == "Imported"


def imported_beside(stash, plex):
    plex.add("/media/import.mp4", size=7)
    scene = stash.add("/media/import.mp4", size=7, title="Imported", details="x")
    scene.updated_at -= timedelta(days=400)
    scene.created_at -= timedelta(days=400)
    scene.files_updated_at -= timedelta(days=400)
    return set(), lambda: title_of(plex, SCENES + 1) == "Imported"


COMPARED = [
    folder_renamed,
    scene_destroyed,
    one_of_several_files_cleaned,
    file_assigned,
    files_deleted,
    performer_deleted,
    studio_deleted,
    tags_merged,
    performers_merged,
    imported_anew,
    imported_beside,
]


@pytest.mark.parametrize("change", COMPARED, ids=lambda one: one.__name__)
async def test_found_by_a_comparison(quiet, stash, plex, change):
    left, arrived = change(stash, plex)
    run = await reconciled(quiet)
    await settled(quiet)

    assert run["state"] == "done"
    assert set(await gaps(quiet)) == left
    await plex.facts.until(arrived)
    # And that was all of it.
    again = await reconciled(quiet)
    await settled(quiet)
    assert again["enqueued"] == 0
    assert set(await gaps(quiet)) == left
    assert (await quiet.status())["deliveries"]["failed"] == 0


# --- nothing that Plex could show -----------------------------------------------------


async def test_what_plex_does_not_show_writes_nothing(quiet, stash, plex):
    """A time alone changes nothing; play counts and resume points do not even move it."""
    writes = sum(item.writes for item in plex.items.values())
    for number in range(1, SCENES + 1):
        later(stash, number)
    await looked(stash)
    await quiet.idle()

    assert sum(item.writes for item in plex.items.values()) == writes
