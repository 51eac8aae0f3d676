"""The pretend servers as a process of their own, with a door for the benchmark.

Prints one JSON line with the URLs; ``GET /counts`` on the door tells what was asked of
Plex and how many items were written, ``POST /reset`` forgets it, ``POST /status`` lets
Plex answer a status (or null: well), ``POST /add`` puts a file into it, ``POST /touch``
changes scenes without a hook, ``POST /scene`` adds one, and ``POST /import`` is a job
that imports.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
from statistics import median
from typing import Any

from aiohttp import web

from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.scenes import cover, populate
from stash2plex.sandbox.server import serving
from stash2plex.sandbox.stash import PretendScene, PretendStash
from stash2plex.sandbox.stash_filters import time_text
from stash2plex.sandbox.stash_resolvers import Root
from stash2plex.sandbox.stash_web import StashWeb
from tests.bench.library import fill


class QuickWeb(StashWeb):
    """Answers for scenes without executing GraphQL.

    That takes Python longer than the 5 ms that Stash is to take in all.
    """

    async def _answered(self, request: web.Request) -> dict[str, Any]:
        stash = self._stash
        body = await request.json()
        root, variables = Root(stash, self.base_of(request)), body["variables"]
        if "query Stash2PlexScenes" in body["query"]:
            stash.operations["Stash2PlexScenes"] += 1
            found = {
                f"s{name[1:]}": root.findScene(None, id=key)
                for name, key in variables.items()
            }
        elif "query Stash2PlexEntries" in body["query"]:
            stash.operations["Stash2PlexEntries"] += 1
            chosen, wanted = variables["filter"], variables["scenes"]
            scenes = stash.find(wanted, chosen["per_page"])
            found = {"findScenes": {"scenes": [_entry(one) for one in scenes]}}
        else:
            return await super()._answered(request)
        return {"data": found}


class QuickStash(PretendStash):
    """A pretend Stash that costs little."""

    def __init__(self) -> None:
        super().__init__()
        self.web = QuickWeb(self, "")


def _entry(scene: PretendScene) -> dict[str, Any]:
    return {
        "id": str(scene.id),
        "updated_at": time_text(scene.updated_at),
        "created_at": time_text(scene.created_at),
        "title": scene.title,
        "date": scene.date,
        "files": [
            {"path": path, "size": size, "duration": scene.duration}
            for path, size in scene.files
        ],
    }


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scenes", type=int, required=True)
    parser.add_argument("--synced", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--covers", action="store_true")
    parser.add_argument("--without-items", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--stash-latency", type=float, default=0.0)
    parser.add_argument("--as-of", type=int, metavar="SCENES")
    options = parser.parse_args()
    stash, plex = QuickStash() if options.quick else PretendStash(), PretendPlex()
    if options.synced:
        fill(stash, plex, options.scenes, options.synced)
    else:
        shown = None if options.without_items else plex
        populate(stash, shown, options.scenes, covers=options.covers)
    plex.latency = options.latency
    stash.latency = options.stash_latency
    stash.costs.size = options.as_of
    plex.locations[1] = ["/media/videos"]
    # What Python's collector would stop for stands for other machines.
    gc.collect()
    gc.freeze()

    async def counts(_: web.Request) -> web.Response:
        items = plex.items.values()
        return web.json_response(
            {
                "plex": len(plex.requests),
                "lists": sum(
                    how == "GET" and path.endswith(("/posters", "/arts"))
                    for how, path in plex.requests
                ),
                "stash": sum(stash.operations.values()),
                "written": sum(bool(item.writes) for item in items),
                "writes": sum(item.writes for item in items),
                "pictures": sum(len(item.selected) for item in items),
                "tagged": sum(1 in scene.tags for scene in stash.scenes.values()),
                "by_question": {
                    name: {"asked": len(one), "ms": sum(one), "median": median(one)}
                    for name, one in stash.costs.by_question.items()
                },
            }
        )

    async def reset(_: web.Request) -> web.Response:
        plex.requests.clear()
        stash.operations.clear()
        stash.costs.by_question.clear()
        return web.json_response({})

    async def status(request: web.Request) -> web.Response:
        plex.status = (await request.json())["status"]
        return web.json_response({})

    async def touch(request: web.Request) -> web.Response:
        for number in range(1, (await request.json())["count"] + 1):
            stash.change(number, title=f"Touched {number}")
        return web.json_response({})

    async def covers(request: web.Request) -> web.Response:
        for number in range(1, (await request.json())["count"] + 1):
            stash.change(number, cover=cover(100_000 + number))
        return web.json_response({})

    async def refresh(_: web.Request) -> web.Response:
        for key in plex.items:
            plex.touch(key)
        return web.json_response({})

    async def add(request: web.Request) -> web.Response:
        plex.add((await request.json())["path"])
        return web.json_response({})

    async def imported(_: web.Request) -> web.Response:
        stash.end_import(stash.begin_import())
        return web.json_response({})

    async def scene(request: web.Request) -> web.Response:
        stash.add((await request.json())["path"], title="Unknown", details="x")
        return web.json_response({})

    door = web.Application()
    door.add_routes(
        [
            web.get("/counts", counts),
            web.post("/reset", reset),
            web.post("/status", status),
            web.post("/add", add),
            web.post("/covers", covers),
            web.post("/refresh", refresh),
            web.post("/touch", touch),
            web.post("/import", imported),
            web.post("/scene", scene),
        ]
    )
    async with (
        serving(stash.app) as stash_url,
        serving(plex.app) as plex_url,
        serving(door) as door_url,
    ):
        urls = {
            "stash": stash_url,
            "plex": plex_url,
            "door": door_url,
            "token": plex.token,
        }
        print(json.dumps(urls), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
