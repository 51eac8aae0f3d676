"""What others changed: what counts as drift in each mode, and what does not."""

from __future__ import annotations

import pytest

from stash2plex.config import SyncSettings
from stash2plex.movie import Field
from stash2plex.push.changes import drifted, plan
from tests.push.test_changes import (
    ALL,
    FILL,
    MERGE,
    MIRROR,
    RESPECT,
    after,
    item,
    movie,
    remembered,
)

WANTED = {
    "title": "T",
    "summary": "S",
    "rating": 8.0,
    "genres": ("a", "b"),
    "collections": ("Studio",),
}


def delivered(sync: SyncSettings = MIRROR):
    """An item as we left it, and what we remember of that."""
    bare = item()
    done = plan(movie(**WANTED), bare, None, sync)
    return after(bare, done), remembered(done)


def changed(shown, tags=None, **text):
    return item(
        shown.locked, dict(shown.tags) | (tags or {}), **dict(shown.text) | text
    )


@pytest.mark.parametrize("sync", [MIRROR, MERGE, RESPECT])
def test_what_is_as_we_left_it_did_not_drift(sync):
    shown, entry = delivered(sync)

    assert drifted(shown, entry, sync, ALL) == []
    assert drifted(changed(shown, userRating="8.02"), entry, sync, ALL) == []


def test_text_tags_and_ratings_drift():
    shown, entry = delivered()
    other = changed(shown, {"genre": ("a",)}, summary="", userRating="3.0")

    assert drifted(other, entry, MIRROR, ALL) == ["summary", "userRating", "genre"]
    assert drifted(other, entry, MIRROR, ALL - {Field.SUMMARY, Field.TAGS}) == [
        "userRating"
    ]


def test_fill_never_insists():
    shown, entry = delivered(FILL)

    assert drifted(changed(shown, title="Other"), entry, FILL, ALL) == []


def test_tags_of_others_are_welcome_in_merge_and_in_collections():
    shown, entry = delivered(MERGE)
    more = changed(shown, {"genre": ("a", "b", "theirs")})
    assert drifted(more, entry, MERGE, ALL) == []
    assert drifted(more, entry, MIRROR, ALL) == ["genre"]
    less = changed(shown, {"genre": ("a",), "collection": ("Theirs",)})
    assert drifted(less, entry, MERGE, ALL) == ["genre", "collection"]
    both = changed(shown, {"collection": ("Studio", "Theirs")})
    assert drifted(both, entry, MIRROR, ALL) == []


def test_what_a_human_locked_is_theirs_if_so_wished():
    shown, entry = delivered(RESPECT)
    other = changed(shown, title="A human's")

    assert drifted(other, entry, RESPECT, ALL) == []
    assert drifted(other, entry, MIRROR, ALL) == ["title"]
