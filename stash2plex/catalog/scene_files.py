"""Which scenes and files of Stash are known: to tell what moved, and what is gone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from stash2plex.catalog.tables import Tables, listed, name_of
from stash2plex.scene import SceneFile

# Whether a scene has not just one file.
_UNEVEN = (
    "(SELECT count(*) FROM"
    " (SELECT 1 FROM stash_file WHERE scene_id = stash_scene.id LIMIT 2)) != 1"
)
# The folder of a file, its last separator included; Windows has another one.
_FOLDER = (
    "CASE WHEN instr(path, '/') THEN rtrim(path, replace(path, '/', ''))"
    " ELSE rtrim(path, replace(path, '\\', '')) END"
)


class SceneFiles(Tables):
    """Reads what is known of scenes by their numbers and their files."""

    async def scene_ids(self) -> set[int]:
        """Return the ids of all scenes."""
        rows = await self._database.fetch("SELECT id FROM stash_scene")
        return {row["id"] for row in rows}

    async def scenes_up_to(self, highest: int, newest: int) -> tuple[int, bool]:
        """Return how many scenes have an id up to *highest*, and if *newest* is one."""
        (row,) = await self._database.fetch(
            "SELECT count(*) AS count, coalesce(max(id = ?2), 0) AS is_there"
            " FROM stash_scene WHERE id <= ?1",
            highest,
            newest,
        )
        return row["count"], bool(row["is_there"])

    async def known_files(
        self, files: Sequence[SceneFile]
    ) -> set[tuple[str, int | None]]:
        """Return those of *files* that scenes have, as path and size."""
        rows = await self._database.fetch(
            "SELECT DISTINCT path, size FROM stash_file"
            " WHERE name IN (SELECT value FROM json_each(?1))"
            " AND path IN (SELECT value FROM json_each(?2))",
            json.dumps(sorted({name_of(one.path) for one in files})),
            json.dumps([one.path for one in files]),
        )
        return {(row["path"], row["size"]) for row in rows}

    async def uneven_scenes(
        self, among: Iterable[int]
    ) -> tuple[dict[int, frozenset[str]], set[int]]:
        """Return the scenes that have not just one file, with the paths of theirs.

        And those *among* ids that are known.
        """
        rows = await self._database.fetch(
            "SELECT id, path FROM stash_scene LEFT JOIN stash_file ON scene_id = id"
            f" WHERE {_UNEVEN}"
        )
        paths: dict[int, set[str]] = {}
        for row in rows:
            own = paths.setdefault(row["id"], set())
            own |= {row["path"]} if row["path"] is not None else set()
        known = await self._database.fetch(
            "SELECT id FROM stash_scene WHERE id IN (SELECT value FROM json_each(?))",
            listed(among),
        )
        ours = {key: frozenset(own) for key, own in paths.items()}
        return ours, {row["id"] for row in known}

    async def folders(self) -> dict[str, int]:
        """Return the folders of files, without a separator at the end.

        Each with the first scene that has a file there.
        """
        rows = await self._database.fetch(
            f"SELECT {_FOLDER} AS folder, min(scene_id) AS scene_id"
            " FROM stash_file GROUP BY 1"
        )
        found = {row["folder"].rstrip("/\\"): row["scene_id"] for row in rows}
        found.pop("", None)
        return found

    async def scenes_in(self, folders: Iterable[str]) -> list[int]:
        """Return the scenes with a file in one of *folders*, named as by `folders`."""
        rows = await self._database.fetch(
            "SELECT DISTINCT scene_id FROM stash_file"
            f" WHERE rtrim({_FOLDER}, '/\\') IN (SELECT value FROM json_each(?))"
            " ORDER BY scene_id",
            json.dumps(list(folders)),
        )
        return [row["scene_id"] for row in rows]
