"""Asking the running daemon over its API, and printing what it says."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from http import HTTPStatus
from typing import Any

import aiohttp
from rich.console import ConsoleRenderable

from stash2plex.api_token import token_of
from stash2plex.commands.shared import print_json
from stash2plex.commands.terminal import Terminal, waiting
from stash2plex.config import ServerSettings, Settings
from stash2plex.data_dir import holder
from stash2plex.errors import DaemonRefused, DaemonUnreachable, InvalidRequest
from stash2plex.hosts import asked_from_here

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
    table: Callable[[dict[str, Any]], ConsoleRenderable] | None = None,
    step: str | None = None,
) -> None:
    """Ask the daemon and print its answer: as *lines*, or as it is with ``--json``.

    On a terminal as a *table*, if there is one; *step* is what it shows until then.
    """
    with waiting(step) if step else nullcontext():
        document = ask(settings.server, method, route, body, patience=patience)
    if options.json:
        print_json(document)
        return
    console = Terminal()
    with understood(settings.server):
        if table is not None and console.is_terminal:
            console.print(table(document), soft_wrap=False)
            return
        for line in list(lines(document)):
            console.print_line(line)


@contextmanager
def understood(server: ServerSettings) -> Iterator[None]:
    """Raise `DaemonUnreachable` when an answer has not what the daemon's has."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DaemonUnreachable(
            f"what answers at {_url(server)} is not the daemon, or one of another"
            f" release ({error!r} in its answer); see server.port"
        ) from None


def _url(server: ServerSettings) -> str:
    return f"http://{asked_from_here(server.host)}:{server.port}"


def ask(
    settings: ServerSettings,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    patience: float = _PATIENCE,
) -> Any:
    """Ask the running daemon, for *patience* seconds at most.

    Raises `DaemonUnreachable` with a remedy, and `InvalidRequest` over what was
    asked for.
    """
    url, token = _url(settings) + path, demand_token(settings)
    try:
        return asyncio.run(_request(url, token, method, body, patience))
    except DaemonUnreachable as error:
        if process := holder(settings.data_dir):
            told = (
                f"{error}; process {process} runs with this data directory, but does"
                " not answer there: restart it if server.host or server.port changed"
            )
            error.args = (told,)
        raise


def demand_token(settings: ServerSettings) -> str:
    """Return the daemon's token; raises `DaemonUnreachable` when there is none yet."""
    token = token_of(settings)
    if token is None:
        raise DaemonUnreachable(
            f"no token in {settings.data_dir}: the daemon has not run with this"
            " configuration yet; start it with 'stash2plex run', or name its"
            " configuration file with --config"
        )
    return token


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
            if answer.status == HTTPStatus.BAD_REQUEST and said:
                raise InvalidRequest(said)
            if answer.status == HTTPStatus.UNAUTHORIZED:
                raise DaemonRefused(
                    f"the daemon at {url} has another token than this configuration;"
                    " name its configuration file with --config"
                )
            told = f"{url} answered HTTP {answer.status}: {said or 'not the daemon'}"
            raise DaemonRefused(told)
    except (aiohttp.ClientError, TimeoutError) as error:
        msg = f"no daemon answers at {url}; start it with 'stash2plex run'"
        raise DaemonUnreachable(msg) from error
    except ValueError as error:
        msg = f"what answers at {url} is not the daemon; see server.port"
        raise DaemonUnreachable(msg) from error
