"""How hard Plex is leaned on: few writes at once, fewer when it slows down.

PMS has one writer. When its answers take much longer than usual, somebody else needs
it: the number of writes at once is halved, and at one write a pause as long as the
last answer is put between them. Quick answers undo that step by step.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

log = structlog.get_logger()

# An answer is slow when it takes both this many seconds and this many times the usual.
_SLOW_SECONDS = 0.5
_SLOW_FACTOR = 4.0
# One slow answer is a hiccup; so many in a row are not.
_SLOW_RUN = 3
# Weight of the newest answer in the moving average of usual ones.
_WEIGHT = 0.1
# So many quick answers in a row allow one more write at once.
_STREAK = 20
_LONGEST_PAUSE = 5.0
_LEAST_PAUSE = 0.05


class Pace:
    """Admission to Plex: ``async with pace.write():`` around each item's writes."""

    def __init__(
        self,
        concurrency: int,
        per_second: float = 0.0,
        *,
        on_slow: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_slow = on_slow
        self._most = concurrency
        self._interval = 1 / per_second if per_second else 0.0
        self._now = now
        self._running = 0
        self._free = asyncio.Condition()
        self._next_start = 0.0
        self._usual: float | None = None
        self._streak = 0
        self._slow_run = 0
        self.limit = concurrency
        self.pause = 0.0

    @asynccontextmanager
    async def write(self) -> AsyncIterator[None]:
        """Wait for a turn, and hold it for the length of the block."""
        async with self._free:
            await self._free.wait_for(lambda: self._running < self.limit)
            self._running += 1
        try:
            await self._wait_for_start()
            yield
        finally:
            self._running -= 1
            async with self._free:
                self._free.notify_all()

    def observe(self, seconds: float) -> None:
        """Learn from how long Plex took for one write."""
        usual = self._usual
        if (
            usual is not None
            and seconds > _SLOW_SECONDS
            and seconds > usual * _SLOW_FACTOR
        ):
            self._slow_run += 1
            if self._slow_run >= _SLOW_RUN:
                self._slow_run = 0
                self._slow_down(seconds)
            return
        self._slow_run = 0
        self.pause = self.pause / 2 if self.pause > _LEAST_PAUSE else 0.0
        self._usual = seconds if usual is None else usual + _WEIGHT * (seconds - usual)
        self._streak += 1
        if self._streak >= _STREAK:
            self._speed_up()

    def _slow_down(self, seconds: float) -> None:
        self._streak = 0
        self._on_slow()
        if self.limit > 1:
            self.limit = max(1, self.limit // 2)
            log.info("pace_slowed", at_once=self.limit, answer=round(seconds, 2))
        else:
            self.pause = min(seconds, _LONGEST_PAUSE)

    def _speed_up(self) -> None:
        self._streak = 0
        if self.limit < self._most:
            self.limit += 1
            log.info("pace_quickened", at_once=self.limit)

    async def _wait_for_start(self) -> None:
        gap = self._interval + self.pause
        now = self._now()
        start = max(now, self._next_start)
        self._next_start = start + gap
        if start > now:
            await asyncio.sleep(start - now)
