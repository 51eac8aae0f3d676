"""Cron lines, and the times that come of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from stash2plex.config import ReconcileSettings
from stash2plex.cron import either, fields
from stash2plex.schedule import Schedule


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("30 4 * * *", "minute", "30"),
        ("30 4 * * *", "day", "*"),
        ("*/20 * * * *", "minute", "0,20,40"),
        ("5/20 * * * *", "minute", "5,25,45"),
        ("0 8-10 * * *", "hour", "8,9,10"),
        ("0 8-20/6 * * *", "hour", "8,14,20"),
        ("0 0 1,15 * *", "day", "1,15"),
        ("0 0 1 jan,MAR *", "month", "1,3"),
        ("0 0 * * 0", "day_of_week", "sun"),
        ("0 0 * * 7", "day_of_week", "sun"),
        ("0 0 * * 1-5", "day_of_week", "mon,tue,wed,thu,fri"),
        ("0 0 * * 5-7", "day_of_week", "fri,sat,sun"),
        ("0 0 * * mon", "day_of_week", "mon"),
        ("0 0 * * fri-sun", "day_of_week", "fri,sat,sun"),
    ],
)
def test_what_a_line_means(line, name, value):
    assert fields(line)[name] == value


@pytest.mark.parametrize(
    "line",
    [
        "",
        "daily",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "-1 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "* * * foo *",
        "10-5 * * * *",
        "*/0 * * * *",
        "*-5 * * * *",
        "1, * * * *",
        "٣ * * * *",
    ],
)
def test_lines_that_mean_nothing(line):
    with pytest.raises(ValueError, match=r"cannot be|five fields"):
        fields(line)


@pytest.mark.parametrize("line", ["0 0 31 2 *", "0 0 31 4,6,sep *", "0 0 30 feb *"])
def test_a_day_that_never_comes(line):
    with pytest.raises(ValueError, match="never has a day"):
        either(line)


@pytest.mark.parametrize("line", ["0 0 29 2 *", "0 0 30,31 2,3 *", "0 0 31 2 mon"])
def test_a_day_that_comes_now_and_then(line):
    assert either(line)


async def test_a_day_and_a_day_of_the_week_are_either():
    async def ask(): ...

    schedule = await asyncio.to_thread(Schedule, "0 12 13 * fri", "UTC")
    found, moment = set(), datetime(2026, 1, 31, tzinfo=UTC)
    for _ in range(5):
        moment = schedule._trigger.get_next_fire_time(None, moment)
        found.add(moment.day)
        moment += timedelta(minutes=1)

    assert found == {6, 13, 20, 27}  # of February and March: the 13th is a Friday


def test_settings_say_what_is_wrong():
    with pytest.raises(ValidationError, match="minute cannot be '60'"):
        ReconcileSettings(interval="60 * * * *")
    with pytest.raises(ValidationError, match="such as Europe/Berlin"):
        ReconcileSettings(timezone="Middle/Earth")


@pytest.mark.parametrize(
    ("interval", "zone", "hour", "weekday"),
    [
        ("daily", "Asia/Tokyo", 5, None),
        ("weekly", "America/New_York", 5, 6),
        ("0 12 * * 0", "UTC", 12, 6),
        ("0 12 * * 1", "", 12, 0),
    ],
)
async def test_the_next_time_is_told(interval, zone, hour, weekday):
    async def ask(): ...

    schedule = await asyncio.to_thread(Schedule, interval, zone)
    async with schedule.running(ask):
        found = schedule.next_at
    assert found is not None
    assert found > datetime.now(UTC)
    local = found.astimezone(ZoneInfo(zone)) if zone else found
    assert local.hour == hour
    assert weekday is None or local.weekday() == weekday


async def test_never_is_never():
    async def ask(): ...

    schedule = await asyncio.to_thread(Schedule, "never", "")
    async with schedule.running(ask):
        assert schedule.next_at is None


async def test_hourly_is_within_the_hour_and_asks():
    asked = asyncio.Event()

    async def ask():
        asked.set()

    schedule = await asyncio.to_thread(Schedule, "hourly", "")
    async with schedule.running(ask):
        assert schedule.next_at - datetime.now(UTC) <= timedelta(hours=1)
        # What passed while the machine slept counts once, and at once.
        job = schedule._scheduler.get_job("reconcile")
        job.modify(next_run_time=datetime.now(UTC) - timedelta(hours=30))
        await asyncio.wait_for(asked.wait(), 5)
        assert schedule.next_at > datetime.now(UTC)
