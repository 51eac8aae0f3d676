"""What only the running daemon knows: outages, refusals, dead letters, its release."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from stash2plex import __version__
from stash2plex.config import ServerSettings
from stash2plex.doctor.finding import Finding
from stash2plex.hosts import in_url

# Returns the status of the daemon; None when it gives none.
AskStatus = Callable[[], Awaitable[dict[str, Any] | None]]


async def examine(ask: AskStatus, server: ServerSettings) -> list[Finding]:
    """Look at the daemon that holds the data directory, through what it says."""
    status = await ask()
    if status is None:
        where = f"{in_url(server.host)}:{server.port}"
        message = f"the daemon does not answer at {where}"
        fix = "restart it if server.host or server.port changed; else see its log"
        return [Finding("daemon_answers", "fail", message, fix)]
    return list(_findings(status))


def _findings(status: dict[str, Any]) -> Iterator[Finding]:
    running = status.get("version")
    if running != __version__:
        message = f"the daemon that runs is {running}, and {__version__} is installed"
        fix = "restart the daemon; in Docker: docker compose up -d"
        yield Finding("daemon_version", "warn", message, fix)
    if refused := _refusal(status.get("plex", {})):
        yield Finding("plex_denied", "fail", refused, "set plex.token")
    if refused := _refusal(status.get("stash", {})):
        yield Finding("stash_denied", "fail", refused, "set stash.api_key")
    outage = status.get("outages", {}).get("current")
    if outage is not None:
        message = (
            f"{outage['service']} is away for the daemon since {outage['started_at']}:"
            f" {outage['cause']}"
        )
        fix = "what waits is delivered once it is back; 'stash2plex outages' tells more"
        yield Finding("outage", "warn", message, fix)
    if dead := status.get("queue", {}).get("dead"):
        message = f"given up: {dead:,} of what was to be delivered"
        fix = "'stash2plex dead' says why; then: stash2plex dead retry"
        yield Finding("dead_letters", "warn", message, fix)


def _refusal(server: dict[str, Any]) -> str | None:
    """Return what a server that refuses the daemon said, None if it takes it."""
    if server.get("state") != "denied":
        return None
    return f"the daemon is refused: {server.get('error')}"
