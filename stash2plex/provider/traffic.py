"""What Plex asked of the provider, and when."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from stash2plex.db.database import Database
from stash2plex.errors import StoreUnavailable
from stash2plex.moments import iso

# The time of the last request survives a restart: it tells whether Plex ever called.
LAST_REQUEST = "provider_last_request_at"
_SAVED_EVERY = 60.0  # seconds


class Traffic:
    """Counts match requests by how they ended, and requests that failed."""

    def __init__(
        self, database: Database, *, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._now = now
        self._saved_at = float("-inf")
        self.matched = 0
        self.unmatched = 0
        self.failed = 0
        self.last_request_at: str | None = None

    @classmethod
    async def load(cls, database: Database) -> Traffic:
        """Go on where a daemon before us ended."""
        traffic = cls(database)
        traffic.last_request_at = await database.fact(LAST_REQUEST)
        return traffic

    async def note_request(self) -> None:
        """Note that Plex called."""
        now = self._now()
        self.last_request_at = iso(now)
        if now - self._saved_at >= _SAVED_EVERY:
            self._saved_at = now
            with suppress(StoreUnavailable):  # no reason to answer with an error
                await self._database.set_fact(LAST_REQUEST, self.last_request_at)

    def as_json(self) -> dict[str, Any]:
        """Return the part of the status that is about the provider."""
        return {
            "matched": self.matched,
            "unmatched": self.unmatched,
            "failed": self.failed,
            "last_request_at": self.last_request_at,
        }
