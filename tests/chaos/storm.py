"""A storm: everything that can go wrong does, in an order that a number decides.

Scenes are edited and hooks posted while Plex and Stash fail in every way they know and
the daemon is killed, stopped, its clock set, its disk filled, its lock deleted and a share
hangs that it reads from. Then all is mended, and Plex has to show what Stash knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import re
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.scenes import cover
from stash2plex.sandbox.server import serving
from stash2plex.sandbox.stash import PretendScene, PretendStash
from tests.conftest import free_port
from tests.likeness import some_fields, unlike
from tests.patience import patient
from tests.running import unmeasured

TOKEN = "storm-token"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
# What servers answer when they are not well; 401 needs a person, so it is rarer.
STATUSES = (500, 502, 503, 503, 429, 408, 401)
# What may be found dead after a storm, with a cause that was part of it.
# Scenes share covers, so that earlier ones come back.
_COVERS = 8
CAUSED = {"server_fault", "picture_failed"}
# How long Plex may take to show everything once all is mended, seconds: a comparison that
# failed is tried again after two minutes.
_PATIENCE = 180.0

ROOT = Path(__file__).parents[2]
HUNG_MOUNT = ROOT / "tests" / "hung_mount"

Action = Callable[[], Awaitable[None]]


class Storm:
    """One storm over *scenes* scenes; the same *seed* decides the same order."""

    def __init__(self, folder: Path, *, seed: int, scenes: int) -> None:
        self.chance = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.stash = PretendStash()
        self.plex = PretendPlex()
        self._folder = folder
        self._scenes = scenes
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None
        self._said: asyncio.Task[None] | None = None
        self._log: list[str] = []
        self._session: aiohttp.ClientSession | None = None
        self._faults: set[asyncio.Task[None]] = set()
        self._weighted: list[tuple[Action, int]] = [
            (self._edit, 60),
            (self._add, 4),
            (self._delete, 2),
            (self._replace_item, 2),
            (self._plex_fault, 10),
            (self._stash_fault, 6),
            (self._kill, 3),
            (self._terminate, 1),
            (self._hang_up, 1),
            (self._step_clock, 2),
            (self._fill_disk, 2),
            (self._delete_lock, 1),
            (self._hang_share, 2),
            (self._ask_provider, 6),
        ]
        self._share = folder / "share"

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[Storm]:
        """Hold the servers and a daemon for the length of the block."""
        for _ in range(self._scenes):
            self._new_scene()
        async with (
            serving(self.stash.app) as self.stash.url,
            serving(self.plex.app) as self.plex.url,
            aiohttp.ClientSession(
                headers=HEADERS, timeout=aiohttp.ClientTimeout(total=5)
            ) as self._session,
        ):
            self._share.mkdir(exist_ok=True)
            with suppress(FileExistsError):
                os.mkfifo(self._beside_share("pipe"))
            self._write_config()
            await self._start()
            await self._until_ready()
            await self._post("sync", {"scope": "all"})
            try:
                yield self
            finally:
                await self._end(signal.SIGKILL)

    async def rage(self, seconds: float, most: int, pause: float = 0.02) -> None:
        """Let things happen for *seconds*, or until so many happened."""
        actions, weights = zip(*self._weighted, strict=True)
        end = time.monotonic() + seconds
        for _ in range(most):
            if time.monotonic() > end:
                return
            (action,) = self.chance.choices(actions, weights)
            await action()
            await asyncio.sleep(self.chance.uniform(0, pause * 2))

    async def calm(self) -> None:
        """Mend everything, and wait for Plex to show it.

        Hooks that were refused are not posted again: the next poll finds what they were
        about.
        """
        for fault in self._faults:
            fault.cancel()
        await asyncio.gather(*self._faults, return_exceptions=True)
        self._mend_plex()
        self._mend_stash()
        self._mend_share()
        self._limit_files(resource.RLIM_INFINITY)
        await self._until_ready()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patient(_PATIENCE)):
                while True:
                    if not await self.lost():
                        break
                    await asyncio.sleep(0.5)
        self.counts["dead"] = (await self._get("dead?limit=1000"))["total"]

    async def lost(self) -> dict[int, str]:
        """Return what Plex shows wrong once nothing is left to do, dead letters apart."""
        await self.idle()
        dead = (await self._get("dead?limit=1000"))["dead"]
        dying = {one["id"] for one in dead}
        return {key: one for key, one in self.differences().items() if key not in dying}

    async def retry_dead(self) -> list[dict[str, Any]]:
        """Try what died again, now that all is well; returns what it was."""
        dead = (await self._get("dead?limit=1000"))["dead"]
        await self._post("dead/retry", {})
        await self.idle()
        return dead

    async def idle(self, seconds: float = 240) -> dict[str, Any]:
        """Wait until the daemon has nothing to do."""
        async with asyncio.timeout(patient(seconds)):
            while True:
                status = await self._get("status")
                queue = status["queue"]
                if not any(queue[one] for one in ("queued", "waiting", "running")):
                    return status
                await asyncio.sleep(0.1)

    def differences(self) -> dict[int, str]:
        """Say of each scene what Plex shows wrong."""
        items = {one.files[0][0]: one for one in self.plex.items.values()}
        found = {}
        for scene in self.stash.scenes.values():
            item = items.get(scene.files[0][0])
            if item is None:
                continue
            wrong = unlike(self.stash, scene, item)
            if item.picture("art") != scene.cover:
                wrong["art"] = (item.shown("art"), scene.cover and scene.cover[:8])
            if wrong:
                found[scene.id] = str(wrong)
        return found

    async def status(self) -> dict[str, Any]:
        return await self._get("status")

    def log_tail(self) -> str:
        return "\n".join(self._log[-40:])

    def log_of(self, scene_id: int) -> str:
        """Return what was said and done about one scene."""
        pattern = re.compile(rf'"(scene|stash_id)": {scene_id}\b|^--- {scene_id} ')
        return "\n".join(line for line in self._log if pattern.search(line))

    # --- what happens -----------------------------------------------------------

    async def _edit(self) -> None:
        scene_id = self.chance.choice(list(self.stash.scenes))
        self.stash.change(scene_id, **self._some_fields())
        self.counts["edits"] += 1
        await self._hook(scene_id, "Scene.Update.Post")

    async def _add(self) -> None:
        scene = self._new_scene()
        self.counts["added"] += 1
        await self._hook(scene.id, "Scene.Create.Post")

    async def _delete(self) -> None:
        if len(self.stash.scenes) < self._scenes // 2:
            return
        scene_id = self.chance.choice(list(self.stash.scenes))
        self.stash.remove(scene_id)
        self.counts["deleted"] += 1
        await self._hook(scene_id, "Scene.Destroy.Post")

    async def _replace_item(self) -> None:
        """Take a file out of Plex and put it in again, under another rating key."""
        key = self.chance.choice(list(self.plex.items))
        (path, size), *_ = self.plex.items[key].files
        self.plex.remove(key)
        self.plex.add(path, size=size)
        self.counts["replaced"] += 1
        for scene in self.stash.scenes.values():
            if scene.files[0][0] == path:
                await self._hook(scene.id, "Scene.Update.Post")

    async def _plex_fault(self) -> None:
        plex, chance = self.plex, self.chance
        match chance.randrange(10):
            case 0 | 1:
                plex.status = chance.choice(STATUSES)
                plex.retry_after = chance.choice(("", "1", "86400", "soon", "-5"))
            case 2:
                plex.latency = chance.uniform(0.05, 0.5)
            case 3:
                plex.hangs = True
            case 4:
                plex.garbles = chance.choice((b"<html/>", b"", b"<MediaContainer><Vi"))
            case 5:
                plex.line.how = chance.choice(("half", "reset", "trickle"))
            case 6:
                plex.loses_answers = 3
            case 7:
                plex.loses_uploads = 3
            case 8:
                plex.is_starting = True
            case 9:
                plex.touch(chance.choice(list(plex.items)))
        self.counts["plex faults"] += 1
        self._later(chance.expovariate(1 / 0.7), self._mend_plex)

    async def _stash_fault(self) -> None:
        stash, chance = self.stash, self.chance
        match chance.randrange(8):
            case 0:
                stash.status = chance.choice(STATUSES)
            case 5:
                stash.state = "NEEDS_MIGRATION"
            case 6:
                stash.fails_reading = "disk I/O error"
            case 7:
                stash.lost_blobs = True
            case 1:
                stash.latency = chance.uniform(0.05, 0.5)
            case 2:
                stash.hangs = True
            case 3:
                stash.garbles = chance.choice(("<html>", "{}", '{"data": null}'))
            case 4:
                stash.line.how = chance.choice(("half", "reset", "trickle"))
        self.counts["stash faults"] += 1
        self._later(chance.expovariate(1 / 0.5), self._mend_stash)

    async def _kill(self) -> None:
        self.counts["kills"] += 1
        await self._end(signal.SIGKILL)
        await self._start()

    async def _terminate(self) -> None:
        self.counts["stops"] += 1
        began = time.monotonic()
        assert await self._end(signal.SIGTERM) == 0, self.log_tail()
        assert time.monotonic() - began < patient(10)
        await self._start()

    async def _hang_up(self) -> None:
        self.counts["reloads"] += 1
        self._write_config()
        await self._until_ready()  # before, it would be the end
        self._signal(signal.SIGHUP)

    async def _step_clock(self) -> None:
        assert self._process
        assert self._process.stdin
        self.counts["clock steps"] += 1
        seconds = self.chance.choice((-1, 1)) * self.chance.choice((30, 3600, 900_000))
        self._process.stdin.write(f"{seconds}\n".encode())

    async def _fill_disk(self) -> None:
        self.counts["full disks"] += 1
        self._limit_files(0)
        unlimited = resource.RLIM_INFINITY
        self._later(self.chance.uniform(0.2, 1.5), lambda: self._limit_files(unlimited))

    async def _delete_lock(self) -> None:
        """Take the lock from under the daemon: it ends, and is started anew."""
        assert self._process
        assert self._said
        await self._until_ready()
        self.counts["locks deleted"] += 1
        (self._folder / "data" / "lock").unlink(missing_ok=True)
        async with asyncio.timeout(patient(30)):
            status = await self._process.wait()
        await self._said
        assert status == 1, self.log_tail()
        assert "was deleted while the daemon ran" in self.log_tail()
        await self._start()

    async def _hang_share(self) -> None:
        self.counts["hung shares"] += 1
        self._beside_share("hangs").touch()
        self._later(self.chance.uniform(0.5, 3), self._mend_share)

    def _mend_share(self) -> None:
        self._beside_share("hangs").unlink(missing_ok=True)
        with suppress(OSError):  # nobody waits
            os.close(os.open(self._beside_share("pipe"), os.O_WRONLY | os.O_NONBLOCK))

    def _beside_share(self, end: str) -> Path:
        return self._share.with_name(f"{self._share.name}.{end}")

    async def _ask_provider(self) -> None:
        """Ask as Plex does about a file of the share, and wait for no answer."""
        assert self._session
        name = f"unknown-{self.chance.randrange(1000)}.mp4"
        asking = self._session.post(
            f"http://127.0.0.1:{self._port}/plex/library/metadata/matches",
            json={"type": 1, "title": "x", "filename": f"/media/{name}"},
        )

        async def ask() -> None:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with asking:
                    self.counts["matches"] += 1

        task = asyncio.create_task(ask())
        self._faults.add(task)
        task.add_done_callback(self._faults.discard)

    # --- small things -------------------------------------------------------------

    def _later(self, seconds: float, mend: Callable[[], None]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            mend()

        task = asyncio.create_task(wait())
        self._faults.add(task)
        task.add_done_callback(self._faults.discard)

    def _mend_plex(self) -> None:
        plex = self.plex
        plex.status, plex.latency, plex.hangs, plex.garbles = None, 0.0, False, None
        plex.line.how, plex.loses_answers, plex.loses_uploads = "", 0, 0
        plex.is_starting = False

    def _mend_stash(self) -> None:
        stash = self.stash
        stash.status, stash.latency, stash.hangs = None, 0.0, False
        stash.garbles, stash.line.how = None, ""
        stash.state, stash.fails_reading, stash.lost_blobs = "OK", "", False

    def _limit_files(self, size: int) -> None:
        """Let no file of the daemon grow beyond *size*: that is a full disk to it."""
        if self._process and self._process.returncode is None:
            limits = (size, resource.RLIM_INFINITY)
            with suppress(ProcessLookupError):  # gone already, over a full disk
                resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, limits)

    def _new_scene(self) -> PretendScene:
        number = self.counts["scenes"] = self.counts["scenes"] + 1
        path = f"/media/{number}.mp4"
        self.plex.add(path, size=number)
        return self.stash.add(path, size=number, **self._some_fields())

    def _some_fields(self) -> dict[str, Any]:
        number = self.counts["versions"] = self.counts["versions"] + 1
        drawn = self.chance.choice((None, *range(1, _COVERS)))
        shown = cover(drawn) if drawn else None
        return some_fields(self.chance, number) | {"cover": shown}

    async def _hook(self, scene_id: int, kind: str) -> None:
        body = {"type": kind, "id": scene_id}
        if kind == "Scene.Update.Post":
            body["fields"] = ["title"]
        try:
            await self._post("hooks", body)
        except (aiohttp.ClientError, TimeoutError):
            self.counts["hooks refused"] += 1
            self._log.append(f"--- {scene_id} {kind}: refused")
        else:
            self.counts["hooks"] += 1
            self._log.append(f"--- {scene_id} {kind}: accepted")

    async def _post(self, route: str, body: dict[str, Any]) -> Any:
        assert self._session
        url = f"http://127.0.0.1:{self._port}/api/v1/{route}"
        async with self._session.post(url, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def _get(self, route: str) -> Any:
        assert self._session
        url = f"http://127.0.0.1:{self._port}/api/v1/{route}"
        async with self._session.get(url) as answer:
            answer.raise_for_status()
            return await answer.json()

    # --- the daemon ----------------------------------------------------------------

    def _write_config(self) -> None:
        """Write a configuration that differs from the last in nothing that matters."""
        rating = self.chance.choice(("XXX", "R"))
        self._config.write_text(
            f'[server]\nhost = "127.0.0.1"\nport = {self._port}\ntoken = "{TOKEN}"\n'
            f'[stash]\nurl = "{self.stash.url}"\ntimeout = 1\npoll_interval = 0.5\n'
            f'[plex]\nurl = "{self.plex.url}"\ntoken = "{self.plex.token}"\n'
            "timeout = 1\n"
            "[sync.fields]\ncontent_rating = false\n"
            f'[provider]\ncontent_rating = "{rating}"\n'
            f'media_roots = [{{plex = "/media", here = "{self._share}"}}]\n'
            "[queue]\nretry_base = 0.2\nretry_cap = 1\nnot_found_base = 0.2\n"
            "not_found_cap = 1\n"
            "[outage]\nopen_seconds = 2\nprobe_min = 0.1\nprobe_max = 0.5\n"
            "ramp_start = 100\nramp_end = 400\nramp_seconds = 1\n"
        )

    @property
    def _config(self) -> Path:
        return self._folder / "config.toml"

    async def _start(self) -> None:
        await self._launch()
        # Now and then it is killed before it has come up.
        if self.chance.random() < 0.9:
            await self._until_ready()

    async def _launch(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.chaos.daemon",
            "--config",
            str(self._config),
            "run",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Its disk may be full, and its share may hang.
            env=unmeasured() | {"PYTHONPATH": _path(), "HUNG_FOLDER": str(self._share)},
        )
        self._said = asyncio.create_task(self._listen(self._process))

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        async for line in process.stdout:
            text = line.decode("utf-8", "replace").rstrip()
            self._log.append(text)
            if '"event": "batch_crashed"' in text or '"request_crashed"' in text:
                self.counts["bugs"] += 1

    async def _until_ready(self) -> None:
        assert self._process
        assert self._session
        url = f"http://127.0.0.1:{self._port}/livez"
        async with asyncio.timeout(patient(30)):
            while True:
                if (status := self._process.returncode) is not None:
                    # A disk that is full at the start is told in one line.
                    said = next(x for x in reversed(self._log) if x[:4] != "--- ")
                    full = status == 1 and "[data_dir_unusable]" in said
                    assert full, f"status {status}\n{self.log_tail()}"
                    self.counts["starts refused"] += 1
                    await self._launch()
                try:
                    async with self._session.get(url):
                        return
                except (aiohttp.ClientError, TimeoutError):
                    await asyncio.sleep(0.02)

    def _signal(self, number: int) -> None:
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):  # the same
                os.kill(self._process.pid, number)

    async def _end(self, number: int) -> int:
        assert self._process
        assert self._said
        if number == signal.SIGTERM:
            await self._until_ready()  # before, nobody would obey
        self._signal(number)
        status = await self._process.wait()
        await self._said
        return status


def _path() -> str:
    """Return where Python finds what makes the share hang, and everything else."""
    there = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join(filter(None, (str(HUNG_MOUNT), str(ROOT), there)))


async def weather(
    folder: Path,
    *,
    seed: int,
    scenes: int,
    seconds: float = math.inf,
    most: int = sys.maxsize,
) -> dict[str, Any]:
    """Have one storm; returns its counts, or raises AssertionError saying what is lost."""
    storm = Storm(folder, seed=seed, scenes=scenes)
    async with storm.standing():
        await storm.rage(seconds, most)
        await storm.calm()
        lost = await storm.lost()
        dead = await storm.retry_dead()
        uncaused = [one for one in dead if one["code"] not in CAUSED]
        counts = dict(storm.counts) | {
            "edits of Plex": sum(one.writes for one in storm.plex.items.values()),
            "edits that changed nothing": storm.plex.redundant_edits,
        }
        print(json.dumps({"seed": seed} | counts), flush=True)
        still = storm.differences()
        for scene_id in list(lost | still)[:3]:
            print(storm.log_of(scene_id))
        assert not lost, f"seed {seed}: {len(lost)} scenes are lost: {lost}"[:2000]
        assert not still, f"seed {seed}: lost after a retry: {still}"[:2000]
        assert not uncaused, f"seed {seed}: {uncaused[:5]}"
        assert not storm.counts["bugs"], f"seed {seed}: {storm.log_tail()}"
        lossy = storm.counts["kills"] + storm.counts["plex faults"]
        assert storm.plex.redundant_edits <= lossy, counts
    return counts
