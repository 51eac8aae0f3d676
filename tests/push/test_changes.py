"""The policy of a delivery: what is written, cleared, locked, and left alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stash2plex.catalog.matching import Confidence
from stash2plex.config import SyncSettings
from stash2plex.movie import Field, Movie, sort_title_of
from stash2plex.plex.edits import TagEdit
from stash2plex.plex.item import TAG_ELEMENTS, TEXT_FIELDS, Item, ItemFile
from stash2plex.push.changes import Plan, plan
from stash2plex.push.ledger import Entry, WrittenTags

MIRROR = SyncSettings()
FILL = SyncSettings(mode="fill")
MERGE = SyncSettings(mode="merge")
RESPECT = SyncSettings(respect_locks=True)
ALL = frozenset(Field)


def movie(managed: frozenset[Field] = ALL, **fields: Any) -> Movie:
    shown = {"managed": managed, "title": "T"} | fields
    return Movie(**shown, sort_title=sort_title_of(shown["title"]))


def item(locked: Any = (), tags: Any = None, **text: str) -> Item:
    shown = dict.fromkeys(TEXT_FIELDS, "") | {"title": "T"} | text
    return Item(
        rating_key=1,
        section_id=1,
        files=(ItemFile("/a.mp4"),),
        text=shown,
        tags=dict.fromkeys(TAG_ELEMENTS, ()) | (tags or {}),
        locked=frozenset(locked),
    )


def entry(text: Any = None, tags: Any = None, locked: Any = ()) -> Entry:
    return Entry(
        machine="m",
        rating_key=1,
        file="/a.mp4",
        scene_id=7,
        confidence=Confidence.HIGH,
        text=text or {},
        tags=tags or {},
        locked=frozenset(locked),
    )


def after(before: Item, done: Plan) -> Item:
    """The item as Plex shows it once the plan was carried out."""
    text = dict(before.text) | dict(done.edit.text)
    if done.clears_rating:
        text["userRating"] = ""
    tags = dict(before.tags) | {
        name: edit.names for name, edit in done.edit.tags.items()
    }
    return item(before.locked | done.edit.locks, tags, **text)


def remembered(done: Plan) -> Entry:
    return entry(done.text, done.tags, done.locked)


def test_what_differs_is_written_and_locked_in_one_edit():
    done = plan(
        movie(title="New", summary="S", genres=("a", "b")), item(), None, MIRROR
    )

    assert done.edit.text == {"title": "New", "titleSort": "New", "summary": "S"}
    assert done.edit.tags == {"genre": TagEdit(("a", "b"), (), ("a", "b"))}
    assert done.edit.locks == {"title", "titleSort", "summary", "genre"}
    assert done.changed == ["genre", "summary", "title", "titleSort"]
    assert done.locked == {"title", "titleSort", "summary", "genre"}


@pytest.mark.parametrize(
    "shown", ["", "Former", "The Former", "What we wrote", "the former"]
)
def test_the_sort_title_follows_the_title(shown):
    theirs = shown == "the former"
    before = entry({"title": "The Former", "titleSort": "What we wrote"})

    done = plan(
        movie(title="A New One"),
        item(title="The Former", titleSort=shown),
        before,
        MIRROR,
    )

    if theirs:
        assert "titleSort" not in done.edit.text
        assert "titleSort" not in done.edit.locks
        assert done.text["titleSort"] == "What we wrote"
    else:
        assert done.edit.text["titleSort"] == "New One"
        assert done.text["titleSort"] == "New One"


def test_the_sort_title_is_left_alone_where_the_title_is():
    shown = item(title="Same", titleSort="odd")
    assert not plan(movie(title="Same"), shown, None, SyncSettings(lock=False)).writes
    fill = plan(movie(title="New"), item(title="Old"), None, FILL)
    assert not fill.edit.text
    locked = item({"titleSort"}, title="Old", titleSort="Old")
    done = plan(movie(title="New"), locked, None, RESPECT)
    assert done.edit.text == {"title": "New"}
    assert done.respected == ("titleSort",)


def test_what_is_equal_but_unlocked_is_only_locked():
    done = plan(movie(), item(), None, MIRROR)

    assert done.changed == []
    assert done.edit.locks == {"title"}
    assert done.writes


def test_without_lock_nothing_is_locked():
    done = plan(movie(summary="S"), item(), None, SyncSettings(lock=False))

    assert done.edit.text == {"summary": "S"}
    assert not done.edit.locks


def test_an_empty_field_clears_plex():
    shown = item(
        summary="old",
        studio="old",
        originallyAvailableAt="2020-01-01",
        tags={"genre": ("x",), "actor": ("y",), "director": ("z",)},
    )

    done = plan(movie(), shown, None, MIRROR)

    assert done.edit.text == {"summary": "", "studio": "", "originallyAvailableAt": ""}
    assert done.edit.tags == {
        "genre": TagEdit((), ("x",)),
        "actor": TagEdit((), ("y",)),
        "director": TagEdit((), ("z",)),
    }


def test_another_spelling_is_a_change_and_no_tag_is_named_twice():
    shown = item(tags={"genre": ("Outdoor", "Old", "KEEP")})

    done = plan(movie(genres=("keep", "new", "Outdoor")), shown, None, MIRROR)

    assert done.edit.tags["genre"] == TagEdit(
        ("keep", "new", "Outdoor"), ("Old",), ("keep", "new"), ("KEEP",)
    )
    assert done.tags["genre"].left == ("keep", "new", "Outdoor")


def test_a_spelling_that_plex_keeps_is_left_alone():
    shown = item({"genre", "title"}, {"genre": ("Outdoor", "KEEP")})
    tags = WrittenTags(("keep",), ("keep", "Outdoor"), kept=("keep",))
    before = entry(tags={"genre": tags})

    done = plan(movie(genres=("keep", "Outdoor")), shown, before, MIRROR)
    other = plan(movie(genres=("Keep", "Outdoor")), shown, before, MIRROR)

    assert not done.edit.tags
    assert done.tags["genre"].kept == ("keep",)
    assert other.edit.tags["genre"].respelled == ("KEEP",)
    assert other.tags["genre"].kept == ()


def test_the_spelling_of_others_collections_and_in_merge_is_theirs():
    shown = item(tags={"collection": ("studio a",), "genre": ("Human",)})

    done = plan(movie(collections=("Studio A",), genres=("human",)), shown, None, MERGE)

    assert not done.edit.tags


def test_tags_that_differ_only_in_order_are_no_change():
    shown = item({"genre", "title"}, {"genre": ("b", "a")})

    assert not plan(movie(genres=("a", "b")), shown, None, MIRROR).writes


def test_a_rating_is_cleared_only_if_it_is_ours():
    rated = item(userRating="8.0")

    assert not plan(movie(), rated, None, MIRROR).clears_rating
    assert not plan(movie(), rated, entry({"userRating": "6"}), MIRROR).clears_rating
    done = plan(movie(), rated, entry({"userRating": "8"}), MIRROR)
    assert done.clears_rating
    assert done.changed == ["userRating"]
    assert "userRating" not in done.text
    theirs = plan(movie(), rated, entry({"userRating": "6"}), MIRROR)
    assert "userRating" not in theirs.text  # should they choose ours, it stays theirs


def test_a_rating_that_was_there_before_us_stays_a_humans():
    done = plan(movie(rating=8.0), item(userRating="8.0"), None, MIRROR)
    assert "userRating" not in done.text

    ours = plan(
        movie(rating=8.0), item(userRating="8.0"), entry({"userRating": "8"}), MIRROR
    )
    assert ours.text["userRating"] == "8"


def test_our_own_rating_is_ours_however_plex_spells_it():
    before = entry({"userRating": "8"}, locked={"userRating"})
    shown = item({"userRating"}, userRating="8.0")

    done = plan(movie(rating=9.0), shown, before, RESPECT)

    assert done.edit.text["userRating"] == "9"
    assert done.respected == ()


def test_a_rating_compares_as_a_number():
    assert (
        "userRating"
        not in plan(
            movie(rating=8.5), item(userRating="8.5000001"), None, MIRROR
        ).edit.text
    )
    assert (
        plan(movie(rating=8.5), item(userRating="8"), None, MIRROR).edit.text[
            "userRating"
        ]
        == "8.5"
    )


def test_collections_lose_only_what_we_added():
    shown = item(tags={"collection": ("Mine", "Studio A")})
    before = entry(
        tags={"collection": WrittenTags(("Studio A",), ("Mine", "Studio A"))}
    )

    done = plan(movie(collections=("Studio B",)), shown, before, MIRROR)
    stranger = plan(movie(collections=("Studio B",)), shown, None, MIRROR)

    assert done.edit.tags["collection"] == TagEdit(
        ("Studio B", "Mine"), ("Studio A",), ("Studio B",)
    )
    assert done.tags["collection"] == WrittenTags(
        ("Studio B",), ("Studio B", "Mine"), kept=()
    )
    assert stranger.edit.tags["collection"] == TagEdit(
        ("Studio B", "Mine", "Studio A"), (), ("Studio B",)
    )


def test_merge_keeps_what_others_added():
    shown = item(tags={"genre": ("human", "ours")})
    before = entry(tags={"genre": WrittenTags(("ours",), ("human", "ours"))})

    done = plan(movie(genres=("new",)), shown, before, MERGE)

    assert done.edit.tags["genre"] == TagEdit(("new", "human"), ("ours",), ("new",))
    assert plan(movie(), item(summary="x"), None, MERGE).edit.text == {"summary": ""}


def test_merge_leaves_a_tag_that_was_there_before_us():
    first = plan(movie(genres=("a", "b")), item(tags={"genre": ("a",)}), None, MERGE)

    done = plan(
        movie(genres=("b",)), item(tags={"genre": ("a", "b")}), remembered(first), MERGE
    )

    assert first.tags["genre"].ours == ("b",)
    assert "genre" not in done.edit.tags


def test_fill_writes_only_what_plex_lacks():
    shown = item(summary="theirs", tags={"genre": ("theirs",)})
    before = entry({"summary": "theirs"}, {"genre": WrittenTags(("x",))})

    done = plan(
        movie(title="X", summary="ours", studio="S", genres=("ours",), actors=("P",)),
        shown,
        before,
        FILL,
    )

    assert done.edit.text == {"studio": "S"}
    assert set(done.edit.tags) == {"actor"}
    assert done.edit.locks == {"studio", "actor"}
    assert done.text["summary"] == "theirs"
    assert not plan(movie(), shown, None, FILL).writes


def test_a_lock_of_a_human_is_overruled_unless_told_otherwise():
    shown = item({"summary", "genre"}, {"genre": ("theirs",)}, summary="theirs")
    wanted = movie(summary="ours", genres=("ours",))

    overruled = plan(wanted, shown, None, MIRROR)
    respected = plan(wanted, shown, None, RESPECT)

    assert overruled.edit.text == {"summary": "ours"}
    assert "genre" in overruled.edit.tags
    assert overruled.respected == ()
    assert {"summary", "genre"} <= overruled.locked
    assert respected.edit.text == {}
    assert respected.edit.tags == {}
    assert respected.respected == ("summary", "genre")
    assert respected.locked == {"title"}


def test_our_own_lock_is_no_humans():
    shown = item({"summary", "genre"}, {"genre": ("a",)}, summary="before")
    before = entry(
        {"summary": "before"},
        {"genre": WrittenTags(("a",), ("a",))},
        {"summary", "genre"},
    )

    done = plan(movie(summary="now", genres=("b",)), shown, before, RESPECT)

    assert done.edit.text == {"summary": "now"}
    assert done.edit.tags["genre"] == TagEdit(("b",), ("a",), ("b",))
    assert done.respected == ()


def test_a_value_changed_under_our_lock_is_a_humans():
    shown = item({"summary", "genre"}, {"genre": ("edited",)}, summary="edited in Plex")
    before = entry(
        {"summary": "before"},
        {"genre": WrittenTags(("a",), ("a",))},
        {"summary", "genre"},
    )

    done = plan(movie(summary="now", genres=("b",)), shown, before, RESPECT)

    assert done.respected == ("summary", "genre")
    assert done.text["summary"] == "before"
    assert done.tags["genre"].left == ("a",)
    assert not done.locked & {"summary", "genre"}


def test_a_locked_field_that_is_already_right_is_adopted():
    done = plan(
        movie(summary="S"), item({"summary", "title"}, summary="S"), None, RESPECT
    )

    assert not done.writes
    assert done.locked == {"summary", "title"}


def test_what_is_switched_off_is_neither_touched_nor_forgotten():
    shown = item(summary="x", tags={"genre": ("y",)})
    before = entry({"summary": "ours"}, {"genre": WrittenTags(("y",))}, {"summary"})
    only_title = frozenset({Field.TITLE})

    done = plan(movie(only_title), shown, before, MIRROR)

    assert done.changed == []
    assert done.text == {"summary": "ours", "title": "T"}
    assert done.tags == {"genre": WrittenTags(("y",))}


def test_an_unset_title_cannot_clear():
    assert "title" not in plan(movie(), item(title="T"), None, MIRROR).edit.text


names = st.lists(st.sampled_from(["a", "A", "b", "c", "D", "d e", "f,g"]), max_size=5)
uniques = names.map(
    lambda found: tuple({one.casefold(): one for one in found}.values())
)
texts = st.sampled_from(["", "x", "y"])


@pytest.mark.parametrize("sync", [MIRROR, FILL, MERGE, RESPECT])
@given(data=st.data())
def test_a_second_delivery_writes_nothing(sync, data):
    wanted = movie(
        title=data.draw(st.sampled_from(["T", "U"])),
        summary=data.draw(texts),
        studio=data.draw(texts),
        rating=data.draw(st.sampled_from([None, 5.0, 8.5])),
        genres=data.draw(uniques),
        actors=data.draw(uniques),
        directors=data.draw(uniques),
        collections=data.draw(uniques),
    )
    shown = item(
        data.draw(
            st.sets(st.sampled_from(["title", "summary", "genre", "collection"]))
        ),
        {name: data.draw(uniques) for name in TAG_ELEMENTS},
        summary=data.draw(texts),
        userRating=data.draw(st.sampled_from(["", "5.0", "7"])),
    )

    first = plan(wanted, shown, None, sync)
    again = plan(wanted, after(shown, first), remembered(first), sync)

    assert not again.writes
    for name, edit in first.edit.tags.items():
        named = {one.casefold() for one in edit.names}
        assert not named & {one.casefold() for one in edit.removed}, name


@given(data=st.data())
def test_mirror_leaves_exactly_the_movie(data):
    wanted = movie(
        genres=data.draw(uniques), actors=data.draw(uniques), summary=data.draw(texts)
    )
    shown = item((), {name: data.draw(uniques) for name in TAG_ELEMENTS}, summary="old")

    result = after(shown, plan(wanted, shown, None, MIRROR))

    assert result.text["summary"] == wanted.summary
    for name, own in (("genre", wanted.genres), ("actor", wanted.actors)):
        assert {one.casefold() for one in result.tags[name]} == {
            one.casefold() for one in own
        }


def test_after_a_loss_what_is_locked_and_equal_is_ours():
    wanted = movie(rating=8.0, collections=("Studio",), genres=("a",))
    shown = item(
        ("title", "userRating", "collection", "genre"),
        {"collection": ("Studio",), "genre": ("a",)},
        userRating="8.0",
    )

    done = plan(wanted, shown, None, MIRROR)

    assert not done.writes
    assert done.text["userRating"] == "8"
    assert done.tags["collection"].ours == ("Studio",)
    emptied = plan(movie(), shown, remembered(done), MIRROR)
    assert emptied.clears_rating
    assert emptied.edit.tags["collection"].removed == ("Studio",)


@pytest.mark.parametrize(
    "shown",
    [
        item((), {"collection": ("Studio",)}, userRating="8.0"),  # nobody locked it
        item(  # a human's is among them
            ("userRating", "collection"),
            {"collection": ("Studio", "Favourites")},
            userRating="7.0",
        ),
    ],
)
def test_after_a_loss_nothing_else_is_ours(shown):
    wanted = movie(collections=("Studio",))

    done = plan(wanted, shown, None, MIRROR)

    assert "userRating" not in done.text
    assert done.tags["collection"].ours == ()
