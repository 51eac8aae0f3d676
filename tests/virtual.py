"""A process whose clocks jump over every wait in which nothing happens.

``install`` comes before anything of ours is imported, which may keep the clocks'
functions. Then days pass in seconds, and requests, threads and files stay real.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any

import aiohttp
import aiosqlite

_real_time, _real_monotonic = time.time, time.monotonic
# How long the kernel may take to carry bytes from one socket to another, seconds.
_ON_THE_WAY = 0.0002


class _Clock:
    """How far ahead of the real clocks we are, and how much is under way."""

    ahead = 0.0
    busy = 0


def install() -> None:
    """Let this process's clocks be ahead of the real ones."""
    time.time = lambda: _real_time() + _Clock.ahead
    time.monotonic = lambda: _real_monotonic() + _Clock.ahead
    aiosqlite.Connection._execute = _counted(aiosqlite.Connection._execute)
    aiohttp.ClientSession._request = _counted(aiohttp.ClientSession._request)


def _counted(function: Any) -> Any:
    async def counted(*args: Any, **kwargs: Any) -> Any:
        _Clock.busy += 1
        try:
            return await function(*args, **kwargs)
        finally:
            _Clock.busy -= 1

    return counted


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run *work* on an event loop that jumps."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__(_Jumping())

    def run_in_executor(self, *args: Any) -> Any:
        def done(_: Any) -> None:
            _Clock.busy -= 1

        _Clock.busy += 1
        future = super().run_in_executor(*args)
        future.add_done_callback(done)
        return future


class _Jumping(selectors.EpollSelector):
    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0 or _Clock.busy:
            return super().select(timeout)
        events = super().select(min(timeout, _ON_THE_WAY))
        if not events:
            _Clock.ahead += timeout
        return events
