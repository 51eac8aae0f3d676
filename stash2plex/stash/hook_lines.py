"""Hearing of changes from inside Stash: lines of its log that our script wrote.

A line looks like ``[Plugin / Stash to Plex hooks] stash2plexd 1 {"type": …}``, and is
believed only where a message begins so. All the rest of the log comes along, SQL with
values among it: it is searched and dropped, and nothing of it is kept or logged.
"""

from __future__ import annotations

import asyncio
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
# A message this long is none of ours, in characters.
_LONGEST = 8 * 1024
# The rest of a message, as JSON writes it.
_REST = re.compile(rf'(?:[^"\\]|\\.){{2,{_LONGEST}}}+(?=")')
# So many lines are handed on at once, and so many looked at: the loop has other things
# to do as well.
_BATCH, _LOOKED_AT = 500, 50


async def hook_lines(
    stash: StashConnection, on_listening: Callable[[], None]
) -> AsyncGenerator[list[dict[str, Any]], None]:
    """Yield what our script said, some lines at a time, until the link breaks.

    Raises what `subscription` raises.
    """
    async for frame in subscription(stash, (queries.LOG,), on_listening):
        batch: list[dict[str, Any]] = []
        for number, said in enumerate(_candidates(frame, stash.version), 1):
            if said is not None:
                batch.append(said)
            if len(batch) == _BATCH:
                yield batch
                batch = []
            if number % _LOOKED_AT == 0:
                await asyncio.sleep(0)
        if batch:
            yield batch


def said_in(frame: str, release: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield what our script said in a frame, nothing of any other's.

    *release* is Stash's version; None where that is unknown.
    """
    return (said for said in _candidates(frame, release) if said is not None)


def _candidates(frame: str, release: str | None) -> Iterator[dict[str, Any] | None]:
    """Yield what each message that begins like ours says; None if it is not ours.

    A quote inside a text has a backslash before it, so that what is searched for stands
    only where a message begins.
    """
    nameless = release is None or _WITHOUT_NAMES.match(release)
    for lead in (_NAMED, _NAMELESS) if nameless else (_NAMED,):
        beginning = f'"message":"{lead}{_MARK}'
        end = 0
        while (found := frame.find(beginning, end)) >= 0:
            end = found + len(beginning)
            rest = _REST.match(frame, end)
            if rest is None:
                yield None
                continue
            end = rest.end()
            yield _read(rest[0])


def _read(rest: str) -> dict[str, Any] | None:
    """Return what a line says, None for what cannot be read."""
    try:
        text = json.loads(f'"{rest}"')
        if len(text) >= _LONGEST - len(_NAMED + _MARK):
            return None
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None
