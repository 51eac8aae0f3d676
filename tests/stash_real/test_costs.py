"""What hooks cost a real Stash, and hearing of them the daemon; prints the table.

The figures of docs/stash.md come from here: ``make test-stash`` on an idle machine.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import pytest

from stash2plex.config import StashSettings
from stash2plex.plugin import HTTP_HOOKS, IN_PROCESS_HOOKS, TASKS
from stash2plex.stash.client import StashClient
from tests.stash_real.server import RealStash, real_stash
from tests.stash_real.world import World, make_videos, world

pytestmark = pytest.mark.timeout(600)

SCENES, SAVES, ROUNDS = 64, 20, 2
# More than without a plugin, milliseconds.
DEARER_BY = 3.0
# From a save to Plex, seconds.
ARRIVES_WITHIN = 2.0
# Of one core, for hearing of changes while everything is listed, seconds long.
DEAREST_SHARE, LISTED_FOR = 0.02, 10.0
# A process that only listens, and prints how much of a processor it took when asked.
LISTENER = """
import asyncio, resource, sys
from stash2plex.config import StashSettings
from stash2plex.stash.client import StashClient

def told():
    used = resource.getrusage(resource.RUSAGE_SELF)
    sys.stdin.readline()
    print(used.ru_utime + used.ru_stime, flush=True)

async def main():
    async with StashClient.connect(StashSettings(url=sys.argv[1])) as client:
        asyncio.get_running_loop().add_reader(sys.stdin, told)
        async for _ in client.hook_lines(lambda: print("listening", flush=True)):
            pass

asyncio.run(main())
"""
# An empty script, started as ours is: what any hook in Python costs at least.
EMPTY = """name: empty
exec: [python3, "-I", "-S", "{pluginDir}/empty.py"]
interface: raw
errLog: warning
hooks:
  - name: Nothing
    description: Nothing
    triggeredBy: [Scene.Update.Post]
"""


async def saves(stash: RealStash, ids: list[int]) -> list[float]:
    """Save one scene after the other; returns how long each took, milliseconds."""
    took = []
    for n in range(SAVES):
        started = time.perf_counter()
        await stash.update(ids[n], details=f"{time.time()}")
        took.append((time.perf_counter() - started) * 1000)
    return took


async def bulk(stash: RealStash, ids: list[int]) -> float:
    """Edit all scenes at once; returns how long each took, milliseconds."""
    started = time.perf_counter()
    await stash.ask(
        "mutation U($i: BulkSceneUpdateInput!) { bulkSceneUpdate(input: $i) { id } }",
        i={"ids": [str(one) for one in ids], "details": f"{time.time()}"},
    )
    return (time.perf_counter() - started) * 1000 / len(ids)


async def test_what_a_hook_costs(tmp_path, plex, capsys):
    async with real_stash(tmp_path / "stash") as stash:
        await make_videos(stash, SCENES)
        await stash.scan()
        ids = sorted(set((await stash.scenes()).values()))
        empty = stash.plugins.parent / "empty"
        empty.mkdir()
        (empty / "empty.yml").write_text(EMPTY)
        (empty / "empty.py").write_text("")
        given = {"stash": {"poll_interval": 60}}
        async with world(stash, plex, tmp_path, **given) as made:
            rows = await measured(made, ids, empty)
        with capsys.disabled():
            version = (await stash.ask("{ version { version } }"))["version"]["version"]
            print(f"\nStash {version}, {SCENES} scenes, milliseconds")
            for name, (one, many) in rows.items():
                print(f"  {name:32} a save {one:7.1f}   a scene in bulk {many:7.1f}")
        none, inside = rows["no plugin"], rows["hooks inside Stash"]
        assert inside[0] - none[0] <= DEARER_BY
        assert inside[1] - none[1] <= DEARER_BY


async def measured(
    made: World, ids: list[int], empty
) -> dict[str, tuple[float, float]]:
    """Return the medians of single saves and of bulk edits, by kind of hook."""
    stash, rows = made.stash, {}

    async def nothing() -> None:
        pass

    async def emptily() -> None:
        await asyncio.to_thread(empty.rename, stash.plugins / "empty")
        await stash.ask("mutation { reloadPlugins }")

    kinds: dict[str, Callable[[], Awaitable[None]]] = {
        "no plugin": nothing,
        "hooks inside Stash": lambda: made.install_plugins(TASKS, IN_PROCESS_HOOKS),
        "hooks over HTTP": lambda: made.install_plugins(TASKS, HTTP_HOOKS),
        "an empty Python hook": emptily,
    }
    for name, install in kinds.items():
        await install()
        one, many = [], []
        for _ in range(ROUNDS):
            one += await saves(stash, ids)
            many.append(await bulk(stash, ids))
        rows[name] = statistics.median(one), statistics.median(many)
        for folder in list(stash.plugins.iterdir()):
            away = empty.parent / f"{folder.name}-{len(rows)}"
            await asyncio.to_thread(folder.rename, away)
        await stash.ask("mutation { reloadPlugins }")
    return rows


async def test_a_save_arrives_soon(tmp_path, plex, capsys):
    async with real_stash(tmp_path / "stash") as stash:
        paths = await make_videos(stash, SCENES)
        await stash.scan()
        for path in paths:
            plex.add(str(path), size=path.stat().st_size)
        ids = await stash.scenes()
        given = {"stash": {"poll_interval": 0}}
        async with world(stash, plex, tmp_path, **given) as made:
            await made.install_plugins(TASKS, IN_PROCESS_HOOKS)
            took = []
            for n, path in enumerate(paths[:SAVES]):
                item, started = made.item(path), time.perf_counter()
                await stash.update(ids[str(path)], title=f"Save {n}", details="x")
                assert await made.until(
                    lambda i=item, n=n: i.text["title"] == f"Save {n}"
                )
                took.append(time.perf_counter() - started)
        with capsys.disabled():
            print(f"\n  a save reaches Plex after {statistics.median(took):.2f} s,")
            print(f"  and after {max(took):.2f} s at most")
        assert max(took) < ARRIVES_WITHIN


async def test_hearing_of_it_costs_little(tmp_path, plex, capsys):
    """While everything is listed as fast as Stash can, with all the SQL of that."""
    async with real_stash(tmp_path / "stash") as stash:
        await make_videos(stash, SCENES)
        await stash.scan()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", LISTENER, stash.url),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )

        async def used() -> float:
            process.stdin.write(b"\n")
            return float(await process.stdout.readline())

        assert await process.stdout.readline() == b"listening\n"
        settings = StashSettings(url=stash.url, page_size=10)
        async with StashClient.connect(settings) as client:
            before, started = await used(), time.perf_counter()
            listings = 0
            while time.perf_counter() - started < LISTED_FOR:
                async for _ in client.entries():
                    pass
                listings += 1
            share = (await used() - before) / (time.perf_counter() - started)
        process.terminate()
        await process.wait()
        with capsys.disabled():
            print(f"\n  hearing {listings} listings of {SCENES} scenes: {share:.2%}")
        assert share < DEAREST_SHARE
