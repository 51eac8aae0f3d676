"""The log of the pretend Stash: what its page shows, and what subscribers are sent.

As Stash's own (its internal/log): a line goes out at once when none did lately, or with
all others a while later; who is slow loses what does not fit. Subscribers get every
level, the page only the last lines of those that are kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

_LEVELS = ("error", "warn", "info", "debug", "trace")
_PAGE = 30
# So many batches wait for a subscriber; measured twice that, in two buffers.
_MOST_WAITING = 100

Batch = list[dict[str, str]]


class StashLog:
    """Lines, each with its level."""

    def __init__(self) -> None:
        self.level = "info"  # what the page keeps, and all that is more urgent
        # How long lines are gathered: measured one second, for which no test waits.
        self.gathered = 0.02
        # How much SQL is traced of each scene that is listed: measured 1,550 bytes.
        self.sql_bytes = 0
        self.page: deque[dict[str, str]] = deque(maxlen=_PAGE)
        self._subscribers: set[asyncio.Queue[Batch]] = set()
        self._batch: Batch = []
        self._waits = False
        self._sent_at = float("-inf")

    def write(self, level: str, message: str) -> None:
        """Log a line."""
        line = {"level": level, "message": message}
        if _LEVELS.index(level) <= _LEVELS.index(self.level):
            self.page.appendleft(line)
        if not self._subscribers:
            return
        self._batch.append(line)
        if not self._waits:
            loop = asyncio.get_running_loop()
            since = loop.time() - self._sent_at
            if since >= self.gathered:
                self._send()
            else:
                self._waits = True
                loop.call_later(self.gathered - since, self._send)

    def subscribe(self) -> tuple[asyncio.Queue[Batch], Callable[[], None]]:
        """Return where batches arrive from now on, and what ends that."""
        queue: asyncio.Queue[Batch] = asyncio.Queue(_MOST_WAITING)
        self._subscribers.add(queue)
        return queue, lambda: self._subscribers.discard(queue)

    @property
    def is_read(self) -> bool:
        """Whether anybody is sent anything."""
        return bool(self._subscribers)

    def _send(self) -> None:
        for queue in self._subscribers:
            if not queue.full():
                queue.put_nowait(self._batch)
        self._batch, self._waits = [], False
        self._sent_at = asyncio.get_running_loop().time()


def entries(batch: Batch, fields: set[str]) -> list[dict[str, Any]]:
    """Return lines as GraphQL shows them, with the *fields* that were asked for."""
    names = {"warn": "Warning"}
    return [
        {
            name: value if name == "message" else names.get(value, value.capitalize())
            for name, value in line.items()
            if name in fields
        }
        for line in batch
    ]
