"""Edits as they leave: how long they are, what is refused of them, how tags go."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stash2plex.errors import RequestRejected
from stash2plex.plex.edits import LONGEST, PACKED, Edit, Removal, Style, TagEdit, pieces
from stash2plex.push.editor import Editor
from stash2plex.push.learned import Learned
from stash2plex.push.removals import Removals

LONG = "\u6f22" * 10_000  # 90 KB once it is encoded
LIMITS = [8 * 1024, 16 * 1024, 32 * 1024, None]


@pytest.fixture
async def learned(database, plex_library):
    known = Learned(database, None)
    await known.about("m", plex_library)
    return known


@pytest.fixture
def editor(plex_library, learned):
    return Editor(plex_library, learned)


async def read(library, key=1):
    return (await library.items([key]))[key]


def names(start, count):
    return tuple(
        f"{start} \u65e5\u672c\u8a9e\u306e\u30bf\u30b0 {n}" for n in range(count)
    )


def puts(plex):
    return [path for how, path in plex.requests if how == "PUT"]


def test_every_target_names_type_and_item():
    edit = Edit(text={"title": "x" * 3000, "summary": "y" * 9000, "studio": "z" * 3000})

    split = pieces(3, 42, edit)

    assert len(split) == 2
    assert all(
        parse_qs(urlsplit(one.target).query)["id"] == ["42"]
        and parse_qs(urlsplit(one.target).query)["type"] == ["1"]
        for one in split
    )
    assert sum(len(one.target) > PACKED for one in split) == 1
    assert pieces(3, 42, Edit()) == []


texts = st.text(max_size=300)
tags = st.lists(texts.filter(bool), max_size=60, unique=True).map(tuple)


@given(
    st.dictionaries(st.sampled_from(["title", "studio", "summary"]), texts), tags, tags
)
def test_pieces_carry_all_of_an_edit_and_stay_short(text, wanted, removed):
    removed = tuple(one for one in removed if one not in wanted)
    edit = Edit(
        text=text,
        tags={"genre": TagEdit(wanted, removed, wanted)},
        locks=frozenset({"genre", *text}),
    )

    split = pieces(1, 2, edit)

    carried = Edit()
    added, gone = [], []
    for one in split:
        assert len(one.target) <= PACKED
        carried |= Edit(text=one.edit.text, locks=one.edit.locks)
        added += one.edit.tags.get("genre", TagEdit(())).added
        gone += one.edit.tags.get("genre", TagEdit(())).removed
        # Additions and removals are never in one request.
        assert not (one.adds and "tag.tag-" in one.target)
    assert carried.text == text
    assert (sorted(added), sorted(gone)) == (sorted(wanted), sorted(removed))
    assert carried.locks >= set(text)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("status", [400, 414])
async def test_a_long_summary_is_cut_to_what_the_server_takes(
    plex, plex_library, editor, learned, limit, status
):
    plex.habits.longest_target, plex.habits.long_target_status = limit, status
    item = plex.add("/a.mp4")
    edit = Edit(
        text={"title": "T", "summary": "\u6f22" * 3000}, locks=frozenset({"title"})
    )

    edited = await editor.edit(await read(plex_library), edit)

    assert not edited.rejected
    assert item.text["title"] == "T"
    assert item.text["summary"][:800] == "\u6f22" * 800
    halved = {8 * 1024: PACKED, 16 * 1024: 15_000}.get(limit, LONGEST)
    assert learned.line == halved
    assert all(len(path) <= (limit or LONGEST) for path in puts(plex)[-1:])
    before = len(puts(plex))
    await editor.edit(await read(plex_library), Edit(text={"title": "U"}))
    assert len(puts(plex)) == before + 1


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("replaces", [False, True])
async def test_a_hundred_long_tags_take_the_place_of_others(
    plex, plex_library, editor, learned, limit, replaces
):
    plex.habits.longest_target, plex.habits.replaces_tags = limit, replaces
    item = plex.add("/a.mp4")
    item.tags["genre"] = list(names("old", 100))
    wanted, gone = names("new", 100), names("old", 100)
    edit = Edit(
        text={"title": "Arrives"},
        tags={"genre": TagEdit(wanted, gone, wanted)},
        locks=frozenset({"genre"}),
    )

    edited = await editor.edit(await read(plex_library), edit)
    removals = Removals(editor, plex_library, learned)
    if replaces and limit is not None and limit < LONGEST // 2:
        # Nothing but one request could carry the list, and that is too long.
        with pytest.raises(RequestRejected):
            await removals.see(await read(plex_library), edit, edited)
    else:
        await removals.see(await read(plex_library), edit, edited)
        assert sorted(item.tags["genre"]) == sorted(wanted)
        assert learned.style.replaces is replaces

    assert item.text["title"] == "Arrives"
    assert "genre" in item.locked


AWKWARD = ("a, b", "100%", "50%25 off", "c+d", "Caf\u00e9", "#1 & more", "plain")


@pytest.mark.parametrize("twice", [True, False])
@pytest.mark.parametrize("tag", AWKWARD)
async def test_a_tag_goes_however_its_name_is_read(
    plex, plex_library, editor, learned, twice, tag
):
    plex.habits.decodes_removed_twice = twice
    item = plex.add("/a.mp4")
    item.tags["genre"] = [*AWKWARD, "a"]
    edit = Edit(tags={"genre": TagEdit(("kept",), (tag,))})

    edited = await editor.edit(await read(plex_library), edit)
    removals = Removals(editor, plex_library, learned)
    if tag == "a, b" and not twice:
        # No way is known, and the nearest would take another tag along.
        with pytest.raises(RequestRejected, match="tags: 'a, b'"):
            await removals.see(await read(plex_library), edit, edited)
        assert item.tags["genre"] == [*AWKWARD, "a"]
        return
    await removals.see(await read(plex_library), edit, edited)

    assert item.tags["genre"] == [*(one for one in AWKWARD if one != tag), "a"]
    before = len(puts(plex))
    again = Edit(tags={"genre": TagEdit(("kept",), ("c+d",))})
    if tag == "100%":  # what worked is remembered
        edited = await editor.edit(await read(plex_library), again)
        await removals.see(await read(plex_library), again, edited)
        assert len(puts(plex)) == before + 1
        assert "c+d" not in item.tags["genre"]


async def test_a_removal_that_never_happens_is_tried_twice(
    plex, plex_library, editor, learned
):
    item = plex.add("/a.mp4")
    item.tags["genre"] = ["stays"]
    edit = Edit(tags={"genre": TagEdit((), ("stays",))})
    plex.keeps_tags = True

    edited = await editor.edit(await read(plex_library), edit)
    with pytest.raises(RequestRejected, match="Plex does not remove tags: 'stays'"):
        await Removals(editor, plex_library, learned).see(
            await read(plex_library), edit, edited
        )
    assert len(puts(plex)) == 2


async def test_one_bad_field_holds_up_no_other(plex, plex_library, editor):
    item = plex.add("/a.mp4")
    plex.refused_field = "studio"
    edit = Edit(
        text={"title": "T", "studio": "S", "tagline": "X"},
        tags={"genre": TagEdit(("a",), (), ("a",))},
        locks=frozenset({"title", "studio", "genre"}),
    )

    edited = await editor.edit(await read(plex_library), edit)

    assert list(edited.rejected) == ["studio"]
    assert (item.text["title"], item.text["tagline"]) == ("T", "X")
    assert item.tags["genre"] == ["a"]
    assert item.locked == {"title", "genre"}


async def test_what_takes_nothing_is_told_from_one_bad_field(
    plex, plex_library, editor
):
    plex.add("/a.mp4")
    plex.status_of[1] = 400
    edit = Edit(text={"title": "T", "studio": "S"})
    edited = await editor.edit(await read(plex_library), edit)
    assert (edited.taken, set(edited.rejected)) == (0, {"studio", "title"})


async def test_what_was_learned_is_kept_per_server_and_version(
    database, plex, plex_library, learned
):
    assert await learned.refused(29_000)
    assert await learned.refused(28_000)
    await learned.removes_by(Removal.PLAIN)
    again = Learned(database, None)
    await again.about("m", plex_library)
    assert (again.line, again.style.removal) == (15_000, Removal.PLAIN)

    plex.version = "1.44.0"
    await plex_library.server()
    await again.about("m", plex_library)
    assert (again.line, again.style) == (LONGEST, Style())
    assert Learned(database, 9_000).line == 9_000


async def test_a_number_is_kept_to(database, plex, plex_library):
    plex.habits.longest_target = 8 * 1024
    item = plex.add("/a.mp4")
    learned = Learned(database, 12_000)
    await learned.about("m", plex_library)
    edited = await Editor(plex_library, learned).edit(
        await read(plex_library), Edit(text={"title": "T", "summary": "x" * 11_000})
    )
    assert list(edited.rejected) == ["summary"]
    assert item.text["title"] == "T"
