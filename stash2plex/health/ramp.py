"""After an outage of Plex jobs are let through slowly, then ever faster.

A server that has just started is busy with itself. One job at a time goes out, at a
rate that climbs from *ramp_start* to *ramp_end* a second over *ramp_seconds*; then
there is no limit any more. When many jobs fail meanwhile, or Plex's answers take much
longer than usual (`stash2plex.health.pace` knows), the climb begins anew.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import structlog

from stash2plex.config import OutageSettings
from stash2plex.health.breaker import Move, State

log = structlog.get_logger()

# The last so many jobs are looked at; more than so large a share may not fail.
_RECENT = 20
_LEAST = 10
_FAILING = 0.3


class Ramp:
    """A token bucket of one token whose rate climbs; no limit while it is not `on`."""

    def __init__(
        self, settings: OutageSettings, *, now: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._now = now
        self._tokens = 1.0
        self._filled_at = 0.0
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self.begun_at: float | None = None  # unix seconds

    @property
    def on(self) -> bool:
        """Whether jobs are let through slowly now."""
        if self.begun_at is None:
            return False
        now = self._now()
        self.begun_at = min(self.begun_at, now)  # the clock may have been set back
        if now - self.begun_at < self._settings.ramp_seconds:
            return True
        self.begun_at = None
        log.info("ramp_ended")
        return False

    @property
    def rate(self) -> float:
        """Return the jobs a second at this moment."""
        settings = self._settings
        elapsed = self._now() - (self.begun_at or 0.0)
        share = min(1.0, max(0.0, elapsed / settings.ramp_seconds))
        return settings.ramp_start + (settings.ramp_end - settings.ramp_start) * share

    def noticed(self, move: Move) -> None:
        """Begin when Plex's breaker closes (a listener of that)."""
        if move.state is State.CLOSED:
            self.begin(move.at)

    def begin(self, at: float) -> None:
        """Let jobs through slowly from *at* on, in unix seconds."""
        if self._now() - at >= self._settings.ramp_seconds:
            return
        self.begun_at = at
        self._tokens, self._filled_at = 1.0, self._now()
        self._recent.clear()
        log.info("ramp_started", per_second=round(self.rate, 1))

    def allowance(self, limit: int) -> int:
        """Return how many of *limit* jobs may start now; takes the token."""
        if not limit or not self.on:
            return limit
        self._fill()
        if self._tokens < 1.0:
            return 0
        self._tokens -= 1.0
        return 1

    def give_back(self) -> None:
        """Put the token back: there was no job for it."""
        self._tokens = 1.0

    def seconds_until_next(self) -> float:
        """Return how long until a job may start."""
        if not self.on:
            return 0.0
        self._fill()
        return max(0.0, 1.0 - self._tokens) / self.rate

    def note(self, *, failed: bool) -> None:
        """Learn how a job ended; when many fail, begin anew."""
        if not self.on:
            return
        self._recent.append(failed)
        if len(self._recent) >= _LEAST and (
            sum(self._recent) > len(self._recent) * _FAILING
        ):
            self.begin_anew()

    def begin_anew(self) -> None:
        """Start again at the low end, if jobs are let through slowly now."""
        if self.on:
            self.begin(self._now())

    def _fill(self) -> None:
        now = self._now()
        gained = max(0.0, now - self._filled_at) * self.rate
        self._tokens = min(1.0, self._tokens + gained)
        self._filled_at = now
