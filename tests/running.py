"""The real daemon in the test's own loop, and questions to it over HTTP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from stash2plex import daemon
from stash2plex.config import Settings
from stash2plex.logs import Secrets
from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.stash import PretendStash
from tests.patience import patient


def unmeasured() -> dict[str, str]:
    """Return the environment of a process that is not measured for coverage.

    For those that measuring would slow down most, or that cannot write its files.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COVERAGE_")
    }


async def until_ready(url: str, check: Callable[[], Awaitable[None]]) -> None:
    """Wait until a daemon at *url* takes hooks; *check* fails once its process ended."""
    async with asyncio.timeout(patient(20)), aiohttp.ClientSession() as session:
        while True:
            await check()
            try:
                async with session.get(f"{url}/readyz") as answer:
                    if answer.ok:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.02)


class RunningDaemon:
    """A daemon with its API, between its two servers."""

    def __init__(
        self,
        settings: Settings,
        session: aiohttp.ClientSession,
        stash: PretendStash,
        plex: PretendPlex,
    ) -> None:
        self.settings = settings
        self.stash = stash
        self.plex = plex
        self.url = f"http://127.0.0.1:{settings.server.port}"
        self.session = session

    async def hook(
        self, scene_id: int, kind: str = "Scene.Update.Post", fields: Any = ("title",)
    ) -> dict[str, Any]:
        """Post a hook as the plugin does; returns the answer."""
        body: dict[str, Any] = {"type": kind, "id": scene_id}
        if fields:
            body["fields"] = list(fields)
        return await self.post("hooks", body)

    async def post(self, route: str, body: Any, status: int = 202) -> dict[str, Any]:
        async with self.session.post(f"{self.url}/api/v1/{route}", json=body) as answer:
            document: dict[str, Any] = await answer.json()
            assert answer.status == status, document
            return document

    async def get(self, route: str) -> dict[str, Any]:
        async with self.session.get(f"{self.url}/api/v1/{route}") as answer:
            assert answer.status == 200
            document: dict[str, Any] = await answer.json()
            return document

    async def status(self) -> dict[str, Any]:
        return await self.get("status")

    async def until(
        self, fact: Callable[[dict[str, Any]], object], seconds: float = 15
    ) -> dict[str, Any]:
        """Ask for the status until *fact* holds of it; returns it."""
        async with asyncio.timeout(patient(seconds)):
            while True:
                document = await self.status()
                if fact(document):
                    return document
                await asyncio.sleep(0.02)

    async def idle(self) -> dict[str, Any]:
        """Wait until nothing is due, waiting or running."""
        return await self.until(
            lambda status: (
                not any(
                    status["queue"][name] for name in ("queued", "waiting", "running")
                )
            )
        )

    async def cataloged(self) -> dict[str, Any]:
        """Wait until both libraries were listed."""
        return await self.until(lambda status: status["catalog"]["refreshed_at"])

    async def deliver(self, *scene_ids: int) -> dict[str, Any]:
        """Ask for these scenes and wait for the end of it."""
        await self.post("sync", {"scene_ids": list(scene_ids)})
        return await self.idle()


@asynccontextmanager
async def running(
    settings: Settings, stash: PretendStash, plex: PretendPlex
) -> AsyncIterator[RunningDaemon]:
    """Run a daemon for the length of the block."""
    stopping, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(
        daemon.run(
            settings,
            Secrets(settings.secrets()),
            stopping=stopping,
            on_ready=ready.set,
        )
    )
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        waiting.cancel()
        await task
    headers = {"Authorization": f"Bearer {settings.server.token.get_secret_value()}"}
    try:
        async with aiohttp.ClientSession(headers=headers) as session:
            yield RunningDaemon(settings, session, stash, plex)
    finally:
        stopping.set()
        await task
