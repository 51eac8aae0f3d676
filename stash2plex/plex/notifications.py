"""Plex's notification socket: hints that an item came, changed or went.

Any frame may be missed, doubled or nonsense; whoever acts on a hint reads the item.
The token goes into a header of the upgrade, never into the URL. What the socket says
is described by python-plexapi's ``alert.py`` and Tautulli's ``activity_handler.py``.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog

from stash2plex.config import PlexSettings
from stash2plex.errors import ServiceUnavailable
from stash2plex.link import no_redirects
from stash2plex.net.contact import NOBODY, Contact
from stash2plex.net.failures import reason
from stash2plex.scene import MOST_SQLITE_HOLDS

log = structlog.get_logger()

_ROUTE = "/:/websockets/notifications"
_HEARTBEAT = 30.0  # seconds; a link that does not answer is dead
_LARGEST = 4 * 1024 * 1024
_LIBRARY = "com.plexapp.plugins.library"
_MOVIE, _NO_TYPE = 1, -1
_CREATED, _PROCESSED, _DELETED = 0, 5, 9
_SCAN = "library.update.section"
# How long an event may be the echo of our own write, seconds.
_ECHO = 30.0
_MOST_ECHOES = 10_000


@dataclass(frozen=True, slots=True)
class ItemHint:
    """Something happened to an item; *is_gone* when Plex says it was deleted.

    What is gone may be anything: Plex does not tell its type.
    """

    rating_key: int
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class ScanEnded:
    """A library was scanned to the end."""


Hint = ItemHint | ScanEnded


class OwnWrites:
    """Remembers what we wrote lately, to know its echo from news."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._written: dict[int, float] = {}

    def note(self, rating_key: int) -> None:
        """Remember that an item was just written by us."""
        self._written.pop(rating_key, None)
        self._written[rating_key] = self._now()
        while len(self._written) > _MOST_ECHOES:
            del self._written[next(iter(self._written))]

    def caused(self, hint: Hint) -> bool:
        """Whether *hint* is most likely the echo of a write of ours."""
        if not isinstance(hint, ItemHint) or hint.is_gone:
            return False
        written = self._written.get(hint.rating_key)
        return written is not None and self._now() - written < _ECHO


class Notifications:
    """One connection after another to the socket."""

    def __init__(
        self, settings: PlexSettings, client_identifier: str, contact: Contact = NOBODY
    ) -> None:
        """Connect to the server of *settings*; *contact* is told whether that works."""
        self._settings = settings
        self._contact = contact
        self._headers = {
            "X-Plex-Token": settings.token.get_secret_value(),
            "X-Plex-Client-Identifier": client_identifier,
        }

    async def listen(
        self, on_connected: Callable[[], None]
    ) -> AsyncGenerator[Hint, None]:
        """Connect, and yield hints until the link breaks.

        Raises `ServiceUnavailable` when it cannot be made, or broke.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._settings.timeout)
        try:
            async with (
                aiohttp.ClientSession(
                    headers=self._headers, timeout=timeout, middlewares=(no_redirects,)
                ) as session,
                session.ws_connect(
                    f"{self._settings.url}{_ROUTE}",
                    heartbeat=_HEARTBEAT,
                    max_msg_size=_LARGEST,
                    ssl=self._settings.verify_tls,
                ) as socket,
            ):
                on_connected()
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        for hint in hints_in(message.data):
                            yield hint
        except (aiohttp.ClientError, OSError) as error:
            why = reason(error, self._settings.url, "plex")
            raise self._contact.broken(
                "Plex", error, f"notification socket: {why}"
            ) from None
        raise ServiceUnavailable("Plex", "it closed the notification socket")


def hints_in(frame: str) -> Iterator[Hint]:
    """Return what a frame says about movies; nothing of what is not understood."""
    try:
        container = json.loads(frame)["NotificationContainer"]
        entries = [
            *_table_list(container, "TimelineEntry"),
            *_table_list(container, "ActivityNotification"),
        ]
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return
    for entry in entries:
        try:
            hint = _activity(entry) if "Activity" in entry else _timeline(entry)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
            continue
        if hint is not None:
            yield hint


def _table_list(container: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = container.get(name) or []
    return [one for one in found if isinstance(one, dict)]


def _timeline(entry: dict[str, Any]) -> Hint | None:
    if entry.get("identifier") != _LIBRARY:
        return None
    kind, state, key = int(entry["type"]), int(entry["state"]), int(entry["itemID"])
    if not 0 <= key <= MOST_SQLITE_HOLDS:
        return None
    # Newer servers tell no type of what is deleted, others its own and another state.
    if (kind, state) in {(_NO_TYPE, _PROCESSED), (_MOVIE, _DELETED)}:
        return ItemHint(key, is_gone=True)
    if kind != _MOVIE:
        return None
    # A queue size says that the item is only on its way through the agent.
    ready = state == _CREATED or (state == _PROCESSED and not entry.get("queueSize"))
    return ItemHint(key) if ready and not entry.get("mediaState") else None


def _activity(entry: dict[str, Any]) -> Hint | None:
    ended = entry.get("event") == "ended"
    return ScanEnded() if ended and entry["Activity"]["type"] == _SCAN else None
