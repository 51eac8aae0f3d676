"""Asking Plex to scan the folder of a scene that it lacks.

One partial scan for each folder and burst of scenes, and never that of a whole library:
a folder that holds one is left to Plex's own schedule.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from stash2plex.errors import ServiceUnavailable, Stash2PlexError
from stash2plex.paths import Mapped, PathMap, normal

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog
    from stash2plex.plex.item import Section
    from stash2plex.plex.library import PlexLibrary
    from stash2plex.scene import Scene

log = structlog.get_logger()

# A burst of new scenes shares its scans, seconds.
_SETTLING = 2.0
# A folder is not scanned again so soon, seconds.
_REST = 300.0
# While Plex is away it is asked again so often, seconds.
_AGAIN = 60.0


class FolderScans:
    """Collects folders and has each of them scanned once."""

    def __init__(
        self,
        plex: PlexLibrary,
        catalog: Catalog,
        paths: PathMap,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plex = plex
        self._catalog = catalog
        self._paths = paths
        self._now = now
        self._wanted: dict[tuple[int, str], None] = {}
        self._scanned: dict[tuple[int, str], float] = {}
        self._any = asyncio.Event()

    def want(self, scene: Scene) -> None:
        """Have the folders of *scene* scanned soon, as far as a library has them."""
        for file in scene.files:
            self.want_path(file.path)

    def want_path(self, path: str) -> None:
        """Have the folder of a file of Stash scanned soon, if a library has it."""
        mapped = self._paths.to_plex(path)
        if not isinstance(mapped, Mapped):
            return
        folder = mapped.path.rpartition("/")[0]
        section = _section_of(folder, self._catalog.sections)
        if section is None:
            return
        key = (section.id, folder)
        if self._now() - self._scanned.get(key, float("-inf")) >= _REST:
            self._wanted[key] = None
            self._any.set()

    async def run(self) -> None:
        """Ask for scans until cancelled."""
        while True:
            await self._any.wait()
            await asyncio.sleep(_SETTLING)
            self._any.clear()
            wanted, self._wanted = self._wanted, {}
            for section_id, folder in wanted:
                await self._scan(section_id, folder)

    async def _scan(self, section_id: int, folder: str) -> None:
        self._scanned[section_id, folder] = self._now()
        try:
            await self._plex.scan_folder(section_id, folder)
        except ServiceUnavailable as error:
            # Nobody asks for the folder again as long as its scenes stay missing.
            self._wanted[section_id, folder] = None
            loop = asyncio.get_running_loop()
            loop.call_later(_AGAIN, self._any.set)
            log.warning("folder_not_scanned", folder=folder, error=str(error))
        except Stash2PlexError as error:
            log.warning("folder_not_scanned", folder=folder, error=str(error))
        else:
            log.info("folder_scanned", folder=folder)


def _section_of(folder: str, sections: list[Section]) -> Section | None:
    """Return the library that *folder* lies within; None if it is all of one."""
    for section in sections:
        for location in section.locations:
            if folder.startswith(f"{normal(location).rstrip('/')}/"):
                return section
    return None
