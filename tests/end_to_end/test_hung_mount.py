"""A folder of provider.media_roots that hangs holds up nothing but its own files."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import aiohttp
import pytest

from tests.end_to_end.test_delivery import sample
from tests.end_to_end.test_process import TOKEN, config, started  # noqa: F401
from tests.patience import patient
from tests.test_terminal import told

HUNG = Path(__file__).parents[1] / "hung_mount"
MATCHES = 12


@pytest.fixture
def hung(config, tmp_path):  # noqa: F811
    """A configuration whose second folder hangs; returns what else its process needs."""
    folder = tmp_path / "nfs"
    folder.mkdir()
    (tmp_path / "nfs.hangs").touch()
    os.mkfifo(tmp_path / "nfs.pipe")
    config.write_text(
        config.read_text()
        + f'[provider]\nmedia_roots = [{{plex = "/media", here = "{folder}"}}]\n'
    )
    return {"PYTHONPATH": str(HUNG), "HUNG_FOLDER": str(folder)}


async def asked(session, url, number):
    body = {"type": 1, "title": "x", "filename": f"/media/unknown-{number}.mp4"}
    async with session.post(f"{url}/plex/library/metadata/matches", json=body) as one:
        return one.status, await one.json()


async def test_a_hung_mount_holds_up_nothing(config, stash, plex, hung, tmp_path):  # noqa: F811
    sample(stash, plex)
    async with started(config, **hung) as daemon:
        await daemon.ready()
        await daemon.idle()
        async with aiohttp.ClientSession(headers=TOKEN) as session:
            matches = [
                asyncio.create_task(asked(session, daemon.url, number))
                for number in range(MATCHES)
            ]
            async with asyncio.timeout(patient(25)):
                for path in ("/plex/library/metadata/scene-1", "/api/v1/health"):
                    async with session.get(daemon.url + path) as answer:
                        assert answer.status == 200
                        document = await answer.json()
                statuses = [status for status, _ in await asyncio.gather(*matches)]
                # The folder is left alone, so nobody waits for it.
                began = time.monotonic()
                status, found = await asked(session, daemon.url, "later")
                assert time.monotonic() - began < patient(5)
            (named,) = [o for o in document["findings"] if o["code"] == "media_root"]
            assert named["level"] == "warn"
            assert "does not answer" in named["message"]
            assert set(statuses) <= {200, 500}
            assert (status, found["MediaContainer"]["Metadata"]) == (200, [])
            daemon.process.terminate()
            async with asyncio.timeout(patient(10)):
                assert await daemon.process.wait() == 0
    assert daemon.log.read_text().count('"media_root_hangs"') == 1


async def test_check_names_a_hung_mount(stash, plex, hung, tmp_path):
    async with asyncio.timeout(patient(25)):
        _, out, _ = await told(tmp_path, "check", **hung)

    assert b"does not answer: its share or disk hangs" in out


async def test_a_thread_that_never_ends_does_not_keep_the_process(
    config,  # noqa: F811
    tmp_path,
):
    """Here the one that makes the data directory private, at the start."""
    copies = tmp_path / "data" / "copies"
    copies.mkdir(parents=True, mode=0o700)
    (tmp_path / "data" / "copies.hangs").touch()
    os.mkfifo(tmp_path / "data" / "copies.pipe")
    environment = {"PYTHONPATH": str(HUNG), "HUNG_FOLDER": str(copies)}
    async with started(config, **environment) as daemon:
        while not (tmp_path / "data" / "copies.waits").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        daemon.process.terminate()
        async with asyncio.timeout(patient(11)):
            assert await daemon.process.wait() == 0
    assert '"daemon_left"' in daemon.log.read_text()
