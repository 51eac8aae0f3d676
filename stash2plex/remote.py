"""Commands that talk to the running daemon over its API."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import aiohttp
from rich.console import Console
from rich.markup import escape

from stash2plex.config import ServerSettings, Settings
from stash2plex.errors import DaemonRefused, DaemonUnreachable
from stash2plex.web.auth import token_of

_NO_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104
# Taking a whole queue up again may take a while.
_PATIENCE = 60.0

Lines = Callable[[dict[str, Any]], Iterable[str]]


def show(
    settings: Settings,
    options: argparse.Namespace,
    route: str,
    lines: Lines,
    *,
    body: dict[str, Any] | None = None,
    method: str = "GET",
    patience: float = _PATIENCE,
) -> None:
    """Ask the daemon and print its answer: as *lines*, or as it is with ``--json``."""
    document = ask(settings.server, method, route, body, patience=patience)
    if options.json:
        print(json.dumps(document, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for line in lines(document):
        console.print(escape(line))


def choice(options: argparse.Namespace) -> dict[str, Any]:
    """Return which dead letters the options name."""
    chosen: dict[str, Any] = {}
    if options.scene:
        chosen["scene_ids"] = options.scene
    if options.days is not None:
        chosen["days"] = options.days
    if options.code:
        chosen["codes"] = options.code
    return chosen


# --- what the answers say -----------------------------------------------------


def status_lines(document: dict[str, Any]) -> list[str]:
    queue, done = document["queue"], document["deliveries"]
    plex, stash, catalog = document["plex"], document["stash"], document["catalog"]
    provider = document["provider"]
    gaps = {kind: count for kind, count in document["gaps"].items() if count}
    counts = ", ".join(f"{count} {kind}" for kind, count in gaps.items()) or "none"
    rows = {
        "stash2plex": f"{document['version']}, up since {document['started_at']}",
        "Plex": f"{plex['state']}, circuit {plex['breaker']},"
        f" version {plex['version'] or 'unknown'},"
        f" libraries: {', '.join(plex['libraries']) or 'not read yet'}",
        "Stash": f"{stash['state']}, version {stash['version'] or 'unknown'}",
        "Queue": f"{queue['queued']} due, {queue['waiting']} waiting,"
        f" {queue['running']} running, {queue['dead']} dead",
        "Delivered": f"{done['written']} written, {done['unchanged']} unchanged,"
        f" {done['skipped']} skipped, {done['failed']} failed",
        "Catalogue": f"{catalog['scenes']} scenes, {catalog['items']} items,"
        f" read {catalog['refreshed_at'] or 'not yet'}",
        "Compared": _compared(document["reconcile"]),
        "Gaps": counts,
        "Outages": _outages(document["outages"]),
        "Provider": f"{provider['matched']} matched, {provider['unmatched']} not,"
        f" {provider['failed']} failed; Plex last asked:"
        f" {provider['last_request_at'] or 'never'}",
    }
    lines = [f"{name:10} {text}" for name, text in rows.items()]
    if braked := catalog.get("brake"):
        lines.append(f"Stopped    {braked}")
    for name, part in (("Plex", plex), ("Stash", stash)):
        if part.get("error"):
            lines.append(f"{name} says: {part['error']}")
    return lines


def _outages(outages: dict[str, Any]) -> str:
    said = f"{outages['count']}, {outages['availability']:.2%} available"
    if current := outages["current"]:
        said += f"; {current['service']} is away since {current['started_at']}"
    return said


def _compared(reconcile: dict[str, Any]) -> str:
    last, next_at = reconcile["last"], reconcile["next_at"]
    said = "not yet"
    if last:
        said = f"{last['finished_at']} ({last['scope']}, {last['state']})"
        if last["error"]:
            said += f": {last['error']}"
    if reconcile["running"]:
        said += ", at it now"
    return f"{said}; next {next_at or 'when asked to'}"


def dead_lines(document: dict[str, Any]) -> Iterable[str]:
    """Say which dead letters there are."""
    yield counted(document["total"], "dead letter")
    for one in document["dead"]:
        yield (
            f"{one['kind']} {one['id']}: {one['code']},"
            f" {counted(one['attempts'], 'attempt')},"
            f" last {one['failed_at']}: {one['error']}"
        )


def queue_lines(document: dict[str, Any]) -> Iterable[str]:
    """Say what runs, is queued or waits."""
    yield counted(document["total"], "job")
    for one in document["jobs"]:
        why = f"; {one['code']}: {one['error']}" if one["code"] else ""
        yield (
            f"{one['kind']} {one['id']}: {one['state']}, due {one['due_at']}"
            f" ({one['reason']}){why}"
        )


def gap_lines(document: dict[str, Any]) -> Iterable[str]:
    """Say what is not in step, and why."""
    yield counted(document["total"], "gap")
    for one in document["gaps"]:
        whose = (
            f"scene {one['scene']}"
            if one["scene"]
            else f"item {one['item']}"
            if one["item"]
            else "file"
        )
        yield f"{one['kind']}: {whose} {one['path']}: {one['detail']}"


def outage_lines(document: dict[str, Any]) -> Iterable[str]:
    """Say when the servers were away."""
    mttr, mtbf = document["mttr_seconds"], document["mtbf_seconds"]
    yield (
        f"Plex: {counted(document['count'], 'outage')},"
        f" {document['availability']:.3%} available,"
        f" mean time to repair {_time(mttr)}, between failures {_time(mtbf)}"
    )
    for one in document["outages"]:
        end = f"to {one['ended_at']}" if one["ended_at"] else "goes on"
        yield (
            f"{one['service']}: {one['started_at']} {end}, {_time(one['seconds'])},"
            f" {counted(one['jobs'], 'job')} waited: {one['cause']}"
        )


def counted(number: int, thing: str) -> str:
    """Return how many there are of a thing, in the singular for one."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def count_line(name: str, thing: str, what: str) -> Lines:
    """Return a sentence about a number of an answer: what became of how many."""
    return lambda document: [f"{counted(document[name], thing)} {what}."]


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


# --- asking ---------------------------------------------------------------------


def ask(
    settings: ServerSettings,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    patience: float = _PATIENCE,
) -> Any:
    """Ask the running daemon, for *patience* seconds at most.

    Raises `DaemonUnreachable` with a remedy.
    """
    host = _NO_HOSTS.get(settings.host, settings.host)
    url = f"http://{host}:{settings.port}"
    token = token_of(settings)
    if token is None:
        raise DaemonUnreachable(
            f"no token in {settings.data_dir}: the daemon has not run with this"
            " configuration yet; start it with 'stash2plex run'"
        )
    return asyncio.run(_request(url + path, token, method, body, patience))


async def _request(
    url: str, token: str, method: str, body: dict[str, Any] | None, patience: float
) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(
                headers=headers, timeout=aiohttp.ClientTimeout(total=patience)
            ) as session,
            session.request(method, url, json=body) as answer,
        ):
            document = await answer.json(content_type=None)
            if answer.ok and isinstance(document, dict):
                return document
            said = document.get("message") if isinstance(document, dict) else None
            told = f"{url} answered HTTP {answer.status}: {said or 'not the daemon'}"
            raise DaemonRefused(told)
    except (aiohttp.ClientError, TimeoutError) as error:
        msg = f"no daemon answers at {url}; start it with 'stash2plex run'"
        raise DaemonUnreachable(msg) from error
    except ValueError as error:
        msg = f"what answers at {url} is not the daemon; see server.port"
        raise DaemonUnreachable(msg) from error
