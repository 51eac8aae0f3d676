"""Asking Plex to scan the folder of a scene that it lacks.

One partial scan for each folder and burst of scenes, and never that of a whole library:
a folder that holds one is left to Plex's own schedule.
"""

from __future__ import annotations

import asyncio
import time
import unicodedata
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
        # Folders as Plex spells them, by library and normal path.
        self._wanted: dict[tuple[int, str], str] = {}
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
        ignores_case = self._paths.key_of_plex(mapped.path) != mapped.path
        folder = mapped.path.rpartition("/")[0]
        found = _place_of(folder, self._catalog.sections, ignores_case=ignores_case)
        if found is None:
            return
        section, location, inside = found
        key = (section.id, folder)
        if self._now() - self._scanned.get(key, float("-inf")) >= _REST:
            raw = path.replace("\\", "/").split("/")[:-1]
            self._wanted[key] = _spelled(location, inside, raw)
            self._any.set()

    async def run(self) -> None:
        """Ask for scans until cancelled."""
        while True:
            await self._any.wait()
            await asyncio.sleep(_SETTLING)
            self._any.clear()
            wanted, self._wanted = self._wanted, {}
            for key, folder in wanted.items():
                await self._scan(key, folder)

    async def _scan(self, key: tuple[int, str], folder: str) -> None:
        self._scanned[key] = self._now()
        try:
            await self._plex.scan_folder(key[0], folder)
        except ServiceUnavailable as error:
            # Nobody asks for the folder again as long as its scenes stay missing.
            self._wanted[key] = folder
            loop = asyncio.get_running_loop()
            loop.call_later(_AGAIN, self._any.set)
            log.warning("folder_not_scanned", folder=folder, error=str(error))
        except Stash2PlexError as error:
            log.warning("folder_not_scanned", folder=folder, error=str(error))
        else:
            log.info("folder_scanned", folder=folder)


def _place_of(
    folder: str, sections: list[Section], *, ignores_case: bool
) -> tuple[Section, str, list[str]] | None:
    """Return which library *folder* lies within, and where.

    That is the library's own folder, as Plex spells it, and the parts of the path from
    there. None if it is all of one.
    """

    def form(path: str) -> str:
        return path.casefold() if ignores_case else path

    for section in sections:
        for location in section.locations:
            base = normal(location).rstrip("/")
            if form(folder).startswith(f"{form(base)}/"):
                return section, location, folder[len(base) + 1 :].split("/")
    return None


def _spelled(location: str, inside: list[str], raw: list[str]) -> str:
    """Return a folder inside of *location* as Plex itself spells it.

    Its separators are those of *location*. What has the same names in Stash, in the
    parts *raw*, has the same form of Unicode too: it is the same disk.
    """
    end = raw[-len(inside) :]
    if [unicodedata.normalize("NFC", one) for one in end] == inside:
        inside = end
    separator = "\\" if "\\" in location and "/" not in location else "/"
    return separator.join([location.rstrip("/\\"), *inside])
