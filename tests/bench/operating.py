"""What people wait for: commands, tasks, explanations."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.harness import Rows, daemon, p99, row, servers, timed
from tests.bench.library import seed
from tests.bench.shim import task

_COUNT = 100_000


async def operating(rows: Rows) -> None:
    """Ask a daemon that knows 100,000 scenes and as many items."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with servers(_COUNT, "--quick", "--synced", "1") as urls:
            await seed(folder / "data", _COUNT, 1)
            async with daemon(urls, folder) as bench:
                await bench.until(lambda status: status["catalog"]["refreshed_at"])
                await bench.idle()
                waits = []
                for number in range(1, 301):
                    what = number * 331 % _COUNT + 1
                    query = {"q": f"{('scene', 'plex')[number % 2]}:{what}"}
                    started = time.perf_counter()
                    url = f"{bench.url}/api/v1/explain"
                    async with bench.session.get(url, params=query) as answer:
                        found = await answer.json()
                    waits.append(time.perf_counter() - started)
                    assert found["verdict"]["state"] == "in_sync", found
                rows.append(row("explain among 100,000 scenes, p99 ms", p99(waits), 50))
                command = [
                    str(Path(sys.executable).with_name("stash2plex")),
                    "--config",
                    str(folder / "config.toml"),
                    "status",
                ]
                took = [await timed(command, b"") for _ in range(11)]
                seconds = statistics.median(took)
                rows.append(row("stash2plex status, s", seconds, 0.5))
                await task(rows, bench.url)
