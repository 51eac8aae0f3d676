"""``stash2plex check``: what is wrong with the set-up, why, and how to mend it.

Works with and without a running daemon, and writes nothing anywhere.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from stash2plex.catalog import brake
from stash2plex.config import Settings
from stash2plex.data_dir import has_room
from stash2plex.db.database import DATABASE, read_fact
from stash2plex.errors import (
    AccessDenied,
    LibraryNotFound,
    SchemaMismatch,
    Stash2PlexError,
)
from stash2plex.paths import PathMap
from stash2plex.plex.connection import PlexConnection
from stash2plex.plex.item import Section
from stash2plex.plex.library import PlexLibrary
from stash2plex.provider.setup import root_url, steps
from stash2plex.provider.traffic import LAST_REQUEST
from stash2plex.stash.client import StashClient

# How many scenes and items the paths are compared on.
_SAMPLE = 500
_FEW = 0.5
_CLIENT = "stash2plex-check"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; *code* is stable, *fix* empty when all is well.

    *steps* are lines to follow when the fix takes more than one.
    """

    code: str
    level: Literal["ok", "warn", "fail"]
    message: str
    fix: str = ""
    steps: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Look at everything; yields findings as they come."""
    yield Finding("config", "ok", "the configuration is valid")
    yield await asyncio.to_thread(_data_dir, settings.server.data_dir)
    if braked := await asyncio.to_thread(_brake, settings):
        yield braked
    scene_paths: list[str] | None = None
    async with StashClient.connect(settings.stash) as stash:
        finding = await _stash(stash, settings)
        yield finding
        if finding.level == "ok":
            scene_paths = await _scene_paths(stash)
    async with PlexConnection.open(settings.plex, _CLIENT) as connection:
        plex = PlexLibrary(connection, settings.plex.libraries)
        finding = await _plex(plex, settings)
        yield finding
        if finding.level != "ok":
            return
        finding, sections = await _libraries(plex)
        yield finding
        if settings.provider.enabled:
            yield await _registered(plex, settings, sections)
            yield await asyncio.to_thread(_called, settings)
        if finding.level == "fail" or scene_paths is None:
            return
        yield await _coverage(plex, sections, scene_paths, PathMap(settings.path_rules))


def _data_dir(folder: Path) -> Finding:
    code, fix = "data_dir", "make it writable for the user the daemon runs as"
    parent = folder
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        return Finding(code, "fail", f"{parent} is not a folder", "set server.data_dir")
    if not os.access(parent, os.R_OK | os.W_OK | os.X_OK):
        return Finding(code, "fail", f"{parent} cannot be written", fix)
    if not has_room(parent):
        fix = "free some space, or mount it for writing"
        return Finding(code, "fail", f"the disk of {parent} takes no more", fix)
    state = "is writable" if parent == folder else "can be made"
    return Finding(code, "ok", f"{folder} {state}")


def _brake(settings: Settings) -> Finding | None:
    """Say that a comparison was stopped, if one was."""
    file = settings.server.data_dir / DATABASE
    reason = read_fact(file, brake.FACT) if file.exists() else None
    fix = "mount the share, then: stash2plex reconcile"
    return Finding("brake", "fail", reason, fix) if reason else None


async def _stash(stash: StashClient, settings: Settings) -> Finding:
    try:
        version = await stash.probe()
    except Stash2PlexError as error:
        code, fix = "stash_reachable", f"is Stash running at {settings.stash.url}?"
        if isinstance(error, AccessDenied):
            code, fix = "stash_access", "set stash.api_key"
        elif isinstance(error, SchemaMismatch):
            code, fix = "stash_version", "update Stash to v0.25 or later"
        return Finding(code, "fail", str(error), fix)
    return Finding("stash", "ok", f"Stash {version or 'of unknown version'} answers")


async def _plex(plex: PlexLibrary, settings: Settings) -> Finding:
    try:
        server = await plex.server()
    except Stash2PlexError as error:
        code, fix = "plex_reachable", f"is Plex running at {settings.plex.url}?"
        if isinstance(error, AccessDenied):
            code, fix = "plex_access", "set plex.token"
        return Finding(code, "fail", str(error), fix)
    return Finding("plex", "ok", f"Plex {server.version} answers and takes the token")


async def _libraries(plex: PlexLibrary) -> tuple[Finding, list[Section]]:
    code = "plex_libraries"
    try:
        sections = await plex.sections()
    except LibraryNotFound as error:
        fix = "correct plex.libraries, or empty it to use every movie library"
        return Finding(code, "fail", str(error), fix), []
    except Stash2PlexError as error:
        return Finding(code, "fail", str(error), "look at Plex"), []
    if not sections:
        fix = "add a library of the type Movies or Other Videos in Plex"
        return Finding(code, "fail", "Plex has no movie library", fix), []
    missing = plex.missing(sections)
    titles = ", ".join(repr(one.title) for one in sections)
    if missing:
        fix = "correct plex.libraries"
        message = f"no library {', '.join(map(repr, missing))}; using {titles}"
        return Finding(code, "warn", message, fix), sections
    return Finding(code, "ok", f"libraries: {titles}"), sections


async def _registered(
    plex: PlexLibrary, settings: Settings, sections: Sequence[Section]
) -> Finding:
    """Say whether Plex has the provider, and a library that uses it."""
    code, identifier = "provider_registered", settings.provider.identifier
    todo = tuple(steps(settings, sections))
    try:
        known = await plex.metadata_providers()
    except Stash2PlexError as error:
        return Finding(code, "warn", str(error), "look at Plex")
    if known is None:
        fix = "update Plex to 1.43 or newer, or set provider.enabled = false"
        return Finding(code, "warn", "this Plex knows no metadata providers", fix)
    if all(one.identifier != identifier for one in known):
        message = "Plex does not have the metadata provider; pushing works without"
        fix = "add it, so that scans find everything at once"
        return Finding(code, "warn", message, fix, todo)
    using = [one.title for one in sections if one.agent == identifier]
    if not using:
        message = f"Plex has the provider {identifier}, but no library uses it"
        return Finding(code, "warn", message, "choose it as the library's agent", todo)
    titles = ", ".join(map(repr, using))
    return Finding(code, "ok", f"Plex has the provider; used by {titles}")


def _called(settings: Settings) -> Finding:
    """Say whether Plex ever reached the provider."""
    code = "provider_called"
    file = settings.server.data_dir / DATABASE
    moment = read_fact(file, LAST_REQUEST) if file.exists() else None
    if moment:
        return Finding(code, "ok", f"Plex last asked the provider at {moment}")
    fix = (
        f"register {root_url(settings)}; if it is, does Plex's machine or container"
        " reach this address?"
    )
    return Finding(code, "warn", "Plex has never asked the provider", fix)


async def _scene_paths(stash: StashClient) -> list[str]:
    """Return the paths of some scenes, the oldest ones."""
    paths: list[str] = []
    async for page in stash.entries():
        paths += [file.path for one in page for file in one.files]
        if len(paths) >= _SAMPLE:
            break
    return paths[:_SAMPLE]


async def _coverage(
    plex: PlexLibrary, sections: Sequence[Section], paths: list[str], rules: PathMap
) -> Finding:
    """Say how many of Stash's files are, by path, where Plex looks."""
    code = "path_coverage"
    if not paths:
        return Finding(code, "warn", "Stash has no files yet", "scan in Stash")
    keys: set[str] = set()
    for section in sections:
        async for page, _ in plex.entries(section.id):
            keys |= {rules.key_of_plex(f.path) for one in page for f in one.files}
    missing = [path for path in paths if rules.key_of_stash(path) not in keys]
    found = len(paths) - len(missing)
    message = (
        f"{found} of {len(paths)} files of Stash are in Plex under their mapped path"
    )
    if not missing:
        return Finding(code, "ok", message)
    message += f"; not, for example: {missing[0]}"
    if found >= len(paths) * _FEW:
        fix = "scan the library in Plex; 'stash2plex paths test PATH' shows a mapping"
        return Finding(code, "warn", message, fix)
    example = min(keys, default="")
    fix = (
        "give path_rules; "
        + (f"Plex has for example {example}" if example else "Plex has no files at all")
        + "; 'stash2plex paths test PATH' shows a mapping"
    )
    return Finding(code, "warn", message, fix)
