"""``make bench``: measures the numbers that we promise, and prints them.

Daemon, pretend servers and clients are processes of their own, as in real life; the
figures are of this machine. Exit status 1 when a promise is broken.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.scenes import populate
from stash2plex.sandbox.stash import PretendStash
from tests.bench.harness import (
    Bench,
    Rows,
    compared,
    daemon,
    p99,
    row,
    servers,
)
from tests.bench.library import seed
from tests.bench.log_lines import log_lines
from tests.bench.operating import operating
from tests.bench.pictures import nightly_refresh, with_pictures
from tests.bench.reading import reading
from tests.bench.shim import shim


async def first_sync(rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            servers(1000, "--latency", "0.01") as urls,
            daemon(urls, Path(folder)) as bench,
        ):
            started = time.monotonic()
            await bench.sync_all()
            await bench.idle()
            seconds = time.monotonic() - started
            counts = await bench.counts()
            assert counts["written"] == 1000, counts
            per_scene = counts["plex"] / 1000
            rows.append(row("requests to Plex per scene, first sync", per_scene, 1.1))
            rows.append(row("1,000 scenes, Plex at 10 ms, seconds", seconds, 15))
            await bench.reset()
            await bench.sync_all()
            status = await bench.idle()
            assert status["deliveries"]["unchanged"] == 1000, status
            again = (await bench.counts())["plex"] / 1000
            rows.append(row("requests to Plex per unchanged scene", again, 0.05))


async def hooks(rows: Rows) -> None:
    clients, each = 50, 100
    with tempfile.TemporaryDirectory() as folder:
        async with servers(1) as urls, daemon(urls, Path(folder)) as bench:
            waits: list[float] = []

            async def client(number: int) -> None:
                for index in range(each):
                    started = time.perf_counter()
                    await bench.hook(1 + number * each + index)
                    waits.append(time.perf_counter() - started)
                    # As long as a plugin takes to start for the next scene of a bulk
                    # edit, give or take: clients do not walk in step.
                    await asyncio.sleep(random.uniform(0.025, 0.075))

            started = time.monotonic()
            await asyncio.gather(*(client(number) for number in range(clients)))
            seconds = time.monotonic() - started
            median = statistics.median(waits) * 1000
            rows.append(row("hook answered, 50 clients, median ms", median, 5))
            rows.append(
                (
                    "hooks taken per second meanwhile",
                    f"{len(waits) / seconds:.0f}",
                    "",
                    True,
                )
            )


async def burst(rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with servers(1) as urls, daemon(urls, Path(folder)) as bench:

            async def client(number: int) -> None:
                for index in range(40):
                    await bench.hook(1 + number * 40 + index)

            started = time.monotonic()
            await asyncio.gather(*(client(number) for number in range(50)))
            rate = 2000 / (time.monotonic() - started)
            rows.append(
                ("hooks per second, as fast as 50 clients can", f"{rate:.0f}", "", True)
            )


async def recovery(rows: Rows) -> None:
    """From Plex's return to the first delivered job, and from a new file to its data."""
    longest = "[outage]\nprobe_min = 60\n"
    for wait, more, promise in (("shortest", "", 6), ("longest", longest, 65)):
        with tempfile.TemporaryDirectory() as folder:
            async with (
                servers(10) as urls,
                daemon(urls, Path(folder), more=more) as bench,
            ):
                await bench.until(lambda status: status["catalog"]["refreshed_at"])
                await bench.tell("status", {"status": 503})
                await bench.sync_all()
                await bench.until(lambda status: status["plex"]["breaker"] == "open")
                await bench.tell("status", {"status": None})
                name = f"Plex is back to first job, {wait} wait, s"
                rows.append(row(name, await bench.written(1), promise))


async def added(rows: Rows) -> None:
    """From Plex's word that it has a new file to what it shows of it."""
    waits = []
    with tempfile.TemporaryDirectory() as folder:
        async with (
            servers(20, "--without-items") as urls,
            daemon(urls, Path(folder)) as bench,
        ):
            await bench.until(lambda status: status["catalog"]["refreshed_at"])
            await bench.until(lambda status: status["plex"]["listening"])
            await bench.sync_all()
            await bench.until(lambda status: status["queue"]["waiting"] == 20)
            for number, (_, name) in enumerate(file_names(20), 1):
                await bench.tell("add", {"path": f"/media/videos/{name}"})
                waits.append(await bench.written(number))
    rows.append(row("new file in Plex to its metadata, worst, s", max(waits), 2))


async def outage_hooks(rows: Rows) -> None:
    """10,000 hooks while Plex is down, and what becomes of them."""
    count = 10_000
    with tempfile.TemporaryDirectory() as folder:
        quick = "[outage]\nramp_start = 2000\nramp_end = 2000\nramp_seconds = 1\n"
        async with (
            servers(count, "--quick") as urls,
            daemon(urls, Path(folder), more=quick) as bench,
        ):
            await bench.until(lambda status: status["catalog"]["items"] == count)
            await bench.tell("status", {"status": 503})
            before = resident(bench.pid)
            todo = iter(range(1, count + 1))

            async def client() -> None:
                for scene_id in todo:
                    await bench.hook(scene_id)

            await asyncio.gather(*(client() for _ in range(20)))
            await bench.until(lambda status: status["plex"]["breaker"] == "open")
            more = resident(bench.pid) - before
            await bench.tell("status", {"status": None})
            await bench.written(count)
            await bench.idle()
            writes = (await bench.counts())["writes"] / count
            rows.append(row("10,000 hooks, Plex down, MB more memory", more, 20))
            rows.append(row("writes for each of them afterwards", writes, 1))


async def reconcile(rows: Rows) -> None:
    """Compare 100,000 scenes with as many items, 98 % of them in step."""
    count = 100_000
    pages = count // 500 + count // 1000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with servers(count, "--quick", "--synced", "0.98") as urls:
            await seed(folder / "data", count, 0.98)
            watch = folder / "watch.json"
            async with daemon(urls, folder, watch=watch) as bench:
                few = count // 50
                # What the second enqueues is delivered while it still compares, so its
                # requests are not counted.
                for which, dry, gaps in (
                    ("cold", True, few),
                    ("mending", False, few),
                    ("in step", False, 0),
                ):
                    await bench.until(lambda status: status["catalog"]["refreshed_at"])
                    await bench.idle()
                    await bench.reset()
                    started = time.monotonic()
                    run = await compared(bench, dry_run=dry)
                    seconds = time.monotonic() - started
                    counts = await bench.counts()
                    asked = counts["plex"] + counts["stash"]
                    assert run["state"] == "done", run
                    assert run["gaps"]["empty"] == run["enqueued"] == gaps, run
                    rows.append(
                        row(f"100,000 x 100,000 compared, {which}, s", seconds, 120)
                    )
                    if which != "mending":
                        rows.append(
                            row(f"requests beyond pages, {which}", asked - pages, 20)
                        )
                rows.append(row("memory at its peak, MB", peak(bench.pid), 200))
            watched = json.loads(watch.read_text())
            blocks = [
                (seconds, what)
                for at, seconds, what in watched["blocked"]
                if at > started - 300
            ]
            longest, what = max(blocks, default=(0.0, ""))
            rows.append(row("event loop blocked, longest ms", longest * 1000, 50))
            print(f"longest: {what}")


async def polls(rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        watch = folder / "watch.json"
        async with servers(1000, "--synced", "0.98") as urls:
            async with daemon(urls, folder, poll=0.5, watch=watch) as bench:
                await bench.until(lambda status: status["catalog"]["refreshed_at"])
                await asyncio.sleep(3)
                await bench.reset()
                await asyncio.sleep(3)
                asked = (await bench.counts())["stash"]
                started = time.monotonic()
                await bench.tell("touch", {"count": 100})
                await bench.until(lambda status: status["deliveries"]["written"] >= 100)
            found = json.loads(watch.read_text())["polls"]
        quiet = [seconds for at, seconds, _ in found if started - 3 < at < started]
        seconds = next(at + took - started for at, took, n in found if n == 100)
        rows.append(
            row("poll with nothing new, ms", statistics.median(quiet) * 1000, 50)
        )
        rows.append(row("requests of it", asked / len(quiet), 1.5))
        # The second of the change has to be over.
        rows.append(row("100 changes to their jobs, poll every 0.5 s, s", seconds, 4.5))


def peak(pid: int) -> float:
    """Return the most memory that a process ever had in hand, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes = next(one for one in status.splitlines() if one.startswith("VmHWM"))
    return int(kilobytes.split()[1]) / 1000


def resident(pid: int) -> float:
    """Return the memory that a process has in hand, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def start(rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with servers(20_000) as urls:
            async with daemon(urls, Path(folder)) as bench:
                await bench.until(lambda status: status["catalog"]["refreshed_at"])
            waits = []
            for _ in range(3):
                started = time.monotonic()
                async with daemon(urls, Path(folder)):
                    waits.append(time.monotonic() - started)
            seconds = statistics.median(waits)
            rows.append(row("start to /readyz with 20,000 items, seconds", seconds, 2))


async def provider_match(rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with servers(20_000) as urls, daemon(urls, Path(folder)) as bench:
            await bench.until(lambda status: status["catalog"]["refreshed_at"])
            names = file_names(2000)
            await provider_clients(bench, names, [match])  # warm
            waits, seconds = await provider_clients(bench, names, [match], pause=0.007)
            rows.append(row("provider match, warm, p99 ms", p99(waits), 15))
            rate = len(waits) / seconds
            rows.append(
                (
                    "provider matches per second meanwhile",
                    f"{rate:.0f}",
                    ">= 500",
                    rate >= 500,
                )
            )


async def provider_metadata(rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            servers(20_000, "--quick", "--stash-latency", "0.004") as urls,
            daemon(urls, Path(folder)) as bench,
        ):
            await bench.until(lambda status: status["catalog"]["refreshed_at"])
            names = file_names(2100)
            await provider_clients(bench, names[:100], [metadata])  # warm
            waits, seconds = await provider_clients(
                bench, names[100:], [metadata], pause=0.015
            )
            rows.append(row("provider metadata, Stash at 5 ms, p99 ms", p99(waits), 30))
            rate = len(waits) / seconds
            rows.append(
                ("provider metadata per second meanwhile", f"{rate:.0f}", "", True)
            )


async def provider_scan(rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            servers(1000, "--stash-latency", "0.003") as urls,
            daemon(urls, Path(folder)) as bench,
        ):
            await bench.until(lambda status: status["catalog"]["refreshed_at"])
            await bench.reset()
            names = file_names(1000)
            steps = [match, metadata, images, extras]
            await provider_clients(bench, names, steps)
            per_file = (await bench.counts())["stash"] / 1000
            rows.append(row("requests to Stash per file scanned", per_file, 1.2))


def file_names(count: int) -> list[tuple[int, str]]:
    """Return scenes and their files as Plex names them: relative to the library."""
    stash, plex = PretendStash(), PretendPlex()
    populate(stash, plex, count, covers=False)
    start = len("/media/videos/")
    return [(key, item.files[0][0][start:]) for key, item in plex.items.items()]


Step = Callable[[Bench, int, str], Awaitable[None]]


async def provider_clients(
    bench: Bench,
    names: list[tuple[int, str]],
    steps: list[Step],
    *,
    pause: float = 0.0,
    clients: int = 8,
) -> tuple[list[float], float]:
    """Let *clients* take the steps for all files; returns waits and how long it took.

    They rest for *pause* seconds between files, give or take half: Plex has a file to
    look at in between. Without, they would measure the queue that they are.
    """
    waits: list[float] = []
    todo = iter(names)

    async def client() -> None:
        for key, name in todo:
            for step in steps:
                started = time.perf_counter()
                await step(bench, key, name)
                waits.append(time.perf_counter() - started)
            if pause:
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))

    started = time.monotonic()
    await asyncio.gather(*(client() for _ in range(clients)))
    return waits, time.monotonic() - started


async def match(bench: Bench, key: int, name: str) -> None:
    hints = {"type": 1, "title": "x", "filename": name}
    url = f"{bench.url}/plex/library/metadata/matches"
    async with bench.session.post(url, json=hints) as answer:
        (found,) = (await answer.json())["MediaContainer"]["Metadata"]
        assert found["ratingKey"] == f"scene-{key}", found


async def metadata(bench: Bench, key: int, name: str) -> None:
    assert await of_scene(bench, key) == 1


async def images(bench: Bench, key: int, name: str) -> None:
    await of_scene(bench, key, "/images")


async def extras(bench: Bench, key: int, name: str) -> None:
    assert await of_scene(bench, key, "/extras") == 0


async def of_scene(bench: Bench, key: int, more: str = "") -> int:
    url = f"{bench.url}/plex/library/metadata/scene-{key}{more}"
    async with bench.session.get(url) as answer:
        assert answer.status == 200, await answer.text()
        return (await answer.json())["MediaContainer"]["size"]


async def main() -> int:
    rows: Rows = []
    parts: list[Callable[[Rows], Awaitable[None]]] = [
        first_sync,
        with_pictures,
        nightly_refresh,
        hooks,
        burst,
        recovery,
        added,
        outage_hooks,
        polls,
        reading,
        reconcile,
        start,
        provider_match,
        provider_metadata,
        provider_scan,
        shim,
        log_lines,
        operating,
    ]
    chosen = sys.argv[1:]
    if unknown := set(chosen) - {part.__name__ for part in parts}:
        known = ", ".join(part.__name__ for part in parts)
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are {known}")
    for part in parts:
        if chosen and part.__name__ not in chosen:
            continue
        await part(rows)
        for name, measured, promise, kept in rows:
            mark = "ok  " if kept else "FAIL"
            print(f"{mark}  {name:48} {measured:>8}  {promise}")
        rows_kept.extend(rows)
        rows.clear()
    return int(not all(kept for *_, kept in rows_kept))


rows_kept: Rows = []

if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
