"""A link to a server that pushes: made again, with a back-off, whenever it breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Generic, TypeVar

import aiohttp
import structlog

from stash2plex.errors import Stash2PlexError

log = structlog.get_logger()

T = TypeVar("T")

# Connects, calls its argument once it is, and yields what comes until it breaks.
Listen = Callable[[Callable[[], None]], AsyncGenerator[T, None]]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Redirected(aiohttp.ClientConnectionError):
    """A server sends us to *location*."""

    def __init__(self, location: str) -> None:
        super().__init__("it redirects elsewhere")
        self.location = location


async def no_redirects(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Raise `Redirected` where a server sends us elsewhere.

    A middleware of aiohttp's: its websockets would follow, and take our token along.
    """
    answer = await handler(request)
    if answer.status in _REDIRECTS:
        answer.close()
        raise Redirected(answer.headers.get("Location", ""))
    return answer


class Link(Generic[T]):
    """Follows *listen*, hands on what comes; *is_up* while it is connected.

    What comes next is read when *take* is through with what came. Waits are in seconds,
    and grow while the link breaks as soon as it is made.
    """

    def __init__(
        self,
        listen: Listen[T],
        take: Callable[[T], Awaitable[None] | None],
        *,
        first_wait: float,
        longest_wait: float,
        on_connected: Callable[[], None] = lambda: None,
        on_lost: Callable[[Stash2PlexError], None] = lambda _: None,
    ) -> None:
        self._listen = listen
        self._take = take
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._hurry = asyncio.Event()
        self.is_up, self._up_since = False, 0.0

    def hurry(self) -> None:
        """Try at once, and soon again: the server is back."""
        self._hurry.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        wait = self._first_wait
        while True:
            try:
                async with aclosing(self._listen(self._connected)) as told:
                    async for what in told:
                        if (taking := self._take(what)) is not None:
                            await taking
            except Stash2PlexError as error:
                log.debug("link_lost", error=str(error))
                self._on_lost(error)
            if self.is_up and time.monotonic() - self._up_since >= wait:
                wait = self._first_wait
            self.is_up = False
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._hurry.wait()
            wait = min(wait * 2, self._longest_wait)
            if self._hurry.is_set():
                self._hurry.clear()
                wait = self._first_wait

    def _connected(self) -> None:
        self.is_up, self._up_since = True, time.monotonic()
        self._hurry.clear()  # whoever was in a hurry has it
        self._on_connected()
