"""A brake: one bad mount must never empty a catalogue or flood the gaps.

When a library, or Stash, shows far fewer things than last time, that is more likely an
unmounted share than a clean-up. Then nothing is forgotten until somebody says so.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from stash2plex.errors import Braked

if TYPE_CHECKING:
    from stash2plex.db.database import Database

STASH = "Stash"
# Both the share and the number that may vanish at once.
_SHARE, _NUMBER = 0.2, 100
# Scenes deleted within so many seconds count as one burst.
_BURST = 3600.0
# One that leaves nothing is suspect from so many on: people delete their first trials.
_FEW = 10
FACT = "brake"
# What there was when a burst of deletions pulled it, by server or library.
_BEFORE = "brake_before"
_REMEDY = "If this is right: stash2plex reconcile --force"


class Brake:
    """Decides whether what vanished may be forgotten; *reason* says why not."""

    def __init__(
        self, database: Database, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._now = now
        self._deleted: defaultdict[str, deque[float]] = defaultdict(deque)
        self._before: dict[str, int] = {}
        self.reason: str | None = None

    async def load(self) -> None:
        """Go on where the last daemon ended."""
        self.reason = await self._database.fact(FACT) or None
        self._before = json.loads(await self._database.fact(_BEFORE) or "{}")

    async def check(self, what: str, before: int, gone: int) -> None:
        """Raise `Braked` if *gone* of *before* things are too many at once."""
        left = before - gone
        # Some of a burst was forgotten before it was known to be one.
        before = max(before, self._before.get(what, 0))
        gone = before - left
        too_many = gone > _NUMBER and gone > before * _SHARE
        if too_many or (gone and left <= 0):
            await self._pull(
                f"{what} shows {left} where there were {before}: is a share not"
                f" mounted? Nothing was forgotten. {_REMEDY}"
            )
            raise Braked(self.reason)

    async def allows_deletion(self, what: str, left: int, count: int = 1) -> bool:
        """Whether *count* more of *what* may be forgotten, while *left* are known.

        *what* is named as `check` names it.
        """
        if self.reason:
            return False
        now, deleted = self._now(), self._deleted[what]
        while deleted and now - deleted[0] > _BURST:
            deleted.popleft()
        deleted.extend([now] * count)
        total = left + len(deleted) - count
        too_many = len(deleted) > _NUMBER and len(deleted) > total * _SHARE
        if not too_many and (left > count or total < _FEW):
            return True
        self._before[what] = total
        await self._database.set_fact(_BEFORE, json.dumps(self._before))
        await self._pull(
            f"{what} lost {len(deleted)} of {total} within an hour: is a share not"
            f" mounted? No more are forgotten. {_REMEDY}"
        )
        return False

    async def release(self) -> None:
        """Let go: what vanished may be forgotten."""
        for deleted in self._deleted.values():
            deleted.clear()
        if self.reason:
            self.reason = None
            self._before = {}
            await self._database.set_fact(_BEFORE, "")
            await self._database.set_fact(FACT, "")

    async def _pull(self, reason: str) -> None:
        self.reason = reason
        await self._database.set_fact(FACT, reason)
