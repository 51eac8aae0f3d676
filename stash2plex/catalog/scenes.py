"""The catalogue of Stash: scenes, their files, and what they consist of."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stash2plex.catalog.gaps import close_file_gaps
from stash2plex.catalog.tables import CHUNK, Tables, listed, name_of
from stash2plex.db.database import Transaction
from stash2plex.db.doubt import doubt_scenes
from stash2plex.movie import complete_date, title_of
from stash2plex.scene import Scene, SceneEntry, SceneFile
from stash2plex.text import search_key


@dataclass(frozen=True, slots=True)
class StashFile:
    """A file of Stash as the catalogue knows it."""

    scene_id: int
    path: str
    key: str | None
    size: int | None
    duration: float | None


@dataclass(frozen=True, slots=True)
class SceneRow:
    """A scene as the catalogue knows it; *date* is complete or ""."""

    id: int
    title: str
    date: str


class Scenes(Tables):
    """Reads and writes the catalogue of Stash."""

    async def put_scenes(self, entries: Sequence[SceneEntry], seen: int) -> list[int]:
        """Add or replace scenes and their files; returns those whose files differ.

        Nothing else may tell of that: what was delivered of them is in doubt.
        """
        moved: list[int] = []
        for start in range(0, len(entries), CHUNK):
            moved += await self._put_scenes(entries[start : start + CHUNK], seen)
        return moved

    async def _put_scenes(self, entries: Sequence[SceneEntry], seen: int) -> list[int]:
        moved = await self.moved(entries)
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
                        name_of(file.path),
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
            if moved:
                await doubt_scenes(transaction, moved)
        return moved

    async def note_scenes_seen(self, scene_ids: Iterable[int], seen: int) -> None:
        """Keep the rows of scenes that a listing showed, but that could not be read."""
        await self._database.write(
            "UPDATE stash_scene SET seen = ?"
            " WHERE id IN (SELECT value FROM json_each(?))",
            seen,
            listed(scene_ids),
        )

    async def forget_scenes(self, scene_ids: Iterable[int]) -> None:
        """Forget scenes that Stash no longer has."""
        async with self._database.transaction(durable=False) as transaction:
            await transaction.run(
                "DELETE FROM stash_scene WHERE id IN (SELECT value FROM json_each(?))",
                json.dumps(list(scene_ids)),
            )

    async def unseen_scenes(self, seen: int) -> tuple[int, int, int]:
        """Count the scenes, those not seen of late, and those of them replaced.

        The first two without those that another scene took the place of: it has one of
        their files.
        """
        (row,) = await self._database.fetch("SELECT count(*) AS count FROM stash_scene")
        rows = await self._database.fetch(
            "SELECT id FROM stash_scene WHERE seen < ?", seen
        )
        replaced = len(await self.replaced([row["id"] for row in rows]))
        return row["count"] - replaced, len(rows) - replaced, replaced

    async def replaced(self, scene_ids: Iterable[int]) -> set[int]:
        """Return those of *scene_ids* that another scene took the place of."""
        ids = listed(scene_ids)
        had = await self._database.fetch(
            "SELECT scene_id, path, name FROM stash_file"
            " WHERE scene_id IN (SELECT value FROM json_each(?))",
            ids,
        )
        # By name first, which is indexed; many files may have the same.
        others = await self._database.fetch(
            "SELECT path FROM stash_file WHERE name IN (SELECT value FROM json_each(?))"
            " AND scene_id NOT IN (SELECT value FROM json_each(?))",
            json.dumps(sorted({row["name"] for row in had})),
            ids,
        )
        paths = {row["path"] for row in others}
        return {row["scene_id"] for row in had if row["path"] in paths}

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

    async def note_taking_part(self, scene_ids: Iterable[int]) -> None:
        """Forget what kept scenes out: a tag may have another name by now."""
        async with self._database.transaction(durable=False) as transaction:
            await transaction.run(
                "UPDATE stash_scene SET kept_out = '' WHERE kept_out != ''"
                " AND id IN (SELECT value FROM json_each(?))",
                listed(scene_ids),
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

    async def namesakes(self, paths: Sequence[str]) -> dict[int, set[str]]:
        """Return the scenes with a file named like one of *paths*, and those names."""
        rows = await self._database.fetch(
            "SELECT scene_id, name FROM stash_file"
            " WHERE name IN (SELECT value FROM json_each(?))",
            json.dumps(sorted({name_of(path) for path in paths})),
        )
        found: dict[int, set[str]] = {}
        for row in rows:
            found.setdefault(row["scene_id"], set()).add(row["name"])
        return found

    async def scene_files_named(self, path: str) -> list[StashFile]:
        """Return Stash's files with the same file name as *path*."""
        rows = await self._database.fetch(
            "SELECT scene_id, path, key, size, duration FROM stash_file"
            " WHERE name = ? ORDER BY scene_id, path",
            name_of(path),
        )
        return [StashFile(*row) for row in rows]

    async def stash_files_named(self, names: Iterable[str]) -> list[StashFile]:
        """Return Stash's files with one of *names*, each as `name_of` makes them."""
        rows = await self._database.fetch(
            "SELECT scene_id, path, key, size, duration FROM stash_file"
            " WHERE name IN (SELECT value FROM json_each(?)) ORDER BY scene_id, path",
            json.dumps(list(names)),
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

    async def scenes_of_files(self, paths: Sequence[str]) -> set[int]:
        """Return the scenes that files of Plex may belong to, by path or name."""
        rows = await self._database.fetch(
            "SELECT DISTINCT scene_id FROM stash_file"
            " WHERE key IN (SELECT value FROM json_each(?1))"
            " OR name IN (SELECT value FROM json_each(?2))",
            json.dumps([self._paths.key_of_plex(path) for path in paths]),
            json.dumps([name_of(path) for path in paths]),
        )
        return {row["scene_id"] for row in rows}

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
            condition, value = "id IN (SELECT value FROM json_each(?))", listed(ids)
        rows = await self._database.fetch(
            "SELECT id, updated_at, title, kept_out FROM stash_scene"
            f" WHERE {condition}"
            " ORDER BY id LIMIT ?",
            value,
            limit,
        )
        found = await self._database.fetch(
            "SELECT scene_id, path, size FROM stash_file"
            " WHERE scene_id IN (SELECT value FROM json_each(?))",
            listed(row["id"] for row in rows),
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
                    title=row["title"],
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

    async def polled(self, scene_ids: Iterable[int]) -> dict[int, str]:
        """Return which change of scenes was read or enqueued last, "" for none."""
        rows = await self._database.fetch(
            "SELECT id, polled FROM stash_scene"
            " WHERE id IN (SELECT value FROM json_each(?))",
            listed(scene_ids),
        )
        return {row["id"]: row["polled"] for row in rows}

    async def kept_out_among(self, scene_ids: Iterable[int]) -> set[int]:
        """Return those of *scene_ids* that were kept out as they were."""
        rows = await self._database.fetch(
            "SELECT id FROM stash_scene WHERE kept_out != ''"
            " AND id IN (SELECT value FROM json_each(?))",
            listed(scene_ids),
        )
        return {row["id"] for row in rows}

    async def note_polled(
        self, changes: Mapping[int, str], *, durable: bool = True
    ) -> None:
        """Remember changes of scenes, by their times, that polls need not enqueue."""
        async with self._database.transaction(durable=durable) as transaction:
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

    async def note_polled_parts(
        self, kind: str, changes: Mapping[int, str], settled: Mapping[int, str]
    ) -> None:
        """Remember the same of performers, studios, tags or groups.

        Times that are not *settled* may stand for a later change too.
        """
        async with self._database.transaction() as transaction:
            await transaction.run_many(
                "INSERT OR REPLACE INTO polled_part (kind, id, updated_at, changed_at)"
                " VALUES (?, ?, ?, ?)",
                [
                    (kind, key, settled.get(key, ""), moment)
                    for key, moment in changes.items()
                ],
            )

    async def part_changed_at(self, kind: str, part_id: int) -> str:
        """Return when a poll saw a part change last, as Stash writes it, or ""."""
        rows = await self._database.fetch(
            "SELECT changed_at FROM polled_part WHERE kind = ? AND id = ?",
            kind,
            part_id,
        )
        return str(rows[0]["changed_at"]) if rows else ""

    async def forget_polled_parts(self, kind: str, there: Iterable[int]) -> None:
        """Forget what a poll saw of parts that are not *there* any more."""
        await self._database.write(
            "DELETE FROM polled_part WHERE kind = ?"
            " AND id NOT IN (SELECT value FROM json_each(?))",
            kind,
            listed(there),
        )


def files_of(entry: SceneEntry) -> set[tuple[str, int | None]]:
    """Return what tells whether the files of a scene changed: paths and sizes."""
    return {(file.path, file.size) for file in entry.files}


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
