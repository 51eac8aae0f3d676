"""Looking at Stash every now and then, and when it says that it was busy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from stash2plex.errors import SchemaMismatch, ServiceUnavailable, Stash2PlexError
from stash2plex.health.breaker import State
from stash2plex.link import Link
from stash2plex.stash.answers import SETTLED
from stash2plex.stash.scans import StashEvent

if TYPE_CHECKING:
    from stash2plex.health.breaker import CircuitBreaker
    from stash2plex.reconcile.imports import Imports
    from stash2plex.reconcile.poll import Poll
    from stash2plex.reconcile.zone import Zone
    from stash2plex.stash.client import StashClient

log = structlog.get_logger()

# Covers are made some time after the scan that found the scene, seconds.
_SECOND_LOOK = 45.0
_FIRST_WAIT, _LONGEST_WAIT = 5.0, 300.0
# When a look is repeated that failed, if there is no regular one, at first and at
# last, seconds.
_AGAIN, _LAST_AGAIN = 5.0, 600.0
# How often it is looked again for what goes on changing, seconds.
_EARLY = 15.0
# When folders are looked at again that could not be, seconds.
_FOLDERS_AGAIN = 60.0
# How often folders are looked at while nobody tells of scans, seconds.
_FOLDER_INTERVAL = 15 * 60.0


class Changes:
    """Looks for changes every *interval* seconds, and when a scan was completed.

    With an interval of 0 only when told to: `look_soon`.
    """

    def __init__(
        self,
        poll: Poll,
        stash: StashClient,
        *,
        zone: Zone,
        imports: Imports,
        breaker: CircuitBreaker,
        interval: float,
        wake: Callable[[], None],
    ) -> None:
        self._poll = poll
        self._zone = zone
        self._imports = imports
        self._breaker = breaker
        self._interval = interval
        self._wake = wake
        self._triggered = asyncio.Event()
        # When folders are to be looked at, and were last, by the monotonic clock.
        self._folders_due = float("inf")
        self._folders_at = time.monotonic()
        self._early_at = float("-inf")
        self._link = Link(
            stash.scans,
            self._told,
            first_wait=_FIRST_WAIT,
            longest_wait=_LONGEST_WAIT,
            on_connected=self._connected,
        )

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            if self._interval:
                # Without it the next look finds the same, later.
                tasks.create_task(self._link.run())

    def look_soon(self) -> None:
        """Look as soon as Stash can be asked."""
        self._triggered.set()

    def _look_in(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._triggered.set)

    def _look_early(self) -> None:
        """Look again for what changed a moment ago; not all the time if much does."""
        now = time.monotonic()
        often = now - self._early_at < 2 * _EARLY
        self._early_at = now
        self._look_in(max(SETTLED, min(_EARLY, self._interval)) if often else SETTLED)

    async def _follow(self) -> None:
        is_due, is_well, again = bool(self._interval), True, _AGAIN
        while True:
            if is_due:
                self._triggered.clear()
                while self._breaker.state is State.OPEN:
                    await self._breaker.changed()
                is_well = await self._look()
            # Without a regular look, one that was asked for is made good soon.
            patience = self._interval or (None if is_well else again)
            again = _AGAIN if is_well else min(2 * again, _LAST_AGAIN)
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._triggered.wait()
            is_due = True

    async def _look(self) -> bool:
        """Look once, and tell the breaker what came of it; whether it went well."""
        try:
            looked = await self._poll.look()
        except SchemaMismatch as error:
            # It may be about what only polls ask for; deliveries tell of the rest.
            log.warning("poll_failed", error=str(error))
        except ServiceUnavailable as error:
            log.info("poll_failed", error=str(error))
            self._breaker.fail(error)
            self._zone.doubt()
        except Stash2PlexError as error:
            log.warning("poll_failed", error=str(error))
            self._zone.doubt()
        else:
            self._breaker.answered()
            if looked.enqueued:
                self._wake()
            if looked.is_early:
                self._look_early()
            await self._look_at_folders()
            return True
        return False

    async def _look_at_folders(self) -> None:
        """Look at folders after a scan; now and then while nobody tells of scans."""
        now = time.monotonic()
        due = self._folders_due
        if not self._link.is_up:
            due = min(due, self._folders_at + _FOLDER_INTERVAL)
        if now < due:
            return
        self._folders_due = float("inf")
        try:
            if await self._poll.look_at_folders():
                self._wake()
        except Stash2PlexError as error:
            log.warning("poll_failed", error=str(error))
            self._folders_due = now + _FOLDERS_AGAIN
        self._folders_at = now

    def _connected(self) -> None:
        """Make good what was not heard meanwhile."""
        self._zone.doubt()
        self._folders_due = 0.0

    def _told(self, what: StashEvent) -> None:
        """Look at once, and after a scan once more: covers are made later."""
        if what is StashEvent.IMPORTED:
            self._imports.notify()
        else:
            self._folders_due = 0.0
            self._look_in(_SECOND_LOOK)
        self._triggered.set()
