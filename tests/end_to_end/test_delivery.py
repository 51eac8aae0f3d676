"""From a change in Stash to what Plex shows, through the real daemon."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stash2plex.sandbox.scenes import cover
from tests.conftest import make_settings
from tests.running import running

PICTURES = {"fields": {"poster": True, "background": True}}


def sample(stash, plex, number=1, **fields):
    path = f"/media/{number}.mp4"
    known = {"title": f"Title {number}", "details": "Text", "tags": ["a", "b"]}
    return (
        stash.add(path, size=number, **(known | fields)),
        plex.add(path, size=number),
    )


async def test_the_sort_title_follows_a_rename(daemon, stash, plex):
    _, item = sample(stash, plex, title="The First")
    await daemon.cataloged()
    await daemon.deliver(1)
    assert item.text["titleSort"] == "First"

    stash.change(1, title="A Second")
    await daemon.deliver(1)
    assert item.text["titleSort"] == "Second"
    assert "titleSort" in item.locked

    item.text["titleSort"] = "0000 first of all"  # a person did so
    stash.change(1, title="Third")
    await daemon.deliver(1)
    assert item.text["title"] == "Third"
    assert item.text["titleSort"] == "0000 first of all"


async def test_an_edited_scene_reaches_plex(daemon, stash, plex):
    scene, item = sample(
        stash,
        plex,
        title="One",
        details="First line.\nSecond line.",
        date="2024-05",
        rating100=85,
        studio="Studio",
        director="Dir",
        code="AB-1",
        performers=["Zoe", "Ann"],
        groups=["Series"],
    )

    answer = await daemon.hook(scene.id)
    await daemon.idle()

    assert answer == {"outcome": "queued", "reason": None}
    assert {name: value for name, value in item.text.items() if name != "year"} == {
        "title": "One",
        "titleSort": "One",
        "summary": "First line.\nSecond line.",
        "originallyAvailableAt": "2024-05-01",
        "userRating": "8.5",
        "studio": "Studio",
        "tagline": "AB-1",
        "contentRating": "XXX",
    }
    assert item.tags == {
        "actor": ["Ann", "Zoe"],
        "genre": ["a", "b"],
        "director": ["Dir"],
        "collection": ["Studio", "Series"],
    }
    assert item.locked >= {"title", "summary", "genre", "actor", "userRating"}
    assert plex.count("PUT") == 1


async def test_the_second_delivery_writes_nothing(daemon, stash, plex):
    for number in range(1, 21):
        sample(stash, plex, number, rating100=80)
    await daemon.cataloged()
    await daemon.deliver(*range(1, 21))
    before = plex.count()

    status = await daemon.deliver(*range(1, 21))

    assert status["deliveries"]["unchanged"] == 20
    assert plex.count() - before == 1
    assert all(item.writes == 1 for item in plex.items.values())
    assert plex.refreshed_on_read == 0


async def test_what_is_emptied_in_stash_is_emptied_in_plex(daemon, stash, plex):
    scene, item = sample(
        stash,
        plex,
        studio="S",
        performers=["P"],
        director="D",
        date="2020",
        rating100=60,
        code="x",
    )
    await daemon.deliver(scene.id)

    stash.change(
        scene.id,
        studio="",
        performers=[],
        director="",
        date="",
        rating100=None,
        code="",
        details="still here",
        tags=[],
    )
    await daemon.deliver(scene.id)

    assert item.text["summary"] == "still here"
    for name in ("studio", "originallyAvailableAt", "userRating", "tagline"):
        assert item.text[name] == "", name
    assert all(not tags for tags in item.tags.values())
    assert item.text["title"] == "Title 1"


async def test_a_rating_made_in_plex_stays(daemon, stash, plex):
    scene, item = sample(stash, plex)
    item.text["userRating"] = "4"

    await daemon.deliver(scene.id)

    assert item.text["userRating"] == "4"


async def test_collections_of_a_human_stay(daemon, stash, plex):
    scene, item = sample(stash, plex, studio="Old")
    item.tags["collection"] = ["Favourites"]
    await daemon.deliver(scene.id)

    stash.change(scene.id, studio="New")
    await daemon.deliver(scene.id)

    assert sorted(item.tags["collection"]) == ["Favourites", "New"]


@pytest.mark.parametrize("replaces", [False, True])
async def test_exact_sets_whether_plex_adds_or_replaces(daemon, stash, plex, replaces):
    plex.habits.replaces_tags = replaces
    scene, item = sample(stash, plex, tags=["a", "b", "c, d"], performers=["P", "Q"])
    item.tags = {"genre": ["Agent"], "actor": ["Nobody"], "collection": ["Mine"]}
    await daemon.deliver(scene.id)
    assert item.tags["genre"] == ["a", "b", "c, d"]

    stash.change(scene.id, tags=["b", "e"], performers=["Q"])
    await daemon.deliver(scene.id)

    assert sorted(item.tags["genre"]) == ["b", "e"]
    assert item.tags["actor"] == ["Q"]
    assert item.tags["collection"] == ["Mine"]


async def test_a_refresh_by_an_agent_takes_nothing_back(daemon, stash, plex):
    scene, item = sample(stash, plex, studio="S")
    await daemon.deliver(scene.id)
    item.agent = {"title": "Agent", "studio": "Agent", "summary": "Agent"}

    async with daemon.session.put(
        f"{plex.url}/library/metadata/1/refresh", headers={"X-Plex-Token": plex.token}
    ) as answer:
        assert answer.status == 200

    assert (item.text["title"], item.text["studio"]) == ("Title 1", "S")
    assert item.tags["genre"] == ["a", "b"]


async def test_a_scene_that_knows_nothing_overwrites_nothing(daemon, stash, plex):
    scene, item = sample(stash, plex, details="", tags=[], rating100=80)
    item.text["summary"] = "agent"

    status = await daemon.deliver(scene.id)

    assert status["deliveries"]["skipped"] == 1
    assert item.writes == 0


async def test_what_came_while_nothing_might_be_written_is_pending(
    stash, plex, tmp_path
):
    """Not left to the next comparison: here there is none."""
    for number in (1, 2):
        sample(stash, plex, number)
    off = make_settings(stash, plex, tmp_path, sync={"enabled": False})
    async with running(off, stash, plex) as daemon:
        await daemon.hook(1)
        status = await daemon.idle()
        assert (status["deliveries"]["skipped"], plex.items[1].writes) == (1, 0)
    on = make_settings(stash, plex, tmp_path)
    for _ in range(2):
        async with running(on, stash, plex) as daemon:
            await plex.facts.until(lambda: plex.items[1].writes)
            await daemon.idle()
            writes = plex.items[1].writes

    assert (plex.items[1].writes, plex.items[2].writes) == (writes, 0)
    assert plex.items[1].text["title"] == "Title 1"


async def test_unknown_deleted_and_fileless_scenes_leave_plex_alone(
    daemon, stash, plex
):
    sample(stash, plex)
    stash.add(None, scene_id=50, title="No file", details="x")

    status = await daemon.deliver(50, 999)

    assert status["deliveries"]["skipped"] == 2
    assert status["queue"]["dead"] == 0
    assert plex.count("PUT") == 0


async def test_a_deleted_scene_becomes_a_gap_until_it_is_back(daemon, stash, plex):
    scene, item = sample(stash, plex)
    await daemon.cataloged()
    await daemon.deliver(scene.id)
    stash.remove(scene.id)

    await daemon.hook(scene.id, "Scene.Destroy.Post", fields=None)
    await daemon.until(
        lambda status: (
            status["gaps"]["missing_in_stash"] and not status["catalog"]["scenes"]
        )
    )
    assert item.text["title"] == "Title 1"

    stash.add("/media/1.mp4", scene_id=9, title="Again", details="x")
    status = await daemon.deliver(9)

    assert status["gaps"]["missing_in_stash"] == 0
    assert item.text["title"] == "Again"


async def test_every_item_of_a_scene_is_written(daemon, stash, plex):
    plex.sections[2] = "Copies"
    scene = stash.add("/media/a.mp4", "/media/b.mp4", title="T", details="x")
    one, two = plex.add("/media/a.mp4"), plex.add("/media/a.mp4", section=2)
    three, other = plex.add("/media/b.mp4"), plex.add("/media/c.mp4")

    await daemon.deliver(scene.id)

    assert [item.text["title"] for item in (one, two, three, other)] == [
        "T",
        "T",
        "T",
        "c",
    ]


async def test_two_files_of_one_name_do_not_mix(daemon, stash, plex):
    for folder in ("x", "y"):
        stash.add(f"/media/{folder}/same.mp4", title=folder, details="d")
        plex.add(f"/media/{folder}/same.mp4")

    await daemon.deliver(1, 2)

    assert [plex.items[key].text["title"] for key in (1, 2)] == ["x", "y"]


async def test_unicode_paths_of_either_form(daemon, stash, plex):
    stash.add("/media/cafe\u0301 \U0001f44d.mp4", title="T", details="x")
    item = plex.add("/media/caf\u00e9 \U0001f44d.mp4")

    await daemon.deliver(1)

    assert item.text["title"] == "T"


async def test_large_and_dirty_input_arrives_clean(daemon, stash, plex):
    scene, item = sample(
        stash,
        plex,
        title="A \x00title\x07 " * 60,
        details="paragraph\n\n" + "\u6f22\u5b57 word " * 2500,
        tags=[f"tag {number:02} {'x' * 40}" for number in range(90)],
        performers=[f"Person {number}" for number in range(40)],
    )

    status = await daemon.deliver(scene.id)

    assert status["queue"]["dead"] == 0
    assert item.text["title"].startswith("A title A title")
    assert len(item.text["title"]) <= 255
    assert item.text["summary"].startswith("paragraph\n\n\u6f22")
    assert len(item.tags["genre"]) == 90
    assert len(item.tags["actor"]) == 40
    before = plex.count("PUT")
    await daemon.deliver(scene.id)
    assert plex.count("PUT") == before


async def test_a_performer_hook_reaches_its_scenes(daemon, stash, plex):
    for number in range(1, 4):
        sample(stash, plex, number, performers=["Old Name"] if number < 3 else [])
    await daemon.deliver(1, 2, 3)
    performer = stash.entity("performer", "Old Name")
    stash.names["performer"][performer] = "New Name"

    await daemon.hook(performer, "Performer.Update.Post", fields=["name"])
    await daemon.idle()

    assert [item.tags.get("actor") for item in plex.items.values()] == [
        ["New Name"],
        ["New Name"],
        None,
    ]


async def test_pictures_are_uploaded_once(stash, plex, tmp_path):
    scene, item = sample(stash, plex, cover=cover(1))
    settings = make_settings(stash, plex, tmp_path, sync=PICTURES)
    async with running(settings, stash, plex) as daemon:
        await daemon.deliver(scene.id)
        assert item.picture("art") == cover(1)
        poster = item.picture("thumb")
        assert poster is not None
        assert item.locked >= {"thumb", "art"}
        assert plex.count("POST") == 2

        stash.change(scene.id, title="Another title")
        fetched = stash.picture_bytes
        await daemon.deliver(scene.id)
        assert plex.count("POST") == 2
        assert stash.picture_bytes == fetched  # the ETag was enough

        stash.change(scene.id, cover=cover(2))
        await daemon.deliver(scene.id)
        assert item.picture("art") == cover(2)
        assert item.picture("thumb") != poster
        assert plex.count("POST") == 4
        scene.updated_at -= timedelta(hours=1)
        await daemon.deliver(scene.id)
    async with running(settings, stash, plex) as daemon:
        asked = stash.picture_requests
        await daemon.deliver(scene.id)
        assert plex.count("POST") == 4
        assert stash.picture_requests == asked
    assert not any("apikey" in path.lower() for _, path in plex.requests)


async def test_a_picture_known_but_unselected_is_selected(stash, plex, tmp_path):
    scene, item = sample(stash, plex, cover=cover(1))
    item.upload("art", cover(1))
    item.choose("art", cover(2))
    settings = make_settings(stash, plex, tmp_path, sync=PICTURES)
    async with running(settings, stash, plex) as daemon:
        await daemon.deliver(scene.id)

    assert item.picture("art") == cover(1)


async def test_a_failing_picture_is_retried_and_moves_no_breaker(stash, plex, tmp_path):
    for number in range(1, 6):
        sample(stash, plex, number, cover=cover(number))
    plex.picture_status = 500
    settings = make_settings(stash, plex, tmp_path, sync=PICTURES)
    async with running(settings, stash, plex) as daemon:
        await daemon.post("sync", {"scene_ids": [1, 2, 3, 4, 5]})
        await plex.facts.until(lambda: plex.refused[500] >= 12)
        status = await daemon.status()
        assert status["plex"]["breaker"] == "closed"
        assert status["deliveries"]["written"] == 0
        assert all(
            item.text["title"].startswith("Title") for item in plex.items.values()
        )

        plex.picture_status = None
        status = await daemon.idle()

        assert all(item.picture("thumb") for item in plex.items.values())
        assert status["deliveries"]["written"] == 5
        assert all(item.writes == 3 for item in plex.items.values())


async def test_a_picture_that_never_arrives_is_a_dead_letter(stash, plex, tmp_path):
    scene, item = sample(stash, plex, cover=cover(1))
    stash.picture_status = 418
    settings = make_settings(
        stash, plex, tmp_path, sync=PICTURES, queue={"max_attempts": 2}
    )
    async with running(settings, stash, plex) as daemon:
        status = await daemon.deliver(scene.id)

    assert status["queue"]["dead"] == 1
    assert item.text["title"] == "Title 1"


async def test_a_cover_taken_away_removes_only_ours(stash, plex, tmp_path):
    sample(stash, plex, 1, cover=cover(1))
    sample(stash, plex, 2)
    mine, theirs = plex.items[1], plex.items[2]
    theirs.choose("thumb", cover(9))
    settings = make_settings(stash, plex, tmp_path, sync=PICTURES)
    async with running(settings, stash, plex) as daemon:
        await daemon.deliver(1, 2)
        assert mine.picture("thumb")

        stash.change(1, cover=None)
        stash.change(2, title="x")
        await daemon.deliver(1, 2)

    assert mine.picture("thumb") is None
    assert theirs.picture("thumb") == cover(9)


async def test_a_picture_that_does_not_come_holds_up_no_text(stash, plex, tmp_path):
    sample(stash, plex, 1, cover=cover(1))
    sample(stash, plex, 2, cover=cover(2))
    stash.hanging_picture = 1
    settings = make_settings(
        stash,
        plex,
        tmp_path,
        sync=PICTURES,
        stash={"timeout": 0.3},
        queue={"max_attempts": 2},
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        status = await daemon.deliver(1, 2)

    assert plex.items[1].text["title"] == "Title 1"
    assert plex.items[2].picture("thumb")
    assert status["queue"]["dead"] == 1
    assert status["stash"]["state"] == "up"


async def test_a_picture_that_cannot_be_removed_is_tried_again(stash, plex, tmp_path):
    _, item = sample(stash, plex, cover=cover(1))
    settings = make_settings(stash, plex, tmp_path, sync=PICTURES)
    async with running(settings, stash, plex) as daemon:
        await daemon.deliver(1)
        stash.change(1, cover=None)
        plex.status_of[1] = 500
        await daemon.post("sync", {"scene_ids": [1]})
        await plex.facts.until(lambda: plex.refused[500] >= 2)
        plex.status_of.clear()
        await daemon.idle()

    assert item.picture("thumb") is None
    assert item.picture("art") is None


async def test_another_file_first_forgets_nothing(stash, plex, tmp_path):
    scene = stash.add(
        "/media/b.mp4", title="T", studio="Old", rating100=80, cover=cover(1)
    )
    item = plex.add("/media/a.mp4", "/media/b.mp4")
    settings = make_settings(stash, plex, tmp_path, sync=PICTURES)
    async with running(settings, stash, plex) as daemon:
        await daemon.deliver(scene.id)
        stash.scenes[1].files = [("/media/a.mp4", 1), ("/media/b.mp4", 1)]
        stash.change(scene.id, studio="New", rating100=None)
        await daemon.deliver(scene.id)

    assert plex.count("POST") == 2
    assert item.tags["collection"] == ["New"]
    assert item.text["userRating"] == ""


async def test_a_collection_is_ours_even_if_the_answer_was_lost(stash, plex, tmp_path):
    """The edit was applied; the daemon was killed before it could remember."""
    scene, item = sample(stash, plex, studio="Old")
    settings = make_settings(stash, plex, tmp_path, queue={"max_attempts": 50})
    plex.loses_answers = 1
    async with running(settings, stash, plex) as daemon:
        await daemon.deliver(scene.id)
        assert item.writes >= 1
        stash.change(scene.id, studio="New")
        await daemon.deliver(scene.id)

    assert item.tags["collection"] == ["New"]


async def test_fill_leaves_what_plex_has(stash, plex, tmp_path):
    scene, item = sample(stash, plex, studio="S", cover=cover(1))
    item.text["summary"] = "theirs"
    item.choose("thumb", cover(9))
    settings = make_settings(stash, plex, tmp_path, sync=PICTURES | {"mode": "fill"})
    async with running(settings, stash, plex) as daemon:
        await daemon.deliver(scene.id)

    assert item.text["title"] == "1"
    assert (item.text["summary"], item.text["studio"]) == ("theirs", "S")
    assert item.picture("thumb") == cover(9)
    assert item.picture("art") == cover(1)


async def test_locks_of_a_human_are_respected_and_reported(
    stash, plex, tmp_path, log_lines
):
    scene, item = sample(stash, plex, cover=cover(1))
    item.text["title"] = "Human"
    item.locked = {"title", "thumb"}
    settings = make_settings(
        stash, plex, tmp_path, sync=PICTURES | {"respect_locks": True}
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.deliver(scene.id)
        assert item.text["title"] == "Human"
        assert item.picture("thumb") is None
        assert item.picture("art") == cover(1)
        assert item.text["summary"] == "Text"
        stash.change(scene.id, details="More")
        await daemon.deliver(scene.id)

    assert item.text["summary"] == "More"
    (first, _) = [one for one in log_lines if one["event"] == "scene_delivered"]
    assert sorted(first["locked_by_others"]) == ["thumb", "title"]
    assert first["scene"] == scene.id
    assert first["outcome"] == "written"
    assert "summary" in first["changed"]
    assert first["confidence"] == "high"


async def test_the_master_switch_writes_nothing(stash, plex, tmp_path):
    scene, item = sample(stash, plex)
    settings = make_settings(stash, plex, tmp_path, sync={"enabled": False})
    async with running(settings, stash, plex) as daemon:
        status = await daemon.deliver(scene.id)

    assert status["deliveries"]["skipped"] == 1
    assert item.writes == 0


async def test_excluded_scenes_stay_out(stash, plex, tmp_path):
    sample(stash, plex, 1)
    sample(stash, plex, 2, organized=True)
    sample(stash, plex, 3, organized=True, tags=["Private"])
    settings = make_settings(
        stash,
        plex,
        tmp_path,
        sync={"require_organized": True, "exclude_tag": "private"},
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.deliver(1, 2, 3)

    assert [item.writes for item in plex.items.values()] == [0, 1, 0]
