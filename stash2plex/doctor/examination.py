"""Everything that is looked at, in the order in which it is best mended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from stash2plex.config import Settings
from stash2plex.data_dir import holder
from stash2plex.doctor import (
    daemon,
    media_roots,
    paths,
    plex,
    plugin,
    provider,
    running,
    stash,
)
from stash2plex.doctor.finding import Finding
from stash2plex.doctor.running import AskStatus
from stash2plex.plex.connection import PlexConnection
from stash2plex.plex.item import Section
from stash2plex.plex.library import PlexLibrary
from stash2plex.scene import SceneEntry
from stash2plex.stash.client import StashClient

_CLIENT = "stash2plex-check"


async def examine(
    settings: Settings, ask_status: AskStatus
) -> AsyncGenerator[Finding, None]:
    """Look at everything; yields findings as they come.

    *ask_status* is called if a daemon runs with these settings.
    """
    yield Finding("config", "ok", "the configuration is valid")
    for finding in await asyncio.to_thread(daemon.examine, settings):
        yield finding
    async for finding in media_roots.examine(settings.provider.media_roots):
        yield finding
    runs = await asyncio.to_thread(holder, settings.server.data_dir) is not None
    if runs:
        for finding in await running.examine(ask_status, settings.server):
            yield finding
    scenes: list[SceneEntry] | None = None
    async with StashClient.connect(settings.stash) as client:
        found, answers = await stash.examine(client, settings)
        for finding in found:
            yield finding
        if answers:
            for finding in await plugin.examine(client, settings, runs=runs):
                yield finding
            if warned := plugin.polling(settings):
                yield warned
            scenes = await stash.some_scenes(client)
            yield await stash.pictures(client, scenes)
        async for finding in _plex(settings, client, scenes):
            yield finding


async def _plex(
    settings: Settings, stash: StashClient, scenes: list[SceneEntry] | None
) -> AsyncIterator[Finding]:
    async with PlexConnection.open(settings.plex, _CLIENT) as connection:
        known = await asyncio.to_thread(plex.known_libraries, settings)
        library = PlexLibrary(connection, settings.plex.libraries, known)
        finding = await plex.reachable(library, settings)
        yield finding
        sections: list[Section] | None = None
        if finding.level == "ok":
            yield await plex.owner(library)
            yield await asyncio.to_thread(plex.request_line, settings)
            if missed := await asyncio.to_thread(plex.uploads, settings):
                yield missed
            finding, sections = await plex.libraries(library)
            yield finding
        if settings.provider.enabled:
            async for finding in provider.examine(settings, library, sections):
                yield finding
        if sections and scenes is not None:
            async for finding in paths.examine(
                settings, stash, library, sections, scenes
            ):
                yield finding
