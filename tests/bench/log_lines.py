"""Searching Stash's log for lines of ours, as it is sent: SQL and all."""

from __future__ import annotations

import json
import time

from stash2plex.plugin import IN_PROCESS_HOOKS
from stash2plex.stash.hook_lines import said_in
from tests.bench.harness import Rows, row

# What Stash traces of a scene that is listed, and of one in a bulk edit, bytes.
_LISTED, _EDITED = 1550, 2000
_PAGE, _BULK = 500, 5000
_TIMES = 20


async def log_lines(rows: Rows) -> None:
    """A page of a listing, without a line of ours; a bulk edit, with one a scene."""
    quiet = _frame(["SQL [61us]: SELECT ".ljust(_LISTED, "x")] * _PAGE)
    ours = [
        one
        for number in range(1, _BULK + 1)
        for one in ("SQL [61us]: UPDATE ".ljust(_EDITED, "x"), _line(number))
    ]
    busy = _frame(ours)
    rows.append(
        row("a page of a listing in Stash's log, searched, ms", _took(quiet), 5)
    )
    took = _took(busy)
    rows.append(row("a bulk edit of 5,000 scenes there, ms", took, 50))


def _took(frame: str) -> float:
    best = float("inf")
    for _ in range(_TIMES):
        started = time.perf_counter()
        for _ in said_in(frame, "v0.30.1"):
            pass
        best = min(best, time.perf_counter() - started)
    return best * 1000


def _line(number: int) -> str:
    said = {"type": "Scene.Update.Post", "id": number, "fields": ["title", "tag_ids"]}
    return f"[Plugin / {IN_PROCESS_HOOKS.name}] stash2plexd 1 {json.dumps(said)}"


def _frame(messages: list[str]) -> str:
    entries = [{"message": one} for one in messages]
    frame = {
        "payload": {"data": {"loggingSubscribe": entries}},
        "id": "1",
        "type": "next",
    }
    return json.dumps(frame, separators=(",", ":"))
