"""A process whose clocks jump over every wait in which nothing happens.

``install`` comes before anything of ours is imported, which may keep the clocks'
functions. Then days pass in seconds, and requests, threads and files stay real.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
import time
from collections.abc import Coroutine
from types import FrameType
from typing import Any

_real_time, _real_monotonic = time.time, time.monotonic
_ahead = 0.0
# How long threads are given to begin with what they were handed, seconds.
_TURN = 0.0003
# Where a thread stands that waits for work, and where it waits.
_IDLE = {"_worker": "work_queue", "_connection_worker_thread": "tx"}


def install() -> None:
    """Let this process's clocks be ahead of the real ones."""
    time.time = lambda: _real_time() + _ahead
    time.monotonic = lambda: _real_monotonic() + _ahead


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run *work* on an event loop that jumps."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__(_Jumping())


class _Jumping(selectors.EpollSelector):
    def select(self, timeout: float | None = None) -> Any:
        global _ahead
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if timeout is None:
            return super().select(None)
        while not (events := super().select(_TURN)):
            if _threads_are_idle():
                if not (events := super().select(0)):
                    _ahead += timeout
                break
        return events


def _threads_are_idle() -> bool:
    own = threading.get_ident()
    return all(
        key == own or _is_idle(frame) for key, frame in sys._current_frames().items()
    )


def _is_idle(frame: FrameType) -> bool:
    queue = _IDLE.get(frame.f_code.co_name)
    return queue is not None and frame.f_locals[queue].qsize() == 0
