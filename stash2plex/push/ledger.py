"""The ledger: what we last wrote to Plex, by server, rating key and file.

It tells our locks from a human's, our tags from others', and an unchanged picture
without a download.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from sqlite3 import Row
from typing import TYPE_CHECKING

from stash2plex.catalog.matching import Confidence
from stash2plex.db.database import Database, Transaction
from stash2plex.db.doubt import doubt_scenes
from stash2plex.db.grouping import GroupCommit

if TYPE_CHECKING:
    from stash2plex.plex.item import ItemEntry
    from stash2plex.scene import Scene

# No item was ever changed then, so the next delivery or comparison looks closer.
UNSURE = -1
# Plex's clock against ours where it did not tell its own, seconds.
_CLOCKS = 5
# How long what we wrote to items that are gone is kept, seconds.
_KEPT = 90 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class WrittenTags:
    """A list of tags: *ours* we put there, *left* is all that was there then.

    *kept* are those of them that Plex shows in a spelling of its own; None if an
    earlier release wrote them, which did not look.
    """

    ours: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    kept: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class WrittenPicture:
    """A picture that we put there.

    *hash* is its `picture_hash` ("" for none) and *etag* what Stash calls its source;
    *upload* is the SHA-1 of the bytes that were uploaded ("" if an earlier release did
    it), and *previous* the ``ratingKey`` that was selected before, "" if unknown.
    *intended* is the SHA-1 of what we set out to show since, and may have.

    *fault* says why nothing could be made of what Stash has now, which it calls
    *unusable*; "" as that if it is worth another look.
    """

    hash: str
    etag: str = ""
    upload: str = ""
    previous: str = ""
    intended: str = ""
    fault: str = ""
    unusable: str = ""

    @property
    def is_owed(self) -> bool:
        """Whether Stash has a picture that is to be fetched once it can be."""
        return bool(self.fault) and not self.unusable

    def intending(self, wanted: WrittenPicture) -> WrittenPicture:
        """Return what to remember while *wanted* may or may not be shown."""
        return replace(self, previous=wanted.previous, intended=wanted.upload)

    @property
    def ours(self) -> frozenset[str]:
        """The SHA-1 of whatever may be shown because of us; none if that is unknown."""
        return frozenset({self.upload, self.intended} - {""})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What we wrote to one item, by Plex's field names."""

    machine: str
    rating_key: int
    file: str
    scene_id: int
    confidence: Confidence
    scene_updated_at: str = ""  # "" where that is in doubt
    # Of the scene as it was delivered, whatever is in doubt; "" by an earlier release.
    scene_created_at: str = ""
    scene_changed_at: str = ""
    scene_digest: str = ""  # a `Scene.digest`; "" by an earlier release
    # The file that was written, where the entry is inherited by another; not kept.
    former_file: str = ""
    settings: str = ""  # a `settings_digest`, "" if unknown
    text: Mapping[str, str] = field(default_factory=dict)
    # What Plex shows in the place of a text, right after we wrote that.
    shown: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, WrittenTags] = field(default_factory=dict)
    # Ratings that we set out to write since, and may have.
    meant_ratings: tuple[str, ...] = ()
    locked: frozenset[str] = frozenset()
    pictures: Mapping[str, WrittenPicture] = field(default_factory=dict)
    delivered_at: float = 0.0  # unix seconds; 0 if it was only meant to be
    # By Plex's clock, in whole seconds: before and after it; 0 if it did not tell.
    written_from: int = 0
    written_until: int = 0
    # The item's updated_at when it was last found as we left it: read after our write,
    # or by a comparison. 0 if it was not read since, `UNSURE` if others may have
    # changed it too.
    checked: int = 0

    def is_ours(self, updated_at: int) -> bool:
        """Whether an item that changed last at *updated_at* was left so by us.

        A copy of Plex's database that was put back is dated before our write. Who
        changes an item within the second of our own write is not told from us.
        """
        if self.checked:
            return updated_at == self.checked
        if self.written_until:
            return self.written_from <= updated_at <= self.written_until
        return updated_at <= self.delivered_at + _CLOCKS


def entry_for(
    entries: Iterable[Entry],
    file: str,
    scene_id: int,
    item: ItemEntry | None = None,
) -> Entry | None:
    """Return what we wrote to an item by way of *file*.

    The same scene may lead to it by another file now: renamed, or another one first.
    Or, given the *item*, another scene did by a file that it does not hold any more,
    unless it was added since: Plex uses rating keys again.
    """
    known = list(entries)
    for entry in known:
        if entry.file == file:
            return entry
    for entry in known:
        if entry.scene_id == scene_id:
            return entry
    left = [
        one
        for one in known
        if item
        and not item.holds(one.file)
        and item.added_at <= (one.written_until or one.delivered_at)
    ]
    return max(left, key=lambda one: one.delivered_at, default=None)


class Ledger:
    """Reads and writes entries."""

    def __init__(
        self, database: Database, *, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._now = now
        self._intending = GroupCommit(self._commit)

    async def entries(
        self, machine: str, rating_keys: Iterable[int]
    ) -> dict[int, list[Entry]]:
        """Return what we wrote to these items, by rating key."""
        rows = await self._database.fetch(
            "SELECT * FROM ledger WHERE machine = ?"
            " AND rating_key IN (SELECT value FROM json_each(?))",
            machine,
            json.dumps(list(rating_keys)),
        )
        found: dict[int, list[Entry]] = {}
        for row in rows:
            entry = _entry(row)
            found.setdefault(entry.rating_key, []).append(entry)
        return found

    async def known(
        self,
        machine: str,
        matches: Iterable[tuple[int, int, str]],
        items: Mapping[int, ItemEntry],
    ) -> dict[tuple[int, int], Entry]:
        """Return what we wrote to the items of scenes, by scene and rating key.

        *matches* are scene, rating key and file. A file can come back under another
        rating key, or on another server that has a copy of the database: what we wrote
        to it then tells which locks and tags are ours. Where it has another name too,
        what we wrote for the scene tells which ratings and tags are.
        """
        wanted = list(matches)
        entries = await self.entries(machine, {key for _, key, _ in wanted})
        found: dict[tuple[int, int], Entry] = {}
        unknown: list[tuple[int, int, str]] = []
        for scene_id, key, file in wanted:
            item = items.get(key)
            if entry := entry_for(entries.get(key, ()), file, scene_id, item):
                found[scene_id, key] = entry
            else:
                unknown.append((scene_id, key, file))
        if not unknown:
            return found
        by_file = await self._by_file(machine, {file for _, _, file in unknown})
        by_scene: dict[int, list[tuple[int, str]]] = {}
        for scene_id, key, file in unknown:
            if former := by_file.get(file):
                found[scene_id, key] = _as_moved(former, machine, key)
            else:
                by_scene.setdefault(scene_id, []).append((key, file))
        keys = {key for _, key, _ in wanted}
        for former in await self._former(machine, by_scene, keys):
            for key, file in by_scene[former.scene_id]:
                found[former.scene_id, key] = _as_history(former, key, file)
        return found

    async def _by_file(self, machine: str, files: Iterable[str]) -> dict[str, Entry]:
        """Return what we wrote last to files whose items do not have them any more.

        On this server if we did, else on another.
        """
        rows = await self._database.fetch(
            "SELECT * FROM ledger WHERE file IN (SELECT value FROM json_each(?1))"
            " AND delivered_at > 0 AND NOT (machine = ?2 AND EXISTS (SELECT 1"
            "  FROM plex_file WHERE plex_file.rating_key = ledger.rating_key"
            "  AND plex_file.path = ledger.file))"
            " ORDER BY machine = ?2, delivered_at",
            json.dumps(list(files)),
            machine,
        )
        return {row["file"]: _entry(row) for row in rows}

    async def _former(
        self, machine: str, scene_ids: Iterable[int], others: Iterable[int]
    ) -> list[Entry]:
        """Return what we wrote for scenes to items beside *others*, the newest last."""
        if not (ids := list(scene_ids)):
            return []
        rows = await self._database.fetch(
            "SELECT * FROM ledger WHERE machine = ?"
            " AND scene_id IN (SELECT value FROM json_each(?))"
            " AND rating_key NOT IN (SELECT value FROM json_each(?))"
            " ORDER BY delivered_at",
            machine,
            json.dumps(ids),
            json.dumps(list(others)),
        )
        return [_entry(row) for row in rows]

    async def delivered_among(self, scene_ids: Iterable[int]) -> set[int]:
        """Return which of *scene_ids* we wrote anything for, on whatever server."""
        rows = await self._database.fetch(
            "SELECT DISTINCT scene_id FROM ledger WHERE delivered_at > 0"
            " AND scene_id IN (SELECT value FROM json_each(?))",
            json.dumps(list(scene_ids)),
        )
        return {row["scene_id"] for row in rows}

    async def doubt(self, scene_ids: Sequence[int]) -> None:
        """Doubt what was delivered of scenes: a comparison has them delivered again."""
        if scene_ids:
            async with self._database.transaction(durable=False) as transaction:
                await doubt_scenes(transaction, scene_ids)

    async def cover_etags(self, scene_ids: Iterable[int]) -> dict[int, str]:
        """Return what Stash called the covers of scenes whose pictures we delivered.

        "" for those that had none, or whose is not known.
        """
        rows = await self._database.fetch(
            "SELECT scene_id, max(coalesce(json_extract(value, '$.etag'), '')) AS etag"
            " FROM ledger, json_each(pictures)"
            " WHERE scene_id IN (SELECT value FROM json_each(?)) GROUP BY scene_id",
            json.dumps(list(scene_ids)),
        )
        return {row["scene_id"]: row["etag"] for row in rows}

    async def doubt_if_other(self, scenes: Sequence[Scene], *, imported: bool) -> int:
        """Doubt deliveries of scenes that changed since, although their time did not.

        Returns how many scenes that are. What an earlier release delivered is taken to
        be as it is now, unless something was *imported*.
        """
        rows = [(one.id, one.updated_at, one.digest) for one in scenes]
        async with self._database.transaction(durable=False) as transaction:
            if not imported:
                await transaction.run_many(
                    "UPDATE ledger SET scene_digest = ?3 WHERE scene_id = ?1"
                    " AND scene_updated_at = ?2 AND scene_digest = ''",
                    rows,
                )
            found = await transaction.run(
                # In this order: else the whole ledger might be walked.
                "SELECT DISTINCT scene_id FROM json_each(?) AS now CROSS JOIN ledger"
                " ON scene_id = json_extract(now.value, '$[0]')"
                " WHERE scene_updated_at = json_extract(now.value, '$[1]')"
                " AND scene_updated_at != ''"
                " AND scene_digest != json_extract(now.value, '$[2]')",
                json.dumps(rows),
            )
            other = [row["scene_id"] for row in found]
            await doubt_scenes(transaction, other)
        return len(other)

    async def delivered(self) -> int:
        """Count the scenes that are in Stash, and that we wrote anything for."""
        (row,) = await self._database.fetch(
            "SELECT count(DISTINCT scene_id) AS count FROM ledger"
            " JOIN stash_scene ON stash_scene.id = scene_id"
            " WHERE delivered_at > 0"
        )
        return int(row["count"])

    async def of_scene(self, machine: str, scene_id: int) -> list[Entry]:
        """Return what we wrote for a scene, the newest first."""
        rows = await self._database.fetch(
            "SELECT * FROM ledger WHERE machine = ? AND scene_id = ?"
            " AND delivered_at > 0 ORDER BY delivered_at DESC",
            machine,
            scene_id,
        )
        return [_entry(row) for row in rows]

    async def note_checked(self, found: Sequence[tuple[Entry, int]]) -> None:
        """Remember that items are as we left them: entries, and their updated_at.

        Not of those that were delivered to since the entry was read.
        """
        async with self._database.transaction(durable=False) as transaction:
            await transaction.run_many(
                "UPDATE ledger SET checked = ?4 WHERE machine = ?1 AND rating_key = ?2"
                " AND delivered_at = ?3",
                [
                    (one.machine, one.rating_key, one.delivered_at, moment)
                    for one, moment in found
                ],
            )

    async def note_replaced(self, entry: Entry, name: str) -> None:
        """Remember that a person's picture is shown as *name* instead of ours.

        Not if the item was delivered to since *entry* was read.
        """
        await self._database.write(
            "UPDATE ledger SET pictures = json_set(pictures, ?5, ''), locked ="
            " (SELECT json_group_array(value) FROM json_each(locked) WHERE value != ?4)"
            " WHERE machine = ?1 AND rating_key = ?2 AND delivered_at = ?3",
            entry.machine,
            entry.rating_key,
            entry.delivered_at,
            name,
            f"$.{name}.hash",
        )

    async def intend(
        self,
        entry: Entry,
        before: Entry | None,
        rating: str,
        intended: Mapping[str, WrittenPicture],
    ) -> None:
        """Remember which tags are about to become ours, ahead of the edit.

        And a *rating*, "" for none, and the *intended* pictures, by field. All else
        stays as it was *before*: only what was written counts as written.
        """
        known = before.tags if before else {}
        pictures = dict(before.pictures) if before else {}
        for name, one in intended.items():
            pictures[name] = pictures.get(name, WrittenPicture(hash="")).intending(one)
        tags = {
            name: replace(
                known.get(name, WrittenTags()),
                ours=tuple(
                    dict.fromkeys(known.get(name, WrittenTags()).ours + written.ours)
                ),
            )
            for name, written in entry.tags.items()
        }
        base = before or replace(
            entry, text={}, locked=frozenset(), scene_updated_at="", delivered_at=0.0
        )
        ratings = (*base.meant_ratings, rating) if rating else base.meant_ratings
        meant = replace(
            base,
            file=entry.file,
            tags={**known, **tags},
            pictures=pictures,
            # What Plex has next may be ours, or not.
            checked=UNSURE,
            meant_ratings=tuple(dict.fromkeys(ratings)),
        )
        await self._intending.submit(meant)

    async def _commit(self, entries: Sequence[Entry]) -> Sequence[None]:
        async with self._database.transaction(durable=False) as transaction:
            for entry in entries:
                await self._put(transaction, entry)
        return [None] * len(entries)

    async def record(self, transaction: Transaction, entry: Entry) -> None:
        """Remember what was written, in the transaction that ends the job.

        What was remembered of the item under another file of the scene goes.
        """
        await self._put(transaction, replace(entry, delivered_at=self._now()))

    async def prune(self, machine: str) -> None:
        """Forget what we wrote to items that *machine*, the server at hand, lacks.

        After a while, or once their file has a newer row. To be called when Plex was
        listed to its end.
        """
        now = self._now()
        here = (
            "machine = ?1 AND EXISTS (SELECT 1 FROM plex_item"
            " WHERE plex_item.rating_key = ledger.rating_key)"
        )
        async with self._database.transaction(durable=False) as transaction:
            await transaction.run(
                f"UPDATE ledger SET gone_at = 0 WHERE gone_at != 0 AND {here}", machine
            )
            await transaction.run(
                f"UPDATE ledger SET gone_at = ?2 WHERE gone_at = 0 AND NOT ({here})",
                machine,
                now,
            )
            await transaction.run(
                "DELETE FROM ledger WHERE gone_at != 0 AND (gone_at < ? OR EXISTS"
                " (SELECT 1 FROM ledger AS newer WHERE newer.file = ledger.file"
                "  AND newer.machine = ledger.machine AND newer.gone_at = 0"
                "  AND newer.delivered_at > ledger.delivered_at))",
                now - _KEPT,
            )

    async def _put(self, transaction: Transaction, entry: Entry) -> None:
        await transaction.run(
            "DELETE FROM ledger WHERE machine = ? AND rating_key = ?"
            " AND scene_id = ? AND file != ?",
            entry.machine,
            entry.rating_key,
            entry.scene_id,
            entry.file,
        )
        wrote = {
            "text": dict(entry.text),
            "shown": dict(entry.shown),
            "meant_ratings": entry.meant_ratings,
            "tags": {
                name: {"ours": tags.ours, "left": tags.left, "kept": tags.kept}
                for name, tags in entry.tags.items()
            },
        }
        pictures = {name: asdict(one) for name, one in entry.pictures.items()}
        await transaction.run(
            "INSERT OR REPLACE INTO ledger (machine, rating_key, file, scene_id, wrote,"
            " locked, pictures, scene_updated_at, confidence, delivered_at,"
            " written_from, written_until, settings, checked, scene_created_at,"
            " scene_changed_at, scene_digest)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            entry.machine,
            entry.rating_key,
            entry.file,
            entry.scene_id,
            json.dumps(wrote),
            json.dumps(sorted(entry.locked)),
            json.dumps(pictures),
            entry.scene_updated_at,
            entry.confidence,
            entry.delivered_at,
            entry.written_from,
            entry.written_until,
            entry.settings,
            entry.checked,
            entry.scene_created_at,
            entry.scene_changed_at,
            entry.scene_digest,
        )


def _as_moved(former: Entry, machine: str, rating_key: int) -> Entry:
    """Return what the item inherits that has the file of *former* now.

    Pictures do not move along. On another server who rates is another matter.
    """
    text = dict(former.text)
    if former.machine != machine:
        text.pop("userRating", None)
    return replace(
        former,
        machine=machine,
        rating_key=rating_key,
        text=text,
        meant_ratings=former.meant_ratings if former.machine == machine else (),
        pictures={},
        scene_updated_at="",
        checked=UNSURE,
    )


def _as_history(former: Entry, rating_key: int, file: str) -> Entry:
    """Return what an item inherits of one that is gone: whose ratings and tags are."""
    return replace(
        former,
        rating_key=rating_key,
        file=file,
        former_file=former.file,
        tags={name: WrittenTags(ours=tags.ours) for name, tags in former.tags.items()},
        pictures={},
        locked=frozenset(),
        scene_updated_at="",
        checked=UNSURE,
    )


def _entry(row: Row) -> Entry:
    wrote = json.loads(row["wrote"])
    return Entry(
        machine=row["machine"],
        rating_key=row["rating_key"],
        file=row["file"],
        scene_id=row["scene_id"],
        confidence=Confidence(row["confidence"]),
        scene_updated_at=row["scene_updated_at"],
        text=wrote["text"],
        shown=wrote.get("shown", {}),
        meant_ratings=tuple(wrote.get("meant_ratings", ())),
        tags={
            name: WrittenTags(
                tuple(tags["ours"]),
                tuple(tags["left"]),
                None if tags.get("kept") is None else tuple(tags["kept"]),
            )
            for name, tags in wrote["tags"].items()
        },
        locked=frozenset(json.loads(row["locked"])),
        pictures={
            name: WrittenPicture(
                picture["hash"],
                picture.get("etag", ""),
                picture.get("upload", ""),
                picture.get("previous", ""),
                picture.get("intended", ""),
                picture.get("fault", ""),
                picture.get("unusable", ""),
            )
            for name, picture in json.loads(row["pictures"]).items()
        },
        delivered_at=row["delivered_at"],
        written_from=row["written_from"],
        written_until=row["written_until"],
        settings=row["settings"],
        checked=row["checked"],
        scene_created_at=row["scene_created_at"],
        scene_changed_at=row["scene_changed_at"],
        scene_digest=row["scene_digest"],
    )
