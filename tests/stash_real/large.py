"""A real Stash with a large library: rows in its database, of files that are not there."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

from tests.stash_real.server import RealStash, make_video

_WHEN = "2026-02-01T10:00:00Z"
_SCENES_IN_FOLDER, _TAGS, _PERFORMERS, _STUDIOS = 100, 300, 1000, 100
# One tag is on every fifth scene.
SHARE_OF_TAG = 5


async def fill(stash: RealStash, count: int) -> None:
    """Scan one video, and make *count* scenes of it; Stash is started again after."""
    await make_video(stash.media / "first.mp4", 1)
    await stash.start()
    await stash.scan()
    tags = [int(await stash.create("tag", f"Tag {n}")) for n in range(_TAGS)]
    names = range(_PERFORMERS)
    people = [int(await stash.create("performer", f"Performer {n}")) for n in names]
    studios = [
        int(await stash.create("studio", f"Studio {n}")) for n in range(_STUDIOS)
    ]
    await stash.stop()
    with sqlite3.connect(stash.database) as database:
        _Filling(database).fill(count, tags, people, studios)
    database.close()
    await stash.start()


class _Filling:
    """Copies the rows of the one scene that was scanned."""

    def __init__(self, database: sqlite3.Connection) -> None:
        database.row_factory = sqlite3.Row
        self._database = database
        for table in ("scenes", "files", "tags", "performers", "studios"):
            times = f"created_at = '{_WHEN}', updated_at = '{_WHEN}'"
            database.execute(f"UPDATE {table} SET {times}")

    def fill(
        self, count: int, tags: list[int], people: list[int], studios: list[int]
    ) -> None:
        scene, file = self._one("scenes"), self._one("files")
        video, link = self._one("video_files"), self._one("scenes_files")
        prints = self._all("files_fingerprints")
        folder = next(
            one for one in self._all("folders") if one["id"] == file["parent_folder_id"]
        )
        folders = count // _SCENES_IN_FOLDER
        for number in range(folders):
            path = f"{folder['path']}/Studio {number % 100}/{number:05} folder"
            row = folder | {"id": 1000 + number, "path": path}
            self._put("folders", row | {"parent_folder_id": folder["id"]})
        chance = random.Random(1)
        for key in range(2, count + 1):
            name = f"{key:06} some longer name of a video.mp4"
            place = {"basename": name, "parent_folder_id": 1000 + key % folders}
            texts = {"title": f"Title {key}", "details": "Some words. " * 20}
            texts["studio_id"] = studios[key % len(studios)]
            self._put("scenes", scene | texts | {"id": key})
            self._put("files", file | place | {"id": key + 100, "size": 10**7 + key})
            self._put("video_files", video | {"file_id": key + 100})
            self._put("scenes_files", link | {"scene_id": key, "file_id": key + 100})
            for one in prints:
                value = f"{key:016x}" if one["type"] == "oshash" else one["fingerprint"]
                own = {"file_id": key + 100, "fingerprint": value}
                self._put("files_fingerprints", one | own)
            chosen = set(chance.sample(tags[1:], 5))
            chosen |= {tags[0]} if key % SHARE_OF_TAG == 0 else set()
            for tag in sorted(chosen):
                self._put("scenes_tags", {"scene_id": key, "tag_id": tag})
            for person in chance.sample(people, 2):
                row = {"performer_id": person, "scene_id": key}
                self._put("performers_scenes", row)
        self._database.execute("ANALYZE")

    def _one(self, table: str) -> dict[str, Any]:
        return self._all(table)[0]

    def _all(self, table: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self._database.execute(f"SELECT * FROM {table}")]

    def _put(self, table: str, row: dict[str, Any]) -> None:
        names = ", ".join(f"`{name}`" for name in row)
        marks = ", ".join("?" * len(row))
        sql = f"INSERT INTO {table} ({names}) VALUES ({marks})"
        self._database.execute(sql, list(row.values()))
