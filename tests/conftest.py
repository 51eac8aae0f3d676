"""Fixtures every test may use: a real store, pretend servers, the real daemon."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from blockbuster import BlockBuster
from hypothesis import settings as hypothesis_settings

from stash2plex.config import Settings
from stash2plex.db.database import Database
from stash2plex.logs import Secrets, configure
from stash2plex.plex.connection import PlexConnection
from stash2plex.plex.library import PlexLibrary
from stash2plex.queue.store import JobStore
from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.server import serving
from stash2plex.sandbox.stash import PretendStash
from stash2plex.stash.client import StashClient
from tests.patience import patient
from tests.running import RunningDaemon, running

# What pretends to be a server, and what starts processes.
_SERVERS = frozenset(
    {"stash", "plex", "daemon", "config", "room", "setup", "serving_tls"}
)
_LONG = frozenset(
    {
        *("ui", "chaos", "stash_real", "upgrades", "bench", "docs", "end_to_end"),
        *("reconcile", "test_cli.py", "test_package.py", "test_pictures.py"),
        *("test_terminal.py", "test_plugin_source.py"),
    }
)
# What no test takes on a usual machine, seconds.
_LONGEST = 30.0

hypothesis_settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis_settings.load_profile("steady")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the time that this machine needs, and say which are quick.

    Those that need neither server nor a process of their own are.
    """
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if _SERVERS.isdisjoint(item.fixturenames) and folder not in _LONG:  # type: ignore[attr-defined]
            item.add_marker("quick")
        own = item.get_closest_marker("timeout")
        seconds = patient(own.args[0] if own else _LONGEST)
        item.add_marker(pytest.mark.timeout(seconds), append=False)


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Fail any test in which our code blocks the event loop."""
    guard = BlockBuster(scanned_modules=["stash2plex"])
    guard.activate()
    # The pretend servers stand for other machines; what they read is no matter.
    for function in guard.functions.values():
        reading = {"run", "__post_init__"}
        function.can_block_in("stash2plex/sandbox/plugins.py", reading)
        function.can_block_in("stash2plex/sandbox/stash_resolvers.py", "reloadPlugins")
        # Tests ask where the files are; the daemon does so in threads.
        function.can_block_in("stash2plex/plugin.py", "folder")
        # The traceback of a bug quotes source files.
        function.can_block_in("linecache.py", {"checkcache", "updatecache"})
    yield
    guard.deactivate()


@pytest.fixture(autouse=True)
def logging_as_in_earnest() -> Iterator[None]:
    configure("info", "json", Secrets(), stream=sys.stdout)
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(tmp_path / "stash2plex.db") as database:
        yield database


@pytest.fixture
def jobs(database: Database, clock: Clock) -> JobStore:
    return JobStore(database, now=clock)


@pytest.fixture
async def plex() -> AsyncIterator[PretendPlex]:
    pretend = PretendPlex()
    async with serving(pretend.app) as url:
        pretend.url = url
        yield pretend


@pytest.fixture
async def stash() -> AsyncIterator[PretendStash]:
    pretend = PretendStash()
    async with serving(pretend.app) as url:
        pretend.url = url
        yield pretend


@pytest.fixture
def settings(stash: PretendStash, plex: PretendPlex, tmp_path: Path) -> Settings:
    """Same paths on both sides, and no patience."""
    return make_settings(stash, plex, tmp_path)


def make_settings(
    stash: PretendStash, plex: PretendPlex, tmp_path: Path, /, **sections: Any
) -> Settings:
    """Build settings for the pretend servers; *sections* override by table."""
    tables: dict[str, dict[str, Any]] = {
        "server": {
            "host": "127.0.0.1",
            "port": free_port(),
            "token": "test-token",
            "data_dir": tmp_path / "data",
        },
        # What looks for changes by itself would be in the way of the others' tests.
        "stash": {"url": stash.url, "poll_interval": 0},
        "reconcile": {"interval": "never", "on_start": False},
        # What the socket makes us read would be in the way of counting requests.
        "plex": {
            "url": plex.url,
            "token": plex.token,
            "timeout": 5,
            "notifications": False,
        },
        "outage": {
            "failure_threshold": 3,
            "probe_min": 0.05,
            "probe_max": 0.2,
            "ramp_start": 500,
            "ramp_end": 500,
            "ramp_seconds": 0.2,
        },
        "queue": {"retry_base": 0.05, "retry_cap": 0.1, "not_found_base": 0.05},
        "sync": {"fields": {"poster": False, "background": False}},
    }
    rules = sections.pop("path_rules", ())
    for name, table in sections.items():
        tables.setdefault(name, {}).update(table)
    return Settings(**tables, path_rules=rules)


def free_port() -> int:
    import socket

    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def daemon(
    settings: Settings, stash: PretendStash, plex: PretendPlex
) -> AsyncIterator[RunningDaemon]:
    async with running(settings, stash, plex) as daemon:
        yield daemon


@pytest.fixture
async def stash_client(settings: Settings) -> AsyncIterator[StashClient]:
    async with StashClient.connect(settings.stash) as client:
        yield client


@pytest.fixture
async def plex_library(settings: Settings) -> AsyncIterator[PlexLibrary]:
    async with PlexConnection.open(settings.plex, "test-client") as connection:
        yield PlexLibrary(connection, settings.plex.libraries)


@pytest.fixture
def log_lines() -> list[dict[str, Any]]:
    """Every log record from here on, as fields, through the real configuration."""
    lines: list[dict[str, Any]] = []

    class Lines:
        def write(self, text: str) -> None:
            import json

            lines.extend(json.loads(line) for line in text.splitlines())

        def flush(self) -> None: ...

        def isatty(self) -> bool:
            return False

    configure("debug", "json", Secrets(["test-token"]), stream=Lines())  # type: ignore[arg-type]
    return lines
