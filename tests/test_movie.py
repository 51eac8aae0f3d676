"""A scene's translation, field by field."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stash2plex.config import SyncSettings
from stash2plex.gates import excluded_by, says_nothing
from stash2plex.movie import Field, Movie, complete_date
from stash2plex.scene import Performer, Scene, SceneFile, StashId

FILES = (SceneFile(path="/data/dir/one.two.mp4"),)
ALL = frozenset(Field)


def movie(max_tags: int = 100, **fields: Any) -> Movie:
    names = fields.pop("performers", ())
    people = tuple(Performer(name=name) for name in names)
    scene = Scene(**{"id": 7, "files": FILES, "performers": people} | fields)
    return Movie.from_scene(scene, managed=ALL, max_tags=max_tags, content_rating="XXX")


def test_every_field_has_its_place():
    shown = movie(
        title=" A  title ",
        details="One.\r\nTwo.",
        date="2024-05-06",
        rating100=85,
        studio="Studio",
        director="Dir",
        code="AB-1",
        performers=("Zoe", "Ann"),
        tags=("b", "A"),
        groups=("Series",),
        screenshot="http://stash/scene/7/screenshot",
    )

    assert shown == Movie(
        managed=ALL,
        title="A title",
        summary="One.\nTwo.",
        studio="Studio",
        released="2024-05-06",
        rating=8.5,
        actors=("Ann", "Zoe"),
        genres=("A", "b"),
        directors=("Dir",),
        collections=("Studio", "Series"),
        tagline="AB-1",
        content_rating="XXX",
        poster="http://stash/scene/7/screenshot",
        background="http://stash/scene/7/screenshot",
        sort_title="title",
        duration=None,
        studios=("Studio",),
    )


def test_an_untitled_scene_is_named_after_its_file():
    assert movie().title == "one.two"
    assert movie(files=(SceneFile(path="C:\\x\\noext"),)).title == "noext"
    assert movie(files=(SceneFile(path="/x/.hidden"),)).title == ".hidden"
    assert movie(files=()).title == "Scene 7"
    assert movie(title="\x00\x01").title == "one.two"


def test_an_empty_scene_shows_nothing_but_its_title():
    shown = movie()

    assert (shown.summary, shown.studio, shown.released, shown.tagline) == (
        "",
        "",
        "",
        "",
    )
    assert shown.rating is None
    assert (shown.actors, shown.genres, shown.directors, shown.collections) == (
        (),
        (),
        (),
        (),
    )


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("2024-05-06", "2024-05-06"),
        ("2024-05", "2024-05-01"),
        ("2024", "2024-01-01"),
        ("1955-01-02", "1955-01-02"),
        ("2101-12", "2101-12-01"),
        ("2024-02-31", ""),
        ("2024-13", ""),
        ("0000", ""),
        ("May 2024", ""),
        ("", ""),
    ],
)
def test_partial_dates_are_completed(text, complete):
    assert complete_date(text) == complete


@given(st.dates())
def test_a_whole_date_stays(day: date):
    assert complete_date(day.isoformat()) == day.isoformat()


def test_names_that_differ_in_case_only_are_one():
    shown = movie(
        tags=("Night", "night", "NIGHT "), performers=("\u00c9va", "E\u0301va")
    )

    assert len(shown.genres) == 1
    assert shown.actors == ("\u00c9va",)


def test_tags_are_limited_in_a_stable_order():
    tags = [f"tag {number:03}" for number in range(90)]

    assert movie(max_tags=10, tags=tuple(reversed(tags))).genres == tuple(tags[:10])


def test_performers_keep_their_order_whatever_stash_says():
    assert movie(performers=("b", "a")) == movie(performers=("a", "b"))


def test_limits_hold():
    shown = movie(title="word " * 200, details="d" * 20_000, performers=("n" * 500,))

    assert len(shown.title) <= 255
    assert len(shown.summary) == 10_000
    assert len(shown.actors[0]) == 255


@pytest.mark.parametrize(
    "fields",
    [
        {"studio": "S"},
        {"performers": (Performer(name="P"),)},
        {"tags": ("T",)},
        {"details": "D"},
        {"date": "2024"},
    ],
)
def test_one_fact_is_enough_to_take_part(fields):
    assert says_nothing(Scene(id=1, title="T", rating100=80))
    assert not says_nothing(Scene(id=1, **fields))


def test_the_gates():
    scene = Scene(id=1, tags=("Private",))

    assert excluded_by(scene, SyncSettings()) is None
    assert excluded_by(scene, SyncSettings(require_organized=True)) == "not organized"
    assert excluded_by(scene, SyncSettings(require_stash_id=True)) == "no stash id"
    assert excluded_by(scene, SyncSettings(exclude_tag=" private")) == "excluded by tag"
    assert excluded_by(scene, SyncSettings(exclude_tag="other")) is None
    fit = Scene(
        id=1,
        organized=True,
        stash_ids=(StashId(endpoint="https://stashdb.org/graphql", id="x"),),
    )
    both = SyncSettings(require_organized=True, require_stash_id=True)
    assert excluded_by(fit, both) is None


@pytest.mark.parametrize(
    ("attribute", "left_alone"),
    [
        ("title", {Field.TITLE}),
        ("studio", {Field.STUDIO, Field.COLLECTIONS}),
        ("groups", {Field.COLLECTIONS}),
        ("screenshot", {Field.POSTER, Field.BACKGROUND}),
        ("organized", set()),
    ],
)
def test_what_stash_does_not_tell_is_left_alone(attribute, left_alone):
    scene = Scene(id=1, unknown=frozenset({attribute}))
    everything = frozenset(Field)
    movie = Movie.from_scene(scene, managed=everything, max_tags=10, content_rating="")
    assert everything - movie.managed == left_alone


def test_scenes_whose_tags_are_not_told_are_not_known_to_take_part():
    scene = Scene(id=1, unknown=frozenset({"tags"}))
    assert excluded_by(scene, SyncSettings(exclude_tag="")) is None
    told = excluded_by(scene, SyncSettings(exclude_tag="Private"))
    assert told == "Stash does not tell its tags"


@pytest.mark.parametrize(
    ("given", "date", "is_managed"),
    [
        ("2020-05-06T07:08:09Z", "2020-05-06", True),
        ("2020-05-06 07:08", "2020-05-06", True),
        ("2020-05", "2020-05-01", True),
        ("", "", True),
        ("  ", "", True),
        ("2020-05-06junk", "", False),
        ("6 May 2020", "", False),
        ("2020-13-40", "", False),
    ],
)
def test_a_date_in_a_form_that_nobody_knows_is_left_alone(given, date, is_managed):
    movie = Movie.from_scene(
        Scene(id=1, date=given),
        managed=frozenset(Field),
        max_tags=10,
        content_rating="",
    )
    assert (movie.released, Field.DATE in movie.managed) == (date, is_managed)
