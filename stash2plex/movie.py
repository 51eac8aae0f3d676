"""A scene as Plex should show it.

This is the only place where Stash's vocabulary becomes Plex's. Pushing, serving and
reconciling all start from a `Movie`, so they cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stash2plex.paths import file_name
from stash2plex.text import clean_line, clean_text, name_key

if TYPE_CHECKING:
    from stash2plex.scene import Scene, SceneEntry

# Plex documents no limits; these are what its users are known to get away with.
LINE_LIMIT = 255
SUMMARY_LIMIT = 10_000
_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ].*)?)?)?$")
_RATING_SCALE = 10
# What Plex leaves out when it sorts.
_ARTICLE = re.compile(r"(?i)^(?:the|an?)\s+")
_ADDRESS = re.compile(r"[\d.]+|.*:.*")
# Second levels of countries, under which sites have their names.
_SUFFIXES = frozenset({"ac", "co", "com", "edu", "gov", "net", "org"})
_NO_SCHEME = re.compile(r"[^a-z0-9]")


class Field(StrEnum):
    """What can be switched on and off under ``[sync.fields]``."""

    TITLE = "title"
    SUMMARY = "summary"
    STUDIO = "studio"
    DATE = "date"
    RATING = "rating"
    PERFORMERS = "performers"
    TAGS = "tags"
    DIRECTOR = "director"
    COLLECTIONS = "collections"
    TAGLINE = "tagline"
    CONTENT_RATING = "content_rating"
    POSTER = "poster"
    BACKGROUND = "background"


# What an attribute of a scene decides.
_TOLD_BY: Mapping[str, tuple[Field, ...]] = {
    "title": (Field.TITLE,),
    "details": (Field.SUMMARY,),
    "studio": (Field.STUDIO, Field.COLLECTIONS),
    "date": (Field.DATE,),
    "rating100": (Field.RATING,),
    "performers": (Field.PERFORMERS,),
    "tags": (Field.TAGS,),
    "director": (Field.DIRECTOR,),
    "groups": (Field.COLLECTIONS,),
    "code": (Field.TAGLINE,),
    "screenshot": (Field.POSTER, Field.BACKGROUND),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Movie:
    """One movie in Plex's vocabulary, clean and within Plex's limits.

    Only what is in *managed* is ours to show. An empty value means that Plex should
    show nothing; *title* is never empty. *released* is ``YYYY-MM-DD`` or "", *rating*
    0 to 10 or None, *duration* in milliseconds; *poster* and *background* are URLs of
    Stash. *studios* starts with the studio; *guids* are ``stashdb://<id>`` and such.
    """

    managed: frozenset[Field]
    title: str
    summary: str = ""
    studio: str = ""
    released: str = ""
    rating: float | None = None
    actors: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()
    directors: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    tagline: str = ""
    content_rating: str = ""
    poster: str = ""
    background: str = ""
    sort_title: str = ""  # goes with the title
    # What only a provider can say: Plex takes it in no edit.
    duration: int | None = None
    studios: tuple[str, ...] = ()
    guids: tuple[str, ...] = ()

    @classmethod
    def from_scene(
        cls,
        scene: Scene,
        *,
        managed: frozenset[Field],
        max_tags: int,
        content_rating: str,
    ) -> Movie:
        """Translate *scene*; an untitled one is named after its first file.

        What Stash does not tell, or tells in a form that we do not know, is left as it
        is: it is not managed.
        """
        studio = clean_line(scene.studio, LINE_LIMIT)
        title = title_of(scene)
        seconds = scene.files[0].duration if scene.files else None
        return cls(
            managed=managed - _untold(scene),
            title=title,
            summary=clean_text(scene.details, SUMMARY_LIMIT),
            studio=studio,
            released=complete_date(scene.date),
            rating=_rating(scene.rating100),
            actors=_names(
                sorted((one.name for one in scene.performers), key=_name_order)
            ),
            genres=_names(sorted(scene.tags, key=_name_order))[:max_tags],
            directors=_names([scene.director]),
            collections=_names([studio, *scene.groups]),
            tagline=clean_line(scene.code, LINE_LIMIT),
            content_rating=clean_line(content_rating, LINE_LIMIT),
            poster=scene.screenshot,
            background=scene.screenshot,
            sort_title=sort_title_of(title),
            duration=round(seconds * 1000) if seconds else None,
            studios=_names([studio, scene.parent_studio]),
            guids=tuple(
                dict.fromkeys(
                    f"{scheme}://{one.id}"
                    for one in scene.stash_ids
                    if one.id and (scheme := stash_box(one.endpoint))
                )
            ),
        )


def _untold(scene: Scene) -> set[Field]:
    """Return what a scene says nothing of that could be shown or cleared."""
    untold = {field for name in scene.unknown for field in _TOLD_BY.get(name, ())}
    if scene.date.strip() and not complete_date(scene.date):
        untold.add(Field.DATE)
    return untold


def complete_date(text: str) -> str:
    """Return *text* as ``YYYY-MM-DD``: partial ones get ``-01``, others become "".

    Of one with a time, the date counts.
    """
    match = _DATE.match(text.strip())
    if not match:
        return ""
    try:
        return date(*map(int, match.groups(default="01"))).isoformat()
    except ValueError:
        return ""


def stash_box(endpoint: str) -> str:
    """Return the scheme that an id of this stash-box has in Plex, "" if it has none.

    It is the name of its site: ``https://stashdb.org/graphql`` is ``stashdb``.
    """
    try:
        host = urlsplit(endpoint).hostname or ""
    except ValueError:  # brackets that enclose no address
        return ""
    if _ADDRESS.fullmatch(host):
        return "stashbox"
    labels = host.split(".")
    labels = labels[:-1] or labels
    if len(labels) > 1 and labels[-1] in _SUFFIXES:
        labels.pop()
    return _NO_SCHEME.sub("", labels[-1])


def title_of(scene: SceneEntry) -> str:
    """Return the title, else the name of the first file, else something."""
    title = clean_line(scene.title, LINE_LIMIT)
    if not title and scene.files:
        name = file_name(scene.files[0].path)
        title = clean_line(name.rpartition(".")[0] or name, LINE_LIMIT)
    return title or f"Scene {scene.id}"


def sort_title_of(title: str) -> str:
    """Return what Plex itself sorts *title* by: an article at its start does not count.

    Plex does so for English articles at least; see its support article on sort titles.
    """
    return _ARTICLE.sub("", title) or title


def _rating(rating100: int | None) -> float | None:
    """Translate 1…100 to Plex's 0…10; Stash knows no rating of zero."""
    return rating100 / _RATING_SCALE if rating100 else None


def _name_order(name: str) -> tuple[str, str]:
    return name_key(name), name


def _names(names: Iterable[str]) -> tuple[str, ...]:
    """Clean *names*; equal ones are one person, one tag, whatever their case."""
    cleaned = (clean_line(name, LINE_LIMIT) for name in names)
    unique: dict[str, str] = {}
    for name in cleaned:
        if name:
            unique.setdefault(name_key(name), name)
    return tuple(unique.values())
