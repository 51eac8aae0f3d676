"""The ``stash2plex`` command: reads arguments and calls one of `stash2plex.commands`.

Exit status: 0 well, 1 the work failed, 2 wrong usage or configuration. With ``--json``
one document goes to standard output and nothing else does.
"""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from stash2plex import __version__
from stash2plex.commands.shared import FAILED, MISUSED, say
from stash2plex.config import ENV_PREFIX
from stash2plex.config_file import CONFIG_VARIABLE, DEFAULT_FILE
from stash2plex.errors import ConfigError, InvalidRequest, Stash2PlexError
from stash2plex.gap_kinds import GapKind
from stash2plex.logs import for_journal, journal_reads
from stash2plex.plugin import Hooks
from stash2plex.scene import MOST_SQLITE_HOLDS

_DEMO_PORT = 9898
# So much of a wrong name is quoted.
_SHOWN = 80


def console() -> NoReturn:
    """Run one command as a process of its own, and end it."""
    os.umask(0o077)  # what is kept is nobody else's business
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a title is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    try:
        status = main()
    except SystemExit as end:  # argparse, after what it had to say
        status = end.code if isinstance(end.code, int) else FAILED
    except BrokenPipeError:  # that of Python 3.11.2 raises it over its help
        _be_silent()
        status = FAILED
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _be_silent()
    sys.exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(argv)
    module, _, name = options.command.partition(".")
    try:
        # Only what the command itself needs: `status` is to answer at once.
        commands = importlib.import_module(f"stash2plex.commands.{module}")
        status: int = getattr(commands, name)(options)
    except (ConfigError, InvalidRequest, UnicodeError) as error:
        _complain(*_misuse(options, error))
        return MISUSED
    except Stash2PlexError as error:
        _complain(f"{error} [{error.code}]", _about_file(options, error))
        return FAILED
    except BrokenPipeError:  # the reader of our output went away
        _be_silent()
        return FAILED
    except OSError as error:  # a folder that is somebody else's, a disk that is full
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
        return FAILED
    except (KeyboardInterrupt, EOFError):  # at a question
        return 130
    return status


def _complain(*messages: str) -> None:
    as_error = journal_reads(sys.stderr, os.environ)
    for message in messages:
        for line in message.splitlines():
            told = f"stash2plex: {line}"
            say(for_journal(told, logging.ERROR) if as_error else told, error=True)


def _misuse(options: argparse.Namespace, error: Exception) -> tuple[str, ...]:
    """Return what was wrong with what was given."""
    if isinstance(error, Stash2PlexError):
        return str(error), _about_file(options, error)
    given = ascii(getattr(error, "object", ""))[:_SHOWN]
    return (f"{given} holds bytes that are no text in UTF-8; give another name",)


def _about_file(options: argparse.Namespace, error: Stash2PlexError) -> str:
    """Say that no configuration was found, where that may be why."""
    told = options.config or any(one.startswith(ENV_PREFIX) for one in os.environ)
    without = options.command in {"serving.demo", "init.init"}
    if told or without or isinstance(error, InvalidRequest):
        return ""
    if Path(DEFAULT_FILE).exists():
        return ""
    return (
        f"there is no {DEFAULT_FILE} in {Path.cwd()}, so all settings are the defaults:"
        " --config names another, 'stash2plex init' writes one"
    )


def _be_silent() -> None:
    """Let what is still to be printed go nowhere: its reader went away."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def _add_demo(commands: Any) -> None:
    showing = _command(
        commands,
        "demo",
        "serving.demo",
        "Show the daemon at work between a pretend Stash and a pretend Plex.",
    )
    showing.add_argument(
        "--port", type=_between(1, 65_535), default=_DEMO_PORT, help="of the daemon"
    )
    showing.add_argument(
        "--scenes", type=_between(1, MOST_SQLITE_HOLDS), default=20, help="how many"
    )
    how = showing.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="end when all is shown")
    how.add_argument(
        "--servers",
        action="store_true",
        help="only the pretend Stash and Plex, to try everything else on",
    )


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

    _command(commands, "run", "serving.run", "Run the daemon in the foreground.")

    _add_demo(commands)
    _with_servers(
        _command(
            commands,
            "init",
            "init.init",
            "Write a configuration file, after trying both servers.",
        )
    )
    _with_json(
        _command(
            commands, "check", "setup.check", "Look for what is wrong with the set-up."
        )
    )
    _with_json(
        _command(
            commands, "status", "operate.status", "Ask the running daemon how it is."
        )
    )

    queueing = _with_json(
        _command(
            commands,
            "queue",
            "operate.queue",
            "Show, hurry or clear what is queued or waiting.",
        )
    )
    _with_page(_with_action(queueing, "list", "process", "clear"))
    burying = _with_json(
        _command(
            commands, "dead", "operate.dead", "Show, retry or forget dead letters."
        )
    )
    _with_page(_with_action(burying, "list", "retry", "clear", "purge"))
    _with_scenes(burying)
    burying.add_argument("--days", type=_days, metavar="N", help="only older ones")
    _with_codes(burying)
    _with_codes(
        _with_json(
            _command(
                commands,
                "recover",
                "operate.recover",
                "Try again what died of an outage.",
            )
        )
    )
    missing = _with_json(
        _command(commands, "gaps", "operate.gaps", "Show what is not in step, and why.")
    )
    missing.add_argument("--kind", choices=[kind.value for kind in GapKind])
    missing.add_argument("--resolved", action="store_true", help="those closed lately")
    missing.add_argument("--csv", action="store_true", help="print all as CSV")
    _with_page(missing)
    syncing = _with_json(
        _command(
            commands,
            "sync",
            "operate.sync",
            "Have scenes delivered, or show what that would change.",
        )
    )
    which = syncing.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every scene")
    which.add_argument("--since", choices=["24h", "7d"], help="updated lately")
    _with_scenes(which)
    syncing.add_argument("--dry-run", action="store_true", help="only show it")
    comparing = _with_json(
        _command(
            commands,
            "reconcile",
            "operate.reconcile",
            "Compare both libraries, and repair what can be repaired.",
        )
    )
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
    _with_json(
        _command(
            commands,
            "outages",
            "operate.outages",
            "Show when Plex and Stash were away.",
        )
    )

    explaining = _with_json(
        _command(
            commands,
            "explain",
            "operate.explain",
            "Say why a scene, an item or a path is, or is not, in step.",
        )
    )
    explaining.add_argument(
        "what", nargs="+", metavar="scene:ID | plex:RATINGKEY | item:RATINGKEY | PATH"
    )

    mapping = commands.add_parser(
        "paths", help="Try path rules, propose them, and see how far they reach."
    )
    ways = mapping.add_subparsers(required=True, metavar="WHAT")
    _with_json(
        _command(
            ways,
            "suggest",
            "paths.suggest",
            "Propose path rules from what both libraries hold.",
        )
    )
    _with_json(
        _command(
            ways,
            "coverage",
            "paths.coverage",
            "Say how many files of each side find their twin, with examples.",
        )
    )
    testing = _with_json(
        _command(ways, "test", "paths.test", "Map a path both ways, and name the rule.")
    )
    testing.add_argument("path", metavar="PATH")

    reporting = _command(
        commands,
        "support",
        "setup.support",
        "Write a zip for a bug report, with nothing private in it.",
    )
    reporting.add_argument("file", metavar="FILE", type=Path, nargs="?")
    installing = _command(
        commands,
        "install-plugin",
        "install_plugin.install_plugin",
        "Put the Stash plugins into a folder, or have Stash install them.",
    )
    _with_ways_to_install(installing)
    return parser


def _with_servers(parser: argparse.ArgumentParser) -> None:
    for server, secret in (("stash", "api-key"), ("plex", "token")):
        variable = f"STASH2PLEX_{server.upper()}__{secret.upper().replace('-', '_')}"
        parser.add_argument(f"--{server}-url", metavar="URL")
        parser.add_argument(
            f"--{server}-{secret}",
            metavar="SECRET",
            help=f"or {variable}, which no list of processes shows",
        )
    parser.add_argument(
        "--library", action="extend", nargs="+", metavar="TITLE", help="only these"
    )
    parser.add_argument(
        "--data-dir", metavar="DIR", help="where the daemon keeps what must survive"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace a file that is there"
    )


def _command(
    commands: Any, name: str, command: str, described: str
) -> argparse.ArgumentParser:
    """Add a command; *command* is its module and function, loaded when it is run."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=described, description=described
    )
    # It stands before the command; here it does as well.
    parser.add_argument("--config", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.set_defaults(command=command)
    return parser


def _with_ways_to_install(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="?")
    parser.add_argument(
        "--via-stash",
        action="store_true",
        help="have Stash install and configure them",
    )
    parser.add_argument(
        "--hooks",
        choices=[one.value for one in Hooks],
        help="how Stash tells of changes: by its log (the default), or by a process"
        " each, over HTTP",
    )
    parser.add_argument(
        "--remove", action="store_true", help="take all of our plugins away"
    )
    parser.add_argument(
        "--daemon-url", metavar="URL", help="of this daemon, as Stash reaches it"
    )
    parser.add_argument("--yes", action="store_true", help="ask nothing")


def _with_json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _with_action(
    parser: argparse.ArgumentParser, *actions: str
) -> argparse.ArgumentParser:
    parser.add_argument("action", nargs="?", choices=actions, default=actions[0])
    return parser


def _with_page(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--limit", type=_between(1, 1000), default=1000, metavar="N", help="so many"
    )
    parser.add_argument(
        "--offset",
        type=_between(0, 2**31),
        default=0,
        metavar="N",
        help="beyond so many",
    )


def _with_scenes(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--scene",
        type=_between(1, MOST_SQLITE_HOLDS),
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
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days < MOST_SQLITE_HOLDS:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of days")
    return days


def _between(least: float, most: float) -> Callable[[str], int]:
    def number(text: str) -> int:
        found = int(text) if text.isascii() and text.isdecimal() else -1
        if not least <= found <= most:
            limits = f"from {least:g}" + (f" to {most:g}" if most < 2**31 else "")
            msg = f"{text!r} must be a whole number {limits}"
            raise argparse.ArgumentTypeError(msg)
        return found

    return number
