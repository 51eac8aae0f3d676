"""Hearing of changes from inside Stash: lines of its log that our script wrote.

A line looks like ``[Plugin / Stash to Plex hooks] stash2plexd 1 {"type": …}``, and is
believed only where a message begins so. All the rest of the log comes along, SQL with
values among it: it is searched and dropped, and nothing of it is kept or logged.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from stash2plex.plugin import IN_PROCESS_HOOKS
from stash2plex.stash import queries
from stash2plex.stash.subscription import subscription

if TYPE_CHECKING:
    from stash2plex.stash.connection import StashConnection

_MARK = "stash2plexd 1 "
_NAMED = f"[Plugin / {IN_PROCESS_HOOKS.name}] "
# Up to v0.25 Stash does not say which plugin a script is of.
_NAMELESS = "[Plugin] "
_WITHOUT_NAMES = re.compile(r"v?0\.2[45]\b")
# A quote inside a text has a backslash before it, so these stand only where one begins.
_BEGINNINGS = tuple(f'"message":"{lead}' for lead in (_NAMED, _NAMELESS))
# A message this long is none of ours, in characters.
_LONGEST = 8 * 1024
# The rest of a message, as JSON writes it.
_REST = re.compile(rf'(?:[^"\\]|\\.){{2,{_LONGEST}}}+(?=")')
# So many lines are handed on at once: the loop has other things to do as well.
_BATCH = 500


async def hook_lines(
    stash: StashConnection, on_listening: Callable[[], None]
) -> AsyncGenerator[list[dict[str, Any]], None]:
    """Yield what our script said, some lines at a time, until the link breaks.

    Raises what `subscription` raises.
    """
    async for frame in subscription(stash, queries.LOG, on_listening):
        if _MARK in frame:
            batch = []
            for said in said_in(frame, stash.version):
                batch.append(said)
                if len(batch) == _BATCH:
                    yield batch
                    batch = []
            if batch:
                yield batch


def said_in(frame: str, release: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield what our script said in a frame, in its order; nothing of any other's.

    *release* is Stash's version; None where that is unknown.
    """
    nameless = release is None or _WITHOUT_NAMES.match(release)
    beginnings = _BEGINNINGS if nameless else _BEGINNINGS[:1]
    end = 0
    while (found := frame.find(_MARK, end)) >= 0:
        end = found + len(_MARK)
        if not any(
            frame.startswith(one, found - len(one), found) for one in beginnings
        ):
            continue
        if rest := _REST.match(frame, end):
            end = rest.end()
            said = _read(rest[0])
            if isinstance(said, dict):
                yield said


def _read(rest: str) -> Any:
    """Return what a line says, None for what cannot be read."""
    try:
        text = json.loads(f'"{rest}"')
        return json.loads(text) if len(text) < _LONGEST - len(_NAMED + _MARK) else None
    except (ValueError, RecursionError):
        return None
