"""``stash2plex reconcile``: have both libraries compared, and wait for the end."""

from __future__ import annotations

import argparse
import time
from typing import Any

from stash2plex.commands.asking import ask, understood
from stash2plex.commands.lines import run_lines
from stash2plex.commands.shared import print_json
from stash2plex.commands.terminal import Terminal, waiting
from stash2plex.config import Settings

_INTERVAL = 0.5


def reconcile(settings: Settings, options: argparse.Namespace) -> bool:
    """Have both libraries compared, and wait for the end; whether it went well."""
    body = {
        "scope": options.scope,
        "dry_run": options.dry_run,
        "force": options.force,
        "only_empty": options.only_empty,
    }
    answer = ask(settings.server, "POST", "/api/v1/reconcile", body)
    with understood(settings.server):
        run = _followed(settings, f"/api/v1/reconcile/{answer['run']}")
    if options.json:
        print_json(run)
    else:
        console = Terminal()
        for line in run_lines(run, mends=settings.sync.enabled):
            console.print_line(line)
    return bool(run["state"] == "done")


def _followed(settings: Settings, route: str) -> dict[str, Any]:
    """Return a run once it has ended; on a terminal, show how far it is."""
    with waiting("waiting for its turn") as step:
        while True:
            run: dict[str, Any] = ask(settings.server, "GET", route)
            if run["state"] != "running":
                return run
            gaps = sum(run["gaps"].values())
            if run["scenes"]:
                step(f"{run['scenes']:,} scenes compared, {gaps:,} gaps")
            else:
                step("reading both libraries")
            time.sleep(_INTERVAL)
