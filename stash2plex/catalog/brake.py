"""A brake: one bad mount must never empty a catalogue or flood the gaps.

When a library, or Stash, shows far fewer things than last time, that is more likely an
unmounted share than a clean-up. Then nothing is forgotten until somebody says so.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from stash2plex.errors import Braked

if TYPE_CHECKING:
    from stash2plex.db.database import Database

What = Literal["scenes", "items"]
# Both the share and the number that may vanish at once.
_SHARE, _NUMBER = 0.2, 100
# A listing that is empty is suspect from so many on.
_FEW = 10
# Scenes deleted within so many seconds count as one burst.
_BURST = 3600.0
FACT = "brake"
_REMEDY = "If this is right: stash2plex reconcile --force"


class Brake:
    """Decides whether what vanished may be forgotten; *reason* says why not."""

    def __init__(
        self, database: Database, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._now = now
        self._deleted: dict[str, deque[float]] = {"scenes": deque(), "items": deque()}
        self.reason: str | None = None

    async def load(self) -> None:
        """Go on where the last daemon ended."""
        self.reason = await self._database.fact(FACT) or None

    async def check(self, what: str, before: int, gone: int) -> None:
        """Raise `Braked` if *gone* of *before* things are too many at once."""
        left = before - gone
        too_many = gone > _NUMBER and gone > before * _SHARE
        if too_many or (left <= 0 and before >= _FEW):
            await self._pull(
                f"{what} shows {left} where there were {before}: is a share not"
                f" mounted? Nothing was forgotten. {_REMEDY}"
            )
            raise Braked(self.reason)

    async def allows_deletion(self, what: What, left: int, count: int = 1) -> bool:
        """Whether *count* more may be forgotten one by one, while *left* are known."""
        if self.reason:
            return False
        now, deleted = self._now(), self._deleted[what]
        while deleted and now - deleted[0] > _BURST:
            deleted.popleft()
        deleted.extend([now] * count)
        total = left + len(deleted) - count
        if len(deleted) <= _NUMBER or len(deleted) <= total * _SHARE:
            return True
        server = "Stash" if what == "scenes" else "Plex"
        await self._pull(
            f"{len(deleted)} of {total} {what} were deleted in {server} within an hour:"
            f" is a share not mounted? No more are forgotten. {_REMEDY}"
        )
        return False

    async def release(self) -> None:
        """Let go: what vanished may be forgotten."""
        for deleted in self._deleted.values():
            deleted.clear()
        if self.reason:
            self.reason = None
            await self._database.set_fact(FACT, "")

    async def _pull(self, reason: str) -> None:
        self.reason = reason
        await self._database.set_fact(FACT, reason)
