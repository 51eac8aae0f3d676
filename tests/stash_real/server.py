"""A real Stash of its own: a process, a folder, small videos, and its GraphQL."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.conftest import free_port
from tests.patience import patient

BINARY = "STASH_BIN"
_STARTS_WITHIN = 60.0
_JOB_WITHIN = 120.0


def missing() -> str | None:
    """Say what these tests need and do not find; None when all is there."""
    binary = os.environ.get(BINARY, "")
    if not binary:
        return f"{BINARY} names no Stash binary"
    if not os.access(binary, os.X_OK):
        return f"{BINARY}={binary} cannot be run"
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        return "ffmpeg is not installed"
    return None


async def make_video(path: Path, seed: int, seconds: float = 1.0) -> Path:
    """Make a small video; each *seed* gives other bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = f"testsrc=d={seconds}:s=320x180:r=10,hue=h={seed * 7 % 360}:b={seed % 9}"
    process = await asyncio.create_subprocess_exec(
        *("ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i", source),
        *("-metadata", f"comment={seed}", "-pix_fmt", "yuv420p", str(path)),
    )
    assert await process.wait() == 0
    # Longer than what two ends of its hash cover, and unlike any other.
    with path.open("ab") as file:
        file.write(bytes((seed + n) % 251 for n in range(150_000)))
    return path


class RealStash:
    """One Stash in *folder*; its videos are below `media`."""

    def __init__(self, folder: Path, zone: str = "UTC", **settings: Any) -> None:
        self.folder = folder
        self.media = folder / "media"
        self.plugins = folder / "plugins"
        self.database = folder / "stash.sqlite"
        self.blobs = folder / "blobs"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = ""
        self._zone = zone
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        for one in (self.media, self.plugins, self.blobs, folder / "generated"):
            one.mkdir(parents=True, exist_ok=True)

    # --- its process -----------------------------------------------------------

    def configure(self) -> None:
        """Write its configuration, unless it has one that it changed itself."""
        file = self.folder / "config.yml"
        if file.exists():
            return
        lines = {
            "host": "127.0.0.1",
            "port": self.port,
            "database": self.database,
            "generated": self.folder / "generated",
            "cache": self.folder / "cache",
            "blobs_path": self.blobs,
            "blobs_storage": "FILESYSTEM",
            "plugins_path": self.plugins,
            "nobrowser": "true",
            "notifications_enabled": "false",
            "loglevel": "Info",
            "logfile": self.folder / "stash.log",
            **self._settings,
        }
        text = "".join(f"{name}: {value}\n" for name, value in lines.items())
        text += f"stash:\n  - {{path: {self.media}, excludeimage: true}}\n"
        file.write_text(text)

    async def start(self, *, configured: bool = True) -> None:
        """Start it and wait until it can be asked."""
        if configured:
            self.configure()
        environment = {
            **os.environ,
            "TZ": self._zone,
            "HOME": str(self.folder),
            "STASH_CONFIG_FILE": str(self.folder / "config.yml"),
        }
        if not configured:
            environment |= {"STASH_HOST": "127.0.0.1", "STASH_PORT": str(self.port)}
        with (self.folder / "output").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                os.environ[BINARY],
                cwd=self.folder,
                env=environment,
                stdout=output,
                stderr=output,
            )
        async with (
            asyncio.timeout(patient(_STARTS_WITHIN)),
            aiohttp.ClientSession() as session,
        ):
            while True:
                assert self._process.returncode is None, self.output[-2000:]
                try:
                    async with session.get(f"{self.url}/healthz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), patient(20))
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    @property
    def output(self) -> str:
        """Everything that it printed."""
        return (self.folder / "output").read_text(errors="replace")

    # --- asking it -------------------------------------------------------------

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the answer to a document; fails on any error in it."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        headers = {"Accept": "application/json"}
        if self.key:
            headers["ApiKey"] = self.key
        async with self._session.post(
            f"{self.url}/graphql",
            json={"query": query, "variables": variables},
            headers=headers,
        ) as answer:
            document = await answer.json(content_type=None)
        assert not (document or {"errors": "none"}).get("errors"), document
        found: dict[str, Any] = document["data"]
        return found

    async def has(self, kind: str, field: str) -> bool:
        """Whether a type of its schema has a field."""
        answer = await self.ask(
            "query Q($name: String!)"
            " { kind: __type(name: $name) { fields { name } inputFields { name } } }",
            name=kind,
        )
        found = answer["kind"] or {}
        fields = [*(found.get("fields") or ()), *(found.get("inputFields") or ())]
        return field in {one["name"] for one in fields}

    async def job(self, mutation: str, **variables: Any) -> None:
        """Start a job by a mutation, and wait for its end."""
        (number,) = (await self.ask(mutation, **variables)).values()
        query = "query J($id: ID!) { findJob(input: {id: $id}) { status } }"
        async with asyncio.timeout(patient(_JOB_WITHIN)):
            while True:
                found = (await self.ask(query, id=str(number)))["findJob"]
                if found is None or found["status"] in {"FINISHED", "FAILED"}:
                    return
                await asyncio.sleep(0.05)

    async def scan(self, **options: Any) -> None:
        """Scan its folder, covers included."""
        given = {"scanGenerateCovers": True, **options}
        await self.job(
            "mutation S($i: ScanMetadataInput!) { metadataScan(input: $i) }", i=given
        )

    async def clean(self) -> None:
        await self.job(
            "mutation C($i: CleanMetadataInput!) { metadataClean(input: $i) }",
            i={"paths": [], "dryRun": False},
        )

    async def update(self, scene_id: int, **fields: Any) -> None:
        """Edit a scene as its page does."""
        await self.ask(
            "mutation U($i: SceneUpdateInput!) { sceneUpdate(input: $i) { id } }",
            i={"id": str(scene_id), **fields},
        )

    async def create(self, kind: str, name: str, **fields: Any) -> str:
        """Make a performer, studio, tag or group; returns its id."""
        answer = await self.ask(
            f"mutation C($i: {kind.capitalize()}CreateInput!)"
            f" {{ made: {kind}Create(input: $i) {{ id }} }}",
            i={"name": name, **fields},
        )
        made: str = answer["made"]["id"]
        return made

    async def scenes(self) -> dict[str, int]:
        """Return the scenes by the path of each of their files."""
        answer = await self.ask(
            '{ findScenes(filter: {per_page: -1, sort: "id"})'
            " { scenes { id files { path } } } }"
        )
        return {
            file["path"]: int(scene["id"])
            for scene in answer["findScenes"]["scenes"]
            for file in scene["files"]
        }

    def change_database(self, *statements: str) -> None:
        """Run SQL on its database; only while it is stopped."""
        assert self._process is None or self._process.returncode is not None
        with sqlite3.connect(self.database) as connection:
            for one in statements:
                connection.execute(one)
        connection.close()


@asynccontextmanager
async def real_stash(folder: Path, **settings: Any) -> AsyncIterator[RealStash]:
    """Run a Stash for the length of the block."""
    stash = RealStash(folder, **settings)
    await stash.start()
    try:
        yield stash
    finally:
        await stash.stop()


def files_below(folder: Path) -> Mapping[str, int]:
    """Return the videos below a folder: path -> size in bytes."""
    return {str(one): one.stat().st_size for one in sorted(folder.rglob("*.mp4"))}
