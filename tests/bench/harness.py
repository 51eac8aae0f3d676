"""What the benchmarks share: a daemon between pretend servers, each its own process."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.conftest import free_port

TOKEN = "bench-token"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}

Rows = list[tuple[str, str, str, bool]]


class Bench:
    """A daemon between its servers, and what they tell."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, door: str, pid: int
    ) -> None:
        self.pid = pid
        self.session = session
        self.url = url
        self.door = door

    async def counts(self) -> dict[str, Any]:
        async with self.session.get(f"{self.door}/counts") as answer:
            return await answer.json()

    async def reset(self) -> None:
        async with self.session.post(f"{self.door}/reset") as answer:
            await answer.read()

    async def tell(self, route: str, body: dict[str, Any]) -> None:
        """Have the pretend servers behave otherwise."""
        async with self.session.post(f"{self.door}/{route}", json=body) as answer:
            assert answer.ok

    async def hook(self, stash_id: int, kind: str = "Scene.Update.Post") -> None:
        body = {"type": kind, "id": stash_id, "fields": ["title"]}
        url = f"{self.url}/api/v1/hooks"
        async with self.session.post(url, json=body) as answer:
            assert answer.status == 202

    async def written(self, count: int) -> float:
        """Wait until *count* items were written; returns how long it took."""
        started = time.monotonic()
        while True:
            if (await self.counts())["written"] >= count:
                return time.monotonic() - started
            await asyncio.sleep(0.01)

    async def status(self) -> dict[str, Any]:
        async with self.session.get(f"{self.url}/api/v1/status") as answer:
            return await answer.json()

    async def sync_all(self) -> None:
        body = {"scope": "all"}
        async with self.session.post(f"{self.url}/api/v1/sync", json=body) as answer:
            assert answer.status == 202, await answer.text()

    async def until(self, fact: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        while True:
            status = await self.status()
            if fact(status):
                return status
            await asyncio.sleep(0.05)

    async def idle(self) -> dict[str, Any]:
        return await self.until(
            lambda status: (
                not any(
                    status["queue"][name] for name in ("queued", "waiting", "running")
                )
            )
        )


@asynccontextmanager
async def servers(scenes: int, *options: str) -> AsyncIterator[dict[str, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.servers",
        "--scenes",
        str(scenes),
        *options,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        yield json.loads(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def daemon(
    urls: dict[str, str],
    folder: Path,
    *,
    pictures: bool = False,
    more: str = "",
    poll: float = 0,
    compares: bool = False,
    watch: Path | None = None,
) -> AsyncIterator[Bench]:
    port = free_port()
    config = folder / "config.toml"
    switch = str(pictures).lower()
    config.write_text(
        f'[server]\nhost = "127.0.0.1"\nport = {port}\ntoken = "{TOKEN}"\n'
        f'[stash]\nurl = "{urls["stash"]}"\npoll_interval = {poll}\n'
        f"[reconcile]\non_start = {str(compares).lower()}\n"
        'interval = "never"\n'
        f'[plex]\nurl = "{urls["plex"]}"\ntoken = "{urls["token"]}"\n'
        f"[sync.fields]\nposter = {switch}\nbackground = {switch}\n"
        f'[log]\nlevel = "error"\n{more}'
        "[[path_rules]]\nname = 'videos'\n"
        "stash = '^/data/(?P<rest>.+)$'\nplex = '^/media/videos/(?P<rest>.+)$'\n"
    )
    program = "tests.bench.daemon" if watch else "stash2plex"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        program,
        "--config",
        str(config),
        "run",
        env=os.environ | {"BENCH_WATCH": str(watch or "")},
    )
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        bench = Bench(session, f"http://127.0.0.1:{port}", urls["door"], process.pid)
        try:
            while True:
                try:
                    async with session.get(f"{bench.url}/readyz") as answer:
                        if answer.ok:
                            break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.005)
            yield bench
        finally:
            process.terminate()
            await process.wait()


async def compared(bench: Bench, *, dry_run: bool = False) -> dict[str, Any]:
    """Have a full comparison made; returns the run."""
    url = f"{bench.url}/api/v1/reconcile"
    async with bench.session.post(url, json={"dry_run": dry_run}) as answer:
        number = (await answer.json())["run"]
    while True:
        async with bench.session.get(f"{url}/{number}") as answer:
            run = await answer.json()
        if run["state"] != "running":
            return run
        await asyncio.sleep(0.2)


def row(name: str, measured: float, promise: float) -> tuple[str, str, str, bool]:
    return name, f"{measured:.3g}", f"<= {promise:g}", measured <= promise


def p99(waits: list[float]) -> float:
    return statistics.quantiles(waits, n=100)[98] * 1000


async def timed(command: list[str], message: bytes) -> float:
    def run() -> float:
        started = time.perf_counter()
        done = subprocess.run(command, input=message, capture_output=True, check=True)
        assert b"not forwarded" not in done.stderr, done.stderr
        return time.perf_counter() - started

    return await asyncio.to_thread(run)
