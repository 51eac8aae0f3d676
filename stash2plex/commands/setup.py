"""Commands for setting it up, and for finding what is wrong with that."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from stash2plex.commands.asking import ask
from stash2plex.commands.shared import (
    FAILED,
    WELL,
    demand_plex_token,
    print_json,
    say,
    settings_of,
)
from stash2plex.commands.terminal import Terminal, plain, waiting
from stash2plex.config import Settings
from stash2plex.doctor import Finding, examine
from stash2plex.errors import (
    DaemonRefused,
    DaemonUnreachable,
    DataDirUnusable,
    Stash2PlexError,
)
from stash2plex.logs import Secrets, configure
from stash2plex.support import has_words, report, words_of, zipped

# The doctor reads both libraries, seconds.
_PATIENCE = 600.0
# How long the daemon may take to say how it is, seconds.
_STATUS_PATIENCE = 10.0
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


class ReportNotWritten(Stash2PlexError):
    """The report could not be put where it was wanted."""

    code = "report_not_written"


def check(options: argparse.Namespace) -> int:
    """Look for what is wrong with the set-up."""
    settings = settings_of(options)
    demand_plex_token(settings)
    secrets = Secrets(settings.secrets())
    configure("error", "auto", secrets, stream=sys.stderr)
    findings = asyncio.run(_examined(settings, secrets, silent=options.json))
    if options.json:
        print_json([secrets.masked(one.as_json()) for one in findings])
    return FAILED if any(one.level == "fail" for one in findings) else WELL


def support(options: argparse.Namespace) -> int:
    """Write a zip for a bug report, with nothing private in it."""
    settings = settings_of(options)
    file = options.file or Path(f"stash2plex-{time.strftime('%Y%m%d-%H%M%S')}.zip")
    secrets = Secrets(settings.secrets())
    try:
        with waiting("looking at both servers"):
            found = ask(settings.server, "GET", "/api/v1/support", patience=_PATIENCE)
    except (DaemonUnreachable, DaemonRefused) as error:
        configure("error", "auto", secrets, stream=sys.stderr)
        # Never make the key here: it would be the wrong user's.
        with suppress(DataDirUnusable, OSError):
            if has_words(settings.server.data_dir):
                secrets.words = words_of(settings.server.data_dir)
        with waiting("looking at both servers, without the daemon"):
            found = asyncio.run(
                report(settings, secrets, examine(settings, partial(_status, settings)))
            )
        found["daemon"] = secrets.private({"error": str(error)})
        say("The daemon does not answer; its status and log are not in the report.")
    log = found.pop("log", [])
    try:
        file.write_bytes(zipped(found, log))
    except OSError as error:
        raise ReportNotWritten(
            f"{file}: {error.strerror}; name another file"
        ) from error
    say(f"Written: {file}. Nothing private should be in it; please look it over.")
    return WELL


async def _status(settings: Settings) -> dict[str, Any] | None:
    """Return what the running daemon says of itself, None if it says nothing."""
    try:
        found: dict[str, Any] = await asyncio.to_thread(
            ask, settings.server, "GET", "/api/v1/status", patience=_STATUS_PATIENCE
        )
    except Stash2PlexError:
        return None
    return found


async def _examined(
    settings: Settings, secrets: Secrets, *, silent: bool
) -> list[Finding]:
    console = Terminal()
    findings = []
    async with aclosing(examine(settings, partial(_status, settings))) as found:
        async for finding in found:
            findings.append(finding)
            if silent:
                continue
            colour = _COLOURS[finding.level]
            message = plain(secrets.mask(finding.message))
            fix = f" -> {plain(finding.fix)}" if finding.fix else ""
            console.print(
                f"[{colour}]{finding.level:4}[/{colour}] {finding.code}: {message}{fix}"
            )
            for step in finding.steps:
                console.print_line(f"     {step}")
    return findings
