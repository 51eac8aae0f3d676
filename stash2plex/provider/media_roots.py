"""Hashes of files in the folders of Plex that the daemon can read itself.

Such a folder may be a share that hangs, or a disk that sleeps. So reading has a few
threads of its own for each folder and a deadline, and a folder that hangs is left alone
for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from stash2plex.config import MediaRoot
from stash2plex.paths import normal
from stash2plex.provider.oshash import oshash
from stash2plex.threads import in_daemonic_thread

log = structlog.get_logger()

# So many files of one folder are read at once.
_AT_ONCE = 2
# How long an answer may wait for a file, and how long a folder that did not give it in
# that time is left alone, seconds. Disks take up to ten seconds to start.
DEADLINE, _LEFT_ALONE = 7.0, 300.0


class MediaRoots:
    """The folders that are configured, by what Plex calls them."""

    def __init__(
        self,
        roots: Sequence[MediaRoot],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._roots = [_Root(root, now) for root in roots]

    async def hash_of(self, plex_paths: Sequence[str]) -> tuple[str, list[str]]:
        """Return the oshash of the first of *plex_paths* that is here, "" for none.

        And which folders did not answer, so that the file may be there after all.
        """
        silent: list[str] = []
        for root in self._roots:
            rests = [rest for path in plex_paths if (rest := root.below(path))]
            if not rests:
                continue
            found = await root.first_hash(rests)
            if found is None:
                silent.append(str(root.here))
            elif found:
                return found, silent
        return "", silent


class _Root:
    """One folder, and whether it answers."""

    def __init__(self, root: MediaRoot, now: Callable[[], float]) -> None:
        self.here = root.here
        self._plex = normal(root.plex).rstrip("/")
        self._now = now
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._left_alone_until = float("-inf")

    def below(self, plex_path: str) -> str:
        """Return what of *plex_path* is below the folder, "" if it is elsewhere."""
        start = f"{self._plex}/"
        return plex_path[len(start) :] if plex_path.startswith(start) else ""

    async def first_hash(self, rests: Sequence[str]) -> str | None:
        """Return the hash of the first of *rests* that is a file, "" without one.

        None when the folder does not answer.
        """
        if self._now() < self._left_alone_until:
            return None
        try:
            async with asyncio.timeout(DEADLINE):
                await self._free.acquire()
                reading = in_daemonic_thread(
                    "media root", _first_hash, self.here, list(rests)
                )
                reading.add_done_callback(self._answered)
                return await asyncio.shield(reading)
        except TimeoutError:
            if self._now() >= self._left_alone_until:
                log.warning("media_root_hangs", folder=str(self.here), wait=_LEFT_ALONE)
            self._left_alone_until = self._now() + _LEFT_ALONE
            return None

    def _answered(self, _: asyncio.Future[str]) -> None:
        self._left_alone_until = float("-inf")
        self._free.release()


def _first_hash(folder: Path, rests: Sequence[str]) -> str:
    for rest in rests:
        try:
            root = folder.resolve()
            file = (root / rest).resolve()
            # A link may lead anywhere, and a name be a device.
            if file.is_relative_to(root) and file.is_file() and (found := oshash(file)):
                return found
        except (OSError, ValueError, RuntimeError):
            continue
    return ""
