"""What Plex says when it asks what a file is: the body of a match request.

Read leniently, as Plex's documents and its logs differ: numbers may be strings, a
member of the wrong kind is not there, unknown ones are passed over. A file name that
tries to lead out of its folder is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stash2plex.errors import InvalidRequest
from stash2plex.paths import normal

MOVIE = 1
# Path rules are tried on no longer ones; see `stash2plex.paths`.
_LONGEST_PATH = 1024
_LONGEST_TEXT = 1000
_LARGEST = 2**63
_DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})[-._ ](\d{2})[-._ ](\d{2})(?!\d)")
_TRIMMING = ("includeFields", "excludeFields", "includeElements", "excludeElements")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """One match request.

    *path* is what Plex calls ``filename``: with forward slashes, relative to a folder
    of the library or absolute, "" without one; *spelling* is the same as Plex spells
    it. *size* is in bytes and *duration* in
    seconds; no Plex is known to send either. *date* is ``YYYY-MM-DD`` when the title
    or the name has one.
    """

    type: int = MOVIE
    title: str = ""
    year: int | None = None
    guid: str = ""
    path: str = ""
    spelling: str = ""
    size: int | None = None
    duration: float | None = None
    manual: bool = False
    trimming: Mapping[str, str] = field(default_factory=dict)

    @property
    def date(self) -> str:
        """The day that the title names, "" for none."""
        found = _DATE.search(self.title)
        return "-".join(found.groups()) if found else ""


def parse_hints(body: Any) -> Hints:
    """Read the body of a match request; raises `InvalidRequest`."""
    if not isinstance(body, dict):
        raise InvalidRequest("the body must be a JSON object")
    kind = _integer(body.get("type"))
    if kind is None:
        raise InvalidRequest("type: must be a number, 1 for a movie")
    milliseconds = _integer(body.get("duration"))
    return Hints(
        type=kind,
        title=_text(body.get("title"))[:_LONGEST_TEXT],
        year=_integer(body.get("year")),
        guid=_text(body.get("guid"))[:_LONGEST_TEXT],
        path=_path(_text(body.get("filename"))),
        spelling=_text(body.get("filename"))[:_LONGEST_PATH],
        size=_integer(body.get("size")),
        duration=milliseconds / 1000 if milliseconds else None,
        manual=_integer(body.get("manual")) == 1,
        trimming={name: _text(body.get(name)) for name in _TRIMMING if name in body},
    )


def trimming_of(query: Mapping[str, str]) -> dict[str, str]:
    """Return what a query string asks to leave out or to keep."""
    return {name: query[name] for name in _TRIMMING if name in query}


def _integer(value: Any) -> int | None:
    match value:
        case bool():
            return int(value)
        case int() | float() if -_LARGEST < value < _LARGEST:
            return int(value)
        case str() if re.fullmatch(r"-?[0-9]{1,18}", value.strip()):
            return int(value)
        case _:
            return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _path(text: str) -> str:
    """Return *text* as a path, "" for one that nothing on a disk can have."""
    path = normal(text)
    if len(path) > _LONGEST_PATH or "\0" in path or _is_broken(path):
        return ""
    if ".." in path.split("/") or path.endswith("/"):
        return ""
    return path


def _is_broken(text: str) -> bool:
    """Whether *text* has half a character, which neither a disk nor SQLite takes."""
    return any("\ud800" <= char <= "\udfff" for char in text)
