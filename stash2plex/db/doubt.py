"""What was delivered, and may be out of date without the time of its scene telling.

A performer has another name, a file has moved, and the job over it ended without a
delivery: comparisons look at such scenes again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stash2plex.db.database import Transaction

_DOUBT = "UPDATE ledger SET scene_updated_at = '' WHERE scene_id IN"


async def doubt_scenes(transaction: Transaction, scene_ids: Iterable[int]) -> None:
    """Doubt what was delivered of scenes."""
    await transaction.run(
        f"{_DOUBT} (SELECT value FROM json_each(?))", json.dumps(list(scene_ids))
    )


async def note_undelivered(transaction: Transaction, kind: str, stash_id: int) -> None:
    """Remember what a job was about that ended while nothing might be written."""
    if kind == "scene":
        await transaction.run("INSERT OR IGNORE INTO undelivered VALUES (?)", stash_id)


async def doubt_job(transaction: Transaction, kind: str, stash_id: int) -> None:
    """Doubt what a job was about: a scene, or all that have a performer and so on."""
    if kind == "scene":
        await doubt_scenes(transaction, [stash_id])
        return
    await transaction.run(
        f"{_DOUBT} (SELECT scene_id FROM scene_part WHERE kind = ? AND part_id = ?)",
        kind,
        stash_id,
    )
