"""Record what a release leaves behind: ``python -m tests.upgrades SOURCE``.

SOURCE is a checkout of the release. Its daemon and its plugin are run between the
pretend servers: a first sync with pictures, a scene that Plex lacks, one that Plex
refuses, and edits that arrive while Plex is away.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import tempfile
import tomllib
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp

from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.scenes import PLEX_ROOT, cover, populate
from stash2plex.sandbox.server import serving
from stash2plex.sandbox.stash import PretendStash
from tests.conftest import free_port
from tests.patience import patient
from tests.running import until_ready
from tests.upgrades.recorded import archive, pack

SCENES = 10
PENDING, REFUSED, MISSING, BARE = 9, 10, 11, 8


async def record(source: Path, folder: Path) -> Path:
    """Run the release in *source* and pack what it leaves; returns the archive."""
    stash, plex = PretendStash(), PretendPlex()
    long_ago = datetime.now(UTC) - timedelta(days=30)
    stash.clock = lambda: long_ago
    plex.clock = long_ago.timestamp
    plex.locations[1] = [PLEX_ROOT]
    populate(stash, plex, SCENES)
    stash.change(BARE, cover=None)
    stash.change(1, title="日本語の題 & more", details="Zeile eins.\nZeile zwei.")
    stash.add(
        "/data/Kestrel Films/not.in.plex.mp4",
        title="Not in Plex",
        details="x",
        studio="S",
        size=7,
    )
    plex.items[2].provided["thumb"] = cover(202)
    # The last one is refused from the start.
    plex.status_of[REFUSED] = 400
    plex.clock = lambda: datetime.now(UTC).timestamp()
    async with serving(stash.app) as stash.url, serving(plex.app) as plex.url:
        await _command(
            source, folder, "init", "--stash-url", stash.url, "--plex-url", plex.url,
            "--plex-token", plex.token, "--data-dir", "data",
        )  # fmt: skip
        os.environ["STASH2PLEX_SERVER__PORT"] = str(free_port())
        async with _daemon(source, folder) as api:
            await api("sync", {"scope": "all"})
            await _until(api, lambda s: s["queue"]["dead"] == 1 and _busy(s) == 1)
            plex.status = 503
            stash.change(PENDING, title="Changed while Plex was away")
            await api("hooks", {"type": "Scene.Update.Post", "id": PENDING})
            await _until(api, lambda s: s["plex"]["breaker"] != "closed")
    shutil.rmtree(folder / "data" / "copies", ignore_errors=True)
    shutil.copytree(
        source / "plugin_shim",
        folder / "plugin",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    text = (source / "stash2plex" / "__init__.py").read_text()
    release = re.search(r'__version__ = "(.+)"', text)
    assert release
    target = archive(release[1])
    pack(target, folder, stash, plex)
    return target


def _busy(status):
    return sum(status["queue"][name] for name in ("queued", "waiting", "running"))


async def _until(api, fact):
    async with asyncio.timeout(patient(60)):
        while not fact(await api("status")):
            pass


async def _command(source: Path, folder: Path, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stash2plex", *arguments, cwd=folder, env=_env(source)
    )
    assert await process.wait() == 0, arguments


def _env(source: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(source)}


@asynccontextmanager
async def _daemon(source: Path, folder: Path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stash2plex", "run", cwd=folder, env=_env(source)
    )
    url = f"http://127.0.0.1:{os.environ['STASH2PLEX_SERVER__PORT']}"

    async def check():
        assert process.returncode is None

    try:
        await until_ready(url, check)
        token = tomllib.loads((folder / "config.toml").read_text())["server"]["token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers) as session:

            async def api(route, body=None):
                method = "GET" if body is None else "POST"
                async with session.request(
                    method, f"{url}/api/v1/{route}", json=body
                ) as answer:
                    assert answer.ok, await answer.text()
                    return await answer.json()

            yield api
    finally:
        process.terminate()
        assert await process.wait() == 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        target = asyncio.run(record(Path(sys.argv[1]).resolve(), Path(made)))
    print(json.dumps({"archive": str(target), "bytes": target.stat().st_size}))
