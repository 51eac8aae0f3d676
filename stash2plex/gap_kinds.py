"""The kinds of gaps between both libraries."""

from __future__ import annotations

from enum import StrEnum


class GapKind(StrEnum):
    """Why a scene and an item are not in step; see ``docs/errors.md``."""

    EMPTY = "empty"
    STALE = "stale"
    DRIFT = "drift"
    MISSING_IN_PLEX = "missing_in_plex"
    MISSING_IN_STASH = "missing_in_stash"
    UNMAPPED = "unmapped"
    AMBIGUOUS = "ambiguous"


# What a push can mend.
REPAIRABLE = (GapKind.EMPTY, GapKind.STALE, GapKind.DRIFT)
