"""The line that sums up many deliveries."""

from __future__ import annotations

import asyncio

import pytest

from stash2plex.catalog.matching import Confidence
from stash2plex.queue.outcome import Outcome, Result
from stash2plex.queue.summary import Summary
from tests.end_to_end.test_delivery import sample
from tests.patience import patient


def said(log_lines):
    return [one for one in log_lines if one["event"] == "deliveries_summed"]


def test_after_a_hundred(log_lines):
    summary = Summary()
    written = Outcome(result=Result.WRITTEN, seconds=0.02, confidence=Confidence.HIGH)
    for _ in range(98):
        summary.note(written, Result.WRITTEN, None)
    failed = Outcome(result=Result.FAILED)
    summary.note(failed, None, "server_fault")  # tried again, so no end of a job
    summary.note(failed, Result.FAILED, "request_rejected")
    assert said(log_lines) == []
    unsure = Outcome(result=Result.UNCHANGED, confidence=Confidence.LOW)
    summary.note(unsure, Result.UNCHANGED, None)

    (line,) = said(log_lines)
    assert line["written"] == 98
    assert line["unchanged"] == line["failed"] == 1
    assert line["mean_ms"] == 20
    assert line["confidence"] == {"high": 98, "low": 1}
    assert line["errors"] == {"server_fault": 1, "request_rejected": 1}
    summary.say()
    assert len(said(log_lines)) == 1  # nothing happened since


async def test_at_intervals_and_at_the_end(log_lines):
    summary = Summary(interval=0.01)
    running = asyncio.create_task(summary.run())
    summary.note(Outcome(result=Result.SKIPPED), Result.SKIPPED, None)
    async with asyncio.timeout(patient(5)):
        while not said(log_lines):  # noqa: ASYNC110 - a log tells nobody
            await asyncio.sleep(0.01)
    summary.note(Outcome(result=Result.SKIPPED), Result.SKIPPED, None)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert [one["skipped"] for one in said(log_lines)] == [1, 1]
    assert said(log_lines)[0]["mean_ms"] is None


async def test_of_the_real_daemon(log_lines, daemon, stash, plex):
    for number in range(1, 4):
        sample(stash, plex, number)
    plex.status_of[3] = 409
    await daemon.cataloged()
    await daemon.deliver(1, 2, 3)
    # What each step of it was is told too, with "debug".
    events = [one["event"] for one in log_lines]
    assert [events.count(one) for one in ("scene_read", "scene_matched")] == [3, 3]
    (planned,) = [
        one for one in log_lines if one["event"] == "item_planned" and one["scene"] == 1
    ]
    assert "title" in planned["changes"]
    assert events.count("item_edited") == 2
