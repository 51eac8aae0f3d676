"""What a document leaves out, and how titles are scored; pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stash2plex.movie import Field, Movie, stash_box
from stash2plex.provider import titles
from stash2plex.provider.documents import Pictures, metadata_document, trimmed
from stash2plex.provider.hints import Hints, parse_hints
from stash2plex.scene import (
    Performer,
    Scene,
    StashId,
    guid_of,
    scene_of_guid,
    scene_of_rating_key,
)

NO_PICTURES = Pictures(performers={})
ME = "tv.plex.agents.custom.me"


def document(content_rating="XXX", **fields):
    movie = Movie.from_scene(
        Scene(**{"id": 7} | fields),
        managed=frozenset(Field),
        max_tags=100,
        content_rating=content_rating,
    )
    return metadata_document(7, movie, NO_PICTURES, ME)


def test_an_empty_scene_has_only_what_plex_needs():
    assert document(content_rating="") == {
        "ratingKey": "scene-7",
        "key": "/library/metadata/scene-7",
        "guid": f"{ME}://movie/scene-7",
        "type": "movie",
        "title": "Scene 7",
        "titleSort": "Scene 7",
    }


@pytest.mark.parametrize(
    ("rating", "adult"), [("XXX", True), ("nc-17", True), ("PG", False), ("", False)]
)
def test_only_adults_films_are_adults(rating, adult):
    assert document(content_rating=rating).get("isAdult", False) is adult


@pytest.mark.parametrize(
    ("title", "wanted"),
    [
        ("The Night", "Night"),
        ("A Night", "Night"),
        ("an Apple", "Apple"),
        ("Theory", "Theory"),
        ("The", "The"),
    ],
)
def test_articles_do_not_sort(title, wanted):
    assert document(title=title)["titleSort"] == wanted


@pytest.mark.parametrize(
    ("endpoint", "wanted"),
    [
        ("https://stashdb.org/graphql", "stashdb"),
        ("https://theporndb.net/graphql", "theporndb"),
        ("https://www.FansDB.cc/graphql", "fansdb"),
        ("http://localhost:9998/graphql", "localhost"),
        ("http://192.168.1.5:9998/graphql", "stashbox"),
        ("http://[::1]:9998/graphql", "stashbox"),
        ("https://boxes.co.uk/graphql", "boxes"),
        ("http://[x/graphql", ""),
        ("nonsense", ""),
        ("", ""),
    ],
)
def test_the_scheme_of_a_stash_box(endpoint, wanted):
    assert stash_box(endpoint) == wanted


def test_equal_ids_of_one_stash_box_are_one():
    ids = (
        StashId(endpoint="https://stashdb.org/graphql", id="a"),
        StashId(endpoint="https://www.stashdb.org/graphql", id="a"),
        StashId(endpoint="", id="b"),
    )

    assert document(stash_ids=ids)["Guid"] == [{"id": "stashdb://a"}]


def test_actors_are_numbered_in_their_order():
    people = (Performer(name="Zoe"), Performer(name="Ann"), Performer(name="ZOE "))

    assert document(performers=people)["Role"] == [
        {"tag": "Ann", "order": 1},
        {"tag": "Zoe", "order": 2},
    ]


@given(st.text(max_size=40))
def test_any_guid_can_be_asked_about(text):
    assert scene_of_guid(text, ME) is None or text.startswith(ME)


@pytest.mark.parametrize("scene_id", [1, 7, 2**63 - 1])
def test_guids_there_and_back(scene_id):
    assert scene_of_guid(guid_of(scene_id, ME), ME) == scene_id
    assert scene_of_guid(guid_of(scene_id, ME) + "?lang=en", ME) == scene_id
    assert scene_of_guid(guid_of(scene_id, "other"), ME) is None


@pytest.mark.parametrize(
    "key", ["7", "scene-007", f"scene-{2**63}", "scene-\u0667", ""]
)
def test_keys_that_are_not_ours(key):
    assert scene_of_rating_key(key) is None


def test_trimming_keeps_what_plex_needs():
    found = document(title="T", details="D", tags=("a",))
    nothing = trimmed(found, {"includeFields": "x", "includeElements": "y"})

    assert set(nothing) == {"ratingKey", "key", "guid", "type", "title"}


@given(st.text(max_size=60), st.text(max_size=60))
def test_scores_are_within_bounds(typed, title):
    assert 0 <= titles.score(typed, title) <= titles.EXACT
    assert len(titles.words_of(typed)) <= 20


def test_better_titles_score_higher():
    typed = "North Harbor 2024-05-17 Late Checkout 1080p"
    scores = [
        titles.score(typed, title)
        for title in ("Late Checkout", "Checkout Time", "Something Else")
    ]
    assert scores == sorted(scores, reverse=True)
    assert titles.score("Late Checkout 1080p x265", "late checkout!") == titles.EXACT


@pytest.mark.parametrize(
    ("title", "date"),
    [
        ("a 2024-05-17 b", "2024-05-17"),
        ("a.2024.05.17.b", "2024-05-17"),
        ("12024-05-17", ""),
        ("1024-05-17", ""),
        ("", ""),
    ],
)
def test_a_day_in_the_title(title, date):
    assert Hints(title=title).date == date


def test_numbers_may_be_strings():
    hints = parse_hints(
        {"type": "1", "year": "2024", "manual": "1", "duration": 90500.0, "size": True}
    )

    assert (hints.type, hints.year, hints.manual) == (1, 2024, True)
    assert (hints.duration, hints.size) == (90.5, 1)
