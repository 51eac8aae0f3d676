"""Files that moved in Stash, which the times of their scenes do not tell.

A file that was moved or replaced has a time of its own. When one is assigned to another
scene no time changes, but that scene has several files then. When a folder is renamed
no time changes either, but Stash has no folder of the former name any more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from stash2plex.paths import folder_of
from stash2plex.queue.job import Kind, Reason
from stash2plex.scene import Scene

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog
    from stash2plex.queue.store import JobStore
    from stash2plex.scene import SceneEntry
    from stash2plex.stash.client import StashClient
    from stash2plex.stash.look import HashedFile

log = structlog.get_logger()

# Folders that are looked into one by one, where Stash does not list them.
_SAMPLED = 2000
_BATCH = 50
# Files that are remembered as those of which Stash does not tell the scene.
_REMEMBERED = 10_000


class Moved:
    """Finds scenes whose files are others than the catalogue's."""

    def __init__(self, stash: StashClient, catalog: Catalog, jobs: JobStore) -> None:
        self._stash = stash
        self._catalog = catalog
        self._jobs = jobs
        self._unresolved: OrderedDict[tuple[str, int | None], None] = OrderedDict()
        # What was looked into and came to nothing.
        self._known_uneven: frozenset[int] = frozenset()
        self._known_missing: frozenset[str] = frozenset()

    async def of_files(
        self, files: Sequence[HashedFile], waiting: Sequence[SceneEntry]
    ) -> list[SceneEntry]:
        """Return the scenes that have *files* which the catalogue does not know.

        Files of scenes that are *waiting* to be looked at do not count.
        """
        known = await self._catalog.store.known_files([one.file for one in files])
        known |= {(file.path, file.size) for one in waiting for file in one.files}
        strange = [
            one
            for one in files
            if (key := (one.file.path, one.file.size)) not in known
            and key not in self._unresolved
        ]
        if not strange:
            return []
        found = await self._stash.scenes_with(strange)
        told = {file.path for one in found for file in one.files}
        for one in strange:
            if one.file.path not in told:
                self._unresolved[one.file.path, one.file.size] = None
        while len(self._unresolved) > _REMEMBERED:
            self._unresolved.popitem(last=False)
        return found

    async def check_uneven(self, uneven: Mapping[int, frozenset[str] | None]) -> int:
        """Enqueue the scenes of which another has a file now; returns how many.

        *uneven* are all scenes of Stash that have several files, or none: with the
        paths of these, None if they were not asked for.
        """
        if not self._catalog.stash_complete:
            return 0
        ours, known = await self._catalog.store.uneven_scenes(uneven)
        odd = (uneven.keys() & known) ^ ours.keys()
        odd |= {
            key
            for key, paths in uneven.items()
            if paths is not None and key in ours and ours[key] != paths
        }
        new = sorted(odd - self._known_uneven)
        if new:
            log.info("files_moved", scenes=len(new))
        count = await self._jobs.enqueue_many(Kind.SCENE, new, Reason.EXPANDED)
        self._known_uneven = frozenset(odd)
        return count

    async def check_folders(self) -> int:
        """Enqueue the scenes in folders that are gone; returns how many."""
        if not self._catalog.stash_complete:
            return 0
        known = await self._catalog.store.folders()
        there = await self._stash.folders()
        if there is None:
            missing = await self._sampled(known)
        else:
            missing = known.keys() - there
        new = missing - self._known_missing
        count = 0
        if new:
            scenes = await self._catalog.store.scenes_in(new)
            log.info("folders_renamed", folders=len(new), scenes=len(scenes))
            count = await self._jobs.enqueue_many(Kind.SCENE, scenes, Reason.EXPANDED)
        self._known_missing = frozenset(missing)
        return count

    async def _sampled(self, known: dict[str, int]) -> set[str]:
        """Return the folders whose first scene has no file there any more."""
        if len(known) > _SAMPLED:
            return set()
        missing: set[str] = set()
        scenes = list(known.items())
        for start in range(0, len(scenes), _BATCH):
            batch = scenes[start : start + _BATCH]
            read = await self._stash.scenes(list({key for _, key in batch}))
            for folder, key in batch:
                scene = read[key]
                if isinstance(scene, Scene) and not any(
                    folder_of(one.path) == folder for one in scene.files
                ):
                    missing.add(folder)
        return missing
