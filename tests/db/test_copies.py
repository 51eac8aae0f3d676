"""Daily copies, and a damaged file that one of them replaces."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from stash2plex.db.copies import copy_if_due
from stash2plex.db.database import DATABASE, Database
from stash2plex.errors import DataDirUnusable, StoreUnavailable
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.running import running

DAY = 24 * 3600.0


@pytest.fixture
async def path(tmp_path):
    """A file with one fact in it."""
    path = tmp_path / "x.db"
    async with Database.open(path) as database:
        await database.set_fact("name", "value")
    return path


async def copied(path, now):
    return await asyncio.to_thread(copy_if_due, path, now=now)


async def fact(path):
    async with Database.open(path) as database:
        return await database.fact("name")


def aside(path):
    found = path.parent.glob("x.db.damaged-*")
    return [one.name for one in found if not one.name.endswith(("-wal", "-shm"))]


async def test_a_copy_a_day_and_three_are_kept(path):
    first = await copied(path, 1_000_000.0)
    assert first
    assert await copied(path, 1_000_000.0 + DAY - 1) is None
    copies = [await copied(path, 1_000_000.0 + day * DAY) for day in range(1, 5)]

    assert sorted((path.parent / "copies").iterdir()) == copies[1:]
    assert await fact(copies[-1]) == "value"
    # The clock was set back by a year: better a copy too many.
    assert await copied(path, 1_000.0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"this is text, and long enough to be looked at" * 100,
        lambda data: data[:4096] + b"\xff" * 4096 + data[8192:],
        lambda data: data[: len(data) // 2],
    ],
)
async def test_a_damaged_file_is_replaced_by_the_newest_good_copy(
    path, damage, log_lines
):
    await copied(path, 1_000_000.0)
    newest = await copied(path, 1_000_000.0 + DAY)
    newest.write_bytes(b"damaged too" * 1000)
    data = path.read_bytes()
    path.write_bytes(damage(data))

    assert await fact(path) == "value"

    assert len(aside(path)) == 1
    (told,) = [line for line in log_lines if line["event"] == "database_damaged"]
    assert told["replaced_by"].endswith(".db")


async def test_without_a_copy_it_starts_anew(path, log_lines):
    path.write_bytes(b"this is text, and long enough to be looked at" * 100)

    assert await fact(path) is None

    assert len(aside(path)) == 1
    assert "read anew" in str(log_lines)


async def test_a_sound_file_is_left_alone(path):
    before = path.stat().st_mtime_ns

    assert await fact(path) == "value"
    assert aside(path) == []
    assert path.stat().st_mtime_ns >= before


async def test_a_folder_in_its_place(tmp_path):
    (tmp_path / "x.db").mkdir()

    with pytest.raises(DataDirUnusable, match=r"x\.db"):
        async with Database.open(tmp_path / "x.db"):
            pass


async def test_a_copy_that_cannot_be_written_leaves_nothing(path):
    (path.parent / "copies").write_text("in the way")

    with pytest.raises(StoreUnavailable, match="cannot be copied"):
        await copied(path, 1_000_000.0)


async def test_a_daemon_whose_database_is_destroyed(stash, plex, tmp_path):
    scene, item = sample(stash, plex, rating100=80)
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await daemon.deliver(scene.id)
    file = tmp_path / "data" / DATABASE
    copies = list((tmp_path / "data" / "copies").iterdir())
    assert len(copies) == 1
    copies[0].unlink()
    file.write_bytes(b"\x00" * 50_000)
    writes = item.writes
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(scene.id)

    # What we had locked is taken for ours again, and nothing is written twice.
    assert item.writes == writes
    with sqlite3.connect(file) as connection:
        (wrote,) = connection.execute("SELECT count(*) FROM ledger").fetchone()
    connection.close()
    assert wrote == 1
