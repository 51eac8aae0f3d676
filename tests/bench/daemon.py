"""The daemon, watched: how long its event loop was blocked, and how polls went.

Writes one JSON document to the file named by ``BENCH_WATCH`` when it ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

# Shorter blocks are of no interest, seconds.
_LEAST = 0.002


def main() -> int:
    from stash2plex.cli import main as run
    from stash2plex.reconcile.poll import Poll, PollResult

    blocked: list[tuple[float, float, str]] = []
    polls: list[tuple[float, float, int]] = []
    run_handle, poll = asyncio.Handle._run, Poll.look

    def watched(self: asyncio.Handle) -> None:
        started = time.monotonic()
        run_handle(self)
        if (seconds := time.monotonic() - started) > _LEAST:
            blocked.append((started, seconds, repr(self)[:300]))

    async def timed(self: Poll) -> PollResult:
        started = time.monotonic()
        found = await poll(self)
        polls.append((started, time.monotonic() - started, found.enqueued))
        return found

    asyncio.Handle._run = watched  # type: ignore[method-assign]
    Poll.look = timed  # type: ignore[method-assign]
    try:
        return run(sys.argv[1:])
    finally:
        document: dict[str, Any] = {"blocked": blocked, "polls": polls}
        Path(os.environ["BENCH_WATCH"]).write_text(json.dumps(document))


if __name__ == "__main__":
    sys.exit(main())
