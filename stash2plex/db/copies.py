"""Copies of the SQLite file, and what to do about a damaged one.

A damaged file is set aside, never deleted, and the newest good copy takes its place;
without one the daemon starts anew and reads both libraries again.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import structlog

from stash2plex.errors import StoreUnavailable

log = structlog.get_logger()

_FOLDER = "copies"
_KEPT = 3
_DAY = 24 * 3600
_SIDE_FILES = ("-wal", "-shm")


def replace_if_damaged(path: Path) -> None:
    """Make sure that the file at *path* is sound, or is not there.

    Raises OSError when it can be neither read nor moved.
    """
    problem = _damage(path)
    if problem is None:
        return
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    path.replace(aside)
    for suffix in _SIDE_FILES:
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{aside}{suffix}")
    copy = next((one for one in _copies(path) if _damage(one) is None), None)
    if copy is not None:
        shutil.copyfile(copy, path)
    log.error(
        "database_damaged",
        problem=problem,
        set_aside=str(aside),
        replaced_by=str(copy) if copy else "nothing: both libraries are read anew",
    )


def copy_if_due(path: Path, *, now: float) -> Path | None:
    """Copy the file at *path* if the newest copy is over a day old; keeps three.

    Raises `StoreUnavailable`; a copy that fails half-way leaves nothing.
    """
    try:
        return _copy_if_due(path, now)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(f"the database cannot be copied: {error}") from error


def _copy_if_due(path: Path, now: float) -> Path | None:
    copies = _copies(path)
    # The clock was ahead when these were made; they would be the newest for long.
    early = [one for one in copies if one.stat().st_mtime > now + _DAY]
    sound = [one for one in copies if one not in early]
    if sound and 0 <= now - sound[0].stat().st_mtime < _DAY:
        return None
    folder = path.parent / _FOLDER
    folder.mkdir(exist_ok=True, mode=0o700)
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    copy = folder / f"{path.stem}-{moment}.db"
    part = copy.with_suffix(".part")
    try:
        with (
            closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(part)) as target,
        ):
            source.backup(target)
        part.replace(copy)
        os.utime(copy, (now, now))
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    for old in (*early, *_copies(path)[_KEPT:]):
        old.unlink(missing_ok=True)
    return copy


def _copies(path: Path) -> list[Path]:
    """Return the copies of the file at *path*, the newest first."""
    return sorted((path.parent / _FOLDER).glob(f"{path.stem}-*.db"), reverse=True)


def _damage(path: Path) -> str | None:
    """Return what is wrong with a file; None for a sound one and for none at all."""
    if not path.exists():
        return None
    if not path.stat().st_size and _copies(path):
        return "it is empty"
    try:
        with closing(sqlite3.connect(path)) as connection:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        return None  # not readable or locked: that is told when it is opened
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if answer == "ok" else str(answer)
