"""In which zone Stash writes its times, which it compares as text.

Each time is written in the zone of its moment, and a Stash that was started anew may
have another one. So a bound is written in the westernmost zone that is known, or for
whatever zone that may be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from stash2plex.stash.answers import parsed_time, text_bound

if TYPE_CHECKING:
    from stash2plex.db.database import Database

_OFFSET = "stash_offset"
# How often everything is asked for that any zone might hide, unless Stash may have been
# started anew, and, after many changes, what the last hours might, seconds.
ALL_ZONES, LAST_HOURS = 6 * 3600.0, 15 * 60.0
# What tells the zone of Stash: times so old at most, and if none is known yet, seconds.
_TELLING, _FIRST_TELLING = 3600.0, 28 * 3600.0
# Clocks that are ahead of Stash's, seconds.
_AHEAD = 60.0


@dataclass(frozen=True, slots=True)
class Asking:
    """How to ask now: in a *zone*, None for all of them.

    *offset* is that of the westernmost zone known so far, in seconds.
    """

    zone: timezone | None
    offset: int | None

    @property
    def is_wide(self) -> bool:
        """Whether it is asked in all zones although one is known, or none is."""
        return self.zone is None

    def bound(self, cursor: float, overlap: float) -> str:
        """Return a text that all changes from *overlap* seconds before on are after."""
        since = datetime.fromtimestamp(cursor, UTC) - timedelta(seconds=overlap)
        if self.zone is None:
            return text_bound(since)
        return since.astimezone(self.zone).strftime("%Y-%m-%dT%H:%M:%S")


class Evidence:
    """What the times of one look tell of the zone."""

    def __init__(self, asking: Asking, asked_at: float) -> None:
        age = _FIRST_TELLING if asking.offset is None else _TELLING
        self._since, self._until = asked_at - age, asked_at + _AHEAD
        self.newest = 0.0
        self.offsets: set[int] = set()

    def take(self, texts: Iterable[str]) -> None:
        """Look at times of changes."""
        for one in (time for text in texts if (time := parsed_time(text))):
            self.newest = max(self.newest, one.timestamp())
            offset = one.utcoffset()
            if self._since <= one.timestamp() <= self._until and offset is not None:
                self.offsets.add(int(offset.total_seconds()))


class Zone:
    """Knows the zone, and doubts it when Stash was away."""

    def __init__(
        self, database: Database, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._monotonic = monotonic
        self._asked_all = float("-inf")
        # Whether Stash may write in a zone that no time told of yet, and since when by
        # its clock.
        self._doubts = False
        self._doubted_at: float | None = None
        self._few = True  # changes in all zones, the last time

    def doubt(self) -> None:
        """Ask in all zones for a while: Stash may have been started in another one."""
        self._asked_all = float("-inf")
        self._doubts, self._doubted_at = True, None

    async def asking(self) -> Asking:
        """Return how to ask now; in all zones where that is many, not every time."""
        fact = await self._database.fact(_OFFSET)
        offset = None if fact is None else int(fact)
        waited = self._monotonic() - self._asked_all
        doubtful = self._doubts and (self._few or waited > LAST_HOURS)
        if offset is None or doubtful or waited > ALL_ZONES:
            return Asking(None, offset)
        return Asking(timezone(timedelta(seconds=offset)), offset)

    async def learn(
        self, asking: Asking, told: Evidence, now: float, *, few: bool
    ) -> None:
        """Remember what a look told that was asked so; *few* fitted into one page.

        The westernmost zone counts: a text in it is before those of the others. What
        was asked for in one zone may hide all that is west of it, so only times of all
        zones move it east. A scene may bring its time from elsewhere.
        """
        if told.offsets:
            west = min(told.offsets)
            if not asking.is_wide and asking.offset is not None:
                west = min(west, asking.offset)
            if str(west) != await self._database.fact(_OFFSET):
                await self._database.set_fact(_OFFSET, str(west))
        if asking.is_wide:
            self._asked_all = self._monotonic()
            self._few = few
            if self._doubted_at is None:
                self._doubted_at = now
            # A scene that was changed since the zone was doubted tells it.
            self._doubts &= not self._doubted_at < told.newest <= now + _AHEAD
