"""What people wait for: commands, tasks, explanations."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from aiohttp import web

from stash2plex.plugin import plugin_folder
from stash2plex.sandbox.server import serving
from tests.bench.harness import TOKEN, Rows, daemon, p99, row, servers, timed
from tests.bench.library import seed

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
                await _task(rows, bench.url)


async def _task(rows: Rows, url: str) -> None:
    """Run a task as Stash does, with a Stash that answers at once."""

    async def settings(_: web.Request) -> web.Response:
        found = {"stash2plexd": {"daemonUrl": url, "daemonToken": TOKEN}}
        return web.json_response({"data": {"configuration": {"plugins": found}}})

    app = web.Application()
    app.add_routes([web.post("/graphql", settings)])
    async with serving(app) as stash:
        message = json.dumps(
            {
                "server_connection": {
                    "Scheme": "http",
                    "Host": "0.0.0.0",
                    "Port": int(stash.rpartition(":")[2]),
                    "SessionCookie": {"Name": "session", "Value": "x"},
                },
                "args": {"mode": "status"},
            }
        ).encode()
        script = str(plugin_folder() / "stash2plexd.py")
        command = [os.path.realpath(sys.executable), "-I", "-S", script]
        took = [await timed(command, message) for _ in range(21)]
        rows.append(
            row("a task through the shim, ms", statistics.median(took) * 1000, 150)
        )
