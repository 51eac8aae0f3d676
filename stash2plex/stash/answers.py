"""What Stash answers, as values of ours.

Raises KeyError, TypeError or ValueError for what is no answer; the client turns that
into an error.
"""

from __future__ import annotations

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

# No zone is further from UTC.
_ZONES = timedelta(hours=26)


def version_from(answer: dict[str, Any]) -> str:
    """Return the version; builds of one's own report none."""
    found = answer.get("version")
    return str(found.get("version") or "") if isinstance(found, dict) else ""


def entry_from(found: dict[str, Any]) -> SceneEntry:
    return SceneEntry(
        id=int(found["id"]),
        updated_at=str(found["updated_at"] or ""),
        title=found["title"] or "",
        date=found["date"] or "",
        created_at=str(found.get("created_at") or ""),
        files=_files(found),
    )


def _files(found: dict[str, Any]) -> tuple[SceneFile, ...]:
    return tuple(
        SceneFile(
            path=_path(file["path"]),
            size=_size(file["size"]),
            duration=float(file["duration"] or 0) or None,
        )
        for file in found["files"]
    )


def _path(found: Any) -> str:
    if not isinstance(found, str):
        raise TypeError("a path is text")
    return found


def _size(found: Any) -> int | None:
    size = int(found or 0)
    return size if 0 < size <= MOST_SQLITE_HOLDS else None


def scene_from(found: dict[str, Any], base: str) -> Scene:
    studio = found["studio"] or {}
    return Scene(
        id=int(found["id"]),
        updated_at=str(found["updated_at"] or ""),
        files=_files(found),
        title=found["title"] or "",
        details=found["details"] or "",
        date=found["date"] or "",
        rating100=found["rating100"],
        studio=studio.get("name") or "",
        studio_id=int(studio.get("id") or 0),
        studio_image=picture_of(studio, base),
        parent_studio=(studio.get("parent_studio") or {}).get("name") or "",
        director=found["director"] or "",
        code=found["code"] or "",
        performers=tuple(
            Performer(name=one["name"], id=int(one["id"]), image=picture_of(one, base))
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
    )


def picture_of(found: dict[str, Any], base: str) -> str:
    """Return where a picture is; "" for the one that stands for none."""
    url = rebased(found.get("image_path") or "", base)
    return "" if "default=true" in urlsplit(url).query.split("&") else url


def _names(found: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(one["name"] for one in found if one and one.get("name"))


def _ids(found: Iterable[dict[str, Any]]) -> tuple[int, ...]:
    return tuple(int(one["id"]) for one in found if one)


def rebased(url: str, base: str) -> str:
    """Return *url* on our own *base*, and without a key.

    Stash builds URLs from whatever host it was asked by; that may mean nothing here.
    """
    if not url:
        return ""
    parts = urlsplit(url)
    prefix = urlsplit(base).path.rstrip("/")
    path = "/" + parts.path.lstrip("/")  # else it would go on with the host
    if prefix and path.startswith(f"{prefix}/"):
        path = path[len(prefix) :]
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


def text_bound(since: datetime) -> str:
    """Return a text before that of all times from *since* on, in whatever zone.

    Stash compares times as text, each written in the zone of its moment.
    """
    return (since - _ZONES).strftime("%Y-%m-%dT%H:%M:%S")
