"""Gaps from the running daemon, page by page."""

from __future__ import annotations

import argparse
import csv
import sys
from typing import Any
from urllib.parse import urlencode

from stash2plex.commands.asking import ask, understood
from stash2plex.config import Settings
from stash2plex.visible import visible

_PAGE = 1000
_GAPS = "/api/v1/gaps"
_COLUMNS = "kind scene item path detail first_seen last_seen resolved_at".split()


def print_csv(settings: Settings, options: argparse.Namespace) -> None:
    """Print gaps as CSV, all of them."""
    writer = csv.DictWriter(sys.stdout, _COLUMNS, extrasaction="ignore")
    writer.writeheader()
    offset = 0
    while True:
        route = gap_route(options, limit=_PAGE, offset=offset)
        with understood(settings.server):
            found = ask(settings.server, "GET", route)["gaps"]
        writer.writerows(
            {
                key: visible(value) if isinstance(value, str) else value
                for key, value in one.items()
            }
            for one in found
        )
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
