"""A `Movie` as the documents that Plex reads; pure.

Integers are integers, what is empty is left out: Plex fills that from the next
provider, and its reader stumbles over null. Plex's own vocabulary is in
https://developer.plex.tv/pms/, "Metadata Providers".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stash2plex.movie import Field, Movie
from stash2plex.provider.hints import MOVIE
from stash2plex.scene import guid_of, rating_key_of

Document = dict[str, Any]

METADATA_KEY = "/library/metadata"
MATCH_KEY = f"{METADATA_KEY}/matches"
# Ratings that only adults' films have.
_ADULT = frozenset({"xxx", "x", "nc-17"})
# Plex knows a closed list of badges; this one is on a scale of 0 to 10 too.
_RATING_BADGE = "themoviedb://image.rating"
# What Plex must always be told, whatever it wants left out.
_INDISPENSABLE = frozenset({"guid", "type", "title", "ratingKey", "key", "score"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Where Plex finds the pictures of one scene, "" for none.

    *performers* go by the name that Plex shows.
    """

    poster: str = ""
    background: str = ""
    square: str = ""
    logo: str = ""
    performers: Mapping[str, str]


def root_document(identifier: str, title: str, version: str) -> Document:
    """Return what a provider says of itself; keys are relative to its root."""
    return {
        "MediaProvider": {
            "identifier": identifier,
            "title": title,
            "version": version,
            "Types": [{"type": MOVIE, "Scheme": [{"scheme": identifier}]}],
            "Feature": [
                {"type": "match", "key": MATCH_KEY},
                {"type": "metadata", "key": METADATA_KEY},
            ],
        }
    }


def container(
    identifier: str,
    found: Sequence[Document] = (),
    *,
    of: str = "Metadata",
    start: int = 0,
    size: int | None = None,
) -> Document:
    """Wrap *found*, or *size* of it from *start* on, as Plex wants every answer."""
    end = len(found) if size is None else start + size
    page = list(found[start:end])
    return {
        "MediaContainer": {
            "offset": start,
            "totalSize": len(found),
            "identifier": identifier,
            "size": len(page),
            of: page,
        }
    }


def reference(scene_id: int, title: str, released: str, identifier: str) -> Document:
    """Return as much as a listing tells of a scene."""
    return _without_empty(
        {
            "ratingKey": rating_key_of(scene_id),
            "key": f"{METADATA_KEY}/{rating_key_of(scene_id)}",
            "guid": guid_of(scene_id, identifier),
            "type": "movie",
            "title": title or f"Scene {scene_id}",
            "originallyAvailableAt": released,
            "year": _year(released),
        }
    )


def match_document(
    scene_id: int, movie: Movie, poster: str, identifier: str
) -> Document:
    """Return a scene as a search result, without its score."""
    return reference(
        scene_id, movie.title, _shown(movie, Field.DATE, movie.released), identifier
    ) | _without_empty(
        {
            "summary": _shown(movie, Field.SUMMARY, movie.summary),
            **_rated(movie),
            "thumb": _shown(movie, Field.POSTER, poster),
            "Guid": _guids(movie),
        }
    )


def metadata_document(
    scene_id: int, movie: Movie, pictures: Pictures, identifier: str
) -> Document:
    """Return all that a provider can say of a scene."""
    released = _shown(movie, Field.DATE, movie.released)
    return reference(scene_id, movie.title, released, identifier) | _without_empty(
        {
            "titleSort": movie.sort_title,
            "summary": _shown(movie, Field.SUMMARY, movie.summary),
            "tagline": _shown(movie, Field.TAGLINE, movie.tagline),
            "studio": _shown(movie, Field.STUDIO, movie.studio),
            **_rated(movie),
            "duration": movie.duration,
            "thumb": _shown(movie, Field.POSTER, pictures.poster),
            "art": _shown(movie, Field.BACKGROUND, pictures.background),
            "Image": images(movie, pictures, one_of_each=True),
            "Genre": _tags(movie, Field.TAGS, movie.genres),
            "Studio": _tags(movie, Field.STUDIO, movie.studios),
            "Collection": _tags(movie, Field.COLLECTIONS, movie.collections),
            "Director": [
                {**tag, "role": "Director"}
                for tag in _tags(movie, Field.DIRECTOR, movie.directors)
            ],
            "Role": [
                _without_empty(
                    {
                        **tag,
                        "order": number,
                        "thumb": pictures.performers.get(tag["tag"], ""),
                    }
                )
                for number, tag in enumerate(
                    _tags(movie, Field.PERFORMERS, movie.actors), 1
                )
            ],
            "Guid": _guids(movie),
            "Rating": _ratings(movie),
        }
    )


def images(
    movie: Movie, pictures: Pictures, *, one_of_each: bool = False
) -> list[Document]:
    """Return the pictures by kind; *one_of_each* leaves out what repeats another."""
    poster = _shown(movie, Field.POSTER, pictures.poster)
    background = _shown(movie, Field.BACKGROUND, pictures.background)
    square = "" if one_of_each or not poster else pictures.square
    found = {
        "coverPoster": (poster, movie.title),
        "background": (background, movie.title),
        "backgroundSquare": (square, movie.title),
        "clearLogo": (_shown(movie, Field.STUDIO, pictures.logo), movie.studio),
    }
    return [
        {"type": kind, "url": url, "alt": alt}
        for kind, (url, alt) in found.items()
        if url
    ]


def trimmed(document: Document, wishes: Mapping[str, str]) -> Document:
    """Return *document* with as much as *wishes* want of it, and what Plex needs.

    Fields are plain members, elements are lists; both kinds come as comma lists.
    """
    kept = dict(document)
    for kind, is_element in (("Fields", False), ("Elements", True)):
        only, without = (
            {one.strip() for one in wishes[f"{verb}{kind}"].split(",") if one.strip()}
            if wishes.get(f"{verb}{kind}")
            else set()
            for verb in ("include", "exclude")
        )
        kept = {
            name: value
            for name, value in kept.items()
            if isinstance(value, list) is not is_element
            or name in _INDISPENSABLE
            or (name not in without and (not only or name in only))
        }
    return kept


def _shown(movie: Movie, of: Field, value: str) -> str:
    """Return *value* unless the user switched its field off."""
    return value if of in movie.managed else ""


def _rated(movie: Movie) -> Document:
    rating = _shown(movie, Field.CONTENT_RATING, movie.content_rating)
    adult = {"isAdult": True} if rating.casefold() in _ADULT else {}
    return {"contentRating": rating, **adult}


def _ratings(movie: Movie) -> list[Document]:
    if movie.rating is None or Field.RATING not in movie.managed:
        return []
    return [{"image": _RATING_BADGE, "type": "audience", "value": movie.rating}]


def _guids(movie: Movie) -> list[Document]:
    return [{"id": guid} for guid in movie.guids]


def _tags(movie: Movie, of: Field, names: Sequence[str]) -> list[Document]:
    return [{"tag": name} for name in names] if of in movie.managed else []


def _year(released: str) -> int | None:
    return int(released[:4]) if released else None


def _without_empty(document: Document) -> Document:
    return {
        name: value for name, value in document.items() if value not in (None, "", [])
    }
