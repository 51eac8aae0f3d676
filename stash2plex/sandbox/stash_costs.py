"""What questions cost a real Stash, worked out from what was measured.

Assumed are what `stash_id_endpoint`, `is_missing`, `organized` and a file's whole path
cost as filters: nobody asks these in numbers.

Milliseconds of Stash's own time at 100,000 scenes on two modest cores, one question at
a time. Filters look at the whole library, so their part grows with it; fields cost for
each row that is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

MEASURED_AT = 100_000
# For a row of a listing: its number, its own columns, its files, all else of it.
_ID, _COLUMNS, _FILES, _WHOLE = 0.04, 0.01, 0.43, 1.0
_OWN = frozenset({"updated_at", "created_at", "title", "date"})
# For a filter, whatever it finds.
_FILTERS: Mapping[str, float] = {
    "updated_at": 38,
    "created_at": 38,
    "files_filter": 240,
    "tags": 46,
    "studios": 46,
    "groups": 46,
    "performers": 5,
    "path": 330,
    "oshash": 180,
    "stash_id_endpoint": 60,
    "is_missing": 60,
    "file_count": 100,
    "organized": 30,
}
_COMBINED = ("AND", "OR", "NOT")
_COUNT, _COUNT_ALL = 55, 110
_FILE_FILTERS: Mapping[str, float] = {"updated_at": 15, "basename": 14, "path": 60}
_FILE, _BY_HASH, _FOLDER, _PART = 0.05, 4, 0.06, 0.02
_READ = 1.0  # one scene by its id, and what any question costs


class StashCosts:
    """Adds up; a library of *size* scenes counts as one of 100,000 if that is given."""

    def __init__(self) -> None:
        self.total = 0.0  # milliseconds
        self.by_question: dict[str, list[float]] = {}  # of each, by its name
        self.size: int | None = None

    def note_question(self, name: str, before: float) -> None:
        """Add a question that was answered, given the total before it."""
        self.by_question.setdefault(name, []).append(self.total - before)

    def note_scenes(
        self,
        wanted: Mapping[str, Any],
        fields: Collection[str],
        *,
        rows: int,
        counted: bool,
        library: int,
    ) -> None:
        """Add a listing of scenes: its filter, and the fields of so many rows."""
        share = self._share(library)
        row = _ID + (_COLUMNS if _OWN & set(fields) else 0)
        row += _FILES if "files" in fields else 0
        row += _WHOLE if {"tags", "performers"} & set(fields) else 0
        self.total += _filters(wanted, _FILTERS) * share + rows * row
        if counted:
            self.total += share * (_COUNT if wanted else _COUNT_ALL)

    def note_files(self, wanted: Mapping[str, Any], *, rows: int, library: int) -> None:
        """Add a listing of files."""
        share = self._share(library)
        self.total += _filters(wanted, _FILE_FILTERS) * share + rows * _FILE

    def note_scene(self) -> None:
        """Add one scene that was asked for by its id."""
        self.total += _READ

    def note_scene_by_hash(self) -> None:
        """Add one scene that was asked for by its hash."""
        self.total += _READ + _BY_HASH

    def note_folders(self, rows: int) -> None:
        """Add a listing of folders."""
        self.total += _READ + rows * _FOLDER

    def note_parts(self, rows: int) -> None:
        """Add a listing of performers, studios, tags or groups."""
        self.total += _READ + rows * _PART

    def _share(self, library: int) -> float:
        return (self.size or library) / MEASURED_AT


def _filters(wanted: Mapping[str, Any], costs: Mapping[str, float]) -> float:
    """Return what a filter costs; a second of the same kind a third of the first."""
    total, seen = 0.0, set()
    level: Mapping[str, Any] | None = wanted
    while level:
        for name, value in level.items():
            if name in costs and value is not None:
                total += costs[name] / (3 if name in seen else 1)
                seen.add(name)
        level = next((level[name] for name in _COMBINED if level.get(name)), None)
    return total
