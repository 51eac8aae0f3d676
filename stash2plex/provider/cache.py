"""Shaped pictures on disk, up to a limit; what was used longest ago goes first."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

log = structlog.get_logger()

_TEMPORARY = ".part"


class DiskCache:
    """Bytes by name; a name is a plain file name. Losing any costs only time."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Keep at most *limit* bytes in *folder*; 0 keeps nothing."""
        self._folder = folder
        self._limit = limit
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._total = 0
        self._writing = asyncio.Lock()

    async def open(self) -> None:
        """Learn what is there from an earlier run."""
        if self._limit:
            for name, size in await asyncio.to_thread(self._listed):
                self._note(name, size)
            await asyncio.to_thread(self._remove, self._evicted())

    async def get(self, name: str) -> bytes | None:
        """Return what was kept under *name*, None for nothing."""
        if name not in self._sizes:
            return None
        self._sizes.move_to_end(name)
        data = await asyncio.to_thread(self._read, name)
        if data is None:
            self._total -= self._sizes.pop(name, 0)
        return data

    async def put(self, name: str, data: bytes) -> None:
        """Keep *data*, if there is room for it at all; a full disk is no error."""
        if len(data) > self._limit:
            return
        async with self._writing:
            if await asyncio.to_thread(self._write, name, data):
                self._note(name, len(data))
                await asyncio.to_thread(self._remove, self._evicted())

    def _note(self, name: str, size: int) -> None:
        self._total += size - self._sizes.pop(name, 0)
        self._sizes[name] = size

    def _listed(self) -> list[tuple[str, int]]:
        """Return names and sizes, used longest ago first; clear up after a crash."""
        found = []
        try:
            self._folder.mkdir(exist_ok=True, mode=0o700)
            for entry in os.scandir(self._folder):
                if entry.name.endswith(_TEMPORARY):
                    Path(entry.path).unlink(missing_ok=True)
                elif entry.is_file():
                    stat = entry.stat()
                    found.append((stat.st_mtime, entry.name, stat.st_size))
        except OSError as error:
            log.warning("image_cache_unusable", error=error.strerror)
        return [(name, size) for _, name, size in sorted(found)]

    def _read(self, name: str) -> bytes | None:
        file = self._folder / name
        try:
            data = file.read_bytes()
            os.utime(file)  # so that a restart knows what was used
        except OSError:
            return None
        return data

    def _write(self, name: str, data: bytes) -> bool:
        part = self._folder / f"{name}{_TEMPORARY}"
        try:
            part.write_bytes(data)
            part.replace(self._folder / name)
        except OSError as error:
            log.warning("image_cache_unusable", error=error.strerror)
            with suppress(OSError):
                part.unlink()
            return False
        return True

    def _evicted(self) -> list[str]:
        """Forget what there is no room for; returns the names of the files."""
        names = []
        while self._total > self._limit and self._sizes:
            name, size = self._sizes.popitem(last=False)
            self._total -= size
            names.append(name)
        return names

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            with suppress(OSError):
                (self._folder / name).unlink()
