"""Imports into Stash: scenes change, or have other numbers, and keep their times."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog

from stash2plex.catalog.catalog import READ_ALL

if TYPE_CHECKING:
    from stash2plex.db.database import Database

log = structlog.get_logger()


class Imports:
    """Notices them; *compare* is called once one is over, and says if it was heard.

    That comparison reads every scene whole, see `stash2plex.reconcile.whole`.
    """

    def __init__(
        self, database: Database, compare: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._database = database
        self._compare = compare
        # Whether one was seen of late, None if a daemon before us may have seen one.
        self._seen: bool | None = None

    def notify(self) -> None:
        """Note that one is over: Stash said so of its job."""
        self._seen = True

    async def note(self, *, is_running: bool, was_listed: bool = False) -> None:
        """Remember one that runs now, or that was told of; compare when it is over.

        Or where a listing showed what only an import does, and *was_listed* after it.
        """
        if self._seen is None or was_listed:
            self._seen = bool(await self._database.fact(READ_ALL)) or bool(self._seen)
        if is_running and not self._seen:
            log.info("import_seen")
        self._seen |= is_running
        if not self._seen:
            return
        await self._database.set_fact(READ_ALL, str(time.time()))
        if not is_running:
            self._seen = False
            if not await self._compare("import"):
                self._seen = True
