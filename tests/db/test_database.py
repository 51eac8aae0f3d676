"""The SQLite file: migrations, refusals, transactions."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from stash2plex.db import database as module
from stash2plex.db.database import MIGRATIONS, Database
from stash2plex.errors import DatabaseTooNew, DataDirUnusable, StoreUnavailable


async def test_a_new_file_has_the_newest_schema(tmp_path):
    async with Database.open(tmp_path / "x.db") as database:
        (row,) = await database.fetch("PRAGMA user_version")
        tables = await database.fetch(
            "SELECT sql FROM sqlite_master WHERE type = 'table'"
        )
        (mode,) = await database.fetch("PRAGMA journal_mode")

    assert row[0] == len(MIGRATIONS)
    assert mode[0] == "wal"
    assert all("STRICT" in table["sql"] for table in tables)


async def test_a_newer_file_is_refused(tmp_path):
    path = tmp_path / "x.db"
    async with Database.open(path) as database:
        await database.write(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")

    with pytest.raises(DatabaseTooNew, match="install the newer release again"):
        async with Database.open(path):
            pass


async def test_an_older_file_is_migrated_and_copied_before(tmp_path, monkeypatch):
    path = tmp_path / "x.db"
    async with Database.open(path) as database:
        await database.set_fact("kept", "yes")
    monkeypatch.setattr(
        module, "MIGRATIONS", [*MIGRATIONS, "CREATE TABLE more (x INTEGER) STRICT;"]
    )

    async with Database.open(path) as database:
        assert await database.fact("kept") == "yes"
        assert await database.fetch("SELECT * FROM more") == []

    with sqlite3.connect(tmp_path / f"x.v{len(MIGRATIONS)}.bak") as copy:
        assert copy.execute("SELECT value FROM fact").fetchall() == [("yes",)]
    copy.close()


async def test_what_the_first_release_stored_is_there_after_the_second(
    tmp_path, monkeypatch
):
    file = tmp_path / "x.db"
    with monkeypatch.context() as patch:
        patch.setattr("stash2plex.db.database.MIGRATIONS", MIGRATIONS[:1])
        async with Database.open(file) as database:
            await database.write("INSERT INTO stash_scene VALUES (7, 't', 1)")
            await database.write(
                "INSERT INTO stash_file VALUES (7, '/data/a', '/media/a', 'a', 5)"
            )
            await database.write("INSERT INTO plex_item VALUES (1, 1, 5, 1)")
            await database.write(
                "INSERT INTO gap VALUES ('unmapped', 'scene:7', '/a', 'd', 1, 1)"
            )
    async with Database.open(file) as database:
        (scene,) = await database.fetch("SELECT * FROM stash_scene")
        (item,) = await database.fetch("SELECT bound FROM plex_item")
        (gap,) = await database.fetch("SELECT subject, name FROM gap")

    assert (scene["id"], scene["title"], scene["date"]) == (7, "", "")
    assert item["bound"] is None
    assert tuple(gap) == ("scene:7", None)


async def test_a_failed_migration_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "x.db"
    async with Database.open(path):
        pass
    monkeypatch.setattr(
        module,
        "MIGRATIONS",
        [*MIGRATIONS, "CREATE TABLE more (x INTEGER) STRICT; nonsense;"],
    )

    with pytest.raises(DataDirUnusable, match="nonsense"):
        async with Database.open(path):
            pass

    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    assert not connection.execute(
        "SELECT * FROM sqlite_master WHERE name = 'more'"
    ).fetchall()
    connection.close()


async def test_a_transaction_is_all_or_nothing(database):
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as transaction:
            await transaction.run("INSERT INTO fact VALUES ('a', 'b')")
            raise ZeroDivisionError
    assert await database.fact("a") is None

    await database.set_fact("a", "c")
    assert await database.fact("a") == "c"


async def test_a_cancelled_transaction_leaves_nothing_open(database):
    entered = asyncio.Event()

    async def linger():
        async with database.transaction() as transaction:
            await transaction.run("INSERT INTO fact VALUES ('a', 'b')")
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(linger())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await database.fact("a") is None
    await database.set_fact("a", "c")


async def test_writers_take_turns(database):
    async def add(number):
        async with database.transaction() as transaction:
            await transaction.run("INSERT INTO fact VALUES (?, '')", str(number))
            await asyncio.sleep(0)

    await asyncio.gather(*(add(number) for number in range(20)))

    (row,) = await database.fetch("SELECT count(*) AS n FROM fact")
    assert row["n"] == 20


async def test_a_store_that_cannot_be_written_says_so(database):
    await database._writer.execute("PRAGMA query_only = ON")

    with pytest.raises(StoreUnavailable, match="cannot be written"):
        await database.set_fact("a", "b")


async def test_only_a_change_proves_that_it_can_be_written(database):
    database.is_writable = False
    await database.write("DELETE FROM fact WHERE name = 'nobody'")
    async with database.transaction() as transaction:
        await transaction.run("DELETE FROM fact WHERE name = 'nobody'")
    assert not database.is_writable
    await database.set_fact("a", "b")

    assert database.is_writable


@pytest.mark.parametrize("how", ["write", "fetch", "transaction"])
async def test_a_wrong_statement_says_nothing_of_the_disk(database, how):
    """It is a bug, and nobody who minds a full disk may hide it."""
    wrong = "DELETE FROM gap WHERE rowid = 1"  # the table has none
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        if how == "write":
            await database.write(wrong)
        elif how == "fetch":
            await database.fetch("SELECT rowid FROM gap")
        else:
            async with database.transaction() as transaction:
                await transaction.run(wrong)
    assert database.is_writable
    await database.set_fact("still", "written")
    assert await database.fact("still") == "written"


async def test_a_folder_without_locks_is_named(tmp_path, monkeypatch):
    """A share may answer every lock with "busy", although nobody has it."""
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    path = tmp_path / "stash2plex.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE x (y)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DataDirUnusable, match="put it on a local disk") as raised:
            async with Database.open(path):
                pass

    assert "on a share (CIFS, NFS)" in str(raised.value)


async def test_locks_that_fail_later_are_named_too(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    path = tmp_path / "stash2plex.db"
    async with Database.open(path) as database:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StoreUnavailable, match="put it on a local disk"):
                await database.set_fact("x", "y")
        await database.set_fact("x", "y")
        assert database.is_writable
