"""Times as people and programs are told of them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(moment: datetime | float) -> str:
    """Return *moment* (unix seconds or a datetime) in UTC, in whole seconds."""
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment, UTC)
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def iso_or_none(seconds: float | None) -> str | None:
    """Return *seconds* (unix) as `iso` does, None for what has not happened."""
    return None if seconds is None else iso(seconds)
