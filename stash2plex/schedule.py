"""When both libraries are compared by themselves.

The scheduler only asks; it never does the work. A time that passed while the machine
slept counts once, as soon as it wakes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

from stash2plex import cron

# Plex keeps house from two to five at night.
_LINES = {"hourly": "17 * * * *", "daily": "30 5 * * *", "weekly": "30 5 * * sun"}
_JOB = "reconcile"
# How late a time that passed in a suspended machine may be noticed, seconds.
_GLANCE = 60.0


class Schedule:
    """Asks for a comparison at the times of *interval*."""

    def __init__(self, interval: str, zone: str) -> None:
        """Take ``never``, ``hourly``, ``daily``, ``weekly`` or a cron line.

        *zone* is the name of a time zone, "" for the system's.
        """
        self._scheduler = (
            AsyncIOScheduler(timezone=zone) if zone else AsyncIOScheduler()
        )
        self._trigger: OrTrigger | None = None
        if interval == "never":
            return
        zoned = self._scheduler.timezone
        self._trigger = OrTrigger(
            [
                CronTrigger(**fields, timezone=zoned)
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
        """Look at the clock on the wall: the loop's stands still while we sleep."""
        while True:
            await asyncio.sleep(_GLANCE)
            self._scheduler.wakeup()

    @property
    def next_at(self) -> datetime | None:
        """Return when it asks next; None for never."""
        job = self._scheduler.get_job(_JOB)
        return job.next_run_time if job else None
