"""Acting on Plex's hints: rows are refreshed, and who waited for a file is woken.

While the socket is away everything still works by polling; when it is back, what was
missed is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from stash2plex.errors import Stash2PlexError
from stash2plex.link import Link
from stash2plex.plex.notifications import Hint, ItemHint, Notifications, OwnWrites

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog

log = structlog.get_logger()

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
# Hints come in bursts; they are acted on together after so long, seconds.
_SETTLING = 0.3
# Items read in one request.
_BATCH = 200
# A film on its way causes many hints; it is read again after so long, seconds.
_REST = 10.0
# How soon it is tried again when Plex failed, seconds.
_AGAIN = 30.0
# A burst of more is read as news instead.
_FLOOD = 2000


class Listener:
    """Follows the notification socket, and has the catalogue look."""

    def __init__(
        self,
        notifications: Notifications,
        catalog: Catalog,
        own: OwnWrites,
    ) -> None:
        self._catalog = catalog
        self._own = own
        self._items: set[int] = set()
        self._gone: set[int] = set()
        # When items were read last, the latest at the end.
        self._read: dict[int, float] = {}
        self._wants_news = False
        self._any = asyncio.Event()
        self._link = Link(
            notifications.listen,
            self._take,
            first_wait=_FIRST_WAIT,
            longest_wait=_LONGEST_WAIT,
            on_connected=self._connected,
        )

    @property
    def listening(self) -> bool:
        """Whether the socket is open."""
        return self._link.is_up

    async def run(self) -> None:
        """Listen and act until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            tasks.create_task(self._act())

    def _connected(self) -> None:
        log.info("notifications_connected")
        self._want_news()  # what was missed meanwhile

    def _take(self, hint: Hint) -> None:
        if self._own.caused(hint):
            return
        waiting = len(self._items) + len(self._gone)
        if isinstance(hint, ItemHint) and hint.is_gone and waiting >= _FLOOD:
            self._catalog.request()  # only a listing tells what is gone
        elif isinstance(hint, ItemHint) and waiting < _FLOOD:
            (self._gone if hint.is_gone else self._items).add(hint.rating_key)
            self._any.set()
        else:
            self._want_news()

    def _want_news(self) -> None:
        self._wants_news = True
        self._any.set()

    async def _act(self) -> None:
        while True:
            await self._any.wait()
            await asyncio.sleep(_SETTLING)
            self._any.clear()
            gone, self._gone = self._gone, set()
            items = self._due() - gone
            news, self._wants_news = self._wants_news, False
            try:
                # Of what is not known it makes no difference whether it is gone.
                items |= set(await self._catalog.known_items(sorted(gone)))
                await self._refresh(sorted(items), news=news)
            except Stash2PlexError as error:
                log.warning("notifications_ignored", error=str(error))
                self._wants_news = True  # which tells nothing of what is gone
                self._gone |= gone
                self._wake_in(_AGAIN)

    def _due(self) -> set[int]:
        """Take the items that were not read a moment ago; the others wait."""
        now = asyncio.get_running_loop().time()
        while self._read and next(iter(self._read.values())) < now - _REST:
            del self._read[next(iter(self._read))]
        resting = self._items & self._read.keys()
        due = self._items - resting
        self._items = resting
        self._read |= dict.fromkeys(due, now)
        if resting:
            self._wake_in(min(self._read[one] for one in resting) + _REST - now)
        return due

    def _wake_in(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._any.set)

    async def _refresh(self, items: Sequence[int], *, news: bool) -> None:
        # News come first: what was missed had better not look read.
        if news:
            await self._catalog.take_news()
        for start in range(0, len(items), _BATCH):
            await self._catalog.refresh_items(items[start : start + _BATCH])
