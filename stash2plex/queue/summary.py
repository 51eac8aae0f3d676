"""A line in the log now and then that sums up many deliveries."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from stash2plex.queue.outcome import Outcome, Result

if TYPE_CHECKING:
    from stash2plex.catalog.matching import Confidence

log = structlog.get_logger()

# It is said after so many deliveries, and after so many seconds if there were any.
_EVERY = 100
_INTERVAL = 600.0
_DELIVERED = frozenset({Result.WRITTEN, Result.UNCHANGED})


class Summary:
    """Counts how deliveries end; attempts that will be made again are errors only."""

    def __init__(self, *, interval: float = _INTERVAL) -> None:
        self._interval = interval
        self._begin()

    def _begin(self) -> None:
        self._results: Counter[Result] = Counter()
        self._confidences: Counter[Confidence] = Counter()
        self._errors: Counter[str] = Counter()
        self._seconds = 0.0

    def note(self, outcome: Outcome, result: Result | None, code: str | None) -> None:
        """Count one attempt: its *result* if it was the last, its error if any."""
        if code is not None:
            self._errors[code] += 1
        if result is not None:
            self._results[result] += 1
        if outcome.result in _DELIVERED:
            self._seconds += outcome.seconds
            if outcome.confidence is not None:
                self._confidences[outcome.confidence] += 1
        if self._results.total() >= _EVERY:
            self.say()

    def say(self) -> None:
        """Say what happened since the last time, if anything did."""
        if not self._results and not self._errors:
            return
        delivered = sum(self._results[one] for one in _DELIVERED)
        log.info(
            "deliveries_summed",
            **{one.value: self._results[one] for one in Result if self._results[one]},
            mean_ms=round(1000 * self._seconds / delivered) if delivered else None,
            confidence={one.value: count for one, count in self._confidences.items()},
            errors=dict(self._errors),
        )
        self._begin()

    async def run(self) -> None:
        """Say it at intervals until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(self._interval)
                self.say()
        finally:
            self.say()
