"""The metadata provider: registered in Plex, used, called, and not open to all."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from stash2plex.config import Settings
from stash2plex.db.database import DATABASE, read_fact
from stash2plex.db.last_time import LAST_REQUEST
from stash2plex.doctor.finding import Finding
from stash2plex.errors import Stash2PlexError
from stash2plex.hosts import is_loopback
from stash2plex.plex.item import Section
from stash2plex.plex.library import PlexLibrary
from stash2plex.provider.callers import REFUSED, REGISTERED, host_of
from stash2plex.provider.setup import root_path, root_url, steps

# How long a caller that was refused is told of.
_LATELY = timedelta(days=7)


async def examine(
    settings: Settings, plex: PlexLibrary, sections: Sequence[Section] | None
) -> AsyncIterator[Finding]:
    """Look at the provider; *sections* are None when Plex does not answer."""
    if open_to_all := _open_to_all(settings):
        yield open_to_all
    if refused := await asyncio.to_thread(_refused, settings):
        yield refused
    if sections is not None:
        yield await _registered(plex, settings, sections)
        yield await asyncio.to_thread(_called, settings)


def _open_to_all(settings: Settings) -> Finding | None:
    if settings.provider.secret.get_secret_value() or is_loopback(settings.server.host):
        return None
    message = (
        "whoever reaches this machine can ask the provider for every title and picture:"
        f" it listens on {settings.server.host} and provider.secret is empty"
    )
    fix = "set provider.secret to something long, and register the new URL in Plex"
    return Finding("provider_secret", "warn", message, fix)


def _refused(settings: Settings) -> Finding | None:
    """Say that somebody called us by a name that is not ours, within the last days."""
    told = read_fact(settings.server.data_dir / DATABASE, REFUSED)
    if told is None:
        return None
    found = json.loads(told)
    registered = read_fact(settings.server.data_dir / DATABASE, REGISTERED)
    ours = {*settings.server.allowed_hosts, host_of(settings.provider.public_url)}
    ours |= {socket.gethostname().lower(), *json.loads(registered or "[]")}
    age = datetime.now(UTC) - datetime.fromisoformat(found["at"])
    if found["host"] in ours or age > _LATELY:
        return None
    message = (
        f"somebody called the provider or /metrics by the name {found['host']!r} at"
        f" {found['at']}, and was refused"
    )
    fix = "if the name is yours, add it to server.allowed_hosts"
    return Finding("provider_host", "warn", message, fix)


def _wrong_root(root: str, settings: Settings) -> str | None:
    """Return what is wrong with the URL that Plex has of us."""
    parts = urlsplit(root)
    plex_is_elsewhere = not is_loopback(urlsplit(settings.plex.url).hostname)
    if is_loopback(parts.hostname) and plex_is_elsewhere:
        return (
            f"Plex asks the provider at {parts.scheme}://{parts.netloc}, which is"
            " Plex's own machine or container"
        )
    if parts.path.rstrip("/") != root_path(settings.provider):
        return (
            "Plex asks the provider under another path than provider.path and"
            " provider.secret make"
        )
    return None


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
    registered = next(one for one in known if one.identifier == identifier)
    if wrong := _wrong_root(registered.root, settings):
        fix = "remove it in Settings > Metadata Agents, and add the right one"
        return Finding("provider_url", "warn", wrong, fix, todo)
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
    moment = read_fact(file, LAST_REQUEST)
    if moment:
        return Finding(code, "ok", f"Plex last asked the provider at {moment}")
    fix = (
        f"register {root_url(settings)}; if it is, does Plex's machine or container"
        " reach this address?"
    )
    return Finding(code, "warn", "Plex has never asked the provider", fix)
