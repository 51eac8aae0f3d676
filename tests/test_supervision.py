"""Helpers that crash are restarted, and never end the daemon."""

from __future__ import annotations

import asyncio

from stash2plex.plex.library import PlexLibrary
from stash2plex.supervision import LONGEST_WAIT, supervised
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.patience import patient
from tests.running import running


class Crashing:
    """Crashes so many times, then returns."""

    def __init__(self, times):
        self.left = times

    async def run(self):
        self.left -= 1
        if self.left >= 0:
            raise RuntimeError("a bug")


async def test_a_crash_is_told_and_restarted(log_lines):
    helper = Crashing(3)

    await supervised("poll", helper.run, asyncio.Event(), first_wait=0.01)

    crashes = [one for one in log_lines if one["event"] == "helper_crashed"]
    assert [(one["helper"], one["again_in"]) for one in crashes] == [
        ("poll", 0.01),
        ("poll", 0.02),
        ("poll", 0.04),
    ]
    assert all("a bug" in one["exception"] for one in crashes)


async def test_who_ran_long_starts_at_the_first_wait(log_lines):
    clock = iter([0.0, 1.0, 2.0, 3.0 + 2 * LONGEST_WAIT, 0.0])
    helper = Crashing(2)

    await supervised(
        "x", helper.run, asyncio.Event(), first_wait=0.01, now=lambda: next(clock)
    )

    crashes = [one for one in log_lines if one["event"] == "helper_crashed"]
    assert [one["again_in"] for one in crashes] == [0.01, 0.01]


async def test_nothing_is_restarted_at_the_end():
    stopping = asyncio.Event()
    stopping.set()
    helper = Crashing(2)

    await asyncio.wait_for(supervised("x", helper.run, stopping), patient(5))

    assert helper.left == 1


async def test_a_listing_that_crashed_is_made_again(
    stash, plex, tmp_path, monkeypatch, log_lines
):
    real = PlexLibrary.movie_sections
    crashes = iter([True])

    async def crashing_once(self):
        if next(crashes, False):
            raise RuntimeError("a bug")
        return await real(self)

    monkeypatch.setattr(PlexLibrary, "movie_sections", crashing_once)
    sample(stash, plex)
    async with running(make_settings(stash, plex, tmp_path), stash, plex) as daemon:
        await daemon.cataloged()

    (line,) = [one for one in log_lines if one["event"] == "helper_crashed"]
    assert line["helper"] == "catalog"
