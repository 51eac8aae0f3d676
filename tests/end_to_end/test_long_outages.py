"""Plex is away for hours and for days: the real daemon, on clocks that jump."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from itertools import pairwise

import pytest

from stash2plex.config import OutageSettings
from tests.outage import JOBS
from tests.running import unmeasured

HOUR = 3600.0
DEFAULTS = OutageSettings()


async def simulated(hours: float, how: str):
    """Run one; not measured for coverage, which would take most of the time."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.outage",
        str(hours),
        how,
        stdout=asyncio.subprocess.PIPE,
        env=unmeasured(),
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    return json.loads(out)


def probes_follow_the_back_off(found):
    """5, 10, 20, 40, then every 60 seconds."""
    gaps = [later - earlier for earlier, later in pairwise(found["probes"])]
    assert gaps[:3] == pytest.approx([10, 20, 40], abs=1)
    assert gaps[3:] == pytest.approx([DEFAULTS.probe_max] * len(gaps[3:]), abs=1)


def recovery_keeps_to_the_ramp(found):
    """No second saw more than the ramp allows; afterwards there is no limit."""
    (closed,) = found["closed_at"]
    written = [at - closed for at in found["edited_at"]]
    length = DEFAULTS.ramp_seconds
    for seconds in range(1, int(length)):
        rate = DEFAULTS.ramp_start + (
            (DEFAULTS.ramp_end - DEFAULTS.ramp_start) * seconds / length
        )
        count = sum(seconds - 1 <= at < seconds for at in written)
        assert count <= rate + 2, f"{count} in second {seconds}"
    assert sum(at < length for at in written) > length * 8


@pytest.mark.timeout(900)
async def test_some_hours_and_some_days():
    """A day, and with `make chaos` three, in which Plex is gone."""
    hours_gone = float(os.environ.get("STASH2PLEX_HOURS_GONE", "24"))
    short, long = await asyncio.gather(
        simulated(4, "503"), simulated(hours_gone, "gone")
    )

    for found, hours in ((short, 4), (long, hours_gone)):
        assert found["waiting_during"] == JOBS
        assert found["dead_during"] == found["dead"] == 0
        assert found["wrong"] == found["redundant"] == 0
        assert len(found["edited_at"]) == JOBS
        (outage,) = found["outages"]
        back = found["closed_at"][0] - found["ended"]
        assert back < 65
        assert outage["seconds"] == pytest.approx(hours * HOUR + back, abs=10)
        probes_follow_the_back_off(found)
        recovery_keeps_to_the_ramp(found)
