"""A long outage of Plex in a short time: ``python -m tests.outage HOURS HOW``.

The real daemon with its default waits, 5,000 jobs, and clocks that jump. Plex answers
503 or is gone altogether. Prints what happened as one JSON document.
"""

from __future__ import annotations

from tests import virtual

virtual.install()

import asyncio  # noqa: E402 - the clocks come first
import json  # noqa: E402
import logging  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from contextlib import AsyncExitStack  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from stash2plex.config import Settings  # noqa: E402
from stash2plex.logs import Secrets, configure  # noqa: E402
from stash2plex.sandbox.plex import PretendPlex  # noqa: E402
from stash2plex.sandbox.server import serving  # noqa: E402
from tests.bench.servers import QuickStash  # noqa: E402
from tests.conftest import free_port  # noqa: E402
from tests.running import RunningDaemon, running  # noqa: E402

JOBS = 5000


class Plex(PretendPlex):
    """Remembers when it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_at: list[float] = []
        self.edited_at: list[float] = []

    async def _answer(self, request: Any, handler: Any) -> Any:
        (self.edited_at if request.method == "PUT" else self.asked_at).append(
            time.time()
        )
        return await super()._answer(request, handler)


class Log:
    """Notes when probes failed, and when things changed."""

    def __init__(self) -> None:
        self.events: dict[str, list[float]] = {}

    def write(self, text: str) -> None:
        event = json.loads(text)["event"] if text.strip() else ""
        self.events.setdefault(event, []).append(time.time())

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return False


async def outage(hours: float, how: str, folder: Path) -> dict[str, Any]:
    log = Log()
    configure("info", "json", Secrets(), stream=log)  # type: ignore[arg-type]
    # The only line of this level that is wanted; all others would take most of the time.
    logging.getLogger("stash2plex.health.probe").setLevel(logging.DEBUG)
    stash, plex = QuickStash(), Plex()
    port = free_port()
    for number in range(1, JOBS + 1):
        path = f"/media/{number}.mp4"
        stash.add(path, title=f"Title {number}", details="x", size=number)
        plex.add(path, size=number)
    async with serving(stash.app) as stash.url, AsyncExitStack() as here:
        plex.url = await here.enter_async_context(serving(plex.app, port=port))
        settings = Settings(
            server={
                "host": "127.0.0.1",
                "port": free_port(),
                "token": "outage-token",
                "data_dir": folder,
            },
            stash={"url": stash.url, "poll_interval": 0},
            reconcile={"interval": "never", "on_start": False},
            plex={"url": plex.url, "token": plex.token},
            sync={"fields": {"poster": False, "background": False}},
        )
        async with running(settings, stash, plex) as daemon:
            await daemon.cataloged()
            if how == "gone":
                await here.aclose()
            else:
                plex.status = 503
            began = time.time()
            await daemon.post("sync", {"scope": "all"})
            await asyncio.sleep(hours * 3600)
            during = await daemon.status()
            ended = time.time()
            plex.edited_at.clear()
            if how == "gone":
                items, plex = plex.items, Plex()
                plex.items = items
                await here.enter_async_context(serving(plex.app, port=port))
            else:
                plex.status = None
            await until_idle(daemon)
            async with daemon.session.get(f"{daemon.url}/api/v1/outages") as answer:
                outages = await answer.json()
            after = await daemon.status()
    return {
        "began": began,
        "ended": ended,
        "probes": [at for at in log.events.get("probe_failed", []) if at < ended],
        "closed_at": log.events["circuit_closed"],
        "edited_at": sorted(plex.edited_at),
        "dead_during": during["queue"]["dead"],
        "waiting_during": during["queue"]["waiting"] + during["queue"]["queued"],
        "dead": after["queue"]["dead"],
        "outages": outages["outages"],
        "wrong": sum(
            one.text["title"] != f"Title {key}" for key, one in plex.items.items()
        ),
        "redundant": plex.redundant_edits,
    }


async def until_idle(daemon: RunningDaemon) -> None:
    while True:
        queue = (await daemon.status())["queue"]
        if not any(queue[name] for name in ("queued", "waiting", "running")):
            return
        await asyncio.sleep(5)


if __name__ == "__main__":
    # In memory, if it can be: thousands of commits to a disk take minutes.
    memory = Path("/dev/shm")  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        print(
            json.dumps(
                virtual.run(outage(float(sys.argv[1]), sys.argv[2], Path(folder)))
            )
        )
