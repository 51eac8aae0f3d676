"""The quick start, step by step, on the pretend servers of ``demo --servers``."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.conftest import free_port
from tests.patience import patient
from tests.running import until_ready


@pytest.fixture
def environment():
    """A port of its own; everything else is as `init` writes it."""
    kept = {key: one for key, one in os.environ.items() if "STASH2PLEX" not in key}
    port = {"STASH2PLEX_SERVER__PORT": str(free_port())}
    return kept | port | {"STASH2PLEX_SERVER__HOST": "127.0.0.1"}


@asynccontextmanager
async def started(folder, environment, *words):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "stash2plex",
        *words,
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await ended(process)


async def ended(process):
    """Wait until a process has ended; returns what it said."""
    try:
        async with asyncio.timeout(patient(30)):
            out, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    return out.decode()


async def said(folder, environment, *words, status=0):
    async with started(folder, environment, *words) as process:
        out = await ended(process)
    assert process.returncode == status, out
    return out


async def shown(session, url, token, text):
    headers = {"X-Plex-Token": token}
    async with asyncio.timeout(patient(20)):
        while True:
            async with session.get(f"{url}/library/metadata/1", headers=headers) as one:
                if text in await one.text():
                    return
            await asyncio.sleep(0.1)


@pytest.mark.timeout(120)
async def test_everything_can_be_tried_on_the_pretend_servers(tmp_path, environment):
    daemon_url = f"http://127.0.0.1:{environment['STASH2PLEX_SERVER__PORT']}"
    serving = started(tmp_path, environment, "demo", "--servers", "--scenes", "5")
    async with serving as servers, aiohttp.ClientSession() as session:
        told = (await servers.stdout.readuntil(b"Ctrl-C")).decode()
        (words,) = re.findall(r"^stash2plex (init .*)$", told, re.MULTILINE)
        out = await said(tmp_path, environment, *words.split())
        assert "100.0% of 5 files" in out
        async with started(tmp_path, environment, "run") as daemon:

            async def alive():
                assert daemon.returncode is None, await daemon.stdout.read()

            await until_ready(daemon_url, alive)
            given = ("--via-stash", "--yes", "--daemon-url", daemon_url)
            out = await said(tmp_path, environment, "install-plugin", *given)
            assert "Done: the plugins work" in out
            assert "fail" not in await said(tmp_path, environment, "check")
            out = await said(tmp_path, environment, "sync", "--all", "--dry-run")
            assert "5 scenes looked at" in out
            await said(tmp_path, environment, "sync", "--all")
            (url, body) = re.findall(r"curl (\S+) [\s\S]*-d '(.*)'", told)[0]
            async with session.post(url, json=json.loads(body)) as answer:
                assert (await answer.json())["data"]["sceneUpdate"] == {"id": "1"}
            plex, token = re.findall(r"Plex at (\S+), with the token (\S+)\.", told)[0]
            await shown(session, plex, token, 'title="New"')
            hooked = json.loads(await said(tmp_path, environment, "check", "--json"))
            (found,) = [one for one in hooked if one["code"] == "plugin_hooks"]
            assert found["level"] == "ok"


async def test_the_servers_end_though_whoever_started_them_ignores_ctrl_c(
    tmp_path, environment
):
    """As a shell does for what it runs in the background."""
    command = f"trap '' INT; exec {sys.executable} -m stash2plex demo --servers"
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", command),
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    await process.stdout.readuntil(b"Ctrl-C")
    process.terminate()
    await ended(process)
    assert process.returncode == 0
