"""The catalogue of Plex: items, and the files they have."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stash2plex.catalog.gaps import close_item_gaps
from stash2plex.catalog.tables import CHUNK, Tables, listed, name_of
from stash2plex.db.database import Transaction
from stash2plex.plex.item import ItemEntry
from stash2plex.scene import scene_of_guid


@dataclass(frozen=True, slots=True)
class PlexFile:
    """A file of Plex as the catalogue knows it."""

    rating_key: int
    path: str
    key: str
    size: int | None


@dataclass(frozen=True, slots=True)
class ItemRow:
    """What a listing showed of an item; *listed* is the text of `LISTED_FIELDS`.

    *updated_at* is in unix seconds of Plex's clock.
    """

    updated_at: int
    is_bare: bool
    listed: tuple[str, ...]


class Items(Tables):
    """Reads and writes the catalogue of Plex."""

    async def put_items(self, entries: Sequence[ItemEntry], seen: int) -> None:
        """Add or replace items and their files."""
        for start in range(0, len(entries), CHUNK):
            async with self._database.transaction(durable=False) as transaction:
                chunk = entries[start : start + CHUNK]
                await self._put_items(transaction, chunk, seen)

    async def forget_items(self, rating_keys: Iterable[int]) -> None:
        """Forget items that Plex no longer has, and close their gaps."""
        await self._forget(
            "rating_key IN (SELECT value FROM json_each(?))", listed(rating_keys)
        )

    async def forget_unseen_items(self, section_id: int, seen: int) -> tuple[int, int]:
        """Forget what a complete listing of one library did not show.

        Returns how many items that are, and how many of them came back under another
        rating key.
        """
        rows = await self._database.fetch(
            "SELECT count(*) AS count FROM plex_item WHERE section_id = ?1"
            " AND seen < ?2 AND EXISTS (SELECT 1 FROM plex_file AS had"
            "  JOIN plex_file AS has USING (key)"
            "  JOIN plex_item AS other ON other.rating_key = has.rating_key"
            "  WHERE had.rating_key = plex_item.rating_key AND other.seen >= ?2)",
            section_id,
            seen,
        )
        gone = await self._forget("section_id = ? AND seen < ?", section_id, seen)
        return gone, rows[0]["count"]

    async def _forget(self, condition: str, *values: object) -> int:
        async with self._database.transaction(durable=False) as transaction:
            rows = await transaction.run(
                f"DELETE FROM plex_item WHERE {condition} RETURNING rating_key", *values
            )
            gone = [row["rating_key"] for row in rows]
            if gone:
                await close_item_gaps(transaction, gone, time.time())
        return len(gone)

    async def note_items_seen(self, rating_keys: Iterable[int], seen: int) -> None:
        """Keep the rows of items that a listing showed, but that could not be read."""
        await self._database.write(
            "UPDATE plex_item SET seen = ?"
            " WHERE rating_key IN (SELECT value FROM json_each(?))",
            seen,
            listed(rating_keys),
        )

    async def item_sections(self) -> set[int]:
        """Return the libraries that items are known of."""
        rows = await self._database.fetch("SELECT DISTINCT section_id FROM plex_item")
        return {row["section_id"] for row in rows}

    async def unseen_items(
        self, seen: int, known: Iterable[int]
    ) -> list[tuple[int, int, int]]:
        """Return each library's number of items, and of those not seen of late.

        Without those that another item took the place of, which has one of their files:
        in the same library, or in one that is not among those *known* before.
        """
        rows = await self._database.fetch(
            "SELECT section_id, count(*) AS count, sum(seen < ?1) AS gone"
            " FROM plex_item WHERE NOT (seen < ?1 AND EXISTS ("
            "  SELECT 1 FROM plex_file AS had JOIN plex_file AS has USING (key)"
            "  JOIN plex_item AS other ON other.rating_key = has.rating_key"
            "  WHERE had.rating_key = plex_item.rating_key AND other.seen >= ?1"
            "  AND (other.section_id = plex_item.section_id"
            "   OR other.section_id NOT IN (SELECT value FROM json_each(?2)))))"
            " GROUP BY section_id",
            seen,
            listed(known),
        )
        return [(row["section_id"], row["count"], row["gone"]) for row in rows]

    async def by_library(
        self, rating_keys: Iterable[int]
    ) -> dict[int, tuple[int, set[int]]]:
        """Return the libraries of items: how many each has, and which of these."""
        rows = await self._database.fetch(
            "SELECT rating_key, section_id FROM plex_item"
            " WHERE rating_key IN (SELECT value FROM json_each(?))",
            listed(rating_keys),
        )
        keys: dict[int, set[int]] = {}
        for row in rows:
            keys.setdefault(row["section_id"], set()).add(row["rating_key"])
        counts = await self._database.fetch(
            "SELECT section_id, count(*) AS count FROM plex_item"
            " WHERE section_id IN (SELECT value FROM json_each(?)) GROUP BY section_id",
            listed(keys),
        )
        return {
            one["section_id"]: (one["count"], keys[one["section_id"]]) for one in counts
        }

    async def forget_other_sections(self, section_ids: Iterable[int]) -> None:
        """Forget the items of every library but these."""
        await self._forget(
            "section_id NOT IN (SELECT value FROM json_each(?))", listed(section_ids)
        )

    async def forget_plex(self) -> None:
        """Forget everything of Plex: it is another server."""
        await self._forget("true")

    async def newest_item_time(self) -> int:
        """Return the newest time that Plex reported, in its own clock."""
        (row,) = await self._database.fetch(
            "SELECT coalesce(max(updated_at), 0) AS newest FROM plex_item"
        )
        return int(row["newest"])

    async def files_by_key(self, keys: Iterable[str]) -> list[PlexFile]:
        """Return Plex's files whose path is one of *keys*."""
        rows = await self._database.fetch(
            "SELECT rating_key, path, key, size FROM plex_file"
            " WHERE key IN (SELECT value FROM json_each(?)) ORDER BY rating_key, path",
            json.dumps(list(keys)),
        )
        return [PlexFile(*row) for row in rows]

    async def names_among(self, paths: Iterable[str]) -> set[str]:
        """Return which of *paths* have a namesake in Plex, by their `name_key`."""
        names = {name_of(path) for path in paths}
        rows = await self._database.fetch(
            "SELECT value FROM json_each(?) WHERE EXISTS"
            " (SELECT 1 FROM plex_file WHERE name = value)",
            json.dumps(sorted(names)),
        )
        return {row["value"] for row in rows}

    async def files_named(self, path: str) -> list[PlexFile]:
        """Return Plex's files with the same file name as *path*."""
        rows = await self._database.fetch(
            "SELECT rating_key, path, key, size FROM plex_file WHERE name = ?"
            " ORDER BY rating_key, path",
            name_of(path),
        )
        return [PlexFile(*row) for row in rows]

    async def unbound_among(self, keys: Iterable[str]) -> dict[str, bool]:
        """Return which of *keys* are in Plex, and whether an item there has no scene.

        That is, whether Plex has not bound it to one of our guids yet.
        """
        rows = await self._database.fetch(
            "SELECT key, max(bound IS NULL) AS unbound"
            " FROM plex_file JOIN plex_item USING (rating_key)"
            " WHERE key IN (SELECT value FROM json_each(?)) GROUP BY key",
            json.dumps(list(keys)),
        )
        return {row["key"]: bool(row["unbound"]) for row in rows}

    async def files_bound_to(
        self, scene_ids: Iterable[int]
    ) -> dict[int, list[PlexFile]]:
        """Return a file of each item whose guid names one of *scene_ids*, by scene."""
        rows = await self._database.fetch(
            "SELECT bound, rating_key, min(path) AS path, key, size"
            " FROM plex_item JOIN plex_file USING (rating_key)"
            " WHERE bound IN (SELECT value FROM json_each(?))"
            " GROUP BY rating_key ORDER BY rating_key",
            json.dumps(list(scene_ids)),
        )
        found: dict[int, list[PlexFile]] = {}
        for bound, *file in rows:
            found.setdefault(bound, []).append(PlexFile(*file))
        return found

    async def items_among(self, rating_keys: Iterable[int]) -> set[int]:
        """Return which of *rating_keys* are known."""
        rows = await self._database.fetch(
            "SELECT rating_key FROM plex_item"
            " WHERE rating_key IN (SELECT value FROM json_each(?))",
            listed(rating_keys),
        )
        return {row["rating_key"] for row in rows}

    async def item_place(self, rating_key: int) -> tuple[int, int | None] | None:
        """Return an item's library, and the scene of its guid; None if unknown."""
        rows = await self._database.fetch(
            "SELECT section_id, bound FROM plex_item WHERE rating_key = ?", rating_key
        )
        return (rows[0]["section_id"], rows[0]["bound"]) if rows else None

    async def item_rows(self, rating_keys: Iterable[int]) -> dict[int, ItemRow]:
        """Return what is known of items, by rating key."""
        rows = await self._database.fetch(
            "SELECT rating_key, updated_at, bare, shown FROM plex_item"
            " WHERE rating_key IN (SELECT value FROM json_each(?))",
            listed(rating_keys),
        )
        return {
            row["rating_key"]: ItemRow(
                row["updated_at"], bool(row["bare"]), tuple(row["shown"].split("\n"))
            )
            for row in rows
        }

    async def unknown_files(self, entries: Sequence[ItemEntry]) -> list[str]:
        """Return the paths in *entries* that their item did not have before.

        A file that another item had is among them: it came back under another key.
        """
        pairs = sorted({(e.rating_key, f.path) for e in entries for f in e.files})
        rows = await self._database.fetch(
            "SELECT DISTINCT value ->> 1 AS path FROM json_each(?) WHERE NOT EXISTS"
            " (SELECT 1 FROM plex_file"
            "  WHERE rating_key = value ->> 0 AND path = value ->> 1)",
            json.dumps(pairs),
        )
        return [row["path"] for row in rows]

    async def files_of_item(self, rating_key: int) -> list[PlexFile]:
        """Return every file of one item."""
        rows = await self._database.fetch(
            "SELECT rating_key, path, key, size FROM plex_file WHERE rating_key = ?"
            " ORDER BY path",
            rating_key,
        )
        return [PlexFile(*row) for row in rows]

    async def _put_items(
        self, transaction: Transaction, entries: Sequence[ItemEntry], seen: int
    ) -> None:
        keys = json.dumps([entry.rating_key for entry in entries])
        await transaction.run(
            "DELETE FROM plex_file"
            " WHERE rating_key IN (SELECT value FROM json_each(?))",
            keys,
        )
        await transaction.run_many(
            "INSERT INTO plex_item"
            " (rating_key, section_id, updated_at, seen, bound, bare, shown)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " section_id = excluded.section_id, updated_at = excluded.updated_at,"
            " seen = excluded.seen, bound = excluded.bound, bare = excluded.bare,"
            " shown = excluded.shown",
            [
                (
                    entry.rating_key,
                    entry.section_id,
                    entry.updated_at,
                    seen,
                    scene_of_guid(entry.guid, self._identifier),
                    entry.is_bare,
                    "\n".join(entry.listed),
                )
                for entry in entries
            ],
        )
        await transaction.run_many(
            "INSERT OR REPLACE INTO plex_file VALUES (?, ?, ?, ?, ?)",
            [
                (
                    entry.rating_key,
                    file.path,
                    self._paths.key_of_plex(file.path),
                    name_of(file.path),
                    file.size,
                )
                for entry in entries
                for file in entry.files
            ],
        )
