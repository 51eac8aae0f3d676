"""Proving that a server works, before its failure counts against a job.

A server can answer its root and fail at everything else (a database that is damaged or
locked, a disk that is away). So a real read tells whether one thing failed, or all do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from stash2plex.errors import ServiceUnavailable, Stash2PlexError
from stash2plex.health.breaker import CircuitBreaker, State

log = structlog.get_logger()

# So long a server that was proven to work is believed to, seconds.
_VALID = 1.0


class Proof:
    """The proof of one server; *read* reads something real and raises our errors."""

    def __init__(
        self,
        read: Callable[[], Awaitable[object]],
        breaker: CircuitBreaker,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._breaker = breaker
        self._now = now
        self._reading = asyncio.Lock()
        self._proven_at = float("-inf")

    @property
    def service(self) -> str:
        """The name of the server."""
        return self._breaker.service

    async def disproof(self) -> ServiceUnavailable | None:
        """Return why the server does not work at all, None if it does.

        Who asks at the same time shares the answer; the breaker is told of it.
        """
        async with self._reading:
            if self._now() - self._proven_at < _VALID:
                return None
            try:
                await self._read()
            except ServiceUnavailable as error:
                if self._breaker.state is not State.OPEN:
                    self._breaker.fail(error)
                log.debug("proof_failed", service=self.service, error=str(error))
                return error
            except Stash2PlexError:
                pass  # it answers, and what it said is about something else
            self._proven_at = self._now()
            return None
