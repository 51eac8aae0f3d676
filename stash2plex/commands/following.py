"""Commands that follow what the running daemon does: comparisons, long lists."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from typing import Any
from urllib.parse import urlencode

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from stash2plex.commands.asking import ask, understood
from stash2plex.commands.lines import run_lines
from stash2plex.commands.shared import print_json
from stash2plex.config import Settings

_INTERVAL = 0.5
_PAGE = 1000
_GAPS = "/api/v1/gaps"
_COLUMNS = "kind scene item path detail first_seen last_seen resolved_at".split()


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
        console = Console(highlight=False, soft_wrap=True)
        for line in run_lines(run):
            console.print(escape(line))
    return bool(run["state"] == "done")


def _followed(settings: Settings, route: str) -> dict[str, Any]:
    """Return a run once it has ended; on a terminal, show how far it is."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("waiting for its turn")
        while True:
            run: dict[str, Any] = ask(settings.server, "GET", route)
            if run["state"] != "running":
                return run
            gaps = sum(run["gaps"].values())
            step = "reading both libraries"
            if run["scenes"]:
                step = f"{run['scenes']:,} scenes compared, {gaps:,} gaps"
            progress.update(task, description=step)
            time.sleep(_INTERVAL)


def gaps(settings: Settings, options: argparse.Namespace) -> None:
    """Print gaps as CSV, all of them."""
    writer = csv.DictWriter(sys.stdout, _COLUMNS, extrasaction="ignore")
    writer.writeheader()
    offset = 0
    while True:
        route = gap_route(options, limit=_PAGE, offset=offset)
        with understood(settings.server):
            found = ask(settings.server, "GET", route)["gaps"]
        writer.writerows(found)
        offset += len(found)
        if len(found) < _PAGE:
            return


def gap_route(options: argparse.Namespace, *, limit: int, offset: int) -> str:
    """Return the route of the gaps that the options name."""
    query: dict[str, Any] = {"limit": limit, "offset": offset}
    if options.kind:
        query["kind"] = options.kind
    if options.resolved:
        query["resolved"] = "true"
    return f"{_GAPS}?{urlencode(query)}"
