"""What the pretend Plex says on its notification socket, as JSON text frames."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_LIBRARY = "com.plexapp.plugins.library"
_MOVIE = 1
# What a new film causes, as counted on a real server.
_ACTIVITIES, _PROGRESS, _TIMELINE = 80, 52, 14
_KINDS = ("media.generate.chapter.thumbs", "library.refresh.items")
# What is told of a new film on its way, in this order; then it is processed.
_STATES = (0, 1, 2, 3, 4)
_MEDIA_STATES = ("analyzing", "thumbnailing", "chapterizing")


def timeline(
    key: int, *, section: int = 1, kind: int = _MOVIE, **state: Any
) -> dict[str, Any]:
    """Return one entry of a timeline frame."""
    return {
        "identifier": _LIBRARY,
        "sectionID": str(section),
        "itemID": str(key),
        "type": kind,
        **state,
    }


def timeline_frame(*entries: dict[str, Any]) -> str:
    """Return a frame with *entries*."""
    return _frame("timeline", "TimelineEntry", *entries)


def scan_ended() -> str:
    """Return the frame that says that a library was scanned to the end."""
    activity = {"event": "ended", "Activity": {"type": "library.update.section"}}
    return _frame("activity", "ActivityNotification", activity)


def new_film(key: int, section: int) -> Iterator[str]:
    """Yield all frames of a new film but the first: its creation."""
    for number in range(_ACTIVITIES):
        kind = (
            "library.refresh.items" if number % 2 else "media.generate.chapter.thumbs"
        )
        activity = {
            "event": "updated",
            "uuid": f"{key}-{number}",
            "Activity": {"type": kind, "progress": number, "Context": {"key": key}},
        }
        yield _frame("activity", "ActivityNotification", activity)
    for number in range(_PROGRESS):
        yield _frame("progress", "ProgressNotification", {"message": str(number)})
    told: list[dict[str, Any]] = [
        *({"state": one, "metadataState": "loading"} for one in _STATES),
        *({"state": 5, "mediaState": one} for one in _MEDIA_STATES),
    ]
    told += [{"state": 5, "queueSize": 1}] * (_TIMELINE - len(told) - 1)
    for state in (*told, {"state": 5}):
        yield timeline_frame(timeline(key, section=section, **state))


def _frame(kind: str, name: str, *entries: dict[str, Any]) -> str:
    container = {"type": kind, "size": len(entries), name: list(entries)}
    return json.dumps({"NotificationContainer": container})
