"""The daemon as a process: signals, kills, and what is left afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import pytest

from tests.conftest import free_port
from tests.end_to_end.test_delivery import sample
from tests.patience import patient
from tests.running import until_ready

TOKEN = {"Authorization": "Bearer process-token"}


class Process:
    def __init__(self, process, url, log):
        self.process = process
        self.url = url
        self.log = log

    async def ready(self):
        async def alive():
            assert self.process.returncode is None, self.log.read_text()

        await until_ready(self.url, alive)

    async def idle(self):
        async with (
            asyncio.timeout(patient(30)),
            aiohttp.ClientSession(headers=TOKEN) as session,
        ):
            while True:
                async with session.get(f"{self.url}/api/v1/status") as answer:
                    status = await answer.json()
                    if not any(
                        status["queue"][one] for one in ("queued", "waiting", "running")
                    ):
                        return status
                await asyncio.sleep(0.05)


@pytest.fixture
def config(stash, plex, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(
        f'[server]\nhost = "127.0.0.1"\nport = {free_port()}\ntoken = "process-token"\n'
        f'[stash]\nurl = "{stash.url}"\n[plex]\nurl = "{plex.url}"\ntoken = "{plex.token}"\n'
        "[sync.fields]\nposter = false\nbackground = false\n"
    )
    return file


@asynccontextmanager
async def started(config, output=None, **environment) -> AsyncIterator[Process]:
    log = config.parent / "log"
    port = config.read_text().partition("port = ")[2].partition("\n")[0]
    with log.open("ab") as file:
        output = output or file
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "stash2plex",
            "--config",
            str(config),
            "run",
            stdout=output,
            stderr=output,
            env=os.environ | environment,
        )
    try:
        yield Process(process, f"http://127.0.0.1:{port}", log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_killed_daemon_loses_no_hook(config, stash, plex):
    """Killed again and again while 200 hooks come in; every 202 is kept."""
    for number in range(1, 201):
        sample(stash, plex, number)
    plex.latency = 0.01
    accepted: set[int] = set()
    waiting = list(range(1, 201))
    kills = 0
    while waiting:
        async with started(config) as daemon:
            await daemon.ready()
            async with aiohttp.ClientSession(headers=TOKEN) as session:
                for number in waiting[:50]:
                    body = {
                        "type": "Scene.Update.Post",
                        "id": number,
                        "fields": ["title"],
                    }
                    try:
                        async with session.post(
                            f"{daemon.url}/api/v1/hooks", json=body
                        ) as answer:
                            assert answer.status == 202
                            accepted.add(number)
                    except aiohttp.ClientError:
                        break
                    if number % 50 == 37:
                        os.kill(daemon.process.pid, signal.SIGKILL)
            if daemon.process.returncode is None:
                daemon.process.kill()
            await daemon.process.wait()
            kills += 1
            waiting = [number for number in waiting if number not in accepted]
    async with started(config) as daemon:
        await daemon.ready()
        status = await daemon.idle()
        daemon.process.terminate()
        assert await daemon.process.wait() == 0

    assert accepted == set(range(1, 201))
    assert kills >= 4
    assert status["queue"]["dead"] == 0
    assert all(item.text["title"] == f"Title {key}" for key, item in plex.items.items())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_well(config, stash, plex, number):
    sample(stash, plex)
    async with started(config) as daemon:
        await daemon.ready()
        daemon.process.send_signal(number)
        assert await asyncio.wait_for(daemon.process.wait(), patient(10)) == 0
        events = [
            json.loads(line)["event"] for line in daemon.log.read_text().splitlines()
        ]

    assert "daemon_started" in events
    assert "daemon_stopping" in events
    assert "process-token" not in daemon.log.read_text()


async def test_it_ends_within_ten_seconds_while_plex_hangs(config, stash, plex):
    sample(stash, plex)
    plex.hangs = True
    async with started(config) as daemon:
        await daemon.ready()
        async with aiohttp.ClientSession(headers=TOKEN) as session:
            body = {"type": "Scene.Update.Post", "id": 1, "fields": ["title"]}
            async with session.post(f"{daemon.url}/api/v1/hooks", json=body) as answer:
                assert answer.status == 202
        await plex.facts.until(lambda: plex.in_flight)
        daemon.process.terminate()
        assert await asyncio.wait_for(daemon.process.wait(), patient(10)) == 0
    plex.hangs = False
    async with started(config) as daemon:
        await daemon.ready()
        await daemon.idle()

    assert plex.items[1].text["title"] == "Title 1"


async def test_a_second_daemon_is_refused_in_one_line(config):
    async with started(config) as daemon:
        await daemon.ready()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "stash2plex",
            "--config",
            str(config),
            "run",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await process.communicate()

    assert process.returncode == 1
    assert err.decode().count("\n") == 1
    assert f"another daemon (process {daemon.process.pid})" in err.decode()
    assert "[already_running]" in err.decode()


async def test_a_data_directory_that_cannot_be_used(config):
    file = config.parent / "file"
    file.write_text("")
    for folder, reason in ((file, "File exists"), (file / "sub", "Not a directory")):
        text = config.read_text().replace(
            "[server]", f'[server]\ndata_dir = "{folder}"'
        )
        other = config.parent / "other.toml"
        other.write_text(text)
        async with started(other) as daemon:
            assert await daemon.process.wait() == 1
            assert reason in daemon.log.read_text()
            assert "set server.data_dir [data_dir_unusable]" in daemon.log.read_text()


async def test_an_address_that_is_taken(config):
    """It had begun to talk to both servers by then, and leaves nothing open."""
    port = int(re.search(r"port = (\d+)", config.read_text())[1])
    with socket.create_server(("127.0.0.1", port)):
        async with started(config) as daemon:
            assert await daemon.process.wait() == 1
            log = daemon.log.read_text()

    assert f"server.port = {port}" in log
    assert "[address_in_use]" in log
    assert '"error"' not in log


async def hung_up(config, daemon, new: str, event: str) -> str:
    """Give the daemon a new configuration; returns what it says up to an event."""
    config.write_text(new)
    seen = daemon.log.stat().st_size
    daemon.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(patient(15)):
        while True:
            log = daemon.log.read_text()[seen:]
            if event in log:
                return log
            await asyncio.sleep(0.02)


async def test_hang_up_reads_the_configuration_again(config, stash, plex):
    sample(stash, plex)
    async with started(config) as daemon:
        await daemon.ready()
        text = config.read_text()

        hang_up = partial(hung_up, config, daemon)

        said = await hang_up("[plex]\nnonsense = 1\n", "configuration_invalid")
        assert "unknown key" in said
        await hang_up(text, "configuration_unchanged")
        changed = text.replace("[plex]", '[provider]\ncontent_rating = "R"\n[plex]')
        changed = changed.replace("process-token", "another-token")
        said = await hang_up(changed, "configuration_changed")
        assert "provider.content_rating" in said
        assert "server.token" in said
        assert "another-token" not in daemon.log.read_text()
        await daemon.ready()
        async with aiohttp.ClientSession(headers=TOKEN) as session:
            body = {"scene_ids": [1]}
            async with session.post(f"{daemon.url}/api/v1/sync", json=body) as answer:
                assert answer.status == 202
        await daemon.idle()
        assert plex.items[1].text["contentRating"] == "R"
        daemon.process.terminate()
        assert await asyncio.wait_for(daemon.process.wait(), patient(10)) == 0


async def test_counters_go_on_when_the_configuration_changes(config, stash, plex):
    sample(stash, plex)
    async with started(config) as daemon, aiohttp.ClientSession(headers=TOKEN) as web:
        await daemon.ready()

        async def matched() -> str:
            async with web.get(f"{daemon.url}/metrics") as answer:
                pattern = r'provider_matches_total\{outcome="unmatched"\} (\d+)'
                return re.search(pattern, await answer.text())[1]

        hints = {"type": 1, "filename": "/m/none.mp4", "title": "none"}
        url = f"{daemon.url}/plex/library/metadata/matches"
        async with asyncio.timeout(patient(15)):
            while await matched() == "0":
                async with web.post(url, json=hints) as answer:
                    await answer.read()
        counted = await matched()
        new = config.read_text() + '[provider]\ncontent_rating = "R"\n'

        await hung_up(config, daemon, new, '"daemon_started"')

        assert await matched() == counted


async def test_no_hook_is_refused_while_the_configuration_changes(config, stash, plex):
    for number in range(1, 301):
        sample(stash, plex, number)
    async with started(config) as daemon:
        await daemon.ready()
        text = config.read_text()
        done = asyncio.Event()

        hang_up = partial(hung_up, config, daemon)

        async def reload():
            for rating in ("R", "XXX", "PG"):
                await hang_up(
                    f'{text}[provider]\ncontent_rating = "{rating}"\n',
                    '"daemon_started"',
                )
            done.set()

        async with (
            asyncio.timeout(patient(25)),
            aiohttp.ClientSession(
                headers=TOKEN,
                connector=aiohttp.TCPConnector(force_close=True),  # as the plugin does
            ) as session,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(reload())
            number = 0
            while not done.is_set():
                number = number % 300 + 1
                hook = {"type": "Scene.Update.Post", "id": number, "fields": ["title"]}
                async with session.post(
                    f"{daemon.url}/api/v1/hooks", json=hook
                ) as answer:
                    assert answer.status == 202
        await daemon.idle()

    shown = [item.text["title"].startswith("Title ") for item in plex.items.values()]
    assert sum(shown) >= number


async def test_a_full_disk_refuses_hooks_and_heals(config, stash, plex):
    """A limit on the size of files is what a full disk is to the daemon."""
    sample(stash, plex)
    unlimited = resource.RLIM_INFINITY
    hook = {"type": "Scene.Update.Post", "id": 1, "fields": ["title"]}
    async with (
        started(config, output=asyncio.subprocess.DEVNULL) as daemon,
        aiohttp.ClientSession(headers=TOKEN) as session,
        asyncio.timeout(patient(25)),
    ):
        await daemon.ready()
        await daemon.idle()
        pid = daemon.process.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, unlimited))
        async with session.post(f"{daemon.url}/api/v1/hooks", json=hook) as answer:
            assert answer.status == 503
            assert (await answer.json())["code"] == "store_unavailable"
        async with session.get(f"{daemon.url}/readyz") as answer:
            assert answer.status == 503
        async with session.get(f"{daemon.url}/livez") as answer:
            assert answer.status == 200

        resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        await daemon.ready()  # by itself: nobody posted anything
        async with session.post(f"{daemon.url}/api/v1/hooks", json=hook) as answer:
            assert answer.status == 202
        await daemon.idle()

    assert plex.items[1].text["title"] == "Title 1"


async def test_it_ends_at_once_in_the_middle_of_a_comparison(config, stash, plex):
    sample(stash, plex)
    text = config.read_text()
    config.write_text(text + "[reconcile]\non_start = false\n")
    async with started(config) as daemon:
        await daemon.ready()
        await daemon.idle()
        stash.hangs = True
        asked = stash.asked
        async with aiohttp.ClientSession(headers=TOKEN) as session:
            url = f"{daemon.url}/api/v1/reconcile"
            async with session.post(url, json={}) as answer:
                number = (await answer.json())["run"]
        await stash.facts.until(lambda: stash.asked > asked)
        daemon.process.terminate()
        assert await asyncio.wait_for(daemon.process.wait(), patient(5)) == 0
    stash.hangs = False
    async with (
        started(config) as daemon,
        aiohttp.ClientSession(headers=TOKEN) as session,
        asyncio.timeout(patient(15)),
    ):
        await daemon.ready()
        while True:  # it is taken up again
            url = f"{daemon.url}/api/v1/reconcile/{number}"
            async with session.get(url) as answer:
                if (await answer.json())["state"] == "done":
                    break
            await asyncio.sleep(0.05)


async def test_what_it_keeps_is_nobody_else_s(config, stash, plex):
    sample(stash, plex, 1)
    (config.parent / "data").mkdir(mode=0o755)
    text = config.read_text()
    config.write_text(text.replace("[sync.fields]\nposter = false", "[sync.fields]"))
    async with started(config) as daemon:
        await daemon.ready()
        async with aiohttp.ClientSession(headers=TOKEN) as session:
            body = {"scene_ids": [1]}
            async with session.post(f"{daemon.url}/api/v1/sync", json=body):
                await daemon.idle()
            url = f"{daemon.url}/plex/library/metadata/scene-1/images"
            async with session.get(url) as answer:
                found = await answer.json()
            for image in found["MediaContainer"]["Image"]:
                async with session.get(image["url"]) as answer:
                    assert answer.status == 200

    files = [one for one in (config.parent / "data").rglob("*") if one.is_file()]
    assert len(files) > 4
    assert {oct(one.stat().st_mode & 0o077) for one in files} == {"0o0"}
