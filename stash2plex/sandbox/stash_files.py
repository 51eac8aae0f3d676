"""Files and folders of the pretend Stash, as it answers for them without their scenes.

Measured: a folder's rename changes the paths of its row and of those below it, and no
time at all; names are compared with LIKE, as paths are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

from stash2plex.sandbox.stash_filters import is_time, like, time_text

if TYPE_CHECKING:
    from stash2plex.sandbox.stash import PretendScene, PretendStash

Row = dict[str, Any]
_COMBINED = ("AND", "OR", "NOT")


def file_rows(stash: PretendStash) -> Iterator[Row]:
    """Yield the files of all scenes, by scene."""
    for key in sorted(stash.scenes):
        yield from rows_of(stash.scenes[key])


def rows_of(scene: PretendScene) -> list[Row]:
    """Return the files of one scene, the primary one first."""
    return [
        {
            "__typename": "VideoFile",
            "id": scene.id * 1000 + number,
            "path": path,
            "basename": _name_of(path),
            "size": size,
            "duration": scene.duration,
            "updated_at": time_text(scene.files_updated_at),
            "fingerprints": [
                {"type": "oshash", "value": one} for one in [scene.hash_of(path)] if one
            ],
        }
        for number, (path, size) in enumerate(scene.files)
    ]


def _name_of(path: str) -> str:
    """Return the name of a file, on whatever system."""
    return path.replace("\\", "/").rpartition("/")[2]


def _folders_of(path: str) -> set[str]:
    """Return the folder of a file and those above it."""
    if "/" not in path:  # of Windows, which ends the root of a drive so
        folder = path.rpartition("\\")[0]
        return {f"{folder}\\" if folder.endswith(":") else folder}
    folders = path.split("/")[1:-1]
    return {"/" + "/".join(folders[:n]) for n in range(1, len(folders) + 1)}


def file_test(wanted: Mapping[str, Any]) -> Callable[[Row], bool]:
    """Return what tells whether a file passes a filter."""
    both = [name for name in _COMBINED if wanted.get(name) is not None]
    own = {k: v for k, v in wanted.items() if k not in _COMBINED and v is not None}

    def here(row: Row) -> bool:
        return all(_passes(name, value, row) for name, value in own.items())

    if not both:
        return here
    other = file_test(wanted[both[0]])
    match both[0]:
        case "OR":
            return lambda row: here(row) or other(row)
        case "AND":
            return lambda row: here(row) and other(row)
    return lambda row: here(row) and not other(row)


def _passes(name: str, criterion: Any, row: Row) -> bool:
    match name, criterion["modifier"]:
        case "updated_at", _:
            return is_time(row["updated_at"], criterion)
        case (("path" | "basename"), "EQUALS"):
            return bool(like(criterion["value"]).fullmatch(row[name]))
        case "scene_count", "GREATER_THAN":
            return bool(criterion["value"] < 1)  # files are those of scenes here
    msg = f"the pretend Stash has no such filter of files: {name} {criterion}"
    raise GraphQLError(msg)


def folder_rows(stash: PretendStash) -> list[Row]:
    """Return the folders of all files, and those above them, by id."""
    paths: set[str] = set()
    for scene in stash.scenes.values():
        for path, _ in scene.files:
            paths |= _folders_of(path)
    return [{"id": n, "path": path} for n, path in enumerate(sorted(paths), 1)]
