"""Telling whoever wants to know whether connections to a server can be made."""

from __future__ import annotations

from typing import Protocol

import aiohttp

from stash2plex.errors import ServiceUnavailable, Unreachable


class Watcher(Protocol):
    """Is told of every attempt."""

    def reached(self) -> None:
        """Note an answer, whatever it says."""

    def unreached(self, error: ServiceUnavailable) -> None:
        """Note that no connection could be made."""


class Contact:
    """What came of the attempts to reach one server, for its *watcher*."""

    def __init__(self, watcher: Watcher | None = None) -> None:
        self._watcher = watcher

    def reached(self) -> None:
        """Note an answer, whatever it says."""
        if self._watcher:
            self._watcher.reached()

    def broken(
        self, service: str, error: BaseException, reason: str
    ) -> ServiceUnavailable:
        """Return the error of ours for *error*, with its *reason*; note it."""
        if not isinstance(error, aiohttp.ClientConnectorError):
            return ServiceUnavailable(service, reason)
        found = Unreachable(service, reason)
        if self._watcher:
            self._watcher.unreached(found)
        return found


NOBODY = Contact()
