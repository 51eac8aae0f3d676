"""Asks a running daemon what Plex asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.conftest import make_settings
from tests.running import RunningDaemon, running

IDENTIFIER = "tv.plex.agents.custom.stash2plex"
RULE = {
    "name": "videos",
    "stash": "^/data/(?P<rest>.+)$",
    "plex": "^/media/(?P<rest>.+)$",
}
EMPTY = {
    "MediaContainer": {
        "offset": 0,
        "totalSize": 0,
        "identifier": IDENTIFIER,
        "size": 0,
        "Metadata": [],
    }
}


class Plex:
    """The provider's client, without any of PMS's manners."""

    def __init__(self, daemon: RunningDaemon, root: str = "/plex") -> None:
        self.daemon = daemon
        self.root = root

    async def ask(
        self, method: str, path: str, status: int | None = 200, **more: Any
    ) -> dict[str, Any]:
        url = f"{self.daemon.url}{self.root}{path}"
        async with self.daemon.session.request(method, url, **more) as answer:
            assert answer.content_type == "application/json", await answer.text()
            document: dict[str, Any] = await answer.json()
            assert status in {None, answer.status}, (answer.status, document)
            return document

    async def get(self, path: str, status: int = 200, **more: Any) -> dict[str, Any]:
        return await self.ask("GET", path, status, **more)

    async def match(self, filename: str = "", **hints: Any) -> list[dict[str, Any]]:
        body = {"type": 1, "title": "x"} | hints
        if filename:
            body["filename"] = filename
        document = await self.ask("POST", "/library/metadata/matches", json=body)
        return document["MediaContainer"]["Metadata"]

    async def scenes(self, filename: str = "", **hints: Any) -> list[int]:
        """Return the scenes that a match request is answered with."""
        found = await self.match(filename, **hints)
        return [int(one["ratingKey"].removeprefix("scene-")) for one in found]

    async def fails(self, filename: str, status: int = 500, **hints: Any) -> str:
        body = {"type": 1, "title": "x", "filename": filename} | hints
        path = "/library/metadata/matches"
        return (await self.ask("POST", path, status, json=body))["code"]

    async def know(self, *scene_ids: int) -> None:
        """Let the daemon read scenes into its catalogue."""
        await self.daemon.post("sync", {"scene_ids": list(scene_ids)})
        await self.daemon.until(
            lambda status: not status["queue"]["queued"] + status["queue"]["running"]
        )

    async def metadata(self, scene_id: int) -> dict[str, Any]:
        document = await self.get(f"/library/metadata/scene-{scene_id}")
        (found,) = document["MediaContainer"]["Metadata"]
        return found

    async def images(self, scene_id: int) -> list[dict[str, Any]]:
        document = await self.get(f"/library/metadata/scene-{scene_id}/images")
        return document["MediaContainer"]["Image"]

    async def gaps(self, kind: str = "") -> list[dict[str, Any]]:
        url = f"{self.daemon.url}/api/v1/gaps"
        async with self.daemon.session.get(url, params={"kind": kind}) as answer:
            return (await answer.json())["gaps"]


@asynccontextmanager
async def providing(stash, plex, folder, /, **sections: Any) -> AsyncIterator[Plex]:
    """Run a daemon whose catalogue is read; pictures are on."""
    plex.locations.setdefault(1, ["/media"])
    sections.setdefault("path_rules", (RULE,))
    shown = {"fields": {"poster": True, "background": True}}
    sections["sync"] = shown | sections.get("sync", {})
    settings = make_settings(stash, plex, folder, **sections)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        root = settings.provider.path
        if secret := settings.provider.secret.get_secret_value():
            root += f"/{secret}"
        yield Plex(daemon, root)
