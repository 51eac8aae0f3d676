"""What is measured as it happens, for Prometheus: latencies, and the loop's lag.

Everything else in ``GET /metrics`` is read from the status when it is asked for. The
labels are few and fixed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry, Histogram

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
_LONG = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
# How often the loop is asked whether it is late, seconds.
_ASKED_EVERY = 5.0


class Watch(Protocol):
    """Takes the time of each request to one server."""

    def __call__(self, seconds: float, *, failed: bool) -> None: ...


def nobody(seconds: float, *, failed: bool) -> None:
    """Take no times."""


@contextmanager
def timed(watch: Watch) -> Iterator[None]:
    """Tell *watch* how long the block took, and whether it raised."""
    started = time.monotonic()
    failed = True
    try:
        yield
        failed = False
    finally:
        watch(time.monotonic() - started, failed=failed)


class Measures:
    """The histograms of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._histogram(
            "server_request_seconds",
            "Requests to Plex and Stash, waiting for a free connection included",
            "server",
            "outcome",
        )
        self._provider = self._histogram(
            "provider_answer_seconds", "What Plex asked", "what", "outcome"
        )
        self._comparisons = self._histogram(
            "reconcile_seconds", "Comparisons of both libraries", "scope", buckets=_LONG
        )
        self._lag = self._histogram(
            "event_loop_lag_seconds", "How late the event loop wakes who sleeps"
        )

    def _histogram(
        self,
        name: str,
        text: str,
        *labels: str,
        buckets: tuple[float, ...] = _FAST,
    ) -> Histogram:
        return Histogram(
            f"stash2plex_{name}",
            text,
            labels,
            registry=self.registry,
            buckets=buckets,
        )

    def server(self, name: Literal["plex", "stash"]) -> Watch:
        """Return what takes the times of requests to a server."""
        well, badly = (self._requests.labels(name, word) for word in ("ok", "failed"))

        def watch(seconds: float, *, failed: bool) -> None:
            (badly if failed else well).observe(seconds)

        return watch

    def answered(self, what: str, outcome: str, seconds: float) -> None:
        """Take the time of an answer to Plex."""
        self._provider.labels(what, outcome).observe(seconds)

    def compared(self, scope: str, seconds: float) -> None:
        """Take the time of a comparison."""
        self._comparisons.labels(scope).observe(seconds)

    async def watch_loop(self) -> None:
        """Measure the loop's lag until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _ASKED_EVERY
            await asyncio.sleep(_ASKED_EVERY)
            self._lag.observe(max(0.0, loop.time() - due))
