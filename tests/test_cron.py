"""Cron lines, and the times that come of them."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from stash2plex.config import ReconcileSettings
from stash2plex.cron import either, fields
from stash2plex.schedule import LocalCronTrigger, Schedule
from stash2plex.zones import system_zone
from tests.patience import patient


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
        await asyncio.wait_for(asked.wait(), patient(5))
        assert schedule.next_at > datetime.now(UTC)


def times(line: str, zone: str, start: str, count: int) -> list[str]:
    """Return the first *count* times of *line* from *start* on, as APScheduler asks."""
    trigger = LocalCronTrigger(either(line)[0], ZoneInfo(zone))
    now, before, found = datetime.fromisoformat(start), None, []
    for _ in range(count):
        before = trigger.get_next_fire_time(before, now)
        now = before
        found.append(before.isoformat(timespec="minutes"))
    return found


@pytest.mark.parametrize(
    ("line", "zone", "start", "expected"),
    [
        (  # the day begins at one o'clock
            "0 0 * * *",
            "America/Santiago",
            "2026-09-05T12:00-04:00",
            ["2026-09-06T01:00-03:00", "2026-09-07T00:00-03:00"],
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-29T00:00+01:00",
            ["2026-03-29T03:30+02:00", "2026-03-30T02:30+02:00"],
        ),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-25T00:00+02:00",
            ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"],
        ),
        (
            "17 * * * *",
            "Europe/Berlin",
            "2026-10-25T01:30+02:00",
            ["2026-10-25T02:17+02:00", "2026-10-25T02:17+01:00"],
        ),
        (
            "17 0-23 * * *",
            "Europe/Berlin",
            "2026-03-29T01:30+01:00",
            ["2026-03-29T03:17+02:00", "2026-03-29T04:17+02:00"],
        ),
        (
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-03-29T01:10+01:00",
            ["2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00"],
        ),
        (  # half an hour is left out
            "0 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-04T00:00+10:30",
            ["2026-10-04T02:30+11:00", "2026-10-05T02:00+11:00"],
        ),
    ],
)
def test_days_on_which_clocks_are_put(line, zone, start, expected):
    assert times(line, zone, start, len(expected)) == expected


@pytest.mark.parametrize(
    "zone", ["America/Santiago", "Asia/Beirut", "Europe/Berlin", "America/Havana"]
)
@pytest.mark.parametrize("line", ["0 0 * * *", "30 2 * * *", "59 23 * * *"])
def test_a_daily_line_runs_once_each_local_day(line, zone):
    days = [one[:10] for one in times(line, zone, "2026-01-01T12:00+00:00", 365)]

    first = datetime.fromisoformat(days[0])
    assert days == [str((first + timedelta(days=n)).date()) for n in range(365)]


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("America/Santiago", "2026-03-25"),
        ("America/Santiago", "2026-09-01"),
        ("Europe/Berlin", "2026-03-20"),
        ("Europe/Berlin", "2026-10-20"),
    ],
)
def test_an_hourly_line_runs_once_each_elapsed_hour(zone, start):
    found = times("17 * * * *", zone, f"{start}T00:00+00:00", 24 * 14)
    moments = [datetime.fromisoformat(one) for one in found]

    assert {b - a for a, b in pairwise(moments)} == {timedelta(hours=1)}


@pytest.mark.parametrize("name", ["America/New York", '"Europe/Rome"', "UTC+2", "Nope"])
async def test_a_zone_that_is_none_means_utc(name, monkeypatch, log_lines):
    monkeypatch.setenv("TZ", name)

    async def ask(): ...

    schedule = await asyncio.to_thread(Schedule, "daily", "")
    async with schedule.running(ask):
        assert schedule.next_at.astimezone(UTC).hour == 5
    (warned,) = [one for one in log_lines if one["event"] == "timezone_unknown"]
    assert warned["error"] == f"TZ = {name!r} is no time zone"


@pytest.mark.parametrize("name", ["Europe/Rome", ":Europe/Rome"])
async def test_a_zone_that_is_one(name, monkeypatch):
    monkeypatch.setenv("TZ", name)
    zone, wrong = await asyncio.to_thread(system_zone)

    assert (str(zone), wrong) == ("Europe/Rome", None)


async def test_a_clock_that_was_put_on_and_back_again(monkeypatch):
    """A machine whose clock is 30 days ahead for a while misses no comparison."""
    wall, asked = [0.0], asyncio.Event()
    real_time, real_now = time.time, datetime.now

    class Now(datetime):
        @classmethod
        def now(cls, tz=None):
            return real_now(tz) + timedelta(seconds=wall[0])

    async def ask():
        asked.set()

    monkeypatch.setattr("time.time", lambda: real_time() + wall[0])
    monkeypatch.setattr("apscheduler.schedulers.base.datetime", Now)
    monkeypatch.setattr("stash2plex.schedule._GLANCE", 0.01)
    schedule = await asyncio.to_thread(Schedule, "* * * * *", "UTC")
    async with asyncio.timeout(patient(10)), schedule.running(ask):
        wall[0] = 30 * 24 * 3600.0
        await asked.wait()
        assert schedule.next_at > datetime.now(UTC) + timedelta(days=29)

        wall[0] = 0.0
        while schedule.next_at > datetime.now(UTC) + timedelta(minutes=1):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
