"""When both libraries are compared by themselves.

The scheduler only asks; it never does the work. A time that passed while the machine
slept, or that a clock was put beyond, counts once, as soon as that is noticed; after a
clock was put back the times are worked out anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

from stash2plex import cron
from stash2plex.zones import system_zone

log = structlog.get_logger()

# Plex keeps house from two to five at night.
_LINES = {"hourly": "17 * * * *", "daily": "30 5 * * *", "weekly": "30 5 * * sun"}
_JOB = "reconcile"
# How often the clock on the wall is looked at, and by how much it may stray from the
# loop's without having been put, seconds.
_GLANCE, _STRAY = 10.0, 5.0
# No clock is put on or back by more, but where a whole day was left out.
_SHIFT = timedelta(hours=3)
_EVERY_HOUR = {str(hour) for hour in range(24)}


class Schedule:
    """Asks for a comparison at the times of *interval*."""

    def __init__(self, interval: str, zone: str) -> None:
        """Take ``never``, ``hourly``, ``daily``, ``weekly`` or a cron line.

        *zone* is the name of a time zone, "" for the system's.
        """
        zoned, wrong = (ZoneInfo(zone), None) if zone else system_zone()
        if wrong:
            log.warning("timezone_unknown", error=wrong, taken="UTC")
        self._scheduler = AsyncIOScheduler(timezone=zoned)
        self._trigger: OrTrigger | None = None
        if interval == "never":
            return
        self._trigger = OrTrigger(
            [
                LocalCronTrigger(fields, zoned)
                for fields in cron.either(_LINES.get(interval, interval))
            ]
        )

    @asynccontextmanager
    async def running(
        self, ask: Callable[[], Awaitable[object]]
    ) -> AsyncIterator[None]:
        """Call *ask* at the times, for the length of the block."""
        if self._trigger is not None:
            self._scheduler.add_job(
                ask,
                self._trigger,
                id=_JOB,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
            )
        self._scheduler.start()
        awake = asyncio.create_task(self._stay_awake())
        try:
            yield
        finally:
            awake.cancel()
            self._scheduler.shutdown(wait=False)

    async def _stay_awake(self) -> None:
        """Look at the clock on the wall: the loop's knows nothing of its being put."""
        apart = time.time() - time.monotonic()
        while True:
            await asyncio.sleep(_GLANCE)
            before, apart = apart, time.time() - time.monotonic()
            stepped = apart - before
            if abs(stepped) < _STRAY:
                continue
            log.info("clock_stepped", seconds=round(stepped, 1))
            job = self._scheduler.get_job(_JOB)
            if stepped < 0 and job is not None:
                job.reschedule(self._trigger)
            self._scheduler.wakeup()

    @property
    def next_at(self) -> datetime | None:
        """Return when it asks next; None for never."""
        job = self._scheduler.get_job(_JOB)
        return job.next_run_time if job else None


class LocalCronTrigger(BaseTrigger):  # type: ignore[misc]
    """The times of one line, as `stash2plex.cron.either` returns its *fields*.

    On days when clocks are put too: a line that names its hours comes once for each
    local time that it names. At one that the clock leaves out it comes as long after
    the last as if it were not; at one that comes twice, the first time. A line for
    every hour follows elapsed time instead. These are the rules of Vixie cron;
    APScheduler reads the line, in a calendar without zones.
    """

    def __init__(self, fields: Mapping[str, str], zone: tzinfo) -> None:
        self._line = CronTrigger(**fields, timezone=UTC)
        self._zone = zone
        hours = fields["hour"]
        self._follows_hours = hours == "*" or set(hours.split(",")) == _EVERY_HOUR

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        """Return the next time, none before *now* (called by APScheduler)."""
        after = now.astimezone(UTC) - timedelta(microseconds=1)
        if previous_fire_time is not None:
            after = max(after, previous_fire_time.astimezone(UTC))
        local = after.astimezone(self._zone).replace(tzinfo=None)
        found: datetime | None = None
        for wall in self._walls(local - _SHIFT):
            if found is not None and wall > _wall(found, self._zone) + _SHIFT:
                break
            for moment in self._moments(wall):
                if moment > after and (found is None or moment < found):
                    found = moment
        return None if found is None else found.astimezone(self._zone)

    def _walls(self, start: datetime) -> Iterator[datetime]:
        """Yield what a clock on the wall would show from *start* on, if never put."""
        wall = self._line.get_next_fire_time(None, start.replace(tzinfo=UTC))
        while wall is not None:
            yield wall.replace(tzinfo=None)
            wall = self._line.get_next_fire_time(wall, wall)

    def _moments(self, wall: datetime) -> Iterator[datetime]:
        """Yield when the clock shows *wall*, in UTC: twice, once, or never."""
        first = wall.replace(tzinfo=self._zone).astimezone(UTC)
        if not self._follows_hours:
            yield first
            return
        second = wall.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
        for moment in sorted({first, second}):
            if _wall(moment, self._zone) == wall:
                yield moment


def _wall(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)
