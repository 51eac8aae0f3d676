"""The catalogue's tables: a light index of both libraries, and their join.

Nothing here asks a server, and nothing needs to survive a power cut: it can be read
again. A file's *key* is what every spelling of one path of Plex
has in common; a file of Stash carries the key of the path it maps to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stash2plex.catalog.gaps import close_file_gaps
from stash2plex.db.database import Database, Transaction
from stash2plex.movie import complete_date, title_of
from stash2plex.paths import PathMap, file_name
from stash2plex.plex.item import ItemEntry
from stash2plex.scene import Scene, SceneEntry, SceneFile, scene_of_guid
from stash2plex.text import name_key, search_key

# Rows that one transaction rewrites, so that hooks get their turn in between.
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class PlexFile:
    """A file of Plex as the catalogue knows it."""

    rating_key: int
    path: str
    key: str
    size: int | None


@dataclass(frozen=True, slots=True)
class StashFile:
    """A file of Stash as the catalogue knows it."""

    scene_id: int
    path: str
    key: str | None
    size: int | None
    duration: float | None


@dataclass(frozen=True, slots=True)
class ItemRow:
    """What a listing showed of an item; *listed* is the text of `LISTED_FIELDS`.

    *updated_at* is in unix seconds of Plex's clock.
    """

    updated_at: int
    is_bare: bool
    listed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SceneRow:
    """A scene as the catalogue knows it; *date* is complete or ""."""

    id: int
    title: str
    date: str


class CatalogStore:
    """Reads and writes the catalogue.

    Knows the path rules for the keys, and *identifier* for the guids that are ours.
    """

    def __init__(self, database: Database, paths: PathMap, identifier: str) -> None:
        self._database = database
        self._paths = paths
        self._identifier = identifier

    # --- Plex ---------------------------------------------------------------

    async def put_items(self, entries: Sequence[ItemEntry], seen: int) -> None:
        """Add or replace items and their files."""
        for start in range(0, len(entries), _CHUNK):
            async with self._database.transaction(durable=False) as transaction:
                chunk = entries[start : start + _CHUNK]
                await self._put_items(transaction, chunk, seen)

    async def forget_items(self, rating_keys: Iterable[int]) -> None:
        """Forget items that Plex no longer has, and close their gaps."""
        keys = list(rating_keys)
        async with self._database.transaction(durable=False) as transaction:
            await transaction.run(
                "DELETE FROM plex_item"
                " WHERE rating_key IN (SELECT value FROM json_each(?))",
                _listed(keys),
            )
            await transaction.run(
                "UPDATE gap SET resolved_at = ? WHERE resolved_at IS NULL"
                " AND subject IN (SELECT value FROM json_each(?))",
                time.time(),
                json.dumps([f"item:{key}" for key in keys]),
            )

    async def forget_unseen_items(self, section_id: int, seen: int) -> int:
        """Forget what a complete listing of one library did not show."""
        rows = await self._database.write(
            "DELETE FROM plex_item WHERE section_id = ? AND seen < ? RETURNING 1",
            section_id,
            seen,
        )
        return len(rows)

    async def unseen_items(self, seen: int) -> list[tuple[int, int, int]]:
        """Return each library's number of items, and of those not seen of late."""
        rows = await self._database.fetch(
            "SELECT section_id, count(*) AS count, sum(seen < ?) AS gone"
            " FROM plex_item GROUP BY section_id",
            seen,
        )
        return [(row["section_id"], row["count"], row["gone"]) for row in rows]

    async def forget_other_sections(self, section_ids: Iterable[int]) -> None:
        """Forget the items of every library but these."""
        await self._database.write(
            "DELETE FROM plex_item"
            " WHERE section_id NOT IN (SELECT value FROM json_each(?))",
            json.dumps(list(section_ids)),
        )

    async def forget_plex(self) -> None:
        """Forget everything of Plex: it is another server."""
        await self._database.write("DELETE FROM plex_item")

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
        names = {_name_of(path) for path in paths}
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
            _name_of(path),
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

    async def scenes_bound(self, rating_keys: Iterable[int]) -> dict[int, int]:
        """Return the scenes that guids of items name, as far as they are there."""
        rows = await self._database.fetch(
            "SELECT rating_key, bound FROM plex_item"
            " WHERE rating_key IN (SELECT value FROM json_each(?))"
            " AND EXISTS (SELECT 1 FROM stash_scene WHERE id = bound)",
            _listed(rating_keys),
        )
        return {row["rating_key"]: row["bound"] for row in rows}

    async def item_place(self, rating_key: int) -> tuple[int, int | None] | None:
        """Return an item's library, and the scene of its guid; None if unknown."""
        rows = await self._database.fetch(
            "SELECT section_id, bound FROM plex_item WHERE rating_key = ?", rating_key
        )
        return (rows[0]["section_id"], rows[0]["bound"]) if rows else None

    async def unknown_files(self, entries: Sequence[ItemEntry]) -> list[str]:
        """Return the paths in *entries* that no item had before."""
        paths = {file.path for entry in entries for file in entry.files}
        rows = await self._database.fetch(
            "SELECT value FROM json_each(?1) WHERE value NOT IN"
            " (SELECT path FROM plex_file WHERE key IN"
            "  (SELECT value FROM json_each(?2)))",
            json.dumps(sorted(paths)),
            json.dumps([self._paths.key_of_plex(path) for path in sorted(paths)]),
        )
        return [row["value"] for row in rows]

    async def namesakes(self, paths: Sequence[str]) -> dict[int, set[str]]:
        """Return the scenes with a file named like one of *paths*, and those names."""
        rows = await self._database.fetch(
            "SELECT scene_id, name FROM stash_file"
            " WHERE name IN (SELECT value FROM json_each(?))",
            json.dumps(sorted({_name_of(path) for path in paths})),
        )
        found: dict[int, set[str]] = {}
        for row in rows:
            found.setdefault(row["scene_id"], set()).add(row["name"])
        return found

    async def scenes_of_files(self, paths: Sequence[str]) -> set[int]:
        """Return the scenes that files of Plex may belong to, by path or name."""
        rows = await self._database.fetch(
            "SELECT DISTINCT scene_id FROM stash_file"
            " WHERE key IN (SELECT value FROM json_each(?1))"
            " OR name IN (SELECT value FROM json_each(?2))",
            json.dumps([self._paths.key_of_plex(path) for path in paths]),
            json.dumps([_name_of(path) for path in paths]),
        )
        return {row["scene_id"] for row in rows}

    async def files_of_item(self, rating_key: int) -> list[PlexFile]:
        """Return every file of one item."""
        rows = await self._database.fetch(
            "SELECT rating_key, path, key, size FROM plex_file WHERE rating_key = ?"
            " ORDER BY path",
            rating_key,
        )
        return [PlexFile(*row) for row in rows]

    # --- Stash --------------------------------------------------------------

    async def put_scenes(self, entries: Sequence[SceneEntry], seen: int) -> None:
        """Add or replace scenes and their files."""
        for start in range(0, len(entries), _CHUNK):
            await self._put_scenes(entries[start : start + _CHUNK], seen)

    async def _put_scenes(self, entries: Sequence[SceneEntry], seen: int) -> None:
        async with self._database.transaction(durable=False) as transaction:
            ids = json.dumps([entry.id for entry in entries])
            await transaction.run(
                "DELETE FROM stash_file"
                " WHERE scene_id IN (SELECT value FROM json_each(?))",
                ids,
            )
            await transaction.run_many(
                "INSERT INTO stash_scene (id, updated_at, seen, title, title_key, date)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                " updated_at = excluded.updated_at, seen = excluded.seen,"
                " title = excluded.title, title_key = excluded.title_key,"
                " date = excluded.date",
                [
                    (
                        entry.id,
                        entry.updated_at,
                        seen,
                        title := title_of(entry),
                        search_key(title),
                        complete_date(entry.date),
                    )
                    for entry in entries
                ],
            )
            await transaction.run_many(
                "INSERT OR REPLACE INTO stash_file"
                " (scene_id, path, key, name, size, duration)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                rows := [
                    (
                        entry.id,
                        file.path,
                        self._paths.key_of_stash(file.path),
                        _name_of(file.path),
                        file.size,
                        file.duration,
                    )
                    for entry in entries
                    for file in entry.files
                ],
            )
            await _put_parts(transaction, [e for e in entries if isinstance(e, Scene)])
            keys_by_name: dict[str, list[str]] = {}
            for _, _, key, name, *_ in rows:
                if key is not None:
                    keys_by_name.setdefault(name, []).append(key)
            await close_file_gaps(transaction, keys_by_name, time.time())

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

    async def forget_scenes(self, scene_ids: Iterable[int]) -> None:
        """Forget scenes that Stash no longer has."""
        async with self._database.transaction(durable=False) as transaction:
            await transaction.run(
                "DELETE FROM stash_scene WHERE id IN (SELECT value FROM json_each(?))",
                json.dumps(list(scene_ids)),
            )

    async def unseen_scenes(self, seen: int) -> tuple[int, int]:
        """Return the number of scenes, and of those not seen of late."""
        (row,) = await self._database.fetch(
            "SELECT count(*) AS count, coalesce(sum(seen < ?), 0) AS gone"
            " FROM stash_scene",
            seen,
        )
        return row["count"], row["gone"]

    async def forget_unseen_scenes(self, seen: int) -> int:
        """Forget what a complete listing of Stash did not show."""
        rows = await self._database.write(
            "DELETE FROM stash_scene WHERE seen < ? RETURNING 1", seen
        )
        return len(rows)

    async def note_kept_out(self, scenes: Iterable[SceneEntry], by: str) -> None:
        """Remember that scenes do not take part as they are; *by* which settings."""
        async with self._database.transaction(durable=False) as transaction:
            await transaction.run_many(
                "UPDATE stash_scene SET kept_out = ? WHERE id = ?",
                [(f"{one.updated_at} {by}", one.id) for one in scenes],
            )

    async def scenes_with_part(self, kind: str, part_id: int) -> list[int]:
        """Return the scenes that were last read with a performer, studio, tag or group.

        Stash does not tell any more once it is deleted.
        """
        rows = await self._database.fetch(
            "SELECT scene_id FROM scene_part WHERE kind = ? AND part_id = ?"
            " ORDER BY scene_id",
            kind,
            part_id,
        )
        return [row["scene_id"] for row in rows]

    async def parts(self, kind: str) -> set[int]:
        """Return the ids of the performers, studios, tags or groups of all scenes."""
        rows = await self._database.fetch(
            "SELECT DISTINCT part_id FROM scene_part WHERE kind = ?", kind
        )
        return {row["part_id"] for row in rows}

    async def scene_files_named(self, path: str) -> list[StashFile]:
        """Return Stash's files with the same file name as *path*."""
        rows = await self._database.fetch(
            "SELECT scene_id, path, key, size, duration FROM stash_file"
            " WHERE name = ? ORDER BY scene_id, path",
            _name_of(path),
        )
        return [StashFile(*row) for row in rows]

    async def scene_files_by_key(self, keys: Iterable[str]) -> list[StashFile]:
        """Return Stash's files whose path in Plex has one of *keys*."""
        rows = await self._database.fetch(
            "SELECT scene_id, path, key, size, duration FROM stash_file"
            " WHERE key IN (SELECT value FROM json_each(?)) ORDER BY scene_id, path",
            json.dumps(list(keys)),
        )
        return [StashFile(*row) for row in rows]

    async def scene_rows(self, scene_ids: Iterable[int]) -> dict[int, SceneRow]:
        """Return what is known of scenes; those that are not known are left out."""
        rows = await self._database.fetch(
            "SELECT id, title, date FROM stash_scene"
            " WHERE id IN (SELECT value FROM json_each(?))",
            json.dumps(list(scene_ids)),
        )
        return {row["id"]: SceneRow(*row) for row in rows}

    async def titles_like(
        self, words: Sequence[str], date: str, limit: int
    ) -> list[tuple[int, str, str]]:
        """Return id, title and date of scenes with most of *words*, best first.

        *words* are parts of a `search_key`; a scene of *date* is found without any.
        """
        rows = await self._database.fetch(
            "SELECT id, title, date, (SELECT count(*) FROM json_each(?1)"
            "  WHERE instr(title_key, value)) + (date = ?2 AND ?2 != '') AS hits"
            " FROM stash_scene WHERE hits > 0"
            " ORDER BY hits DESC, length(title_key), id LIMIT ?3",
            json.dumps(list(words)),
            date,
            limit,
        )
        return [(row["id"], row["title"], row["date"]) for row in rows]

    async def entries(
        self, *, after: int = 0, ids: Iterable[int] | None = None, limit: int
    ) -> list[tuple[SceneEntry, str]]:
        """Return scenes by id with their files, and what keeps each out ("" nothing).

        Those beyond *after*, or of *ids*.
        """
        condition, value = "id > ?", str(after)
        if ids is not None:
            condition, value = "id IN (SELECT value FROM json_each(?))", _listed(ids)
        rows = await self._database.fetch(
            f"SELECT id, updated_at, kept_out FROM stash_scene WHERE {condition}"
            " ORDER BY id LIMIT ?",
            value,
            limit,
        )
        found = await self._database.fetch(
            "SELECT scene_id, path, size FROM stash_file"
            " WHERE scene_id IN (SELECT value FROM json_each(?))",
            _listed(row["id"] for row in rows),
        )
        files: dict[int, list[SceneFile]] = {}
        for one in found:
            file = SceneFile(path=one["path"], size=one["size"])
            files.setdefault(one["scene_id"], []).append(file)
        return [
            (
                SceneEntry(
                    id=row["id"],
                    updated_at=row["updated_at"],
                    files=tuple(files.get(row["id"], ())),
                ),
                row["kept_out"],
            )
            for row in rows
        ]

    async def moved(self, entries: Sequence[SceneEntry]) -> list[int]:
        """Return the scenes among *entries* that are known with other files."""
        ids = [one.id for one in entries]
        known = {one.id: one for one, _ in await self.entries(ids=ids, limit=len(ids))}
        return [
            one.id
            for one in entries
            if one.id in known and files_of(known[one.id]) != files_of(one)
        ]

    async def item_rows(self, rating_keys: Iterable[int]) -> dict[int, ItemRow]:
        """Return what is known of items, by rating key."""
        rows = await self._database.fetch(
            "SELECT rating_key, updated_at, bare, shown FROM plex_item"
            " WHERE rating_key IN (SELECT value FROM json_each(?))",
            _listed(rating_keys),
        )
        return {
            row["rating_key"]: ItemRow(
                row["updated_at"], bool(row["bare"]), tuple(row["shown"].split("\n"))
            )
            for row in rows
        }

    async def orphans(
        self, *, after: int, limit: int, since: int = 0
    ) -> tuple[list[tuple[int, str]], int | None]:
        """Return items that no scene has by path or guid, with one of their files.

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
            "SELECT rating_key, min(path) AS path"
            " FROM plex_item JOIN plex_file USING (rating_key)"
            " WHERE rating_key > ?1 AND rating_key <= ?2 AND updated_at >= ?3"
            " AND NOT EXISTS (SELECT 1 FROM stash_scene WHERE id = bound)"
            " GROUP BY rating_key HAVING NOT max("
            "  EXISTS (SELECT 1 FROM stash_file WHERE key = plex_file.key))",
            after,
            end,
            since,
        )
        return [(row["rating_key"], row["path"]) for row in rows], end

    async def polled(self, scene_ids: Iterable[int]) -> dict[int, str]:
        """Return which change of known scenes a poll enqueued last, "" for none."""
        rows = await self._database.fetch(
            "SELECT id, polled FROM stash_scene"
            " WHERE id IN (SELECT value FROM json_each(?))",
            _listed(scene_ids),
        )
        return {row["id"]: row["polled"] for row in rows}

    async def note_polled(self, changes: Mapping[int, str]) -> None:
        """Remember that changes of scenes are enqueued."""
        async with self._database.transaction() as transaction:
            await transaction.run_many(
                "UPDATE stash_scene SET polled = ?2 WHERE id = ?1",
                list(changes.items()),
            )

    async def polled_parts(self, kind: str) -> dict[int, str]:
        """Return the same of performers, studios, tags or groups."""
        rows = await self._database.fetch(
            "SELECT id, updated_at FROM polled_part WHERE kind = ?", kind
        )
        return {row["id"]: row["updated_at"] for row in rows}

    async def note_polled_parts(self, kind: str, changes: Mapping[int, str]) -> None:
        """Remember the same of performers, studios, tags or groups."""
        async with self._database.transaction() as transaction:
            await transaction.run_many(
                "INSERT OR REPLACE INTO polled_part VALUES (?, ?, ?)",
                [(kind, key, moment) for key, moment in changes.items()],
            )

    # --- the join -----------------------------------------------------------

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

    async def rekey(self) -> None:
        """Work out every key anew, after the path rules changed."""
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
                    _name_of(file.path),
                    file.size,
                )
                for entry in entries
                for file in entry.files
            ],
        )

    async def _rekey(
        self, table: str, owner: str, key_of: Callable[[str], str | None]
    ) -> None:
        last: tuple[int, str] = (-1, "")
        while True:
            rows = await self._database.fetch(
                f"SELECT {owner} AS owner, path, key FROM {table}"
                f" WHERE ({owner}, path) > (?, ?) ORDER BY {owner}, path LIMIT ?",
                *last,
                _CHUNK,
            )
            if not rows:
                return
            last = (rows[-1]["owner"], rows[-1]["path"])
            changed = [
                (key, row["owner"], row["path"])
                for row in rows
                if (key := key_of(row["path"])) != row["key"]
            ]
            if changed:
                async with self._database.transaction(durable=False) as transaction:
                    await transaction.run_many(
                        f"UPDATE {table} SET key = ? WHERE {owner} = ? AND path = ?",
                        changed,
                    )


def files_of(entry: SceneEntry) -> set[tuple[str, int | None]]:
    """Return what tells whether the files of a scene changed: paths and sizes."""
    return {(file.path, file.size) for file in entry.files}


def _name_of(path: str) -> str:
    return name_key(file_name(path))


def _listed(ids: Iterable[int]) -> str:
    return json.dumps(list(ids))


async def _put_parts(transaction: Transaction, scenes: Sequence[Scene]) -> None:
    """Remember what scenes that were read whole consist of."""
    if not scenes:
        return
    await transaction.run(
        "DELETE FROM scene_part WHERE scene_id IN (SELECT value FROM json_each(?))",
        json.dumps([scene.id for scene in scenes]),
    )
    await transaction.run_many(
        "INSERT INTO scene_part VALUES (?, ?, ?)",
        [(scene.id, *part) for scene in scenes for part in sorted(scene.parts)],
    )
