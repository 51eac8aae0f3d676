"""A unit of work: look at one thing in Stash again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from sqlite3 import Row
from typing import Self


class Kind(StrEnum):
    """What changed. Anything but a scene expands into its scenes."""

    SCENE = "scene"
    PERFORMER = "performer"
    STUDIO = "studio"
    TAG = "tag"
    GROUP = "group"


PARTS = (Kind.PERFORMER, Kind.STUDIO, Kind.TAG, Kind.GROUP)


class Reason(StrEnum):
    """Who asked; sets the priority and is shown to people."""

    MANUAL = "manual"
    HOOK = "hook"
    EXPANDED = "expanded"
    RECONCILE = "reconcile"


PRIORITY = {
    Reason.MANUAL: 30,
    Reason.HOOK: 20,
    Reason.EXPANDED: 10,
    Reason.RECONCILE: 0,
}


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job. It carries no data: the worker reads Stash afresh.

    *attempts* and *lookups* count earlier failures, not the run at hand.
    """

    id: int
    kind: Kind
    stash_id: int
    reason: Reason
    attempts: int
    lookups: int

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(
            id=row["id"],
            kind=Kind(row["kind"]),
            stash_id=row["stash_id"],
            reason=Reason(row["reason"]),
            attempts=row["attempts"],
            lookups=row["lookups"],
        )
