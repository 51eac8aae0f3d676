"""When something last happened, as far as that must survive a restart.

It tells the doctor whether Plex ever called, and whether a hook ever came.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from stash2plex.db.database import Database
from stash2plex.errors import StoreUnavailable
from stash2plex.moments import iso

# What is remembered, by the name of the fact.
LAST_REQUEST = "provider_last_request_at"
LAST_HOOK = "last_hook_at"
_SAVED_EVERY = 10.0  # seconds


class LastTime:
    """Remembers when something last happened; exact here, nearly so on disk."""

    def __init__(
        self, database: Database, fact: str, *, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._fact = fact
        self._now = now
        self._saved_at = float("-inf")
        self.at: str | None = None

    async def load(self) -> None:
        """Go on where a daemon before us ended."""
        self.at = await self._database.fact(self._fact)

    async def note(self) -> None:
        """Note that it happens now."""
        now = self._now()
        self.at = iso(now)
        if now - self._saved_at >= _SAVED_EVERY:
            self._saved_at = now
            with suppress(StoreUnavailable):  # no reason to fail over
                await self._database.set_fact(self._fact, self.at)
