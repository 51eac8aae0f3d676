"""Scenes as they were last read whole: what is served while Stash is down."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from stash2plex.scene import Scene

if TYPE_CHECKING:
    from stash2plex.db.database import Database

_SCENE = TypeAdapter(Scene)
# Text shrinks to a third already at the fastest level.
_LEVEL = 1


class Documents:
    """Reads and writes the last known documents."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, scenes: Sequence[Scene], *, pictured: bool) -> None:
        """Remember *scenes*, which the catalogue has; *pictured* as they were read.

        One that was read with its pictures is not replaced by the same without.
        """
        rows = [
            (one.id, one.updated_at, pictured, zlib.compress(_dumped(one), _LEVEL))
            for one in scenes
        ]
        async with self._database.transaction(durable=False) as transaction:
            await transaction.run_many(
                "INSERT INTO scene_document SELECT ?1, ?2, ?3, ?4"
                " WHERE EXISTS (SELECT 1 FROM stash_scene WHERE id = ?1)"
                " ON CONFLICT DO UPDATE SET updated_at = excluded.updated_at,"
                " pictured = excluded.pictured, scene = excluded.scene"
                " WHERE excluded.pictured OR NOT pictured"
                " OR excluded.updated_at != updated_at",
                rows,
            )

    async def get(self, scene_id: int) -> Scene | None:
        """Return a scene as it was last read."""
        rows = await self._database.fetch(
            "SELECT scene FROM scene_document WHERE scene_id = ?", scene_id
        )
        return read_document(rows[0]["scene"]) if rows else None


def read_document(stored: bytes | None) -> Scene | None:
    """Return the scene; None for one that another release wrote differently."""
    if stored is None:
        return None
    try:
        return _SCENE.validate_json(zlib.decompress(stored))
    except (ValidationError, zlib.error):
        return None


def _dumped(scene: Scene) -> bytes:
    return _SCENE.dump_json(scene)
