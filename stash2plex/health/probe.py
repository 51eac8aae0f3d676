"""Asking a server whether it is there, and drawing the one conclusion.

While its breaker is closed a server is asked now and then, for its version and
latency; while it is open, after *probe_min* seconds and then ever more seldom, up to
*probe_max*. A probe never closes a breaker: it lets a trial through.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from stash2plex.config import OutageSettings
from stash2plex.errors import ServiceUnavailable, Stash2PlexError
from stash2plex.health.breaker import CircuitBreaker, State

log = structlog.get_logger()

# How often a server that is up is asked, seconds.
_AT_EASE = 60.0

# Asks the server whether it is there and takes our token; returns its version.
Ask = Callable[[], Awaitable[str]]


class Probe:
    """What is known of one server's health."""

    def __init__(
        self, ask: Ask, breaker: CircuitBreaker, settings: OutageSettings
    ) -> None:
        self._ask = ask
        self._breaker = breaker
        self._settings = settings
        self._answered: bool | None = None
        self._waited = 0.0  # the last wait of the outage at hand
        self.version: str | None = None
        self.latency_ms: float | None = None
        self.error: str | None = None

    @property
    def service(self) -> str:
        """The name of the server that is asked."""
        return self._breaker.service

    @property
    def state(self) -> str:
        """``up``, ``down``, ``denied``, or ``unknown`` before the first answer."""
        if self._breaker.is_denied:
            return "denied"
        if self._breaker.state is State.OPEN or self._breaker.is_failing:
            return "down"
        if self._answered is None:
            return "unknown"
        return "up" if self._answered else "down"

    async def run(self) -> None:
        """Probe until cancelled."""
        now = asyncio.get_running_loop().time
        due = now()
        while True:
            before = self._breaker.state
            if await self._changed_before(due):
                due = min(due, now() + self._after_change(before))
            else:
                healthy = await self.check()
                at_ease = healthy and self._breaker.state is not State.OPEN
                due = now() + (_AT_EASE if at_ease else self._back_off())

    async def check(self) -> bool:
        """Ask once; return whether the server is well."""
        started = time.monotonic()
        try:
            self.version = await self._ask()
        except Stash2PlexError as error:
            self._answered = False
            self.latency_ms = None
            self.error = str(error)
            if isinstance(error, ServiceUnavailable):
                self._breaker.probe_failed(error)
            log.debug("probe_failed", service=self._breaker.service, error=str(error))
            return False
        self._answered = True
        self.error = None
        if self._breaker.state is State.CLOSED:
            self._waited = 0.0
        self.latency_ms = round((time.monotonic() - started) * 1000, 1)
        self._breaker.probe_succeeded()
        return True

    def _after_change(self, before: State) -> float:
        """Return how long to wait at most now that the breaker moved from *before*.

        A trial that failed although no probe had succeeded changes nothing.
        """
        match self._breaker.state:
            case State.CLOSED:
                self._waited = 0.0
                return 0.0  # what was last heard of it is out of date
            case State.HALF_OPEN:
                return _AT_EASE
        if before is State.CLOSED:
            self._waited = 0.0
        elif not self._answered:
            return _AT_EASE
        return self._back_off()

    def _back_off(self) -> float:
        """Return the next wait of this outage; a trial that failed does not end it."""
        longer = max(self._waited * 2, self._settings.probe_min)
        self._waited = min(longer, self._settings.probe_max)
        # A server may ask for more, within reason.
        asked = self._breaker.error.pause if self._breaker.error else 0.0
        return max(self._waited, min(asked, self._settings.probe_max))

    async def _changed_before(self, due: float) -> bool:
        """Wait until *due*, or a change of the breaker; whether it changed."""
        changed = self._breaker.changed()
        try:
            async with asyncio.timeout_at(due):
                await changed
        except TimeoutError:
            return False
        return True
