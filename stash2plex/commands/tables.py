"""What the daemon's answers say, in tables for terminals."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from stash2plex.commands.lines import difference_summary, shown_value
from stash2plex.visible import visible


def difference_table(document: dict[str, Any]) -> Group:
    """Show what a sync would change, a row for each field."""
    table = Table("Scene", "Item", "Field", "Now", "Then", header_style="")
    for one in document["differences"]:
        where = [str(one["scene"]), str(one["item"] or "")]
        rows = [
            (
                change["field"],
                shown_value(change["before"]),
                shown_value(change["after"]),
            )
            for change in one["changes"]
        ]
        rows += [(name, "locked by somebody else", "") for name in one["respected"]]
        if one["reason"]:
            rows.append(("", str(one["reason"]), ""))
        for row in rows:
            table.add_row(*(Text(visible(cell)) for cell in (*where, *row)))
            where = ["", ""]
    summary = Text(difference_summary(document))
    return Group(table, summary) if table.row_count else Group(summary)
