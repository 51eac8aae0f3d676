"""The data directory: usable, and ours alone as long as we run."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stash2plex.errors import AlreadyRunning, DataDirUnusable

# The file that a daemon holds as long as it runs.
LOCK = "lock"
# There may be others in the folder.
_OURS = ("stash2plex.db*", "token", "*.key", "copies/*")
_KEY_LENGTH = 32  # bytes
_FULL = 1024 * 1024  # with less free space, bytes, the disk counts as full


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make *folder* usable and keep a second daemon off it for the length of the block.

    Raises `DataDirUnusable` or `AlreadyRunning`.
    """
    _make_usable(folder)
    descriptor = _hold_alone(folder)
    _make_private(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def holder(folder: Path) -> int | None:
    """Return the process that holds *folder*; None if none does, 0 if it is unknown."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        told = os.read(descriptor, 32).decode("ascii", "replace").strip()
        return int(told) if told.isdecimal() else 0
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def has_room(folder: Path) -> bool:
    """Whether the disk of *folder* takes writes, as far as one can tell without."""
    try:
        read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        return not read_only and shutil.disk_usage(folder).free >= _FULL
    except OSError:
        return False


def kept_key(folder: Path, name: str) -> bytes:
    """Return the random key that *folder* keeps in the file *name*, made if need be.

    Raises `DataDirUnusable`.
    """
    file = folder / name
    try:
        if file.exists() and len(key := file.read_bytes()) == _KEY_LENGTH:
            return key
        key = secrets.token_bytes(_KEY_LENGTH)
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(key)
    except OSError as error:
        raise DataDirUnusable(f"{file}: {error.strerror}") from error
    return key


def _make_usable(folder: Path) -> None:
    remedy = "make it writable for the user the daemon runs as, or set server.data_dir"
    if folder.exists() and not folder.is_dir():
        remedy = "it is not a folder; set server.data_dir"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / ".writable"
        probe.unlink(missing_ok=True)
        # Never through a link, which may lead anywhere: O_EXCL follows none.
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        probe.unlink()
    except OSError as error:
        msg = f"server.data_dir = {str(folder)!r}: {error.strerror}; {remedy}"
        raise DataDirUnusable(msg) from error


def _make_private(folder: Path) -> None:
    """Take our files in *folder* from all others: a copy may have been put back."""
    for file in (one for pattern in _OURS for one in folder.glob(pattern)):
        # What is another's we may not change, and could not read anyway.
        with suppress(OSError):
            mode = file.lstat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                file.chmod(mode & 0o700)


def _hold_alone(folder: Path) -> int:
    try:
        descriptor = os.open(
            folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600
        )
    except OSError as error:
        raise DataDirUnusable(f"{folder / LOCK}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise AlreadyRunning(
            f"another daemon (process {holder or 'unknown'}) uses {folder}; stop"
            " it, or set another server.data_dir and server.port"
        ) from error
    except OSError as error:
        os.close(descriptor)
        raise DataDirUnusable(
            f"{folder / LOCK} cannot be locked: {error.strerror}; is server.data_dir on"
            " a share (CIFS, NFS)? Put it on a local disk"
        ) from error
    with suppress(OSError):  # a full disk; who holds the lock is only a courtesy
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
    return descriptor
