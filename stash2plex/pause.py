"""How long a server asks us to stay away: the header ``Retry-After`` (RFC 9110)."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_HEADER = "Retry-After"


def pause_asked(headers: Mapping[str, str], now: float) -> float:
    """Return the seconds asked for at *now* (unix seconds), 0 for none or nonsense.

    Whoever obeys sets a limit: a server may ask for years.
    """
    text = headers.get(_HEADER, "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0
