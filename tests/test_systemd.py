"""What systemd is told, by the real daemon over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest

from stash2plex.systemd import Systemd
from tests.end_to_end.test_process import config, started  # noqa: F401 - a fixture

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
        async with asyncio.timeout(20):
            while True:
                told = await self.told()
                if state in told:
                    return told

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
        assert listening.recv(100) == b"READY=1"


def test_the_unit_leaves_us_the_time_that_we_need():
    keys = dict(
        line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line[1:]
    )

    assert keys["Type"] == "notify"
    assert int(keys["TimeoutStopSec"]) > 10
    assert keys["ExecReload"].endswith("-HUP $MAINPID")
    assert keys["ExecStart"].endswith("run")
    assert int(keys["WatchdogSec"]) > 10
