"""Naming rows of listings that make no sense and are left out."""

from __future__ import annotations

import structlog

log = structlog.get_logger()

# So many are named until the next start.
_MOST = 1000


class Oddities:
    """Logs each odd row of a *service* once: it comes with every listing.

    *thing* is what a row is about, ``item`` or ``scene``.
    """

    def __init__(self, service: str, thing: str) -> None:
        self._service = service
        self._thing = thing
        self._named: set[tuple[int | None, str]] = set()

    def name(self, key: int | None, reason: str) -> None:
        """Say which row is left out, by its number if it has one, and why."""
        if (key, reason) not in self._named and len(self._named) < _MOST:
            self._named.add((key, reason))
            what = {self._thing: key}
            log.warning("row_ignored", service=self._service, **what, reason=reason)
