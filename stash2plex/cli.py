"""The ``stash2plex`` command: reads arguments, calls a part, prints what it says.

Exit status: 0 well, 1 the work failed, 2 wrong usage or configuration. With ``--json``
one document goes to standard output and nothing else does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
from rich.console import Console
from rich.markup import escape

from stash2plex import __version__, daemon, plugin
from stash2plex.config import ServerSettings, Settings
from stash2plex.config_file import CONFIG_VARIABLE, DEFAULT_FILE, load
from stash2plex.doctor import Finding, examine
from stash2plex.errors import ConfigError, DaemonUnreachable, Stash2PlexError
from stash2plex.logs import Secrets, configure
from stash2plex.paths import Mapped, PathMap
from stash2plex.plex.connection import POOL_NAME
from stash2plex.web.auth import token_of

_WELL, _FAILED, _MISUSED = 0, 1, 2
_NO_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
_DEMO_PORT = 9898
# How long a thread may take to notice that it is not needed any more, seconds.
_PATIENCE = 0.2

Command = Callable[[argparse.Namespace], int]


def console() -> NoReturn:
    """Run one command as a process of its own, and end it."""
    status = main()
    for thread in threading.enumerate():
        if thread.name.startswith(POOL_NAME):
            thread.join(_PATIENCE)
            if thread.is_alive():
                # A request to Plex hangs; Python would wait for it to the end.
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
    sys.exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(argv)
    command: Command = options.command
    try:
        return command(options)
    except ConfigError as error:
        _complain(str(error))
        return _MISUSED
    except Stash2PlexError as error:
        _complain(f"{error} [{error.code}]")
        return _FAILED
    except BrokenPipeError:  # the reader of our output went away
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        return _FAILED
    except KeyboardInterrupt:
        return 130


def run(options: argparse.Namespace) -> int:
    """Run the daemon in the foreground."""
    settings = _settings(options)
    _demand_plex_token(settings)
    secrets = Secrets(settings.secrets())
    configure(settings.log.level, settings.log.format, secrets)
    try:
        asyncio.run(daemon.run(settings, secrets))
    except* Stash2PlexError as group:
        error = group.exceptions[0]
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        raise error from None
    return _WELL


def demo(options: argparse.Namespace) -> int:
    """Show the daemon at work between a pretend Stash and a pretend Plex."""
    # Imported here: only the demo needs the pretend servers.
    from stash2plex.sandbox.demo import run_demo  # noqa: PLC0415

    configure("error", "auto", Secrets(), stream=sys.stderr)
    console = Console(highlight=False)
    once = options.once or not sys.stdout.isatty()
    return asyncio.run(
        run_demo(console, port=options.port, scenes=options.scenes, once=once)
    )


def check(options: argparse.Namespace) -> int:
    """Look for what is wrong with the set-up."""
    settings = _settings(options)
    _demand_plex_token(settings)
    secrets = Secrets(settings.secrets())
    configure("error", "auto", secrets, stream=sys.stderr)
    findings = asyncio.run(_examined(settings, secrets, silent=options.json))
    if options.json:
        print(json.dumps([one.as_json() for one in findings], ensure_ascii=False))
    return _FAILED if any(one.level == "fail" for one in findings) else _WELL


def status(options: argparse.Namespace) -> int:
    """Ask the running daemon how it is."""
    settings = _settings(options)
    document = _ask_daemon(settings.server, "GET", "/api/v1/status")
    if options.json:
        print(json.dumps(document, ensure_ascii=False))
        return _WELL
    console = _console()
    for line in _status_lines(document):
        console.print(line)
    return _WELL


def paths_test(options: argparse.Namespace) -> int:
    """Map a path both ways, and name the rule."""
    paths = PathMap(_settings(options).path_rules)
    to_plex, to_stash = paths.to_plex(options.path), paths.to_stash(options.path)
    answers = {"as_stash_path": to_plex, "as_plex_path": to_stash}
    mapped = any(isinstance(one, Mapped) for one in answers.values())
    if options.json:
        document = {
            way: {"path": one.path, "rule": one.rule or None, "reason": None}
            if isinstance(one, Mapped)
            else {"path": None, "rule": None, "reason": one.reason}
            for way, one in answers.items()
        }
        print(json.dumps({"path": options.path, **document}, ensure_ascii=False))
    else:
        for way, one in (("Stash to Plex", to_plex), ("Plex to Stash", to_stash)):
            if isinstance(one, Mapped):
                rule = f"rule {one.rule}" if one.rule else "no rules: same path"
                print(f"{way}: {one.path}  ({rule})")
            else:
                print(f"{way}: not mapped: {one.reason}")
    return _WELL if mapped else _FAILED


def install_plugin(options: argparse.Namespace) -> int:
    """Put the Stash plugin into a Stash plugins folder."""
    folder = plugin.install(options.folder)
    print(f"The plugin is in {folder}.")
    print("In Stash: Settings > Plugins > Reload plugins, then set there")
    print("  Daemon URL    where this daemon listens, as seen from Stash's machine or")
    print("                container, such as http://192.168.1.5:9898")
    print("  Daemon token  server.token, or the content of 'token' in server.data_dir")
    return _WELL


# --- what the commands share --------------------------------------------------


def _settings(options: argparse.Namespace) -> Settings:
    named = options.config or os.environ.get(CONFIG_VARIABLE)
    return load(Path(named) if named else None, os.environ)


def _demand_plex_token(settings: Settings) -> None:
    if not settings.plex.token.get_secret_value():
        raise ConfigError(
            "plex.token is not set: put the X-Plex-Token of the server's owner into the"
            " configuration file, STASH2PLEX_PLEX__TOKEN, or a file named by"
            " STASH2PLEX_PLEX__TOKEN_FILE"
        )


async def _examined(
    settings: Settings, secrets: Secrets, *, silent: bool
) -> list[Finding]:
    console = _console()
    findings = []
    async for finding in examine(settings):
        findings.append(finding)
        if silent:
            continue
        colour = _COLOURS[finding.level]
        message = escape(secrets.mask(finding.message))
        fix = f" -> {escape(finding.fix)}" if finding.fix else ""
        console.print(
            f"[{colour}]{finding.level:4}[/{colour}] {finding.code}: {message}{fix}"
        )
        for step in finding.steps:
            console.print(f"     {escape(step)}")
    return findings


def _ask_daemon(settings: ServerSettings, method: str, path: str) -> Any:
    """Ask the running daemon; raises `DaemonUnreachable` with a remedy."""
    host = _NO_HOSTS.get(settings.host, settings.host)
    url = f"http://{host}:{settings.port}"
    token = token_of(settings)
    if token is None:
        raise DaemonUnreachable(
            f"no token in {settings.data_dir}: the daemon has not run with this"
            " configuration yet; start it with 'stash2plex run'"
        )
    return asyncio.run(_request(url, token, method, path))


async def _request(url: str, token: str, method: str, path: str) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(
                headers=headers, timeout=aiohttp.ClientTimeout(total=10)
            ) as session,
            session.request(method, url + path) as answer,
        ):
            document = await answer.json(content_type=None)
            if answer.ok and isinstance(document, dict):
                return document
            said = document.get("message") if isinstance(document, dict) else None
            raise DaemonUnreachable(
                f"{url} answered HTTP {answer.status}: {said or 'not the daemon'}"
            )
    except (aiohttp.ClientError, TimeoutError) as error:
        msg = f"no daemon answers at {url}; start it with 'stash2plex run'"
        raise DaemonUnreachable(msg) from error
    except ValueError as error:
        msg = f"what answers at {url} is not the daemon; see server.port"
        raise DaemonUnreachable(msg) from error


def _status_lines(document: dict[str, Any]) -> list[str]:
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
        "Gaps": counts,
        "Provider": f"{provider['matched']} matched, {provider['unmatched']} not,"
        f" {provider['failed']} failed, Plex asked last"
        f" {provider['last_request_at'] or 'never'}",
    }
    lines = [f"{name:10} {text}" for name, text in rows.items()]
    for name, part in (("Plex", plex), ("Stash", stash)):
        if part.get("error"):
            lines.append(f"{name} says: {part['error']}")
    return [escape(line) for line in lines]


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _complain(message: str) -> None:
    for line in message.splitlines():
        print(f"stash2plex: {line}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stash2plex", description="Keep a Plex library in step with Stash."
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--config",
        metavar="PATH",
        help=f"configuration file (default {DEFAULT_FILE}, or ${CONFIG_VARIABLE})",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    _command(commands, "run", run)

    showing = _command(commands, "demo", demo)
    showing.add_argument("--port", type=int, default=_DEMO_PORT, help="of the daemon")
    showing.add_argument("--scenes", type=_at_least_one, default=20, help="how many")
    showing.add_argument("--once", action="store_true", help="end when all is shown")

    _with_json(_command(commands, "check", check))
    _with_json(_command(commands, "status", status))

    paths = commands.add_parser("paths", help="Try the path rules.")
    ways = paths.add_subparsers(required=True, metavar="WHAT")
    testing = _with_json(_command(ways, "test", paths_test))
    testing.add_argument("path", metavar="PATH")

    installing = _command(commands, "install-plugin", install_plugin)
    installing.add_argument("folder", metavar="DIR", type=Path)
    return parser


def _command(commands: Any, name: str, command: Command) -> argparse.ArgumentParser:
    described = (command.__doc__ or "").strip()
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=described, description=described
    )
    parser.set_defaults(command=command)
    return parser


def _with_json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
