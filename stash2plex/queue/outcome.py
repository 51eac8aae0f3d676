"""How the delivery of one job ended, as the worker needs to know it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from stash2plex.db.database import Transaction

if TYPE_CHECKING:
    from stash2plex.catalog.matching import Confidence
    from stash2plex.queue.job import Job


class Result(StrEnum):
    """What a delivery came to; the words of ``/api/v1/status``."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"
    EXPANDED = "expanded"


# Statements that take effect together with the job's end.
Record = Callable[[Transaction], Awaitable[None]]


async def nothing(_: Transaction) -> None:
    """Record nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one delivery.

    *error* decides the fate of the job, and what could be done nevertheless is in
    *record*; *ended* is recorded only if the job ends over the error. *seconds* is how
    long Plex took, and *confidence* that of the least sure match.
    """

    result: Result
    reason: str = ""
    error: Exception | None = None
    record: Record = nothing
    ended: Record = nothing
    seconds: float = 0.0
    confidence: Confidence | None = None


Settle = Callable[["Job", Outcome], Awaitable[None]]
Deliver = Callable[[Sequence["Job"], Settle], Awaitable[None]]
