"""Whether the files that the daemon works with are still there.

SQLite writes to a deleted file as if nothing had happened, and all of it is lost at the
next start. A path that is missing tells, and so does an open file without any name. A
path that leads to another inode does not: shares made of several disks change numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class DataFiles:
    """Files that must stay where they are."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._handles = {file: _handle(file) for file in files if file.exists()}

    @classmethod
    @contextmanager
    def opened(cls, *files: Path) -> Iterator[DataFiles]:
        """Watch those of *files* that are there, for the length of the block."""
        watched = cls(files)
        try:
            yield watched
        finally:
            for handle in filter(None, watched._handles.values()):
                os.close(handle)

    def gone(self) -> Path | None:
        """Return a file that is gone by now; None if all are there."""
        for file, handle in self._handles.items():
            try:
                file.lstat()
            except (FileNotFoundError, NotADirectoryError):
                return file
            except OSError:
                continue  # a share that is away for a moment
            with suppress(OSError):
                if handle is not None and os.fstat(handle).st_nlink == 0:
                    return file
        return None


def _handle(file: Path) -> int | None:
    """Return a handle that counts names of *file*; None where nothing counts them.

    Not one for reading: to close that would give up the locks that SQLite holds.
    """
    if not hasattr(os, "O_PATH"):  # not Linux
        return None
    try:
        handle = os.open(file, os.O_PATH)
    except OSError:
        return None
    if os.fstat(handle).st_nlink == 0:
        os.close(handle)
        return None
    return handle
