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
    PICTURE = "picture"


# What a comparison of both libraries can find; the rest is for deliveries to tell.
COMPARED = tuple(one for one in GapKind if one is not GapKind.PICTURE)
# What a push can mend.
REPAIRABLE = (GapKind.EMPTY, GapKind.STALE, GapKind.DRIFT)
