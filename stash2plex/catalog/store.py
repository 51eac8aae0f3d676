"""Both catalogues, and their join."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from stash2plex.catalog.items import Items, PlexFile
from stash2plex.catalog.scene_files import SceneFiles
from stash2plex.catalog.scenes import Scenes
from stash2plex.catalog.tables import CHUNK, listed, name_of
from stash2plex.db.database import Transaction


class CatalogStore(Items, Scenes, SceneFiles):
    """Reads and writes both catalogues, and joins them."""

    async def scenes_bound(self, rating_keys: Iterable[int]) -> dict[int, int]:
        """Return the scenes that guids of items name, as far as they are there."""
        rows = await self._database.fetch(
            "SELECT rating_key, bound FROM plex_item"
            " WHERE rating_key IN (SELECT value FROM json_each(?))"
            " AND EXISTS (SELECT 1 FROM stash_scene WHERE id = bound)",
            listed(rating_keys),
        )
        return {row["rating_key"]: row["bound"] for row in rows}

    async def claims(self, rating_keys: Iterable[int]) -> dict[int, list[int]]:
        """Return, by item, the scenes that have one of its files by path."""
        rows = await self._database.fetch(
            "SELECT DISTINCT plex_file.rating_key, stash_file.scene_id"
            " FROM plex_file JOIN stash_file ON stash_file.key = plex_file.key"
            " WHERE plex_file.rating_key IN (SELECT value FROM json_each(?))"
            " ORDER BY stash_file.scene_id",
            json.dumps(list(rating_keys)),
        )
        claims: dict[int, list[int]] = {}
        for row in rows:
            claims.setdefault(row["rating_key"], []).append(row["scene_id"])
        return claims

    async def sharing(self, scene_id: int) -> list[int]:
        """Return the other scenes that have a file of the same items."""
        rows = await self._database.fetch(
            "SELECT DISTINCT theirs.scene_id FROM stash_file AS ours"
            " JOIN plex_file AS led ON led.key = ours.key"
            " JOIN plex_file AS held ON held.rating_key = led.rating_key"
            " JOIN stash_file AS theirs ON theirs.key = held.key"
            " WHERE ours.scene_id = ?1 AND theirs.scene_id != ?1",
            scene_id,
        )
        return [row["scene_id"] for row in rows]

    async def orphans(
        self, *, after: int, limit: int, since: int = 0
    ) -> tuple[list[tuple[int, str, int | None]], int | None]:
        """Return items that no scene has by path or guid, with one of their files.

        That is its path and its size, in bytes.

        A guid counts as long as its scene has no item by path.

        Of the next *limit* items beyond *after* those that changed *since* (unix
        seconds), and where to go on, None at the end.
        """
        last = await self._database.fetch(
            "SELECT max(rating_key) AS last FROM (SELECT rating_key FROM plex_item"
            " WHERE rating_key > ? ORDER BY rating_key LIMIT ?)",
            after,
            limit,
        )
        if (end := last[0]["last"]) is None:
            return [], None
        rows = await self._database.fetch(
            "SELECT rating_key, min(path) AS path, size"
            " FROM plex_item JOIN plex_file USING (rating_key)"
            " WHERE rating_key > ?1 AND rating_key <= ?2 AND updated_at >= ?3"
            " AND NOT (EXISTS (SELECT 1 FROM stash_scene WHERE id = bound)"
            "  AND NOT EXISTS (SELECT 1 FROM stash_file AS theirs"
            "   JOIN plex_file AS held ON held.key = theirs.key"
            "   WHERE theirs.scene_id = bound))"
            " GROUP BY rating_key HAVING NOT max("
            "  EXISTS (SELECT 1 FROM stash_file WHERE key = plex_file.key))",
            after,
            end,
            since,
        )
        return [(row["rating_key"], row["path"], row["size"]) for row in rows], end

    async def forget_scene(
        self, transaction: Transaction, scene_id: int
    ) -> list[PlexFile]:
        """Forget a scene; returns the files of Plex that no scene has any more."""
        orphans = await transaction.run(
            "SELECT rating_key, path, key, size FROM plex_file WHERE key IN"
            " (SELECT key FROM stash_file WHERE scene_id = ?1)"
            " AND NOT EXISTS (SELECT 1 FROM plex_file AS own"
            "  JOIN stash_file ON stash_file.key = own.key"
            "  WHERE own.rating_key = plex_file.rating_key AND scene_id != ?1)",
            scene_id,
        )
        await transaction.run("DELETE FROM stash_scene WHERE id = ?", scene_id)
        return [PlexFile(*row) for row in orphans]

    async def rekey(self) -> None:
        """Work out every key and name anew, after what they are made by changed."""
        await self._rekey("stash_file", "scene_id", self._paths.key_of_stash)
        await self._rekey("plex_file", "rating_key", self._paths.key_of_plex)

    async def counts(self) -> tuple[int, int]:
        """Return how many scenes and items the catalogue holds."""
        (row,) = await self._database.fetch(
            "SELECT (SELECT count(*) FROM stash_scene) AS scenes,"
            " (SELECT count(*) FROM plex_item) AS items"
        )
        return row["scenes"], row["items"]

    async def last_seen(self) -> int:
        """Return the number of the newest listing that left a row."""
        (row,) = await self._database.fetch(
            "SELECT max(coalesce((SELECT max(seen) FROM stash_scene), 0),"
            " coalesce((SELECT max(seen) FROM plex_item), 0)) AS seen"
        )
        return int(row["seen"])

    async def _rekey(
        self, table: str, owner: str, key_of: Callable[[str], str | None]
    ) -> None:
        last: tuple[int, str] = (-1, "")
        while True:
            rows = await self._database.fetch(
                f"SELECT {owner} AS owner, path, key, name FROM {table}"
                f" WHERE ({owner}, path) > (?, ?) ORDER BY {owner}, path LIMIT ?",
                *last,
                CHUNK,
            )
            if not rows:
                return
            last = (rows[-1]["owner"], rows[-1]["path"])
            changed = [
                (key, name, row["owner"], row["path"])
                for row in rows
                for key, name in [(key_of(row["path"]), name_of(row["path"]))]
                if (key, name) != (row["key"], row["name"])
            ]
            if changed:
                async with self._database.transaction(durable=False) as transaction:
                    await transaction.run_many(
                        f"UPDATE {table} SET key = ?, name = ?"
                        f" WHERE {owner} = ? AND path = ?",
                        changed,
                    )
