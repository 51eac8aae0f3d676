"""Hearing from Stash that it completed a scan, or an import."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from stash2plex.stash import queries
from stash2plex.stash.look import IMPORTING
from stash2plex.stash.subscription import subscription

if TYPE_CHECKING:
    from stash2plex.stash.connection import StashConnection

_SCANNED = '"scanCompleteSubscribe":'
_JOB = '"jobsSubscribe":'
_OVER = "REMOVE"


class StashEvent(Enum):
    """What Stash tells of itself."""

    SCANNED = auto()
    IMPORTED = auto()


async def scans(
    stash: StashConnection, on_listening: Callable[[], None]
) -> AsyncGenerator[StashEvent, None]:
    """Yield whenever a scan or an import was completed, until the link breaks.

    Raises what `subscription` raises.
    """
    wanted = (queries.SCANS, queries.JOBS)
    async for frame in subscription(stash, wanted, on_listening):
        if _SCANNED in frame:
            yield StashEvent.SCANNED
        elif _JOB in frame and IMPORTING in frame and _is_over(frame):
            yield StashEvent.IMPORTED


def _is_over(frame: str) -> bool:
    """Whether a frame tells that a job is over."""
    try:
        told: Any = json.loads(frame)["payload"]["data"]["jobsSubscribe"]
        return bool(told["type"] == _OVER)
    except (KeyError, TypeError, ValueError, RecursionError):
        return False
