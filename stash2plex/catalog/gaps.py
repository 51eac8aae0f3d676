"""The gap table: what cannot be in step, and why, as long as it is so."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stash2plex.db.database import Database, Transaction
from stash2plex.gap_kinds import GapKind
from stash2plex.paths import file_name, normal
from stash2plex.text import name_key

_RECORD = """
    INSERT INTO gap
        (kind, subject, path, detail, first_seen, last_seen, name, places, run_id,
         caller)
    VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT DO UPDATE SET
        path = excluded.path, detail = excluded.detail, last_seen = excluded.last_seen,
        first_seen = iif(resolved_at IS NULL, first_seen, excluded.first_seen),
        resolved_at = NULL, run_id = coalesce(excluded.run_id, run_id)
"""
_SHOWN = (
    "SELECT kind, subject, path, detail, first_seen, last_seen, resolved_at FROM gap"
)
_RESOLVE = "UPDATE gap SET resolved_at = ?1 WHERE resolved_at IS NULL AND"
_RESOLVE_OTHERS = f"{_RESOLVE} subject = ?2 AND kind != ?3"
_FILES = "SELECT kind, subject FROM gap WHERE subject LIKE 'file:%'"
_NEWEST_FIRST = "ORDER BY last_seen DESC LIMIT -1"
_DROP_OF_CALLER = (
    f"DELETE FROM gap WHERE (kind, subject) IN ({_FILES} AND caller = ?1"
    f" {_NEWEST_FIRST} OFFSET ?2)"
)
_DROP_FILES = (
    f"DELETE FROM gap WHERE (kind, subject) IN ({_FILES} {_NEWEST_FIRST} OFFSET ?1)"
)
# How long what was resolved is kept, seconds.
_KEPT = 30 * 24 * 3600.0
# So many gaps of files that nothing lists are kept, of one caller and in all; what such
# a gap says, and the places that it names, are no longer than this.
_MOST_OF_CALLER, _MOST_FILES = 1000, 3000
_LONGEST_DETAIL, _LONGEST_PLACES = 1000, 3000
# How many more there may be for a moment.
_COUNTED_EVERY = 50


@dataclass(frozen=True, slots=True)
class Gap:
    """One gap; *subject* is ``scene:7``, ``item:42`` or ``file:<path>``.

    Times are in unix seconds; *resolved_at* is None while it is open.
    """

    kind: str
    subject: str
    path: str
    detail: str
    first_seen: float
    last_seen: float
    resolved_at: float | None = None


@dataclass(frozen=True, slots=True)
class FoundGap:
    """A gap that a comparison of both libraries found."""

    kind: GapKind
    subject: str
    path: str
    detail: str


class Gaps:
    """Records gaps and closes them."""

    def __init__(
        self, database: Database, *, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._now = now
        # Whether there may be gaps of files; most libraries have none.
        self._any_file = True
        self._recorded = 0  # gaps of files

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
        now = self._now()
        await transaction.run(_RESOLVE_OTHERS, now, subject, kind)
        await transaction.run(_RECORD, *_row(kind, subject, path, detail, now))

    async def record_item(
        self, transaction: Transaction, rating_key: int, *, path: str, detail: str
    ) -> None:
        """Note that Plex has an item that no scene belongs to."""
        now, subject = self._now(), f"item:{rating_key}"
        row = _row(GapKind.MISSING_IN_STASH, subject, path, detail, now)
        await transaction.run(_RECORD, *row)
        await _close_twins(transaction, [(subject, path)], now)

    async def record_file(
        self,
        kind: GapKind,
        path: str,
        detail: str,
        *,
        keys: Iterable[str],
        item: int | None,
        caller: str,
    ) -> None:
        """Note a file that Plex asked about and that no scene belongs to.

        *path* is as far as Plex told it: perhaps relative to a folder of the library.
        *keys* are those of the places where it may be, and *item* is its rating key,
        if that is known. Anybody who reaches the provider may be the *caller*, so there
        is an end to what each can leave behind: the oldest make room.
        """
        self._any_file = True
        subject = f"file:{path}" if item is None else f"item:{item}"
        name = name_key(file_name(path))
        async with self._database.transaction(durable=False) as transaction:
            now = self._now()
            await transaction.run(_RESOLVE_OTHERS, now, subject, kind)
            detail, places = detail[:_LONGEST_DETAIL], json.dumps(_some(keys))
            teller = caller if item is None else None
            row = _row(
                kind,
                subject,
                path,
                detail,
                now,
                name=name,
                places=places,
                caller=teller,
            )
            await transaction.run(_RECORD, *row)
            self._recorded += 1
            # Not each time: it looks at all of them.
            if teller is not None and self._recorded % _COUNTED_EVERY == 0:
                await transaction.run(_DROP_OF_CALLER, teller, _MOST_OF_CALLER)
                await transaction.run(_DROP_FILES, _MOST_FILES)

    async def close_file(self, path: str, keys: Iterable[str]) -> None:
        """Forget the gap of a file that Plex asked about again and got an answer.

        *keys* are those of the places where it may be.
        """
        if not self._any_file:
            return
        name = name_key(file_name(path))
        if await self._database.fetch(
            "SELECT 1 FROM gap WHERE name = ? AND resolved_at IS NULL LIMIT 1", name
        ):
            async with self._database.transaction(durable=False) as transaction:
                await close_file_gaps(transaction, {name: list(keys)}, self._now())
        rows = await self._database.fetch(
            "SELECT 1 FROM gap WHERE name IS NOT NULL AND resolved_at IS NULL LIMIT 1"
        )
        self._any_file = bool(rows)

    async def close(
        self,
        transaction: Transaction,
        scene_id: int,
        items: Mapping[int, str] | None = None,
        *,
        but: GapKind | None = None,
    ) -> None:
        """Forget the gaps of a scene that was delivered, and of its *items*.

        They go by rating key, each with the file that led to it. Those of the kind
        *but* stay.
        """
        items, now = items or {}, self._now()
        for subject in (f"scene:{scene_id}", *(f"item:{key}" for key in items)):
            await transaction.run(
                f"{_RESOLVE} subject = ?2 AND kind IS NOT ?3", now, subject, but
            )
        await close_file_gaps(transaction, _by_name(items.values()), now)

    async def record_found(self, found: Sequence[FoundGap], run_id: int) -> None:
        """Note what the comparison *run_id* found, in one transaction."""
        now = self._now()
        async with self._database.transaction(durable=False) as transaction:
            # What is wrong with a picture is for deliveries to tell, and stays.
            await transaction.run_many(
                f"{_RESOLVE_OTHERS} AND kind != '{GapKind.PICTURE}'",
                [(now, one.subject, one.kind) for one in found],
            )
            await transaction.run_many(
                _RECORD,
                [
                    _row(
                        one.kind, one.subject, one.path, one.detail, now, run_id=run_id
                    )
                    for one in found
                ],
            )
            items = [(o.subject, o.path) for o in found if o.subject[:5] == "item:"]
            await _close_twins(transaction, items, now)

    async def about(self, subjects: Iterable[str]) -> list[Gap]:
        """Return the open gaps of *subjects*."""
        rows = await self._database.fetch(
            f"{_SHOWN} WHERE resolved_at IS NULL"
            " AND subject IN (SELECT value FROM json_each(?))",
            json.dumps(list(subjects)),
        )
        return [Gap(*row) for row in rows]

    async def scenes_with(self, kind: GapKind, detail: str) -> list[int]:
        """Return the scenes that have an open gap of *kind* with this very *detail*."""
        rows = await self._database.fetch(
            "SELECT CAST(substr(subject, 7) AS INTEGER) AS scene FROM gap"
            " WHERE resolved_at IS NULL AND kind = ? AND detail = ?"
            " AND subject LIKE 'scene:%'",
            kind,
            detail,
        )
        return [row["scene"] for row in rows]

    async def reword(
        self, kind: GapKind, scene_ids: Iterable[int], detail: str
    ) -> None:
        """Have the open gaps of a kind and of these scenes say something else."""
        async with self._database.transaction(durable=False) as transaction:
            await transaction.run(
                "UPDATE gap SET detail = ?, last_seen = ? WHERE resolved_at IS NULL"
                " AND kind = ? AND subject IN (SELECT value FROM json_each(?))",
                detail,
                self._now(),
                kind,
                _subjects(scene_ids),
            )

    async def close_kind(self, kind: GapKind, scene_ids: Iterable[int]) -> None:
        """Forget the gaps of one kind of some scenes."""
        async with self._database.transaction(durable=False) as transaction:
            await transaction.run(
                f"{_RESOLVE} kind = ?2"
                " AND subject IN (SELECT value FROM json_each(?3))",
                self._now(),
                kind,
                _subjects(scene_ids),
            )

    async def open_among(self, subjects: Iterable[str]) -> set[str]:
        """Return which of *subjects* have an open gap."""
        rows = await self._database.fetch(
            "SELECT DISTINCT subject FROM gap WHERE resolved_at IS NULL"
            " AND subject IN (SELECT value FROM json_each(?))",
            json.dumps(list(subjects)),
        )
        return {row["subject"] for row in rows}

    async def resolve_unseen(
        self,
        run_id: int,
        *,
        kinds: Iterable[GapKind],
        scene_ids: Iterable[int] | None,
        before: float,
        unread: Iterable[int] = (),
    ) -> int:
        """Resolve what the comparison *run_id* did not see any more; returns how many.

        It looked for *kinds*: everywhere, or at *scene_ids* only. Gaps of files that
        Plex only asked about are not its business, nor what was seen since *before*,
        the unix seconds of its start, nor the drift of *unread* scenes, whose items
        could not be read. Pictures of scenes that are gone are. When it looked
        everywhere, gaps of files that neither library has are dropped.
        """
        subjects = None
        if scene_ids is not None:
            subjects = json.dumps([f"scene:{one}" for one in scene_ids])
        rows = await self._database.write(
            f"{_RESOLVE} subject NOT LIKE 'file:%'"
            # A run that was taken up again may have seen it before it was.
            " AND (last_seen < ?5 OR (last_seen = ?5 AND run_id IS NOT ?2))"
            " AND kind IN (SELECT value FROM json_each(?3))"
            " AND NOT (kind = 'drift' AND subject IN (SELECT value FROM json_each(?6)))"
            " AND (?4 IS NULL OR subject IN (SELECT value FROM json_each(?4)))"
            " RETURNING 1",
            self._now(),
            run_id,
            json.dumps(list(kinds)),
            subjects,
            before,
            json.dumps([f"scene:{one}" for one in unread]),
        )
        if scene_ids is None:
            rows += await self._database.write(
                f"{_RESOLVE} kind = ?2 AND NOT EXISTS (SELECT 1 FROM stash_scene"
                " WHERE stash_scene.id = CAST(substr(gap.subject, 7) AS INTEGER))"
                " RETURNING 1",
                self._now(),
                GapKind.PICTURE,
            )
            await self._database.write(
                "DELETE FROM gap WHERE subject LIKE 'file:%' AND last_seen < ?", before
            )
        return len(rows)

    async def prune(self) -> None:
        """Forget what was resolved long ago, and files asked about beyond many."""
        await self._database.write(
            "DELETE FROM gap WHERE resolved_at < ?", self._now() - _KEPT
        )
        # Those of before there were callers have none.
        await self._database.write(_DROP_FILES, _MOST_FILES)

    async def listed(
        self, kind: GapKind | None, limit: int, offset: int, *, resolved: bool = False
    ) -> tuple[list[Gap], int]:
        """Return a page of gaps, the newest first, and how many there are in all.

        Those that are open, or those *resolved* lately.
        """
        state = "IS NOT NULL" if resolved else "IS NULL"
        condition = f"resolved_at {state} AND (?1 IS NULL OR kind = ?1)"
        (total,) = await self._database.fetch(
            f"SELECT count(*) AS count FROM gap WHERE {condition}", kind
        )
        rows = await self._database.fetch(
            f"{_SHOWN} WHERE {condition}"
            " ORDER BY first_seen DESC, length(subject), subject LIMIT ?2 OFFSET ?3",
            kind,
            limit,
            offset,
        )
        return [Gap(*row) for row in rows], total["count"]

    async def counts(self) -> dict[str, int]:
        """Count the gaps by kind; every kind is there."""
        rows = await self._database.fetch(
            "SELECT kind, count(*) AS count FROM gap WHERE resolved_at IS NULL"
            " GROUP BY kind"
        )
        found = {row["kind"]: row["count"] for row in rows}
        return {kind: found.get(kind, 0) for kind in GapKind}


def _row(
    kind: str,
    subject: str,
    path: str,
    detail: str,
    now: float,
    *,
    name: str | None = None,
    places: str | None = None,
    run_id: int | None = None,
    caller: str | None = None,
) -> tuple[object, ...]:
    """Return the values of `_RECORD`; what only some gaps have is None."""
    return (kind, subject, path, detail, now, name, places, run_id, caller)


def _some(keys: Iterable[str]) -> list[str]:
    """Return as many keys of places as a gap keeps, compared without case."""
    found: list[str] = []
    length = 0
    for key in sorted({one.casefold() for one in keys}):
        length += len(key)
        if found and length > _LONGEST_PLACES:
            break
        found.append(key)
    return found


def _subjects(scene_ids: Iterable[int]) -> str:
    return json.dumps([f"scene:{one}" for one in scene_ids])


async def close_item_gaps(
    transaction: Transaction, rating_keys: Iterable[int], now: float
) -> None:
    """Close the gaps of items that Plex does not have any more.

    *now* is in unix seconds.
    """
    await transaction.run(
        f"{_RESOLVE} subject IN (SELECT value FROM json_each(?2))",
        now,
        json.dumps([f"item:{key}" for key in rating_keys]),
    )


async def _close_twins(
    transaction: Transaction, items: Sequence[tuple[str, str]], now: float
) -> None:
    """Close what else tells of the files of *items*, subjects and paths.

    That is the gaps of files that Plex asked about before it listed them, and those of
    items that had the files before.
    """
    if not items:
        return
    await transaction.run(
        f"{_RESOLVE} subject IN (SELECT twin.subject FROM json_each(?2) AS found"
        " CROSS JOIN gap AS twin ON twin.path = found.value ->> 1"
        " WHERE twin.resolved_at IS NULL AND twin.subject LIKE 'item:%'"
        " AND twin.subject != found.value ->> 0)",
        now,
        json.dumps(items),
    )
    paths = _by_name(path for _, path in items)
    await close_file_gaps(transaction, paths, now)


def _by_name(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return normal *paths* by the names of their files, as `close_file_gaps` wants."""
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(name_key(file_name(path)), []).append(normal(path))
    return found


async def close_file_gaps(
    transaction: Transaction, paths: Mapping[str, Sequence[str]], now: float
) -> None:
    """Close the gaps of files that turned up: their paths in Plex, by file name.

    *now* is in unix seconds.
    """
    rows = await transaction.run(
        "SELECT subject, name, places FROM gap"
        " WHERE resolved_at IS NULL AND name IN (SELECT value FROM json_each(?))",
        json.dumps(list(paths)),
    )
    for row in rows:
        # Rules may not mind case, and Plex may not have said in which folder.
        turned_up = {path.casefold() for path in paths[row["name"]]}
        if not turned_up.isdisjoint(json.loads(row["places"])):
            await transaction.run(f"{_RESOLVE} subject = ?2", now, row["subject"])
