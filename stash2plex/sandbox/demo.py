"""``stash2plex demo``: the real daemon between a pretend Stash and a pretend Plex.

Nothing is simulated but the two servers: edits run a hook inside of the one, and the
daemon hears of it as it does from a real one.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table

from stash2plex import daemon
from stash2plex.config import Settings
from stash2plex.logs import Secrets
from stash2plex.plugin import PLUGIN_ID, Hooks, wanted
from stash2plex.sandbox.items import PretendItem
from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.scenes import PLEX_ROOT, populate
from stash2plex.sandbox.server import serving
from stash2plex.sandbox.stash import PretendStash

_TOKEN = "demo-daemon-token"  # noqa: S105 - of a daemon that lives for a minute
_RULES = (
    {
        "name": "videos",
        "stash": r"^/data/(?P<rest>.+)$",
        "plex": r"^/media/videos/(?P<rest>.+)$",
    },
)
_PATIENCE = 60.0
_THRESHOLD = 2
_SCANNED = 10
_ART = {"thumb", "art"}


class Demo:
    """The three servers and what is said about them."""

    def __init__(self, console: Console, port: int) -> None:
        self.console = console
        self.port = port
        self.stash = PretendStash()
        self.plex = PretendPlex()
        self.plex.locations[1] = [PLEX_ROOT]
        self.failed = False

    @property
    def daemon_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def say(self, text: str) -> None:
        """Print a step."""
        self.console.print(f"\n[bold]{text}[/bold]")

    async def show(self, what: str, fact: Callable[[], object]) -> None:
        """Wait for *fact* about Plex, and tell how long it took."""
        started = time.monotonic()
        try:
            await self.plex.facts.until(fact, _PATIENCE)
        except TimeoutError:
            self.failed = True
            self.console.print(f"  [red]failed[/red] {what}: not in {_PATIENCE:.0f} s")
            return
        seconds = time.monotonic() - started
        self.console.print(f"  [green]ok[/green] {what} [dim]({seconds:.2f} s)[/dim]")

    async def status(self) -> dict[str, dict[str, object]]:
        """Ask the daemon how it is."""
        headers = {"Authorization": f"Bearer {_TOKEN}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{self.daemon_url}/api/v1/status") as answer,
        ):
            document: dict[str, dict[str, object]] = await answer.json()
            return document


async def run_demo(console: Console, *, port: int, scenes: int, once: bool) -> int:
    """Run the demo; returns 0 when everything arrived in Plex, else 1."""
    demo = Demo(console, port)
    populate(demo.stash, demo.plex, scenes)
    async with _servers(demo):
        await _first_sync(demo, scenes)
        await _edits(demo)
        await _outage(demo)
        await _scan(demo, scenes)
        await _summary(demo)
        if not once and not demo.failed:
            _urls(demo)
            await asyncio.Event().wait()
    return int(demo.failed)


@asynccontextmanager
async def _servers(demo: Demo) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="stash2plex-"))
        demo.stash.url = await stack.enter_async_context(serving(demo.stash.app))
        demo.plex.url = await stack.enter_async_context(serving(demo.plex.app))
        for plugin in wanted(Hooks.IN_PROCESS):
            demo.stash.put_plugin(plugin.folder)
        demo.stash.plugin_settings[PLUGIN_ID] = {
            "daemonUrl": demo.daemon_url,
            "daemonToken": _TOKEN,
        }
        settings = Settings(
            server={
                "host": "127.0.0.1",
                "port": demo.port,
                "token": _TOKEN,
                "data_dir": Path(folder),
            },
            stash={"url": demo.stash.url},
            plex={"url": demo.plex.url, "token": demo.plex.token},
            path_rules=_RULES,
            # A demo has no patience; a real daemon takes the defaults.
            outage={"failure_threshold": _THRESHOLD, "probe_min": 0.5, "probe_max": 1},
            queue={"retry_base": 0.5},
        )
        secrets = Secrets(settings.secrets())
        stopping, ready = asyncio.Event(), asyncio.Event()
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tasks.create_task(
            daemon.run(settings, secrets, stopping=stopping, on_ready=ready.set)
        )
        stack.callback(stopping.set)
        await ready.wait()
        yield


async def _first_sync(demo: Demo, scenes: int) -> None:
    demo.say(f"1. {scenes} scenes in Stash, {scenes} bare files in Plex: sync all")
    before = len(demo.plex.requests)
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{demo.daemon_url}/api/v1/sync", json={"scope": "all"}) as answer,
    ):
        demo.console.print(f"  asked the daemon: {await answer.json()}")
    items = list(demo.plex.items.values())
    await demo.show(
        "every item has its studio and its poster",
        lambda: all(one.text.get("studio") and one.picture("thumb") for one in items),
    )
    made = len(demo.plex.requests) - before
    demo.console.print(
        f"  requests to Plex: {made}, {made / scenes:.2f} per scene with pictures"
    )
    _table(demo, items[:3])


async def _edits(demo: Demo) -> None:
    demo.say("2. A scene is edited in Stash; its hook tells the daemon")
    item = demo.plex.items[1]
    await demo.stash.edit(1, title="A new title", tags=["Night", "Rain"], rating100=90)
    await demo.show(
        "the title arrived", lambda: item.text.get("title") == "A new title"
    )
    await demo.show(
        "removed tags are gone from Plex",
        lambda: sorted(item.tags.get("genre", [])) == ["Night", "Rain"],
    )
    await demo.stash.edit(1, details="")
    await demo.show(
        "a cleared summary is cleared", lambda: not item.text.get("summary")
    )
    _table(demo, [item])


async def _outage(demo: Demo) -> None:
    edited = list(demo.stash.scenes)[1:4] or [1]
    count = ("one scene is", "two scenes are", "three scenes are")[len(edited) - 1]
    demo.say(f"3. Plex goes down; {count} edited meanwhile")
    demo.plex.status = 503
    for key in edited:
        await demo.stash.edit(key, title=f"Edited during the outage {key}")
    await demo.show("Plex refused", lambda: demo.plex.refused[503] > _THRESHOLD)
    status = await demo.status()
    queue, plex = status["queue"], status["plex"]
    waiting = sum(int(str(queue[name])) for name in ("queued", "waiting", "running"))
    demo.console.print(
        f"  {waiting} jobs wait, {queue['dead']} dead; circuit {plex['breaker']}"
    )
    demo.say("4. Plex is back")
    demo.plex.status = None
    await demo.show(
        "every edit of the outage arrived",
        lambda: all(
            demo.plex.items[key].text["title"] == f"Edited during the outage {key}"
            for key in edited
        ),
    )


async def _scan(demo: Demo, scenes: int) -> None:
    demo.say("5. Plex scans ten new files and asks the metadata provider what they are")
    before = set(demo.stash.scenes)
    populate(demo.stash, None, _SCANNED, first=scenes + 1)
    new = [scene for key, scene in demo.stash.scenes.items() if key not in before]
    provider = await demo.plex.use_provider(f"{demo.daemon_url}/plex")
    demo.console.print(f"  registered in Plex: {provider.title} at {provider.root}")
    paths = [one.files[0][0].replace("/data", PLEX_ROOT, 1) for one in new]
    started = time.monotonic()
    items = await demo.plex.scan(*paths, f"{PLEX_ROOT}/holiday.mp4")
    seconds = time.monotonic() - started
    found = [one for one in items if one.guid.startswith(provider.identifier)]
    complaints = demo.plex.provider_client.complaints
    await demo.show(
        f"{len(found)} of {len(items)} files matched, in {seconds:.2f} s for all",
        lambda: len(found) == len(new) and not complaints,
    )
    await demo.show(
        "each has its studio, its people, poster and background",
        lambda: all(
            one.text.get("studio") and one.tags["actor"] and one.provided.keys() >= _ART
            for one in found
        ),
    )
    gaps = (await demo.status())["gaps"]
    demo.console.print(f"  in Plex but not in Stash: {gaps['missing_in_stash']} file")
    _table(demo, found[:3])


async def _summary(demo: Demo) -> None:
    status = await demo.status()
    while any(status["queue"][name] for name in ("queued", "waiting", "running")):
        await asyncio.sleep(0.1)
        status = await demo.status()
    done, queue = status["deliveries"], status["queue"]
    provider = status["provider"]
    demo.console.print(
        f"\nDeliveries: {done['written']} written, {done['unchanged']} unchanged,"
        f" {done['failed']} failed; {queue['dead']} dead letters. The provider matched"
        f" {provider['matched']} files, did not know {provider['unmatched']}."
    )
    for line in demo.stash.plugin_log:
        demo.console.print(f"  plugin said: {line[3:]!r}")
        demo.failed = True


def _urls(demo: Demo) -> None:
    demo.console.print(
        f"\nThe daemon is at {demo.daemon_url} (token {_TOKEN}), the pretend Stash at"
        f" {demo.stash.url} (no key), the pretend Plex at {demo.plex.url} (token"
        f" {demo.plex.token}). Ctrl-C ends them."
    )


def _table(demo: Demo, items: list[PretendItem]) -> None:
    table = Table(title="in Plex", title_justify="left", expand=False)
    for heading in ("title", "studio", "date", "rating", "genres", "actors"):
        table.add_column(heading)
    for item in items:
        table.add_row(
            *(
                item.text.get(name, "")
                for name in ("title", "studio", "originallyAvailableAt", "userRating")
            ),
            ", ".join(item.tags.get("genre", [])),
            ", ".join(item.tags.get("actor", [])),
        )
    demo.console.print(table)
