"""Restarting a background helper that crashed, so that taking hooks goes on.

A crash is a bug: whatever is wrong on purpose is one of our errors, and handled where
it happens.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

log = structlog.get_logger()

# Before the first restart and before any later one, seconds; a helper that ran for the
# longest wait starts at the first again.
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0


async def supervised(
    name: str,
    run: Callable[[], Awaitable[None]],
    stopping: asyncio.Event,
    *,
    first_wait: float = FIRST_WAIT,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Run the helper called *name* until it returns; restart it when it crashes.

    Not once *stopping* is set. Each crash is logged with its traceback; the waits
    (seconds) double up to the longest.
    """
    wait = first_wait
    while True:
        started = now()
        try:
            await run()
        except Exception:
            if now() - started > LONGEST_WAIT:
                wait = first_wait
            log.exception("helper_crashed", helper=name, again_in=wait)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), wait)
                return
            wait = min(wait * 2, LONGEST_WAIT)
        else:
            return
