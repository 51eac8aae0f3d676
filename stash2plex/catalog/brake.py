"""A brake: one bad mount must never empty a catalogue or flood the gaps.

When a library, or Stash, shows far fewer things than last time, that is more likely an
unmounted share than a clean-up. Then nothing is forgotten until somebody says so.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict, deque
from collections.abc import Callable, Set
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
_TURNED_EMPTY = "brake_turned_empty"  # unix seconds, by scene
EMPTIED, _AGREED = "brake_emptied", "brake_agreed_until"
_REMEDY = "If this is right: stash2plex reconcile --force"


class Brake:
    """Decides whether what vanished may be forgotten; *reason* says why not.

    And whether scenes that lost all metadata may clear Plex: that they may not is held
    until somebody agrees, whatever listings show.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._vanished: str | None = None
        self._emptied: str | None = None
        self._turned_empty: dict[int, float] = {}
        self._agreed_until = 0.0  # unix seconds
        self._database = database
        self._now = now
        self._deleted: defaultdict[str, deque[float]] = defaultdict(deque)
        self._before: dict[str, int] = {}

    @property
    def reason(self) -> str | None:
        """Why something is held, None if nothing is."""
        return self._vanished or self._emptied

    async def load(self) -> None:
        """Go on where the last daemon ended."""
        self._vanished = await self._database.fact(FACT) or None
        self._emptied = await self._database.fact(EMPTIED) or None
        self._agreed_until = float(await self._database.fact(_AGREED) or 0)
        ago = json.loads(await self._database.fact(_TURNED_EMPTY) or "{}")
        shift = self._now() - self._clock()
        self._turned_empty = {int(key): at + shift for key, at in ago.items()}
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
            raise Braked(self._vanished)

    async def allows_deletion(self, what: str, left: int, count: int = 1) -> bool:
        """Whether *count* more of *what* may be forgotten, while *left* are known.

        *what* is named as `check` names it.
        """
        if self.reason:
            return False
        deleted = self._recently_deleted(what)
        deleted.extend([self._now()] * count)
        total = left + len(deleted) - count
        emptied = len(self._recently_emptied()) if what == STASH else 0
        lost = len(deleted) + emptied
        too_many = lost > _NUMBER and lost > total * _SHARE
        if not too_many and (left > count or total < _FEW):
            return True
        self._before[what] = total
        await self._database.set_fact(_BEFORE, json.dumps(self._before))
        await self._pull(
            f"{what} lost {len(deleted)} of {total} within an hour: is a share not"
            f" mounted? No more are forgotten. {_REMEDY}"
        )
        return False

    async def allows_clearing(self, scene_ids: Set[int], delivered: int) -> bool:
        """Whether scenes that lost all metadata may clear Plex.

        *delivered* is how many scenes were ever written.
        """
        if self.reason:
            return False
        if self._clock() < self._agreed_until:
            return True
        emptied = self._recently_emptied()
        emptied |= dict.fromkeys(scene_ids - emptied.keys(), self._now())
        shift = self._clock() - self._now()
        known = {key: at + shift for key, at in emptied.items()}
        await self._database.set_fact(_TURNED_EMPTY, json.dumps(known))
        lost = len(emptied) + len(self._recently_deleted(STASH))
        too_many = lost > _NUMBER and lost > delivered * _SHARE
        if not too_many and (len(emptied) < delivered or delivered < _FEW):
            return True
        self._emptied = (
            f"{len(emptied)} of {delivered} scenes lost all metadata within an hour:"
            f" was Stash set up anew? Nothing more is cleared in Plex. {_REMEDY}"
        )
        await self._database.set_fact(EMPTIED, self._emptied)
        return False

    def _recently_deleted(self, what: str) -> deque[float]:
        deleted = self._deleted[what]
        while deleted and self._now() - deleted[0] > _BURST:
            deleted.popleft()
        return deleted

    def _recently_emptied(self) -> dict[int, float]:
        now = self._now()
        self._turned_empty = {
            key: at for key, at in self._turned_empty.items() if now - at <= _BURST
        }
        return self._turned_empty

    async def release(self, *, agreed: bool = False) -> None:
        """Let go: what vanished may be forgotten.

        If somebody *agreed*, scenes that lost all metadata may clear Plex as well, and
        those that are still to come within the hour.
        """
        for deleted in self._deleted.values():
            deleted.clear()
        if self._vanished:
            self._vanished = None
            self._before = {}
            await self._database.set_fact(_BEFORE, "")
            await self._database.set_fact(FACT, "")
        if agreed:
            self._turned_empty.clear()
            self._agreed_until = self._clock() + _BURST
            await self._database.set_fact(_AGREED, str(self._agreed_until))
            self._emptied = None
            await self._database.set_fact(EMPTIED, "")

    async def _pull(self, reason: str) -> None:
        self._vanished = reason
        await self._database.set_fact(FACT, reason)
