"""Which scene a file is by its name alone, and whether that is certain.

The same conditions as for pushing: one file of the name in Stash, one in Plex, not at
home elsewhere by path, and of equal sizes where both are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stash2plex.paths import file_name, normal
from stash2plex.provider.hints import Hints
from stash2plex.text import name_key

if TYPE_CHECKING:
    from stash2plex.catalog.items import PlexFile
    from stash2plex.catalog.scenes import StashFile
    from stash2plex.catalog.store import CatalogStore

_SAME_DURATION = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Namesakes:
    """Files of one name: *free* are those of Stash without an item of their own.

    *everywhere* are all of Stash, *others* those of Plex that may as well be meant and
    *size* is that of the file asked about, if anybody knows it.
    """

    free: Sequence[StashFile]
    everywhere: Sequence[StashFile]
    others: Sequence[PlexFile]
    bound: frozenset[int]
    size: int | None

    def sharing(self, parts: Sequence[str]) -> list[StashFile]:
        """Return the free ones whose path ends with all of *parts*."""
        return [one for one in self.free if _ends_with(one.path, parts)]

    def nearest(self, parts: Sequence[str]) -> list[StashFile]:
        """Return the free ones that have most of the end of *parts* in common."""
        most = max((_common_end(one, parts) for one in self.free), default=0)
        return [one for one in self.free if _common_end(one, parts) == most]

    def sized(self) -> list[StashFile]:
        """Return the free ones of the very size of the file asked about."""
        return [one for one in self.free if self.size and one.size == self.size]

    def unsized(self) -> list[StashFile]:
        """Return the free ones whose size cannot be compared."""
        return [one for one in self.free if not (self.size and one.size)]

    def share_alone(self, files: Sequence[StashFile], parts: Sequence[str]) -> bool:
        """Whether *files* are one scene's, and no other of Plex ends with *parts*."""
        scenes = {one.scene_id for one in files}
        sizes = {one.size for one in files} - {None}
        return (
            len(scenes) == 1
            and not any(_ends_with(one.path, parts) for one in self.others)
            and self.bound.isdisjoint(scenes)
            and (self.size is None or not sizes or self.size in sizes)
        )

    def are_alone(self, files: Sequence[StashFile], *, by_size: bool) -> bool:
        """Whether *files* are one scene's, and no other of Plex could be theirs."""
        scenes = {one.scene_id for one in files}
        rivals = self.others
        if by_size:
            rivals = [one for one in rivals if one.size in {self.size, None}]
        else:
            scenes |= {one.scene_id for one in self.everywhere}
        return len(scenes) == 1 and not rivals and self.bound.isdisjoint(scenes)


async def namesakes_of(
    hints: Hints, keys: Iterable[str], store: CatalogStore
) -> Namesakes:
    """Look up the namesakes of a file whose path in Plex has one of *keys*."""
    own = set(keys)
    everywhere = [
        one
        for one in await store.scene_files_named(hints.path)
        if hints.duration is None
        or one.duration is None
        or abs(one.duration - hints.duration) <= _SAME_DURATION
    ]
    in_plex = await store.files_by_key({one.key for one in everywhere if one.key})
    at_home = {one.key for one in in_plex} - own
    listed = await store.files_named(hints.path)
    claims = await store.claims({one.rating_key for one in listed})
    asked = [one for one in listed if one.key in own]
    sizes = {one.size for one in asked}
    bound = await store.files_bound_to({one.scene_id for one in everywhere})
    return Namesakes(
        free=[one for one in everywhere if one.key not in at_home],
        everywhere=everywhere,
        others=[
            one
            for one in listed
            if (one.key not in own and one.rating_key not in claims)
            or (one.key in own and len(asked) > 1)
        ],
        bound=frozenset(
            scene_id
            for scene_id, files in bound.items()
            if any(one.key not in own for one in files)
        ),
        size=hints.size or (sizes.pop() or None if len(sizes) == 1 else None),
    )


def parts_of(path: str) -> list[str]:
    """Return the parts of a path as they are compared."""
    return path.strip("/").split("/")


def is_named(path: str, names: Iterable[str]) -> bool:
    """Whether the last part of *path* is one of *names*, in any spelling."""
    return name_key(file_name(path)) in {name_key(one) for one in names}


def _ends_with(path: str, parts: Sequence[str]) -> bool:
    return _same_parts(parts_of(normal(path)), parts) == len(parts)


def _common_end(file: StashFile, parts: Sequence[str]) -> int:
    """Return how many parts at the end of a path are the same, in either spelling."""
    return max(
        _same_parts(parts_of(normal(path)), parts)
        for path in (file.path, file.key or file.path)
    )


def _same_parts(own: Sequence[str], parts: Sequence[str]) -> int:
    count = 0
    for one, other in zip(reversed(own), reversed(parts), strict=False):
        if name_key(one) != name_key(other):
            break
        count += 1
    return count
