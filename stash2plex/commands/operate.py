"""Commands that ask the running daemon, or have it do something."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import urlencode

from stash2plex.commands import comparing, gap_list
from stash2plex.commands.asking import show
from stash2plex.commands.explaining import explain_lines
from stash2plex.commands.lines import (
    count_line,
    counted,
    dead_lines,
    difference_lines,
    gap_lines,
    outage_lines,
    queue_lines,
    status_lines,
)
from stash2plex.commands.shared import FAILED, WELL, settings_of
from stash2plex.commands.tables import difference_table
from stash2plex.errors import ConfigError

# Of a whole library, page by page, seconds.
_SYNC_PATIENCE = 3600.0


def status(options: argparse.Namespace) -> int:
    """Ask the running daemon how it is."""
    show(settings_of(options), options, "/api/v1/status", status_lines)
    return WELL


def queue(options: argparse.Namespace) -> int:
    """Show, hurry or clear what is queued or waiting."""
    settings, route = settings_of(options), "/api/v1/queue"
    match options.action:
        case "process":
            told = count_line("due", "job", "that waited due now")
            show(settings, options, f"{route}/process", told, method="POST")
        case "clear":
            told = count_line("cleared", "job", "dropped")
            show(settings, options, f"{route}/clear", told, method="POST")
        case _:
            show(settings, options, f"{route}?{_page(options)}", queue_lines)
    return WELL


def dead(options: argparse.Namespace) -> int:
    """Show, retry or forget dead letters."""
    settings, route = settings_of(options), "/api/v1/dead"
    if options.action == "list":
        chosen = {
            name: ",".join(map(str, one)) if isinstance(one, list) else one
            for name, one in _choice(options).items()
        }
        page = _page(options, **chosen)
        show(settings, options, f"{route}?{page}", dead_lines)
        return WELL
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
        body=_choice(options),
        method="POST",
    )
    return WELL


def recover(options: argparse.Namespace) -> int:
    """Try again what died of an outage."""

    def told(document: dict[str, Any]) -> list[str]:
        again = counted(document["requeued"], "dead letter")
        gone = counted(document["gone"], "deleted scene")
        return [f"{again} tried again; {gone} forgotten."]

    show(
        settings_of(options),
        options,
        "/api/v1/recover",
        told,
        body={"codes": options.code} if options.code else {},
        method="POST",
    )
    return WELL


def gaps(options: argparse.Namespace) -> int:
    """Show what is not in step, and why."""
    settings = settings_of(options)
    if options.csv and options.json:
        raise ConfigError("--csv and --json: only one of them")
    if options.csv:
        gap_list.print_csv(settings, options)
    else:
        route = gap_list.gap_route(options, limit=options.limit, offset=options.offset)
        show(settings, options, route, gap_lines)
    return WELL


def sync(options: argparse.Namespace) -> int:
    """Have scenes delivered, or show what that would change."""
    body: dict[str, Any] = {"scope": options.since or "all"}
    if options.scene:
        body = {"scene_ids": options.scene}
    lines, table = count_line("enqueued", "scene", "enqueued"), None
    if options.dry_run:
        body["dry_run"] = True
        lines, table = difference_lines, difference_table
    settings = settings_of(options)
    show(
        settings,
        options,
        "/api/v1/sync",
        lines,
        body=body,
        method="POST",
        patience=_SYNC_PATIENCE,
        step="reading scenes from Stash",
        table=table,
    )
    if not (settings.sync.enabled or options.dry_run or options.json):
        print("sync.enabled is false: nothing is written to Plex.")
    return WELL


def reconcile(options: argparse.Namespace) -> int:
    """Compare both libraries, and repair what can be repaired."""
    return WELL if comparing.reconcile(settings_of(options), options) else FAILED


def explain(options: argparse.Namespace) -> int:
    """Say why a scene, an item or a path is, or is not, in step."""
    route = f"/api/v1/explain?{urlencode({'q': ' '.join(options.what)})}"
    show(settings_of(options), options, route, explain_lines)
    return WELL


def outages(options: argparse.Namespace) -> int:
    """Show when Plex and Stash were away."""
    show(settings_of(options), options, "/api/v1/outages", outage_lines)
    return WELL


def _page(options: argparse.Namespace, **more: Any) -> str:
    """Return the query of a page of a list."""
    return urlencode({"limit": options.limit, "offset": options.offset, **more})


def _choice(options: argparse.Namespace) -> dict[str, Any]:
    """Return which dead letters the options name."""
    chosen: dict[str, Any] = {}
    if options.scene:
        chosen["scene_ids"] = options.scene
    if options.days is not None:
        chosen["days"] = options.days
    if options.code:
        chosen["codes"] = options.code
    return chosen
