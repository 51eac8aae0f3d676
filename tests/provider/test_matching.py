"""Which scene a file is: the order of the steps, and what is certain."""

from __future__ import annotations

import asyncio
import hashlib
import unicodedata

import pytest

from stash2plex.provider.oshash import oshash
from tests.conftest import make_settings
from tests.provider.asking import IDENTIFIER, RULE, Plex, providing
from tests.running import running

BOX = "3f0c2d1e-7a55-4f0b-9a10-0d6a3f5b7c11"


@pytest.mark.parametrize(
    "filename",
    ["sub/one.mp4", "/sub/one.mp4", "/media/sub/one.mp4", "sub\\one.mp4"],
)
async def test_by_the_path_however_plex_says_it(asking, stash, filename):
    stash.add("/data/sub/one.mp4", scene_id=7, title="One")
    stash.add("/data/other/one.mp4", scene_id=8)

    found = await asking.match(filename)

    assert [one["guid"] for one in found] == [f"{IDENTIFIER}://movie/scene-7"]
    assert found[0]["score"] == 100


async def test_a_name_that_starts_with_the_librarys_folder(stash, plex, tmp_path):
    plex.locations[1] = ["/media/Movies"]
    stash.add("/data/Movies/one.mp4", scene_id=7)
    stash.add("/data/elsewhere/one.mp4", scene_id=8)
    async with providing(stash, plex, tmp_path) as asking:
        assert await asking.scenes("/Movies/one.mp4") == [7]


async def test_under_each_folder_of_the_libraries(stash, plex, tmp_path):
    plex.locations[1] = ["/media/a", "/media/b/"]
    stash.add("/data/b/sub/one.mp4", scene_id=7)
    async with providing(stash, plex, tmp_path) as asking:
        assert await asking.scenes("sub/one.mp4") == [7]


async def test_a_folder_added_to_the_library_later(asking, stash, plex):
    stash.add("/data/new/sub/one.mp4", scene_id=7)
    stash.add("/data/old/sub/one.mp4", scene_id=8)
    plex.locations[1] = ["/media/new"]

    assert await asking.scenes("sub/one.mp4") == [7]


@pytest.mark.parametrize(("strict", "wanted"), [(True, []), (False, [7])])
async def test_one_file_in_two_scenes(stash, plex, tmp_path, strict, wanted):
    stash.add("/data/one.mp4", scene_id=7)
    stash.add("/data/one.mp4", scene_id=8)
    async with providing(stash, plex, tmp_path, match={"strict": strict}) as asking:
        assert await asking.scenes("one.mp4") == wanted
        assert sorted(await asking.scenes("one.mp4", manual=1)) == [7, 8]
        status = await asking.daemon.status()

    assert status["gaps"]["ambiguous"] == int(strict)


async def test_a_scene_that_moved_in_stash_without_a_word(asking, stash):
    stash.add("/data/one.mp4", scene_id=7)
    stash.add("/data/two.mp4", scene_id=8)
    assert await asking.scenes("one.mp4") == [7]
    stash.scenes[7].files = [("/data/moved.mp4", 1000)]
    stash.scenes[8].files.append(("/data/one.mp4", 1000))
    assert await asking.scenes("moved.mp4") == [7]

    assert await asking.scenes("one.mp4") == [8]


async def test_stale_claims_are_read_again(asking, stash):
    stash.add("/data/one.mp4", scene_id=7)
    assert await asking.scenes("one.mp4") == [7]
    stash.remove(7)
    stash.add("/data/one.mp4", scene_id=8)
    await asking.know(8)

    assert await asking.scenes("one.mp4") == [8]


@pytest.mark.parametrize(
    "name",
    [
        'it\'s 100% "new"_x.mp4',
        "Zo\u00eb \u65e5\u672c \U0001f468\u200d\U0001f469.mp4",
        "\u202eabc\u05e9\u05dc\u05d5\u05dd.mp4",
        "a%20b.mp4",
        "[x] (y) {z}.mp4",
    ],
)
async def test_names_of_all_sorts_in_the_catalogue_and_in_stash(asking, stash, name):
    stash.add(f"/data/{name}", scene_id=7)
    stash.add('/data/itXs 100abc "new"Yx.mp4', scene_id=8)

    assert await asking.scenes(name) == [7]
    assert await asking.scenes(name) == [7]  # now from the catalogue


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
async def test_either_unicode_form(asking, stash, form, asked):
    name = "caf\u00e9.mp4"
    stash.add(f"/data/{unicodedata.normalize(form, name)}", scene_id=7)

    assert await asking.scenes(unicodedata.normalize(asked, name)) == [7]


async def test_wildcards_of_stash_are_no_match(asking, stash):
    stash.add("/data/axb.mp4", scene_id=7)

    assert await asking.scenes("a_b.mp4") == []
    assert await asking.scenes("%.mp4") == []


async def test_the_end_of_the_path(stash, plex, tmp_path):
    stash.add("/other/sub/one.mp4", scene_id=7)
    stash.add("/other/bus/one.mp4", scene_id=8)
    async with providing(stash, plex, tmp_path) as asking:
        (found,) = await asking.match("sub/one.mp4")

    assert (found["ratingKey"], found["score"]) == ("scene-7", 100)


async def test_folder_and_name_then_name_alone(stash, plex, tmp_path):
    stash.add("/other/sub/one.mp4", scene_id=7)
    stash.add("/other/bus/one.mp4", scene_id=8)
    stash.add("/other/two.mp4", scene_id=9)
    async with providing(stash, plex, tmp_path) as asking:
        assert await asking.scenes("deep/sub/one.mp4") == []
        assert (await asking.scenes("deep/sub/one.mp4", manual=1))[0] == 7
        assert await asking.scenes("deep/one.mp4") == []
        assert sorted(await asking.scenes("deep/one.mp4", manual=1)) == [7, 8]
        assert await asking.scenes("deep/Two.MP4") == [9]


async def test_no_names_when_the_fallback_is_off(stash, plex, tmp_path):
    stash.add("/other/two.mp4", scene_id=9)
    async with providing(stash, plex, tmp_path, match={"fallback": "none"}) as asking:
        assert await asking.scenes("deep/two.mp4") == []


async def test_a_name_whose_scene_is_at_home_in_plex(stash, plex, tmp_path):
    """Another file of the same name: the scene has its own item already."""
    stash.add("/data/a/1.mp4", scene_id=7)
    plex.add("/media/a/1.mp4")
    async with providing(stash, plex, tmp_path) as asking:
        assert await asking.scenes("b/1.mp4") == []
        assert await asking.scenes("a/1.mp4") == [7]


@pytest.mark.parametrize(
    ("hints", "wanted"),
    [
        ({"size": 222}, [8]),
        ({"size": "222"}, [8]),
        ({"size": 333}, []),
        ({"duration": 90_000}, [8]),
        ({}, []),
    ],
)
async def test_size_or_duration_decide_between_namesakes(
    stash, plex, tmp_path, hints, wanted
):
    stash.add("/other/a/1.mp4", scene_id=7, size=111, duration=60.0)
    stash.add("/other/b/1.mp4", scene_id=8, size=222, duration=90.4)
    async with providing(stash, plex, tmp_path) as asking:
        assert await asking.scenes("c/1.mp4", **hints) == wanted


async def test_the_size_that_plex_listed_decides(stash, plex, tmp_path):
    stash.add("/other/a/1.mp4", scene_id=7, size=111)
    stash.add("/other/b/1.mp4", scene_id=8, size=222)
    plex.add("/media/c/1.mp4", size=222)
    async with providing(stash, plex, tmp_path) as asking:
        (found,) = await asking.match("c/1.mp4")

    assert (found["ratingKey"], found["score"]) == ("scene-8", 100)


# --- guid and hash ---------------------------------------------------------------


async def test_a_guid_of_ours(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, title="One")

    assert await asking.scenes(guid=f"{IDENTIFIER}://movie/scene-7") == [7]
    assert await asking.scenes(guid=f"{IDENTIFIER}://movie/scene-8") == []
    assert await asking.scenes("one.mp4", guid=f"{IDENTIFIER}://movie/scene-8") == [7]


async def test_a_stash_box_id(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, stash_ids=[BOX])

    assert await asking.scenes(guid=f"stashdb://{BOX}") == [7]
    assert await asking.scenes(guid=f"otherdb://{BOX}") == []
    asked = stash.asked
    assert await asking.scenes(guid="tmdb://105") == []
    assert await asking.scenes(guid=f"plex://{BOX}") == []
    assert stash.asked == asked


async def test_a_hash_in_the_name(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, oshash="d94ff5a0c4a0f8f3")

    assert await asking.scenes("renamed [D94FF5A0C4A0F8F3].mp4") == [7]
    assert await asking.scenes("renamed [aaaaf5a0c4a0f8f3].mp4") == []
    assert await asking.scenes("renamedd94ff5a0c4a0f8f3.mp4") == []


async def test_a_renamed_file_is_known_by_its_content(stash, plex, tmp_path):
    folder = tmp_path / "mount"
    (folder / "sub").mkdir(parents=True)
    file = folder / "sub" / "renamed.mp4"
    file.write_bytes(hashlib.sha512(b"x").digest() * 3000)
    outside = tmp_path / "outside.mp4"
    outside.write_bytes(file.read_bytes())
    (folder / "link.mp4").symlink_to(outside)
    content = await asyncio.to_thread(oshash, file)
    stash.add("/data/one.mp4", scene_id=7, oshash=content)
    roots = [{"plex": "/media/", "here": folder}]
    async with providing(
        stash, plex, tmp_path, provider={"media_roots": roots}
    ) as asking:
        assert await asking.scenes("sub/renamed.mp4") == [7]
        assert await asking.scenes("link.mp4") == []
        assert await asking.scenes("sub/missing.mp4") == []
        assert await asking.scenes("sub") == []


# --- a person who chooses ----------------------------------------------------------


async def test_a_typed_title(asking, stash):
    stash.add("/data/a.mp4", scene_id=1, title="Late Checkout", date="2024-05-17")
    stash.add("/data/b.mp4", scene_id=2, title="Late Checkout 2", date="2025-02-01")
    stash.add("/data/c.mp4", scene_id=3, title="Early Bird")
    await asking.know(1, 2, 3)

    found = await asking.match(title="late checkout", manual=1)

    assert [one["ratingKey"] for one in found] == ["scene-1", "scene-2"]
    assert found[0]["score"] == 98 > found[1]["score"] > 85
    assert await asking.scenes(title="late checkout") == []  # nobody chooses
    typed = "Late.Chekout.2.2025.1080p"
    assert (await asking.scenes(title=typed, manual=1))[0] == 2
    assert (await asking.scenes(title="late", year=2025, manual=1))[0] == 2
    assert (await asking.scenes(title="2025-02-01 whatever", manual=1))[0] == 2
    assert await asking.scenes(title="scene-3", manual=1) == [3]
    assert await asking.scenes(title="\U0001f600 %_' \"", manual=1) == []


async def test_accents_and_case_do_not_matter_to_a_title(asking, stash):
    stash.add("/data/a.mp4", scene_id=1, title="\u00c9t\u00e9 \u00e0 la mer")
    await asking.know(1)

    assert await asking.scenes(title="ETE A LA MER", manual=1) == [1]


async def test_at_most_twenty_and_the_file_first(asking, stash):
    for number in range(1, 31):
        stash.add(f"/data/{number}.mp4", title=f"Part {number}")
    await asking.know(*range(1, 31))

    found = await asking.scenes("30.mp4", title="Part", manual=1)

    assert len(found) == 20
    assert found[0] == 30


async def test_include_adult_is_not_filtered_on(asking, stash):
    stash.add("/data/one.mp4", scene_id=7)

    assert await asking.scenes("one.mp4", includeAdult=0) == [7]


# --- gates -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sync",
    [
        {"require_organized": True},
        {"require_stash_id": True},
        {"exclude_tag": "Private"},
    ],
)
async def test_what_takes_no_part_is_not_offered(stash, plex, tmp_path, sync):
    stash.add("/data/one.mp4", scene_id=7, title="One", tags=["private"])
    stash.add("/data/two.mp4", scene_id=8, title="Two", organized=True, stash_ids=[BOX])
    async with providing(stash, plex, tmp_path, sync=sync) as asking:
        assert await asking.scenes("one.mp4") == []
        assert await asking.scenes("one.mp4", title="One", manual=1) == []
        assert await asking.scenes("two.mp4") == [8]
        assert await asking.gaps() == []  # Stash has the file


async def test_the_quality_gate_does_not_apply(asking, stash):
    stash.add("/data/bare.mp4", scene_id=7)

    assert await asking.scenes("bare.mp4") == [7]


# --- never a false no ----------------------------------------------------------------


async def test_stash_down_the_catalogue_answers_or_nobody_does(stash, plex, tmp_path):
    stash.add("/data/known.mp4", scene_id=7, title="Known", date="2024-05")
    stash.add("/data/a.mp4", scene_id=8)
    stash.add("/data/a.mp4", scene_id=9)
    async with providing(stash, plex, tmp_path) as asking:
        stash.status = 503
        (found,) = await asking.match("known.mp4")
        assert (found["title"], found["year"]) == ("Known", 2024)
        assert await asking.fails("unknown.mp4") == "service_unavailable"
        assert await asking.fails("a.mp4") == "service_unavailable"
        assert sorted(await asking.scenes("a.mp4", manual=1)) == [8, 9]
        status = await asking.daemon.status()
        assert status["provider"]["unmatched"] == 0
        assert status["provider"]["failed"] == 2
        assert status["gaps"]["missing_in_stash"] == 0
        stash.status = None
        await asking.daemon.until(lambda status: status["stash"]["state"] == "up")
        assert await asking.scenes("unknown.mp4") == []


@pytest.mark.parametrize("switch", [{"status": 401}, {"garbles": "<html>"}])
async def test_stash_refuses_or_talks_nonsense(stash, plex, tmp_path, switch):
    async with providing(stash, plex, tmp_path) as asking:
        for name, value in switch.items():
            setattr(stash, name, value)

        await asking.fails("unknown.mp4")


async def test_before_the_libraries_were_read(stash, plex, tmp_path):
    """Half a catalogue believes nothing but paths."""
    stash.add("/other/one.mp4", scene_id=7)
    plex.status = 503
    settings = make_settings(stash, plex, tmp_path, path_rules=(RULE,))
    async with running(settings, stash, plex) as daemon:
        asking = Plex(daemon)
        # Whether the scene is at home elsewhere in Plex nobody knows yet.
        await asking.fails("sub/one.mp4")
        plex.status = None
        plex.read_status_of["/library/sections/1/all"] = 503
        await asking.fails("sub/one.mp4")
        plex.read_status_of.clear()
        assert await asking.scenes("sub/one.mp4") == [7]
        assert await asking.scenes("other.mp4") == []


# --- gaps --------------------------------------------------------------------------


async def test_a_file_that_stash_lacks_is_a_gap_until_it_appears(asking, stash, plex):
    assert await asking.scenes("sub/late.mp4") == []
    (gap,) = await asking.gaps("missing_in_stash")
    assert gap["path"] == "/media/sub/late.mp4"
    assert gap["first_seen"] == gap["last_seen"]

    stash.add("/data/sub/late.mp4", scene_id=7, title="Late")
    stash.add("/data/other/late.mp4", scene_id=8, title="Not it")
    await asking.know(8)
    assert len(await asking.gaps()) == 1  # another file of this name is not it
    await asking.daemon.hook(7)
    await asking.daemon.until(lambda status: not status["gaps"]["missing_in_stash"])


async def test_a_file_that_no_rule_covers_is_unmapped(stash, plex, tmp_path):
    plex.locations[1] = ["/elsewhere"]
    async with providing(stash, plex, tmp_path) as asking:
        assert await asking.scenes("one.mp4") == []
        (gap,) = await asking.gaps()
        assert (gap["kind"], gap["path"]) == ("unmapped", "/elsewhere/one.mp4")
        stash.add("/x/one.mp4", scene_id=7)
        assert await asking.scenes("one.mp4") == [7]
        assert await asking.gaps() == []


async def test_gaps_are_listed_in_pages(asking):
    for number in range(5):
        await asking.scenes(f"{number}.mp4")
    url = f"{asking.daemon.url}/api/v1/gaps"
    async with asking.daemon.session.get(
        url, params={"limit": 2, "offset": 4}
    ) as answer:
        document = await answer.json()
    assert document["total"] == 5
    assert len(document["gaps"]) == 1
    for query in ({"kind": "x"}, {"limit": 0}, {"limit": "x"}, {"what": 1}):
        async with asking.daemon.session.get(url, params=query) as answer:
            assert answer.status == 400


# --- one relative name in two folders ---------------------------------------------------


@pytest.fixture
async def two_folders(stash, plex, tmp_path):
    plex.locations[1] = ["/media/a", "/media/b"]
    async with providing(stash, plex, tmp_path) as asking:
        await plex.use_provider(f"{asking.daemon.url}/plex")
        yield asking


async def test_a_name_in_two_folders_of_which_stash_knows_one(two_folders, stash, plex):
    stash.add("/data/a/one.mp4", scene_id=7)
    await two_folders.know(7)

    (first,) = await plex.scan("/media/a/one.mp4")
    (second,) = await plex.scan("/media/b/one.mp4")

    assert first.guid == f"{IDENTIFIER}://movie/scene-7"
    assert second.guid.startswith("local://")


async def test_a_name_in_two_folders_both_in_stash(two_folders, stash, plex):
    stash.add("/data/a/one.mp4", scene_id=7)
    stash.add("/data/b/one.mp4", scene_id=8)
    await two_folders.know(7, 8)

    (first,) = await plex.scan("/media/a/one.mp4")
    (second,) = await plex.scan("/media/b/one.mp4")

    assert first.guid == f"{IDENTIFIER}://movie/scene-7"
    assert second.guid == f"{IDENTIFIER}://movie/scene-8"


async def test_two_of_one_name_found_by_one_scan_are_not_guessed(
    two_folders, stash, plex
):
    stash.add("/data/a/one.mp4", scene_id=7)
    stash.add("/data/b/one.mp4", scene_id=8)

    items = await plex.scan("/media/a/one.mp4", "/media/b/one.mp4")

    assert all(item.guid.startswith("local://") for item in items)
    assert (await two_folders.daemon.status())["gaps"]["ambiguous"] == 1


async def test_the_documented_meaning_before_odd_ones(stash, plex, tmp_path):
    plex.locations[1] = ["/media/Movies"]
    stash.add("/data/Movies/Movies/one.mp4", scene_id=7)
    stash.add("/data/Movies/one.mp4", scene_id=8)
    async with providing(stash, plex, tmp_path) as asking:
        assert await asking.scenes("Movies/one.mp4") == [7]
        assert await asking.scenes("one.mp4") == [8]


async def test_a_stash_box_id_that_cannot_be_looked_up(asking, stash):
    stash.add("/data/one.mp4", scene_id=7)
    assert await asking.scenes("one.mp4") == [7]
    stash.status = 503

    assert await asking.scenes("one.mp4", guid=f"stashdb://{BOX}") == [7]
    await asking.fails("", guid=f"stashdb://{BOX}")


# --- what the catalogue does not know -----------------------------------------------------


async def test_a_namesake_is_no_match_while_stash_has_the_path(asking, stash):
    """A scene that is newer than the catalogue, in the folder asked about."""
    stash.add("/data/x/clip.mp4", scene_id=1)
    await asking.know(1)
    stash.add("/data/y/clip.mp4", scene_id=2)

    assert await asking.scenes("y/clip.mp4") == [2]


async def test_names_while_the_libraries_are_still_read(asking, stash):
    stash.add("/far/x/clip.mp4", scene_id=1)
    await asking.know(1)
    stash.add("/far/y/clip.mp4", scene_id=2)

    assert await asking.scenes("z/clip.mp4") == []
    assert await asking.scenes("y/clip.mp4") == [2]


async def test_more_namesakes_than_a_page(stash, plex, tmp_path):
    for number in range(1, 60):
        stash.add(f"/data/{number}/video.mp4", scene_id=number)
    async with providing(stash, plex, tmp_path, stash={"page_size": 10}) as asking:
        stash.add("/data/new/video.mp4", scene_id=100)

        assert await asking.scenes("new/video.mp4") == [100]
        assert await asking.scenes("none/video.mp4") == []


async def test_a_scene_that_is_gone_is_not_offered(asking, stash):
    stash.add("/data/one.mp4", scene_id=1)
    await asking.know(1)
    stash.remove(1)
    stash.add("/data/one.mp4", scene_id=2)

    assert await asking.scenes("one.mp4") == [2]


async def test_a_file_that_moved_to_another_scene_in_stash(asking, stash):
    stash.add("/data/one.mp4", scene_id=1)
    stash.add("/data/two.mp4", scene_id=2)
    await asking.know(1, 2)
    stash.scenes[1].files = [("/data/other.mp4", 1000)]
    stash.scenes[2].files.append(("/data/one.mp4", 1000))

    assert await asking.scenes("one.mp4") == [2]


async def test_a_namesake_that_was_renamed_in_stash(asking, stash):
    stash.add("/far/a/clip.mp4", scene_id=1)
    stash.add("/far/b/clip.mp4", scene_id=2)
    await asking.know(1, 2)
    stash.scenes[1].files = [("/far/a/renamed.mp4", 1000)]

    assert await asking.scenes("z/clip.mp4") == [2]


async def test_a_deleted_scene_is_forgotten_even_when_nothing_is_written(
    stash, plex, tmp_path
):
    stash.add("/data/one.mp4", scene_id=1, title="One")
    async with providing(stash, plex, tmp_path, sync={"enabled": False}) as asking:
        stash.remove(1)
        await asking.daemon.hook(1, "Scene.Destroy.Post")
        await asking.daemon.until(lambda status: status["catalog"]["scenes"] == 0)

        assert await asking.scenes("one.mp4") == []


async def test_a_gate_sees_what_a_hook_told(stash, plex, tmp_path):
    stash.add("/data/one.mp4", scene_id=1, organized=True)
    sync = {"require_organized": True}
    async with providing(stash, plex, tmp_path, sync=sync) as asking:
        assert await asking.scenes("one.mp4") == [1]
        stash.change(1, organized=False)
        await asking.daemon.hook(1, fields=["organized"])

        assert await asking.scenes("one.mp4") == []


async def test_one_of_two_claimants_is_kept_out(stash, plex, tmp_path):
    stash.add("/data/one.mp4", scene_id=1, tags=["private"])
    stash.add("/data/one.mp4", scene_id=2)
    sync = {"exclude_tag": "private"}
    async with providing(stash, plex, tmp_path, sync=sync) as asking:
        assert await asking.scenes("one.mp4") == []
        assert [gap["kind"] for gap in await asking.gaps()] == ["ambiguous"]


# --- what Plex knows about names --------------------------------------------------------------


async def test_a_name_that_plex_has_twice(asking, stash, plex):
    stash.add("/far/clip.mp4", scene_id=1, size=5)
    await asking.know(1)
    await plex.use_provider(f"{asking.daemon.url}/plex")

    items = await plex.scan("/media/x/clip.mp4", "/media/y/clip.mp4", size=5)

    assert all(item.guid.startswith("local://") for item in items)


async def test_a_name_of_another_size(asking, stash, plex):
    stash.add("/far/clip.mp4", scene_id=1, size=5)
    await plex.use_provider(f"{asking.daemon.url}/plex")

    (item,) = await plex.scan("/media/x/clip.mp4", size=6)

    assert item.guid.startswith("local://")
    (gap,) = await asking.gaps("missing_in_stash")
    assert (gap["item"], gap["path"]) == (item.rating_key, "/media/x/clip.mp4")


async def test_a_scene_that_another_item_is_bound_to(asking, stash, plex):
    stash.add("/far/clip.mp4", scene_id=1, size=5)
    await plex.use_provider(f"{asking.daemon.url}/plex")

    (first,) = await plex.scan("/media/x/clip.mp4", size=5)
    (second,) = await plex.scan("/media/y/clip.mp4", size=5)

    assert first.guid == f"{IDENTIFIER}://movie/scene-1"
    assert second.guid.startswith("local://")


async def test_the_end_of_a_path_that_a_rule_puts_elsewhere(asking, stash):
    stash.add("/data/deep/sub/1.mp4", scene_id=1)
    stash.add("/data/other/1.mp4", scene_id=2)

    assert await asking.scenes("sub/1.mp4") == []
    assert await asking.scenes("sub/1.mp4", manual=1) == [1, 2]


async def test_a_folder_renamed_in_plex(stash, plex, tmp_path):
    stash.add("/data/old/one.mp4", scene_id=1)
    item = plex.add("/media/old/one.mp4")
    async with providing(stash, plex, tmp_path) as asking:
        plex.remove(item.rating_key)
        plex.add("/media/new/one.mp4")

        assert await asking.scenes("new/one.mp4") == [1]


async def test_a_filter_that_finds_nothing_forgets_nothing(stash, plex, tmp_path):
    stash.add("/data/a/one.mp4", scene_id=1)
    plex.add("/media/a/one.mp4")
    async with providing(stash, plex, tmp_path) as asking:
        plex.ignores_file_filter = True

        assert await asking.scenes("b/one.mp4") == []
        assert (await asking.daemon.status())["catalog"]["items"] == 1


async def test_where_libraries_are_is_unknown(stash, plex, tmp_path):
    stash.add("/data/one.mp4", scene_id=1)
    plex.status = 503
    for fallback in ("none", "basename"):
        settings = make_settings(
            stash, plex, tmp_path, path_rules=(RULE,), match={"fallback": fallback}
        )
        async with running(settings, stash, plex) as daemon:
            assert await Plex(daemon).fails("one.mp4") == "catalog_incomplete"


async def test_libraries_that_are_not_kept_in_step_may_ask_too(stash, plex, tmp_path):
    plex.sections = {1: "Kept", 2: "Other"}
    plex.locations = {1: ["/media/a"], 2: ["/media/b"]}
    stash.add("/data/b/one.mp4", scene_id=1)
    async with providing(stash, plex, tmp_path, plex={"libraries": ["Kept"]}) as asking:
        assert await asking.scenes("one.mp4") == [1]


async def test_a_hash_decides_between_namesakes(asking, stash):
    stash.add("/far/a/x [d94ff5a0c4a0f8f3].mp4", scene_id=1, oshash="0" * 16)
    stash.add("/far/b/x [d94ff5a0c4a0f8f3].mp4", scene_id=2, oshash="d94ff5a0c4a0f8f3")

    (found,) = await asking.match("c/x [d94ff5a0c4a0f8f3].mp4")

    assert (found["ratingKey"], found["score"]) == ("scene-2", 100)


# --- a person who chooses, again --------------------------------------------------------------


async def test_fix_match_works_while_stash_is_down(asking, stash):
    stash.add("/data/one.mp4", scene_id=1, title="Late Checkout")
    await asking.know(1)
    stash.status = 503

    found = await asking.scenes("unknown.mp4", title="late checkout", manual=1)

    assert found == [1]


async def test_a_file_that_is_called_like_a_scene(asking, stash):
    stash.add("/data/scene-2.mp4", scene_id=1)
    stash.add("/data/other.mp4", scene_id=2)

    assert await asking.scenes("scene-2.mp4", title="scene-2", manual=1) == [1, 2]
    assert await asking.scenes("scene-2.mp4", title="scene-2") == [1]


async def test_every_scene_of_a_stash_box_id_is_offered(asking, stash):
    stash.add("/data/one.mp4", scene_id=1, stash_ids=[BOX])
    stash.add("/data/two.mp4", scene_id=2, stash_ids=[BOX])

    guid = f"stashdb://{BOX}"
    assert await asking.scenes("unknown.mp4", guid=guid) == []
    assert await asking.scenes("unknown.mp4", guid=guid, manual=1) == [1, 2]


# --- gaps, again ---------------------------------------------------------------------------


async def test_a_gap_is_closed_whatever_the_case_of_its_path(stash, plex, tmp_path):
    rule = {**RULE, "ignore_case": True}
    async with providing(stash, plex, tmp_path, path_rules=(rule,)) as asking:
        assert await asking.scenes("Sub/Late.mp4") == []
        stash.add("/data/sub/late.mp4", scene_id=1)
        await asking.know(1)

        assert await asking.gaps() == []


async def test_a_gap_of_one_folder_is_not_closed_by_another(two_folders, stash):
    assert await two_folders.scenes("clip.mp4") == []
    stash.add("/data/a/deep/clip.mp4", scene_id=1)
    await two_folders.know(1)
    assert len(await two_folders.gaps()) == 1
    stash.add("/data/b/clip.mp4", scene_id=2)
    await two_folders.know(2)

    assert await two_folders.gaps() == []


async def test_an_absolute_path_that_no_rule_covers(stash, plex, tmp_path):
    plex.locations[1] = ["/media", "/other"]
    stash.add("/data/other/zz.mp4", scene_id=1)
    async with providing(stash, plex, tmp_path, match={"fallback": "none"}) as asking:
        assert await asking.scenes("/other/zz.mp4") == []
        (gap,) = await asking.gaps()

    assert (gap["kind"], gap["path"]) == ("unmapped", "/other/zz.mp4")
