"""What is old or too much goes by itself, and that says nothing of the disk."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from contextlib import closing

import aiohttp
import pytest

from stash2plex.catalog.gaps import Gaps
from stash2plex.data_files import DataFiles
from stash2plex.db.database import DATABASE, Database
from stash2plex.gap_kinds import GapKind
from stash2plex.health.outages import KEPT as KEPT_OUTAGES
from stash2plex.reconcile.runs import KEPT as KEPT_RUNS
from tests.end_to_end.test_delivery import sample
from tests.end_to_end.test_process import TOKEN, config, started  # noqa: F401
from tests.patience import patient
from tests.provider.asking import Plex
from tests.reconcile.test_reconcile import reconciled
from tests.running import running

DAY = 24 * 3600.0
MANY = 12_000


async def fill(settings):
    """Make a database that holds more of everything than is kept."""
    folder = settings.server.data_dir
    folder.mkdir(parents=True)
    async with Database.open(folder / DATABASE):
        pass
    with closing(sqlite3.connect(folder / DATABASE)) as file, file:
        now = time.time()
        file.executemany(
            "INSERT INTO job (kind, stash_id, reason, priority, state, due_at,"
            " created_at, failed_at) VALUES ('scene', ?, 'hook', 1, 'dead', ?1, ?2, ?2)",
            [(number, now - 40 * DAY) for number in range(MANY)],
        )
        file.executemany(
            "INSERT INTO gap (kind, subject, path, detail, first_seen, last_seen, name,"
            " places, resolved_at) VALUES ('missing_in_stash', ?, 'x', '', ?, ?, ?,"
            " '[]', ?)",
            [
                *((f"file:/open/{n}", now, now + n, str(n), None) for n in range(MANY)),
                *((f"item:{n}", 0, 0, None, now - 31 * DAY) for n in range(MANY)),
            ],
        )
        file.executemany(
            "INSERT INTO outage (service, started_at, ended_at, code, cause)"
            " VALUES ('Plex', ?, ?, 'x', 'x')",
            [(number, number + 0.5) for number in range(100)],
        )
        file.executemany(
            "INSERT INTO run (scope, dry_run, force, only_empty, reason, state,"
            " started_at) VALUES ('all', 0, 0, 0, 'manual', 'done', ?)",
            [(number,) for number in range(500)],
        )


async def test_housekeeping_on_a_full_database(stash, plex, settings, log_lines):
    """Every part of it runs at the start, and none says that the disk is full."""
    sample(stash, plex)
    await fill(settings)
    async with running(settings, stash, plex) as daemon:
        while True:
            async with daemon.session.get(f"{daemon.url}/readyz") as answer:
                assert answer.status == 200
            status = await daemon.status()
            if (
                not status["queue"]["dead"]
                and status["gaps"]["missing_in_stash"] < MANY
            ):
                break
        await reconciled(daemon)  # forgets old runs, and what we wrote to what is gone
        plex.status = 503
        await daemon.until(lambda s: s["outages"]["current"])  # forgets old outages
        rows = await asyncio.to_thread(counted, settings)

    assert rows["outage"] <= KEPT_OUTAGES
    assert rows["run"] <= KEPT_RUNS
    assert rows["resolved"] == 0
    assert "store_unavailable" not in {one["event"] for one in log_lines}
    assert not any("exception" in one for one in log_lines)


def counted(settings):
    with closing(sqlite3.connect(settings.server.data_dir / DATABASE)) as file:
        return {
            name: file.execute(f"SELECT count(*) FROM {what}").fetchone()[0]
            for name, what in {
                "outage": "outage",
                "run": "run",
                "resolved": f"gap WHERE resolved_at < {time.time() - 30 * DAY}",
            }.items()
        }


async def test_what_one_caller_leaves_behind_is_bounded(database, clock, monkeypatch):
    monkeypatch.setattr("stash2plex.catalog.gaps._MOST_OF_CALLER", most := 100)
    gaps = Gaps(database, now=clock)
    for caller, count in (("10.0.0.7", most + 60), ("10.0.0.8", 40)):
        for number in range(count):
            clock.now += 1
            path = f"/{caller}/{number}/" + "x" * 1000
            await gaps.record_file(
                GapKind.MISSING_IN_STASH,
                path,
                "y" * 100_000,
                keys=[f"/{n}{path}" for n in range(1000)] if number < 3 else [path],
                item=None,
                caller=caller,
            )
    (rows,) = await database.fetch(
        "SELECT count(*) AS gaps, max(length(detail)) AS detail, max(length(places))"
        " AS places, sum(path LIKE '/10.0.0.8/%') AS others,"
        " sum(path LIKE '/10.0.0.7/0/%') AS oldest FROM gap"
    )

    assert rows["gaps"] <= most + 90  # counted every now and then
    assert (rows["others"], rows["oldest"]) == (40, 0)
    assert rows["detail"] == 1000
    assert rows["places"] < 4000


async def test_files_that_no_comparison_sees_are_dropped(daemon):
    """A stranger asked about them, or Plex did before they were deleted."""
    sample(daemon.stash, daemon.plex)
    asking = Plex(daemon)
    for number in range(5):
        assert await asking.scenes(f"made-up/{number}.mp4") == []
    assert (await daemon.get("gaps"))["total"] == 5

    await reconciled(daemon)

    assert (await daemon.get("gaps?kind=missing_in_stash"))["gaps"] == []
    assert (await daemon.get("gaps?resolved=true"))["total"] == 0


async def test_paths_that_no_disk_has_are_no_file(daemon):
    sample(daemon.stash, daemon.plex)
    asking = Plex(daemon)
    assert await asking.scenes("/a" * 513 + ".mp4") == []

    assert (await daemon.get("gaps"))["total"] == 0


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("stash2plex.db", "deleted"),
        ("stash2plex.db", "replaced"),
        ("stash2plex.db-wal", "deleted"),
        ("lock", "replaced"),
    ],
)
async def test_a_file_that_is_deleted_ends_the_daemon(name, how, config, tmp_path):  # noqa: F811
    """Hooks would be taken, and lost at the next start."""
    file = tmp_path / "data" / name
    async with started(config) as daemon:
        await daemon.ready()
        file.unlink()
        if how == "replaced":
            file.touch()
        async with (
            asyncio.timeout(patient(20)),
            aiohttp.ClientSession(headers=TOKEN) as session,
        ):
            refused, seen = False, set()
            while daemon.process.returncode is None:
                hook = {"type": "Scene.Update.Post", "id": 1, "fields": ["title"]}
                try:
                    async with session.post(
                        f"{daemon.url}/api/v1/hooks", json=hook
                    ) as answer:
                        assert answer.status in ({503} if refused else {202, 503})
                        refused = answer.status == 503
                        seen.add(answer.status)
                except aiohttp.ClientError:
                    refused = True
                await asyncio.sleep(0.02)
        told = daemon.log.read_text()
        assert daemon.process.returncode == 1
        assert 503 in seen
        assert f"{file} was deleted while the daemon ran" in told
        assert "Traceback" not in told
    async with started(config) as daemon:
        await daemon.ready()


def test_a_file_of_another_number_is_still_the_file(tmp_path):
    """As on shares that are made of several disks, where a move changes it."""
    file, other = tmp_path / "file", tmp_path / "other"
    file.touch()
    with DataFiles.opened(file) as files:
        os.link(file, other)  # so that our handle keeps a name
        assert files.gone() is None
        file.unlink()
        file.touch()
        assert files.gone() is None
        other.unlink()
        assert files.gone() == file
