"""The history of comparisons: what was asked for, and what came of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from sqlite3 import Row
from typing import TYPE_CHECKING, Any

from stash2plex.moments import iso, iso_or_none

if TYPE_CHECKING:
    from stash2plex.config import Scope
    from stash2plex.db.database import Database

# So many are kept.
KEPT = 30
# A run is begun so often at most.
_MOST_STARTS = 3


class RunState(StrEnum):
    """How a comparison is; *stopped* by the brake."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(slots=True, kw_only=True)
class Run:
    """One comparison; times in unix seconds.

    *force* overrides the brake, and *only_empty* enqueues nothing but the gaps of items
    that show nothing.
    """

    id: int
    scope: Scope
    dry_run: bool = False
    force: bool = False
    only_empty: bool = False
    reason: str = "manual"
    state: RunState = RunState.RUNNING
    started_at: float = 0.0
    finished_at: float | None = None
    scenes: int = 0
    items: int = 0
    enqueued: int = 0  # in a dry run, how many would be
    gaps: dict[str, int] = field(default_factory=dict)
    error: str | None = None

    def covers_scope(self, other: Run) -> bool:
        """Whether this looks at all that *other* does."""
        scopes: list[Scope] = ["24h", "7d", "all"]
        return scopes.index(other.scope) <= scopes.index(self.scope)

    def covers(self, other: Run) -> bool:
        """Whether *other* need not run as well while this one goes on."""
        asked = (other.dry_run, other.force, other.only_empty)
        return (
            self.state is RunState.RUNNING
            and not self.dry_run
            and asked == (self.dry_run, self.force, self.only_empty)
            and self.covers_scope(other)
        )

    def counted(self) -> dict[str, int]:
        """Return how many jobs were enqueued; in a dry run, how many would be."""
        would = self.enqueued if self.dry_run else 0
        return {"enqueued": self.enqueued - would, "would_enqueue": would}

    def as_json(self) -> dict[str, Any]:
        """Return the run as people read it; see the HTTP API."""
        return {
            "run": self.id,
            "scope": self.scope,
            "dry_run": self.dry_run,
            "reason": self.reason,
            "state": self.state.value,
            "started_at": iso(self.started_at),
            "finished_at": iso_or_none(self.finished_at),
            "scenes": self.scenes,
            "items": self.items,
            **self.counted(),
            "gaps": self.gaps,
            "error": self.error,
        }


class Runs:
    """Reads and writes runs."""

    def __init__(
        self, database: Database, *, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self.now = now

    async def begin(
        self,
        scope: Scope,
        *,
        reason: str,
        dry_run: bool = False,
        force: bool = False,
        only_empty: bool = False,
    ) -> Run:
        """Add a run."""
        now = self.now()
        (row,) = await self._database.write(
            "INSERT INTO run (scope, dry_run, force, only_empty, reason, state,"
            " started_at) VALUES (?, ?, ?, ?, ?, 'running', ?) RETURNING id",
            scope,
            dry_run,
            force,
            only_empty,
            reason,
            now,
        )
        await self._database.write(
            "DELETE FROM run WHERE id <= (SELECT max(id) FROM run) - ?"
            " AND state != 'running'",
            KEPT,
        )
        return Run(
            id=row["id"],
            scope=scope,
            reason=reason,
            dry_run=dry_run,
            force=force,
            only_empty=only_empty,
            started_at=now,
        )

    async def save(self, run: Run) -> None:
        """Write down how a run ended."""
        await self._database.write(
            "UPDATE run SET state = ?, started_at = ?, finished_at = ?, scenes = ?,"
            " items = ?, enqueued = ?, gaps = ?, error = ? WHERE id = ?",
            run.state,
            run.started_at,
            run.finished_at,
            run.scenes,
            run.items,
            run.enqueued,
            json.dumps(run.gaps),
            run.error,
            run.id,
        )

    async def note_start(self, run: Run) -> None:
        """Write down that a run is begun."""
        await self._database.write(
            "UPDATE run SET starts = starts + 1 WHERE id = ?", run.id
        )

    async def abandoned(self) -> list[Run]:
        """Return the runs that a daemon before us left, the oldest first.

        Those over which it ended again and again come to nothing.
        """
        await self._database.write(
            "UPDATE run SET state = 'failed', finished_at = ?,"
            " error = 'the daemon ended each time' WHERE state = 'running'"
            " AND starts >= ?",
            self.now(),
            _MOST_STARTS,
        )
        rows = await self._database.fetch(
            "SELECT * FROM run WHERE state = 'running' ORDER BY id"
        )
        return [_run(row) for row in rows]

    async def listed(self) -> list[Run]:
        """Return the runs that are kept, the newest first."""
        rows = await self._database.fetch("SELECT * FROM run ORDER BY id DESC")
        return [_run(row) for row in rows]

    async def one(self, run_id: int) -> Run | None:
        """Return a run by its number."""
        rows = await self._database.fetch("SELECT * FROM run WHERE id = ?", run_id)
        return _run(rows[0]) if rows else None


def _run(row: Row) -> Run:
    return Run(
        id=row["id"],
        scope=row["scope"],
        dry_run=bool(row["dry_run"]),
        force=bool(row["force"]),
        only_empty=bool(row["only_empty"]),
        reason=row["reason"],
        state=RunState(row["state"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        scenes=row["scenes"],
        items=row["items"],
        enqueued=row["enqueued"],
        gaps=json.loads(row["gaps"]),
        error=row["error"],
    )
