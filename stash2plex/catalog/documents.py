"""Scenes as they were last read whole: what is served while Stash is down."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from stash2plex.scene import Scene

if TYPE_CHECKING:
    from stash2plex.db.database import Database

_SCENE = TypeAdapter(Scene)


class Documents:
    """Reads and writes the last known documents."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, scenes: Sequence[Scene], *, pictured: bool) -> None:
        """Remember *scenes*, which the catalogue has; *pictured* as they were read.

        Where pictures are is kept from before when it was not read now.
        """
        if not pictured:
            before = await self._pictured([one.id for one in scenes])
            scenes = [_with_pictures(one, before.get(one.id)) for one in scenes]
        rows = [
            (one.id, bool(pictured or _pictures(one)), zlib.compress(_dumped(one), 1))
            for one in scenes
        ]
        async with self._database.transaction(durable=False) as transaction:
            await transaction.run_many(
                "INSERT OR REPLACE INTO scene_document SELECT ?1, ?2, ?3"
                " WHERE EXISTS (SELECT 1 FROM stash_scene WHERE id = ?1)",
                rows,
            )

    async def _pictured(self, scene_ids: Sequence[int]) -> dict[int, Scene]:
        rows = await self._database.fetch(
            "SELECT scene_id, scene FROM scene_document WHERE pictured"
            " AND scene_id IN (SELECT value FROM json_each(?))",
            json.dumps(scene_ids),
        )
        found = {row["scene_id"]: _read(row["scene"]) for row in rows}
        return {key: scene for key, scene in found.items() if scene is not None}

    async def get(self, scene_id: int) -> Scene | None:
        """Return a scene as it was last read."""
        rows = await self._database.fetch(
            "SELECT scene FROM scene_document WHERE scene_id = ?", scene_id
        )
        return _read(rows[0]["scene"]) if rows else None


def _read(stored: bytes) -> Scene | None:
    """Return the scene; None for one that another release wrote differently."""
    try:
        return _SCENE.validate_json(zlib.decompress(stored))
    except (ValidationError, zlib.error):
        return None


def _dumped(scene: Scene) -> bytes:
    return _SCENE.dump_json(scene)


def _pictures(scene: Scene) -> bool:
    return bool(scene.studio_image or any(one.image for one in scene.performers))


def _with_pictures(scene: Scene, before: Scene | None) -> Scene:
    """Return *scene* with where the pictures of the same people were *before*."""
    if before is None:
        return scene
    known = {one.id: one.image for one in before.performers}
    people = tuple(
        replace(one, image=known.get(one.id, "")) for one in scene.performers
    )
    if before.studio_id != scene.studio_id:
        return replace(scene, performers=people)
    return replace(
        scene,
        performers=people,
        studio_image=before.studio_image,
        parent_studio=before.parent_studio,
    )
