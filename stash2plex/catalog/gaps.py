"""The gap table: what cannot be in step, and why, as long as it is so."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum

from stash2plex.db.database import Database, Transaction

_RECORD = """
    INSERT INTO gap VALUES (?1, ?2, ?3, ?4, ?5, ?5)
    ON CONFLICT DO UPDATE SET
        path = excluded.path, detail = excluded.detail, last_seen = excluded.last_seen
"""


class GapKind(StrEnum):
    """Why a scene and an item are not in step; see ``docs/errors.md``."""

    EMPTY = "empty"
    STALE = "stale"
    MISSING_IN_PLEX = "missing_in_plex"
    MISSING_IN_STASH = "missing_in_stash"
    UNMAPPED = "unmapped"
    AMBIGUOUS = "ambiguous"


class Gaps:
    """Records gaps and closes them."""

    def __init__(
        self, database: Database, *, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._now = now

    async def record_scene(
        self,
        transaction: Transaction,
        kind: GapKind,
        scene_id: int,
        *,
        path: str,
        detail: str,
    ) -> None:
        """Note that a scene has no item that we could write."""
        subject = f"scene:{scene_id}"
        await transaction.run(
            "DELETE FROM gap WHERE subject = ? AND kind != ?", subject, kind
        )
        await transaction.run(_RECORD, kind, subject, path, detail, self._now())

    async def record_item(
        self, transaction: Transaction, rating_key: int, *, path: str, detail: str
    ) -> None:
        """Note that Plex has an item that no scene belongs to."""
        await transaction.run(
            _RECORD,
            GapKind.MISSING_IN_STASH,
            f"item:{rating_key}",
            path,
            detail,
            self._now(),
        )

    async def close(
        self, transaction: Transaction, scene_id: int, rating_keys: tuple[int, ...] = ()
    ) -> None:
        """Forget the gaps of a scene that was delivered, and of its items."""
        for subject in (f"scene:{scene_id}", *(f"item:{key}" for key in rating_keys)):
            await transaction.run("DELETE FROM gap WHERE subject = ?", subject)

    async def counts(self) -> dict[str, int]:
        """Count the gaps by kind; every kind is there."""
        rows = await self._database.fetch(
            "SELECT kind, count(*) AS count FROM gap GROUP BY kind"
        )
        found = {row["kind"]: row["count"] for row in rows}
        return {kind: found.get(kind, 0) for kind in GapKind}
