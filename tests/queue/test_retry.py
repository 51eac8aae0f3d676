"""From an error to a fate: a table."""

from __future__ import annotations

import pytest

from stash2plex.config import QueueSettings
from stash2plex.errors import (
    AccessDenied,
    AmbiguousMatch,
    Braked,
    CatalogIncomplete,
    EditRefused,
    ItemNotFound,
    PictureFailed,
    RequestRejected,
    SchemaMismatch,
    ServerFault,
    ServiceUnavailable,
    StaleCatalog,
    UnmappedPath,
)
from stash2plex.queue.job import Job, Kind, Reason
from stash2plex.queue.retry import Fate, RetryPolicy, code_of

LONGEST = RetryPolicy(QueueSettings(), spread=lambda low, high: high)
SHORTEST = RetryPolicy(QueueSettings(), spread=lambda low, high: low)


def job(attempts: int = 0, lookups: int = 0) -> Job:
    return Job(1, Kind.SCENE, 7, Reason.HOOK, attempts, lookups)


@pytest.mark.parametrize(
    ("error", "attempts", "lookups", "fate", "longest"),
    [
        (ServiceUnavailable("Plex", "x"), 99, 0, Fate.RELEASED, 5),
        (AccessDenied("Plex", "x"), 99, 0, Fate.RELEASED, 5),
        (SchemaMismatch("Stash", "x"), 99, 0, Fate.RELEASED, 5),
        (CatalogIncomplete("x"), 99, 0, Fate.RELEASED, 15),
        (ItemNotFound("x"), 0, 0, Fate.ASLEEP, 30),
        (ItemNotFound("x"), 99, 4, Fate.ASLEEP, 480),
        (ItemNotFound("x"), 0, 10, Fate.ASLEEP, 600),
        (ItemNotFound("x"), 0, 11, Fate.ENDED, 0),
        (UnmappedPath("x"), 0, 11, Fate.ENDED, 0),
        (AmbiguousMatch("x"), 0, 0, Fate.ASLEEP, 30),
        (RequestRejected("x"), 0, 0, Fate.BURIED, 0),
        (Braked("x"), 99, 0, Fate.RELEASED, 300),
        (EditRefused("x"), 0, 0, Fate.RETRIED, 75),
        (EditRefused("x"), 3, 0, Fate.RETRIED, 75),
        (EditRefused("x"), 4, 0, Fate.BURIED, 0),
        (ServerFault("Plex", "x"), 0, 0, Fate.RETRIED, 5),
        (ServerFault("Plex", "x"), 3, 0, Fate.RETRIED, 40),
        (ServerFault("Plex", "x"), 4, 0, Fate.BURIED, 0),
        (PictureFailed("x"), 3, 0, Fate.RETRIED, 40),
        (StaleCatalog("x"), 0, 0, Fate.RETRIED, 1),
        (StaleCatalog("x"), 4, 0, Fate.BURIED, 0),
        (ZeroDivisionError(), 0, 0, Fate.RETRIED, 5),
        (ZeroDivisionError(), 4, 0, Fate.BURIED, 0),
    ],
)
def test_the_class_of_an_error_decides(error, attempts, lookups, fate, longest):
    verdict = LONGEST.judge(job(attempts, lookups), error)

    assert verdict.fate is fate
    assert verdict.delay == longest


def test_back_off_has_full_jitter_and_a_cap():
    assert SHORTEST.judge(job(), ServerFault("Plex", "x")).delay == 0
    assert SHORTEST.judge(job(), ItemNotFound("x")).delay == 0
    assert SHORTEST.judge(job(), ServiceUnavailable("Plex", "x")).delay == 2.5
    patient = RetryPolicy(QueueSettings(max_attempts=50), spread=lambda low, high: high)
    assert patient.judge(job(20), ServerFault("Plex", "x")).delay == 80


def test_a_bug_has_a_code_too():
    assert code_of(ZeroDivisionError()) == "internal"
    assert code_of(ItemNotFound("x")) == "item_not_found"
