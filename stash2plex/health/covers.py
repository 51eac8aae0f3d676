"""Noticing that Stash's pictures are away, as with a share that is not mounted.

Stash then shows placeholders for covers that it has. One such cover may be damaged;
many are an outage of pictures, which text and everything else does not wait for.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from stash2plex.errors import NotWorking
from stash2plex.health.breaker import CircuitBreaker, State

SERVICE = "Stash pictures"
CAUSE = (
    "Stash has covers and cannot read them: is the folder of its blobs there, and is"
    " its storage type the one that they were written with?"
)
# More in a row than these, or such a share of so many in as many seconds.
_IN_A_ROW = 5
_SHARE, _OF = 0.2, 20
_WINDOW = 600.0


class CoverHealth:
    """Told of each cover whether it could be read; its *breaker* tells the outage."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self.breaker = CircuitBreaker(SERVICE, threshold=1, open_seconds=_WINDOW)
        self._now = now
        self._seen: deque[tuple[float, bool]] = deque()
        self._in_a_row = 0

    def note(self, readable: bool) -> None:
        """Note whether a cover that Stash has could be read."""
        now = self._now()
        self._in_a_row = 0 if readable else self._in_a_row + 1
        self._seen.append((now, readable))
        while self._seen[0][0] < now - _WINDOW:
            self._seen.popleft()
        lost = sum(not one for _, one in self._seen)
        many = len(self._seen) >= _OF and lost >= _SHARE * len(self._seen)
        if self.breaker.state is not State.OPEN and (
            self._in_a_row > _IN_A_ROW or (many and not readable)
        ):
            self.breaker.fail(NotWorking(SERVICE, CAUSE))

    def recovered(self) -> None:
        """Note that covers can be read again."""
        self._seen.clear()
        self._in_a_row = 0
        if self.breaker.state is not State.CLOSED:
            self.breaker.succeed()
