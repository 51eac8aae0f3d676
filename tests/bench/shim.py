"""The Stash plugin as a process: what a hook and a task cost."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from stash2plex.plugin import HTTP_HOOKS, TASKS, Plugin
from stash2plex.sandbox.server import serving
from tests.bench.harness import TOKEN, Rows, daemon, row, servers, timed

_PYTHON = [os.path.realpath(sys.executable), "-I", "-S"]
_HOOK = {
    "hookContext": {
        "id": 1,
        "type": "Scene.Update.Post",
        "input": {},
        "inputFields": ["title"],
    }
}


async def shim(rows: Rows) -> None:
    """One hook through the real shim, against an empty Python started alike."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            servers(1) as urls,
            daemon(urls, Path(folder)) as bench,
            _told(bench.url, _HOOK, HTTP_HOOKS) as (command, message),
        ):
            empty, hook = [], []
            for _ in range(41):
                empty.append(await timed([*_PYTHON, "-c", ""], b""))
                hook.append(await timed(command, message))
    all_of_it = statistics.median(hook) * 1000
    more = all_of_it - statistics.median(empty) * 1000
    rows.append(row("hook through the shim, ms over an empty Python", more, 50))
    rows.append(("hook through the shim, ms in all", f"{all_of_it:.0f}", "", True))


async def task(rows: Rows, url: str) -> None:
    """Run a task as Stash does, with a daemon at *url*."""
    async with _told(url, {"mode": "status"}, TASKS) as (command, message):
        took = [await timed(command, message) for _ in range(21)]
    rows.append(row("a task through the shim, ms", statistics.median(took) * 1000, 150))


@asynccontextmanager
async def _told(
    url: str, args: dict[str, Any], plugin: Plugin
) -> AsyncIterator[tuple[list[str], bytes]]:
    """Yield how Stash runs the shim, and what it tells it; Stash answers at once."""

    async def settings(_: web.Request) -> web.Response:
        found = {"stash2plexd": {"daemonUrl": url, "daemonToken": TOKEN}}
        return web.json_response({"data": {"configuration": {"plugins": found}}})

    app = web.Application()
    app.add_routes([web.post("/graphql", settings)])
    async with serving(app) as stash:
        message = {
            "server_connection": {
                "Scheme": "http",
                "Host": "0.0.0.0",
                "Port": int(stash.rpartition(":")[2]),
                "SessionCookie": {"Name": "session", "Value": "x"},
            },
            "args": args,
        }
        command = [*_PYTHON, str(plugin.folder / f"{plugin.id}.py")]
        yield command, json.dumps(message).encode()
