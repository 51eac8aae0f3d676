"""What Plex asked of the provider, and when."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from stash2plex.db.database import Database
from stash2plex.db.last_time import LAST_REQUEST, LastTime


class Traffic:
    """Counts match requests by how they ended, and requests that failed."""

    def __init__(
        self, database: Database, *, now: Callable[[], float] = time.time
    ) -> None:
        self._last = LastTime(database, LAST_REQUEST, now=now)
        self.matched = 0
        self.unmatched = 0
        self.failed = 0

    @classmethod
    async def load(cls, database: Database) -> Traffic:
        """Go on where a daemon before us ended."""
        traffic = cls(database)
        await traffic._last.load()
        return traffic

    async def note_request(self) -> None:
        """Note that Plex called."""
        await self._last.note()

    def as_json(self) -> dict[str, Any]:
        """Return the part of the status that is about the provider."""
        return {
            "matched": self.matched,
            "unmatched": self.unmatched,
            "failed": self.failed,
            "last_request_at": self._last.at,
        }
