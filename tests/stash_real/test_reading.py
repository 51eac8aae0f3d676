"""What our questions cost a real Stash with many scenes; prints the table.

``READ_SCENES=100000`` for the figures of docs/stash.md, on an idle machine. What is
compared with is what was asked for the same before.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stash2plex.config import StashSettings
from stash2plex.stash.client import StashClient
from tests.stash_real.large import fill
from tests.stash_real.server import RealStash

pytestmark = pytest.mark.timeout(900)

SCENES = int(os.environ.get("READ_SCENES", "10000"))
TIMES = 7
MANY = 50_000
ENTRY = "id updated_at created_at title date files { path size duration }"
LATELY = "2026-11-28T10:00:00"
UNKNOWN = "the scenes of an unknown file"


def page(**filters: Any) -> dict[str, Any]:
    chosen = {"per_page": 500, "page": 1, "sort": "id", "direction": "ASC"}
    return {"filter": chosen, "scenes": filters}


def find(fields: str) -> str:
    return (
        "query Q($filter: FindFilterType, $scenes: SceneFilterType)"
        f" {{ findScenes(filter: $filter, scene_filter: $scenes) {{ {fields} }} }}"
    )


async def median(ask: Callable[[], Awaitable[object]]) -> float:
    """Return how long a question takes, milliseconds."""
    took = []
    for _ in range(TIMES):
        started = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took)


async def first(pages: Any) -> object:
    async for one in pages:
        return one
    return None


async def test_what_reading_costs(tmp_path, capsys):
    stash = RealStash(tmp_path / "stash")
    await fill(stash, SCENES)
    try:
        async with StashClient.connect(StashSettings(url=stash.url)) as client:
            await client.probe()
            rows = await measured(stash, client)
            finds_files = (await client.dialect()).finds_files
    finally:
        await stash.stop()
    with capsys.disabled():
        print(f"\nStash {client.version}, {SCENES} scenes, milliseconds")
        for name, (before, now) in rows.items():
            print(f"  {name:46} {before or 0:8.1f} -> {now:8.1f}")
    if not finds_files:  # it is asked for in the old way then
        del rows[UNKNOWN]
    for name, (before, now) in rows.items():
        # Of few scenes all costs little.
        assert SCENES < MANY or before is None or now < before, name


async def measured(
    stash: RealStash, client: StashClient
) -> dict[str, tuple[float | None, float]]:
    beyond = {"id": {"modifier": "GREATER_THAN", "value": SCENES // 2}}
    tag = {"tags": {"modifier": "INCLUDES", "value": ["1"]}}
    later = {"modifier": "GREATER_THAN", "value": LATELY}
    name = f"{SCENES // 2:06} some longer name of a video.mp4"
    like = {"path": {"modifier": "EQUALS", "value": f"%/{name}"}}
    has_files_filter = await stash.has("SceneFilterType", "files_filter")
    changed: dict[str, Any] = {"updated_at": later}
    if has_files_filter:
        changed["OR"] = {"files_filter": {"updated_at": later}}

    async def old(fields: str, given: dict[str, Any]) -> float:
        return await median(lambda: stash.ask(find(fields), **given))

    async def old_poll() -> None:
        await stash.ask(find(f"count scenes {{ {ENTRY} }}"), **page(**changed))
        for kind in ("performer", "studio", "tag"):
            await client.changed_parts(kind, LATELY)

    ids = await median(lambda: first(client.ids()))
    tagged = await median(lambda: first(client.scenes_of("tag", 1)))
    some = list(range(SCENES // 2, SCENES // 2 + 50))
    entries = f"scenes {{ {ENTRY} }}"
    return {
        "500 scenes of sync --all": (
            await old(entries, page(**beyond)),
            ids / 2,  # of a thousand
        ),
        "500 scenes of a tag": (await old(entries, page(**tag, **beyond)), tagged / 2),
        "a look with nothing new": (
            await median(old_poll),
            await median(lambda: client.look(LATELY, counted=False)),
        ),
        "every third look, which counts": (
            None,
            await median(lambda: client.look(LATELY, counted=True)),
        ),
        UNKNOWN: (
            await old(entries, page(**like)),
            await median(lambda: client.scenes_of_file(name)),
        ),
        "all folders": (None, await median(client.folders)),
        "50 scenes, whole": (None, await median(lambda: client.scenes(some))),
        "500 scenes of a listing": (
            None,
            await median(lambda: first(client.entries())),
        ),
    }
