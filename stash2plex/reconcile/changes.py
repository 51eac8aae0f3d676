"""Changes that fire no hook: a look at Stash every now and then.

Stash compares times as text, each in the zone of its moment, and in whole seconds. So
it is asked for more than is needed, and what is new is found here: a time that was not
enqueued yet, or files other than the catalogue's. The cursor is Stash's own clock, and
moves only when all that it covers is on disk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import structlog

from stash2plex.errors import SchemaMismatch, ServiceUnavailable, Stash2PlexError
from stash2plex.health.breaker import State
from stash2plex.link import Link
from stash2plex.queue.dead import unchanged_since
from stash2plex.queue.job import PARTS, Kind, Reason
from stash2plex.stash.answers import parsed_time, text_bound

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog
    from stash2plex.db.database import Database
    from stash2plex.health.breaker import CircuitBreaker
    from stash2plex.queue.store import JobStore
    from stash2plex.scene import SceneEntry
    from stash2plex.stash.client import StashClient

log = structlog.get_logger()

_CURSOR, _OFFSET = "poll_cursor", "stash_offset"
# A change is dated before it can be read: by so much at most, seconds.
_COMMIT = 300.0
# Clocks are set back by an hour in autumn; some more for what is unusual, seconds.
_DAYLIGHT = 2 * 3600.0
# How often everything is asked for that any zone might hide, unless Stash may have been
# started anew, and, after many changes, what the last hours might, seconds.
_ALL_ZONES, _LAST_HOURS = 6 * 3600.0, 15 * 60.0
# What tells the zone of Stash: times so old at most, and if none is known yet, seconds.
_TELLING, _FIRST_TELLING = 3600.0, 28 * 3600.0
# Clocks that are ahead of Stash's, seconds.
_AHEAD = 60.0
# A change that is older than this was looked at in whatever zone, seconds.
_FORGOTTEN = _ALL_ZONES + 28 * 3600.0
# A time so young may stand for a later change too, seconds.
_SETTLING = 3.0
# Covers are made some time after the scan that found the scene, seconds.
_SECOND_LOOK = 45.0
_FIRST_WAIT, _LONGEST_WAIT = 5.0, 300.0
# When a look is repeated that failed, if there is no regular one, at first and at
# last, seconds.
_AGAIN, _LAST_AGAIN = 5.0, 600.0


class Changes:
    """Looks for changes every *interval* seconds, and when a scan was completed.

    With an interval of 0 only when told to: `look_soon`.
    """

    def __init__(
        self,
        database: Database,
        stash: StashClient,
        catalog: Catalog,
        jobs: JobStore,
        *,
        breaker: CircuitBreaker,
        interval: float,
        wake: Callable[[], None],
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._stash = stash
        self._catalog = catalog
        self._jobs = jobs
        self._breaker = breaker
        self._interval = interval
        self._wake = wake
        self._now = now
        self._monotonic = monotonic
        self._triggered = asyncio.Event()
        self._asked_all_zones = self._asked_last_hours = float("-inf")
        # Whether Stash may write in a zone that no time told of yet, and since when by
        # its clock.
        self._doubts_zone = False
        self._doubted_at: float | None = None
        self._few = True  # of all zones, changes the last time
        self._link = Link(
            stash.scans,
            self._scanned,
            first_wait=_FIRST_WAIT,
            longest_wait=_LONGEST_WAIT,
            on_connected=self._doubt_zone,
        )

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll())
            if self._interval:
                # Without it the next poll finds the same, later.
                tasks.create_task(self._link.run())

    def look_soon(self) -> None:
        """Look as soon as Stash can be asked."""
        self._triggered.set()

    async def poll(self) -> int:
        """Look once; returns how many things were enqueued.

        Raises the errors of Stash and of the store; the next look makes it good.
        """
        cursor = float(await self._database.fact(_CURSOR) or 0)
        if not cursor:
            # All that was before is the business of the comparison.
            await self._stash.prove()
            await self._database.set_fact(_CURSOR, str(self._server_now()))
            return 0
        fact = await self._database.fact(_OFFSET)
        offset = None if fact is None else int(fact)
        wide = self._wants_all_zones()
        zone = None if wide or offset is None else _zone(offset)
        now, count = None, 0
        offsets: set[int] = set()
        age = _FIRST_TELLING if offset is None else _TELLING
        pages, newest = 0, 0.0
        async for page, asked_at in self._changed_scenes(cursor, zone):
            now = asked_at if now is None else now
            pages += 1
            times = _times(page)
            newest = max([newest, *(one.timestamp() for one in times)])
            offsets |= _offsets(times, asked_at - age, asked_at + _AHEAD)
            count += await self._enqueue_scenes(page, cursor, asked_at)
        now = self._server_now() if now is None else now
        bound = _bound(cursor, zone, _DAYLIGHT)
        for kind in PARTS:
            parts = await self._stash.changed_parts(kind, bound)
            count += await self._enqueue_parts(kind, parts, cursor, now)
        if offsets:
            await self._learn_offset(min(offsets), None if wide else offset)
        if zone is None:
            self._asked_all_zones = self._monotonic()
            self._few = pages <= 1
            self._doubts_zone &= not self._is_told(newest, now)
        await self._database.set_fact(_CURSOR, str(now))
        if count:
            log.info("changes_found", count=count)
            self._wake()
        return count

    async def _poll(self) -> None:
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
            await self.poll()
        except SchemaMismatch as error:
            # It may be about what only polls ask for; deliveries tell of the rest.
            log.warning("poll_failed", error=str(error))
        except ServiceUnavailable as error:
            log.info("poll_failed", error=str(error))
            self._breaker.fail(error)
            self._doubt_zone()
        except Stash2PlexError as error:
            log.warning("poll_failed", error=str(error))
            self._doubt_zone()
        else:
            self._breaker.answered()
            return True
        return False

    def _doubt_zone(self) -> None:
        """Ask in all zones for a while: Stash may have been started in another one."""
        self._asked_all_zones = float("-inf")
        self._doubts_zone, self._doubted_at = True, None

    def _wants_all_zones(self) -> bool:
        """Whether it is time to, or doubtful; where that is many, not every time."""
        waited = self._monotonic() - self._asked_all_zones
        doubtful = self._doubts_zone and (self._few or waited > _LAST_HOURS)
        return doubtful or waited > _ALL_ZONES

    def _is_told(self, newest: float, now: float) -> bool:
        """Whether a scene was changed since the zone was doubted; it tells it."""
        if self._doubted_at is None:
            self._doubted_at = now
        return self._doubted_at < newest <= now + _AHEAD

    def _scanned(self, _: None) -> None:
        """Look at once, and once more: covers are made later."""
        self._triggered.set()
        loop = asyncio.get_running_loop()
        loop.call_later(_SECOND_LOOK, self._triggered.set)

    # --- asking -----------------------------------------------------------------

    async def _changed_scenes(
        self, cursor: float, zone: timezone | None
    ) -> AsyncIterator[tuple[list[SceneEntry], float]]:
        """Yield what may have changed since, and Stash's time when it was asked."""
        bound = _bound(cursor, zone, _DAYLIGHT)
        page = await self._stash.changed_entries(bound)
        now, moment = self._server_now(), self._monotonic()
        many = page.count > page.rows
        if many and moment - self._asked_last_hours < _LAST_HOURS and zone is not None:
            # So many changed in the last hours that they are not all asked for again.
            bound = _bound(cursor, zone, _COMMIT)
            page = await self._stash.changed_entries(bound)
        else:
            self._asked_last_hours = moment
        while page.rows:
            if page.entries:
                yield page.entries, now
            if page.count <= page.rows:
                return
            # Counted anew: people edit meanwhile, and their scenes have higher ids.
            page = await self._stash.changed_entries(bound, after=page.last)

    async def _learn_offset(self, west: int, known: int | None) -> None:
        """Remember the westernmost zone: a text in it is before those of the others.

        What was asked for in a *known* zone may hide all that is west of it, so only
        times of all zones move it east. A scene may bring its time from elsewhere.
        """
        offset = west if known is None else min(west, known)
        if str(offset) != await self._database.fact(_OFFSET):
            await self._database.set_fact(_OFFSET, str(offset))

    def _server_now(self) -> float:
        """Return Stash's clock; ours, with room for error, if it does not tell."""
        told = self._stash.server_time
        return self._now() - _COMMIT if told is None else told

    # --- enqueuing ----------------------------------------------------------------

    async def _enqueue_scenes(
        self, entries: Sequence[SceneEntry], cursor: float, now: float
    ) -> int:
        """Enqueue what is new of one page, and only then remember that it is known."""
        store = self._catalog.store
        ids = [one.id for one in entries]
        polled = await store.polled(ids)
        moved = await store.moved(entries)
        changed = [
            one
            for one in entries
            if one.id not in polled
            or one.id in moved
            or _is_new(one.updated_at, polled[one.id], cursor)
        ]
        if not changed:
            return 0
        # A hook told of the same edit, perhaps, and that came to nothing.
        dead = await self._jobs.dead_among(Kind.SCENE, [one.id for one in changed])
        told = {one.id: one.updated_at for one in changed if one.id not in moved}
        spared = unchanged_since(dead, told, self._stash.ahead) & told.keys()
        count = await self._jobs.enqueue_many(
            Kind.SCENE,
            [one.id for one in changed if one.id not in spared],
            Reason.EXPANDED,
        )
        await self._catalog.note_scenes(changed)
        times = {one.id: one.updated_at for one in changed}
        await store.note_polled(_settled(times, now))
        return count

    async def _enqueue_parts(
        self, kind: Kind, parts: Mapping[int, str], cursor: float, now: float
    ) -> int:
        if not parts:
            return 0
        store = self._catalog.store
        polled = await store.polled_parts(kind)
        changed = {
            key: text
            for key, text in parts.items()
            if _is_new(text, polled.get(key, ""), cursor)
        }
        if not changed:
            return 0
        # When it changed has to be known where the job runs.
        await store.note_polled_parts(kind, changed, {})
        dead = await self._jobs.dead_among(kind, changed)
        spared = unchanged_since(dead, changed, self._stash.ahead)
        count = await self._jobs.enqueue_many(
            kind, changed.keys() - spared, Reason.EXPANDED
        )
        await store.note_polled_parts(kind, changed, _settled(changed, now))
        return count


def _zone(offset: int) -> timezone:
    return timezone(timedelta(seconds=offset))


def _times(entries: Sequence[SceneEntry]) -> list[datetime]:
    """Return the times of change that can be read."""
    return [time for one in entries if (time := parsed_time(one.updated_at))]


def _offsets(times: Sequence[datetime], since: float, until: float) -> set[int]:
    """Return the offsets, in seconds, of times between two moments."""
    return {
        int(offset.total_seconds())
        for time in times
        if since <= time.timestamp() <= until
        if (offset := time.utcoffset()) is not None
    }


def _bound(cursor: float, zone: timezone | None, overlap: float) -> str:
    """Return a text that all changes from *overlap* seconds before *cursor* are after.

    In the *zone* that Stash writes its times in, or whichever that is.
    """
    since = datetime.fromtimestamp(cursor, UTC) - timedelta(seconds=overlap)
    if zone is None:
        return text_bound(since)
    return since.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")


def _is_new(text: str, polled: str, cursor: float) -> bool:
    """Whether a time tells of a change that was not enqueued yet.

    Not of one so old that every look since had to show it: what comes with it then is
    another file's time.
    """
    moment, known = parsed_time(text), parsed_time(polled)
    if moment is None or known == moment:
        return text != polled and known is None
    return moment.timestamp() >= cursor - _FORGOTTEN


def _settled(changes: Mapping[int, str], now: float) -> dict[int, str]:
    """Leave out the times that may stand for a later change too."""
    return {
        key: text
        for key, text in changes.items()
        if (moment := parsed_time(text)) and abs(now - moment.timestamp()) > _SETTLING
    }
