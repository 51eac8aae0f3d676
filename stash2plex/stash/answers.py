"""What Stash answers, as values of ours.

Raises KeyError, TypeError or ValueError for what is no answer; the client turns that
into an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from stash2plex.scene import (
    MOST_SQLITE_HOLDS,
    Performer,
    Scene,
    SceneEntry,
    SceneFile,
    StashId,
)

# What is raised over a row that makes no sense.
NO_SENSE = (AttributeError, KeyError, TypeError, ValueError, OverflowError)
# No zone is further from UTC.
_ZONES = timedelta(hours=26)
_BEST_RATING = 100
# A time so young may stand for a later change too: Stash writes whole seconds.
SETTLED = 3.0
# No film lasts so many seconds.
_LONGEST = 10.0**7
# The path of a picture, whatever stands before it.
_OWNED = re.compile(r"/(?:scene|performer|studio|tag|group)/\d+/[^/]+$")
# So much of a value that makes no sense is quoted.
_QUOTED = 40


def version_from(answer: dict[str, Any]) -> str:
    """Return the version; builds of one's own report none."""
    found = answer.get("version")
    return str(found.get("version") or "") if isinstance(found, dict) else ""


def id_of(found: Any) -> int | None:
    """Return which scene, performer or so on a row is about, None if that is no id."""
    try:
        key = int(found["id"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return key if 0 < key <= MOST_SQLITE_HOLDS else None


def _id(found: dict[str, Any]) -> int:
    key = id_of(found)
    if key is None:
        raise ValueError(f"id is {_quoted(found['id'])}")
    return key


def _text(found: dict[str, Any], name: str) -> str:
    value = found[name]
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} is {_quoted(value)}")
    return value or ""


def _quoted(value: Any) -> str:
    return repr(value)[:_QUOTED]


# What a scene says that tells nothing of an attribute, by what is asked for instead.
_NOTHING: dict[str, Any] = {
    "performers": (),
    "tags": (),
    "groups": (),
    "stash_ids": (),
    "screenshot": None,
}


def entry_from(
    found: dict[str, Any], unknown: frozenset[str] = frozenset()
) -> SceneEntry:
    """Return what a listing says of a scene; *unknown* was not asked for."""
    found = _filled(found, unknown)
    return SceneEntry(
        id=_id(found),
        updated_at=_text(found, "updated_at"),
        title=_text(found, "title"),
        date=_text(found, "date"),
        created_at=str(found.get("created_at") or ""),
        files=_files(found),
    )


def _filled(found: dict[str, Any], unknown: frozenset[str]) -> dict[str, Any]:
    """Return *found* with nothing for what was not asked for."""
    if not unknown:
        return found
    nothing = {name: _NOTHING.get(name) for name in unknown}
    return {"paths": None, **nothing, **found}


def _files(found: dict[str, Any]) -> tuple[SceneFile, ...]:
    return tuple(file_from(file) for file in found["files"])


def file_from(found: dict[str, Any]) -> SceneFile:
    """Return what is said of one file."""
    return SceneFile(
        path=_path(found["path"]),
        size=_size(found.get("size")),
        duration=_duration(found.get("duration")),
    )


def _path(found: Any) -> str:
    if not isinstance(found, str):
        raise TypeError(f"a path is {_quoted(found)}")
    return found


def _size(found: Any) -> int | None:
    size = int(found or 0)
    return size if 0 < size <= MOST_SQLITE_HOLDS else None


def _duration(found: Any) -> float | None:
    """Return seconds, None where Stash could not tell."""
    seconds = float(found or 0)
    return seconds if 0 < seconds < _LONGEST else None


def _rating(found: Any) -> int | None:
    if found is None or (type(found) is int and 0 <= found <= _BEST_RATING):
        return found
    raise ValueError(f"rating100 is {_quoted(found)}")


def scene_from(
    found: dict[str, Any], base: str, unknown: frozenset[str] = frozenset()
) -> Scene:
    """Return a scene, its URLs on *base*; *unknown* attributes were not asked for."""
    found = _filled(found, unknown)
    studio = found["studio"] or {}
    return Scene(
        id=_id(found),
        updated_at=_text(found, "updated_at"),
        created_at=str(found.get("created_at") or ""),
        files=_files(found),
        title=_text(found, "title"),
        details=_text(found, "details"),
        date=_text(found, "date"),
        rating100=_rating(found["rating100"]),
        studio=_text({"name": None, **studio}, "name"),
        studio_id=int(studio.get("id") or 0),
        studio_image=picture_of(studio, base),
        parent_studio=(studio.get("parent_studio") or {}).get("name") or "",
        director=_text(found, "director"),
        code=_text(found, "code"),
        performers=tuple(
            Performer(name=_text(one, "name"), id=_id(one), image=picture_of(one, base))
            for one in found["performers"]
            if one.get("name")
        ),
        tags=_names(found["tags"]),
        tag_ids=_ids(found["tags"]),
        groups=_names(entry["group"] for entry in found["groups"]),
        group_ids=_ids(entry["group"] for entry in found["groups"]),
        organized=bool(found["organized"]),
        stash_ids=tuple(
            StashId(endpoint=one["endpoint"], id=one["stash_id"])
            for one in found["stash_ids"]
        ),
        screenshot=rebased((found["paths"] or {}).get("screenshot") or "", base),
        unknown=unknown,
    )


def picture_of(found: dict[str, Any], base: str) -> str:
    """Return where a picture is; "" for the one that stands for none."""
    url = rebased(found.get("image_path") or "", base)
    return "" if "default=true" in urlsplit(url).query.split("&") else url


def _names(found: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(_text(one, "name") for one in found if one and one.get("name"))


def _ids(found: Iterable[dict[str, Any]]) -> tuple[int, ...]:
    return tuple(_id(one) for one in found if one)


def rebased(url: str, base: str) -> str:
    """Return *url* on our own *base*, and without a key.

    Stash builds URLs from whatever host it was asked by, or from what it is told
    (``external_host``, a proxy's prefix), with a path perhaps; that may mean nothing
    here. So a picture's path counts from where Stash itself begins.
    """
    if not url:
        return ""
    parts = urlsplit(url)
    path = "/" + parts.path.lstrip("/")  # else it would go on with the host
    if owned := _OWNED.search(path):
        path = owned[0]
    kept = "&".join(
        pair
        for pair in parts.query.split("&")
        if pair and not pair.lower().startswith("apikey=")
    )
    return f"{base}{path}{f'?{kept}' if kept else ''}"


def parsed_time(text: str) -> datetime | None:
    """Parse a time of Stash (RFC 3339 with an offset); None when it is none."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else None


def is_since(entry: SceneEntry, since: datetime) -> bool:
    """Whether a scene was changed or made *since*; times that cannot be read may be."""
    times = (parsed_time(one) for one in (entry.updated_at, entry.created_at) if one)
    return any(time is None or time >= since for time in times)


def is_early(text: str, now: float) -> bool:
    """Whether a time is so young, *now* by Stash's clock, that it may tell of two."""
    moment = parsed_time(text)
    return moment is not None and abs(now - moment.timestamp()) <= SETTLED


def text_bound(since: datetime) -> str:
    """Return a text before that of all times from *since* on, in whatever zone.

    Stash compares times as text, each written in the zone of its moment.
    """
    return (since - _ZONES).strftime("%Y-%m-%dT%H:%M:%S")
