"""What systemd is told, by the real daemon over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from stash2plex.systemd import Systemd
from tests.end_to_end.test_process import TOKEN, config, started  # noqa: F401 - a fixture
from tests.patience import patient

UNIT = Path(__file__).parents[1] / "deploy" / "stash2plex.service"


class Manager:
    """Listens as systemd does."""

    def __init__(self, folder):
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)

    async def told(self):
        loop = asyncio.get_running_loop()
        return (await loop.sock_recv(self._socket, 4096)).decode().split("\n")

    async def until(self, state):
        async with asyncio.timeout(patient(20)):
            while True:
                told = await self.told()
                if state in told:
                    return told

    async def until_begins(self, start):
        """Return the first line from now on that begins so."""
        async with asyncio.timeout(patient(20)):
            while True:
                for line in await self.told():
                    if line.startswith(start):
                        return line

    def close(self):
        self._socket.close()


@pytest.fixture
def manager(tmp_path):
    with contextlib.closing(Manager(tmp_path)) as manager:
        yield manager


async def test_a_service_from_start_to_stop(config, manager, stash, plex):  # noqa: F811
    told = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"}
    async with started(config, **told) as daemon:
        process = daemon.process
        await manager.until("READY=1")
        for _ in range(3):
            await manager.until("WATCHDOG=1")
        config.write_text(config.read_text() + '[log]\nlevel = "debug"\n')
        for change in ('[log]\nformat = "json"\n', "", "nonsense"):
            config.write_text(
                config.read_text().replace("[log]\n", change or "[log]\n")
            )
            process.send_signal(signal.SIGHUP)
            told = await manager.until("RELOADING=1")
            assert told[1].startswith("MONOTONIC_USEC=")
            await manager.until("READY=1")
        # What has fallen silent is started anew.
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    await manager.told()
        process.send_signal(signal.SIGCONT)
        await manager.until("WATCHDOG=1")
        process.terminate()
        await manager.until("STOPPING=1")
        assert await process.wait() == 0


async def test_nobody_is_told_where_there_is_no_systemd(manager):
    for environment in (
        {},
        {"NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": "x"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
    ):
        service = Systemd(environment)
        service.ready()
        service.stopping()
        await service.keep_alive()  # ends at once: nobody watches


async def test_names_in_the_abstract_namespace(tmp_path):
    name = f"stash2plex-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        Systemd({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert listening.recv(100) == b"READY=1\nSTATUS=Takes hooks"


def test_the_unit_leaves_us_the_time_that_we_need():
    keys = dict(
        line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line[1:]
    )

    assert keys["Type"] == "notify"
    assert int(keys["TimeoutStopSec"]) > 10
    assert keys["ExecReload"].endswith("-HUP $MAINPID")
    assert keys["ExecStart"].endswith("run")
    assert int(keys["WatchdogSec"]) > 10


async def test_the_status_says_how_it_goes(config, manager, stash, plex):  # noqa: F811
    async with started(config, NOTIFY_SOCKET=manager.address) as daemon:
        await manager.until("STATUS=Takes hooks; both servers answer")
        text = config.read_text()
        config.write_text("nonsense")
        daemon.process.send_signal(signal.SIGHUP)
        told = await manager.until_begins(
            "STATUS=Takes hooks; both servers answer; with the former"
        )
        assert "config.toml: is not valid TOML" in told
        config.write_text(text)


@pytest.fixture
def journal(tmp_path):
    """A file that stands for the journal, and what a service is told of it."""
    with (tmp_path / "journal").open("ab") as file:
        there = os.fstat(file.fileno())
        yield file, {"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"}


@pytest.mark.parametrize("style", ["json", "console"])
async def test_levels_reach_the_journal(config, tmp_path, journal, style):  # noqa: F811
    """Each line begins with its level, and has no second time stamp."""
    config.write_text(
        config.read_text() + f'[log]\nformat = "{style}"\n[outage]\nprobe_min = 0.05\n'
    )
    text, log = config.read_text(), tmp_path / "journal"
    file, told = journal
    async with started(config, file, **told) as daemon:
        await daemon.ready()
        config.write_text("nonsense")
        daemon.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(patient(20)):
            while "configuration_invalid" not in log.read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        config.write_text(text)
        daemon.process.terminate()
        await daemon.process.wait()
    lines = log.read_text().splitlines()

    assert all(line[0] == "<" and line[2] == ">" for line in lines), lines
    (wrong,) = [line for line in lines if "configuration_invalid" in line]
    assert wrong.startswith("<3>")
    assert any(line.startswith("<6>") and "daemon_started" in line for line in lines)
    assert "timestamp" not in log.read_text()
    assert str(datetime.now(UTC).year) not in lines[0]


async def test_why_it_does_not_start_reaches_the_journal_as_an_error(
    config,  # noqa: F811
    tmp_path,
    journal,
):
    config.write_text("nonsense")
    file, told = journal
    async with started(config, file, **told) as daemon:
        assert await daemon.process.wait() == 2
    assert (tmp_path / "journal").read_text().startswith("<3>stash2plex: ")
    assert "RestartPreventExitStatus=2" in UNIT.read_text()


async def test_a_watchdog_s_signal_leaves_the_stacks(config):  # noqa: F811
    async with started(config) as daemon:
        await daemon.ready()
        daemon.process.send_signal(signal.SIGABRT)
        assert await daemon.process.wait() == -signal.SIGABRT
        told = daemon.log.read_text()

    assert "Fatal Python error: Aborted" in told
    assert "most recent call first" in told


async def test_a_status_that_is_no_text_is_told_all_the_same(manager):
    Systemd({"NOTIFY_SOCKET": manager.address}).status("no \udcff here")

    assert await manager.until("STATUS=no \\udcff here")


async def test_an_outage_is_told_after_a_start_too(config, manager, stash, plex):  # noqa: F811
    text = config.read_text() + "[outage]\nfailure_threshold = 1\nprobe_min = 0.05\n"
    config.write_text(text)
    plex.status = 503
    async with started(config, NOTIFY_SOCKET=manager.address) as daemon:
        await manager.until_begins("STATUS=Takes hooks; Plex is unavailable")
        await until_written(daemon.url)
        daemon.process.kill()
    async with started(config, NOTIFY_SOCKET=manager.address):
        told = await manager.until("READY=1")

    assert told[-1].startswith("STATUS=Takes hooks; Plex is unavailable")


async def until_written(url):
    """Wait until an outage is on disk, where the next start finds it."""
    async with asyncio.timeout(patient(20)), aiohttp.ClientSession(headers=TOKEN) as us:
        while True:
            async with us.get(f"{url}/api/v1/outages") as answer:
                if answer.ok and (await answer.json())["outages"]:
                    return
            await asyncio.sleep(0.02)
