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

from rich.console import Console
from rich.markup import escape

from stash2plex import __version__, following, path_report, plugin, reload
from stash2plex.catalog.gaps import GapKind
from stash2plex.config import Settings
from stash2plex.config_file import CONFIG_VARIABLE, DEFAULT_FILE, load
from stash2plex.doctor import Finding, examine
from stash2plex.errors import ConfigError, Stash2PlexError
from stash2plex.logs import Secrets, configure
from stash2plex.paths import Mapped, PathMap
from stash2plex.plex.connection import POOL_NAME
from stash2plex.remote import (
    choice,
    count_line,
    counted,
    dead_lines,
    gap_lines,
    outage_lines,
    queue_lines,
    show,
    status_lines,
)

_WELL, _FAILED, _MISUSED = 0, 1, 2
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
_DEMO_PORT = 9898
# Of a whole library, page by page, seconds.
_SYNC_PATIENCE = 3600.0
_MOST = 2**63 - 1
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

    def read() -> Settings:
        settings = _settings(options)
        _demand_plex_token(settings)
        return settings

    def adopt(settings: Settings) -> None:
        for secret in settings.secrets():
            secrets.add(secret)
        configure(settings.log.level, settings.log.format, secrets)

    secrets = Secrets()
    settings = read()
    adopt(settings)
    try:
        asyncio.run(reload.run(settings, secrets, load=read, adopt=adopt))
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
    show(_settings(options), options, "/api/v1/status", status_lines)
    return _WELL


def queue(options: argparse.Namespace) -> int:
    """Show, hurry or clear what is queued or waiting."""
    settings, route = _settings(options), "/api/v1/queue"
    match options.action:
        case "process":
            told = count_line("due", "job", "that waited due now")
            show(settings, options, f"{route}/process", told, method="POST")
        case "clear":
            told = count_line("cleared", "job", "dropped")
            show(settings, options, f"{route}/clear", told, method="POST")
        case _:
            show(settings, options, route, queue_lines)
    return _WELL


def dead(options: argparse.Namespace) -> int:
    """Show, retry or forget dead letters."""
    settings, route = _settings(options), "/api/v1/dead"
    if options.action == "list":
        show(settings, options, route, dead_lines)
        return _WELL
    told = {
        "retry": count_line("retried", "dead letter", "tried again"),
        "clear": count_line("cleared", "dead letter", "forgotten"),
        "purge": count_line("purged", "old dead letter", "forgotten"),
    }[options.action]
    show(
        settings,
        options,
        f"{route}/{options.action}",
        told,
        body=choice(options),
        method="POST",
    )
    return _WELL


def recover(options: argparse.Namespace) -> int:
    """Try again what died of an outage."""

    def told(document: dict[str, Any]) -> list[str]:
        again = counted(document["requeued"], "dead letter")
        gone = counted(document["gone"], "deleted scene")
        return [f"{again} tried again; {gone} forgotten."]

    show(
        _settings(options),
        options,
        "/api/v1/recover",
        told,
        body={"codes": options.code} if options.code else {},
        method="POST",
    )
    return _WELL


def gaps(options: argparse.Namespace) -> int:
    """Show what is not in step, and why."""
    settings = _settings(options)
    if options.csv:
        following.gaps(settings, options)
    else:
        route = following.gap_route(options, limit=options.limit, offset=options.offset)
        show(settings, options, route, gap_lines)
    return _WELL


def sync(options: argparse.Namespace) -> int:
    """Have scenes delivered, or show what that would change."""
    body: dict[str, Any] = {"scope": options.since or "all"}
    if options.scene:
        body = {"scene_ids": options.scene}
    lines = count_line("enqueued", "scene", "enqueued")
    if options.dry_run:
        body["dry_run"] = True
        lines = following.difference_lines
    show(
        _settings(options),
        options,
        "/api/v1/sync",
        lines,
        body=body,
        method="POST",
        patience=_SYNC_PATIENCE,
    )
    return _WELL


def reconcile(options: argparse.Namespace) -> int:
    """Compare both libraries, and have mended what can be."""
    return _WELL if following.reconcile(_settings(options), options) else _FAILED


def outages(options: argparse.Namespace) -> int:
    """Show when Plex and Stash were away."""
    show(_settings(options), options, "/api/v1/outages", outage_lines)
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


def paths_suggest(options: argparse.Namespace) -> int:
    """Propose path rules from what both libraries hold."""
    settings = _settings(options)
    _demand_plex_token(settings)
    found = path_report.propose(*asyncio.run(path_report.read_files(settings)))
    mapped = found.twins - len(found.left)
    if options.json:
        rules = [
            rule.model_dump(include={"name", "stash", "plex"}) for rule in found.rules
        ]
        document = {"rules": rules, "twins": found.twins, "left": found.left}
        print(json.dumps(document, ensure_ascii=False))
        return _WELL
    if not found.twins:
        print("No file has the same name and size on both sides, so there is nothing")
        print("to go by. Are plex.libraries right, and were they scanned?")
        return _FAILED
    print(
        found.toml or "# No rules are needed: both sides see the same paths.\n",
        end="\n" if found.toml else "",
    )
    share = mapped / found.twins
    print(
        f"# {share:.1%} of {counted(found.twins, 'file')} that are on both sides,"
        f" {len(found.left)} left{_for_example(found.left)}"
    )
    return _WELL


def paths_coverage(options: argparse.Namespace) -> int:
    """Say how many files of each side find their twin, with examples of the others."""
    settings = _settings(options)
    _demand_plex_token(settings)
    files = asyncio.run(path_report.read_files(settings))
    sides = path_report.coverage(*files, PathMap(settings.path_rules))
    if options.json:
        document = {
            name: {"files": one.files, "covered": one.files - len(one.missing)}
            | {"missing": one.missing}
            for name, one in zip(("stash", "plex"), sides, strict=True)
        }
        print(json.dumps(document, ensure_ascii=False))
        return _WELL
    for name, one in zip(("Stash", "Plex"), sides, strict=True):
        print(
            f"{name}: {one.share:.1%} of {counted(one.files, 'file')} by path,"
            f" {len(one.missing)} left{_for_example(one.missing)}"
        )
    return _WELL


def _for_example(paths: Sequence[str]) -> str:
    shown = paths[: path_report.EXAMPLES]
    return f", for example {', '.join(shown)}" if shown else ""


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
    showing.add_argument(
        "--scenes", type=_between(1, _MOST), default=20, help="how many"
    )
    showing.add_argument("--once", action="store_true", help="end when all is shown")

    _with_json(_command(commands, "check", check))
    _with_json(_command(commands, "status", status))

    queueing = _with_json(_command(commands, "queue", queue))
    _with_action(queueing, "list", "process", "clear")
    burying = _with_json(_command(commands, "dead", dead))
    _with_action(burying, "list", "retry", "clear", "purge")
    _with_scenes(burying)
    burying.add_argument("--days", type=_days, metavar="N", help="only older ones")
    _with_codes(burying)
    _with_codes(_with_json(_command(commands, "recover", recover)))
    missing = _with_json(_command(commands, "gaps", gaps))
    missing.add_argument("--kind", choices=[kind.value for kind in GapKind])
    missing.add_argument("--resolved", action="store_true", help="those closed lately")
    missing.add_argument("--csv", action="store_true", help="print all as CSV")
    missing.add_argument("--limit", type=_between(1, 1000), default=1000, metavar="N")
    missing.add_argument("--offset", type=_between(0, 2**31), default=0, metavar="N")
    syncing = _with_json(_command(commands, "sync", sync))
    which = syncing.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every scene")
    which.add_argument("--since", choices=["24h", "7d"], help="updated lately")
    _with_scenes(which)
    syncing.add_argument("--dry-run", action="store_true", help="only show it")
    comparing = _with_json(_command(commands, "reconcile", reconcile))
    comparing.add_argument("--scope", choices=["all", "24h", "7d"], default="all")
    comparing.add_argument("--dry-run", action="store_true", help="only show it")
    comparing.add_argument(
        "--force", action="store_true", help="even if far fewer things are left"
    )
    comparing.add_argument(
        "--only-empty",
        action="store_true",
        help="enqueue only what shows nothing in Plex",
    )
    _with_json(_command(commands, "outages", outages))

    paths = commands.add_parser("paths", help="Try the path rules.")
    ways = paths.add_subparsers(required=True, metavar="WHAT")
    _with_json(_command(ways, "suggest", paths_suggest))
    _with_json(_command(ways, "coverage", paths_coverage))
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


def _with_action(parser: argparse.ArgumentParser, *actions: str) -> None:
    parser.add_argument("action", nargs="?", choices=actions, default=actions[0])


def _with_scenes(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--scene",
        type=_between(1, _MOST),
        action="extend",
        nargs="+",
        metavar="ID",
        help="only these",
    )


def _with_codes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--code", action="append", metavar="CODE", help="only errors with this code"
    )


def _days(text: str) -> float:
    days = float(text)
    if not 0 <= days < _MOST:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return days


def _between(least: float, most: float) -> Callable[[str], int]:
    def number(text: str) -> int:
        found = int(text)
        if not least <= found <= most:
            raise argparse.ArgumentTypeError(f"must be {least} to {most}")
        return found

    return number
