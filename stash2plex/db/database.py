"""The SQLite file: opening it, migrating it, one writer at a time.

A reader has a connection of its own, so that long listings do not hold up a hook's
commit. Unless told otherwise a write is on disk when the call returns: what was
answered 202 survives a power cut.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from importlib import resources
from pathlib import Path
from typing import Any

import aiosqlite
import structlog

from stash2plex.data_dir import has_room
from stash2plex.db.copies import replace_if_damaged
from stash2plex.errors import DatabaseTooNew, DataDirUnusable, StoreUnavailable

log = structlog.get_logger()

# The file in the data directory.
DATABASE = "stash2plex.db"

# How long a lock that somebody else holds is waited for, seconds.
_PATIENCE = 5.0
# What to do where SQLite gets no lock.
_NO_LOCKS = (
    "is server.data_dir on a share (CIFS, NFS)? Those give no locks that work: put it"
    " on a local disk; or close what else has the file open"
)

Rows = list[sqlite3.Row]


def _read_migrations() -> list[str]:
    folder = resources.files("stash2plex.db") / "migrations"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return [f.read_text(encoding="utf-8") for f in files if f.name.endswith(".sql")]


# Read once at import, while nothing waits on the event loop.
MIGRATIONS = _read_migrations()


class Transaction:
    """Statements that take effect together; see `Database.transaction`."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def run(self, sql: str, *values: Any) -> Rows:
        """Run one statement."""
        return list(await self._connection.execute_fetchall(sql, values))

    async def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each of *rows*."""
        await self._connection.executemany(sql, rows)


class Database:
    """One writing and one reading connection, shared by the whole daemon.

    A transaction on a shared connection would swallow its neighbours'
    statements, so every write holds the same lock.
    """

    def __init__(
        self, writer: aiosqlite.Connection, reader: aiosqlite.Connection
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._writing = asyncio.Lock()
        self._durable = True
        # Whether the last attempt to write succeeded, as far as we know.
        self.is_writable = True
        # Why nothing that is written will be there at the next start; None if it will.
        self.lost: str | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[Database]:
        """Open and migrate the file at *path*; close it on the way out.

        A damaged one is set aside; see `stash2plex.db.copies`. Raises
        `DatabaseTooNew` for a file of a later release and `DataDirUnusable` for one
        that cannot be read or written.
        """
        async with AsyncExitStack() as stack:
            try:
                await asyncio.to_thread(replace_if_damaged, path)
                writer = await stack.enter_async_context(_connected(path))
                await _migrate(writer, path)
                reader = await stack.enter_async_context(_connected(path))
                await reader.execute("PRAGMA query_only = ON")
            except (sqlite3.DatabaseError, OSError) as error:
                remedy = (
                    "make it readable and writable, restore a copy, or move it away"
                )
                if _is_about_locks(error):
                    remedy = _NO_LOCKS
                elif not await asyncio.to_thread(has_room, path.parent):
                    remedy = "free some space on its disk, or make it writable"
                msg = f"{path}: {error}; {remedy}"
                raise DataDirUnusable(msg) from error
            yield cls(writer, reader)

    async def fetch(self, sql: str, *values: Any) -> Rows:
        """Run a reading statement; it sees everything committed before the call.

        Raises `StoreUnavailable` when the disk fails.
        """
        try:
            return list(await self._reader.execute_fetchall(sql, values))
        except sqlite3.OperationalError as error:
            if _is_ours(error):
                raise
            msg = f"the database cannot be read: {error}"
            raise StoreUnavailable(msg) from error

    async def write(self, sql: str, *values: Any) -> Rows:
        """Run one writing statement; it is its own transaction, and durable."""
        async with self._written(durable=True):
            return list(await self._writer.execute_fetchall(sql, values))

    @asynccontextmanager
    async def transaction(self, *, durable: bool = True) -> AsyncIterator[Transaction]:
        """Run several writing statements, all or none.

        What is not *durable* survives a killed process, but perhaps no power cut; fit
        for what would only be done again. Raises `StoreUnavailable` when the disk is
        full or cannot be written.
        """
        async with self._written(durable=durable):
            try:
                await self._writer.execute("BEGIN IMMEDIATE")
                yield Transaction(self._writer)
                await self._writer.commit()
            except BaseException:
                await asyncio.shield(self._writer.rollback())
                raise

    @asynccontextmanager
    async def _written(self, *, durable: bool) -> AsyncIterator[None]:
        """Hold the writer; translate what SQLite says when it cannot write."""
        if self.lost is not None:
            raise StoreUnavailable(self.lost)
        async with self._writing:
            try:
                if durable is not self._durable:
                    level = "FULL" if durable else "NORMAL"
                    await self._writer.execute(f"PRAGMA synchronous = {level}")
                    self._durable = durable
                before = self._writer.total_changes
                yield
                if self._writer.total_changes != before:
                    self.is_writable = True  # what changes nothing proves nothing
            except sqlite3.OperationalError as error:
                if _is_ours(error):
                    raise
                self.is_writable = False
                msg = f"the database cannot be written: {error}"
                if _is_about_locks(error):
                    msg += f"; {_NO_LOCKS}"
                raise StoreUnavailable(msg) from error

    async def fact(self, name: str) -> str | None:
        """Return a stored fact, or None."""
        rows = await self.fetch("SELECT value FROM fact WHERE name = ?", name)
        return str(rows[0]["value"]) if rows else None

    async def set_fact(self, name: str, value: str) -> None:
        """Store a fact about this store."""
        await self.write("INSERT OR REPLACE INTO fact VALUES (?, ?)", name, value)


def read_fact(path: Path, name: str) -> str | None:
    """Return a fact from the file at *path* without opening it for writing.

    None when there is no such fact, or no file that could be read.
    """
    try:
        if not path.exists():
            return None
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file:
            row = file.execute("SELECT value FROM fact WHERE name = ?", (name,))
            return next((str(value) for (value,) in row), None)
    except (OSError, sqlite3.Error):
        return None


@asynccontextmanager
async def _connected(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    async with aiosqlite.connect(
        path, isolation_level=None, timeout=_PATIENCE
    ) as connection:
        connection.row_factory = sqlite3.Row
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = FULL")
        await connection.execute("PRAGMA foreign_keys = ON")
        yield connection


async def _migrate(connection: aiosqlite.Connection, path: Path) -> None:
    (row,) = await connection.execute_fetchall("PRAGMA user_version")
    version = int(row[0])
    if version > len(MIGRATIONS):
        raise DatabaseTooNew(
            f"{path} has schema {version}, this release knows {len(MIGRATIONS)}: "
            "install the newer release again, or restore a copy made before it"
        )
    if 0 < version < len(MIGRATIONS):
        copy = path.with_suffix(f".v{version}.bak")
        await connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
        await asyncio.to_thread(shutil.copyfile, path, copy)
        log.info("database_copied", copy=str(copy))
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        await connection.executescript(
            f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;"
        )
        log.info("database_migrated", version=number)


def _is_about_locks(error: Exception) -> bool:
    """Whether SQLite got no lock, although nobody else has the data directory."""
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_BUSY", "SQLITE_PROTOCOL", "SQLITE_IOERR_LOCK"))


def _is_ours(error: sqlite3.OperationalError) -> bool:
    """Whether the statement is wrong: a bug, which says nothing of the disk."""
    return getattr(error, "sqlite_errorname", "") == "SQLITE_ERROR"
