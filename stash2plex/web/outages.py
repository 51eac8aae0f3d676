"""What ``GET /api/v1/outages`` and the status tell of outages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from stash2plex.health.outages import Outage, OutageLog
from stash2plex.moments import iso, iso_or_none

# Whose figures stand at the top: deliveries depend on it.
_MAIN = "Plex"


async def outage_report(outages: OutageLog) -> dict[str, Any]:
    """Return the figures, and every outage, the newest first."""
    listed = await outages.listed()
    summary = await _summary(outages, listed)
    return {**summary, "outages": [_shown(one) for one in listed]}


async def outage_summary(outages: OutageLog) -> dict[str, Any]:
    """Return the figures of Plex, and the outage that goes on, of either server."""
    return await _summary(outages, await outages.listed())


async def _summary(outages: OutageLog, listed: Sequence[Outage]) -> dict[str, Any]:
    own = [one for one in listed if one.service == _MAIN]
    figures = await outages.reliability(own)
    current = sorted(
        (one for one in listed if one.ended_at is None),
        key=lambda one: one.service != _MAIN,
    )
    return {
        "count": figures.count,
        "current": _shown(current[0]) if current else None,
        "mttr_seconds": _rounded(figures.mttr),
        "mtbf_seconds": _rounded(figures.mtbf),
        "availability": round(figures.availability, 5),
    }


def _shown(outage: Outage) -> dict[str, Any]:
    end = time.time() if outage.ended_at is None else outage.ended_at
    return {
        "service": outage.service,
        "started_at": iso(outage.started_at),
        "ended_at": iso_or_none(outage.ended_at),
        "seconds": round(max(0.0, end - outage.started_at), 1),
        "code": outage.code,
        "cause": outage.cause,
        "jobs": outage.jobs,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
