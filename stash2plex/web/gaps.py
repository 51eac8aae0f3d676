"""The query and the answer of ``GET /api/v1/gaps``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stash2plex.catalog.gaps import Gap
from stash2plex.gap_kinds import GapKind
from stash2plex.moments import iso, iso_or_none
from stash2plex.web.validation import Page, parsed


class GapPage(Page):
    """Which gaps: of one kind or all, a page of them."""

    kind: GapKind | None = None
    resolved: bool = False


def parse_page(query: Mapping[str, str]) -> GapPage:
    """Read the query; raises `InvalidRequest` saying what is wrong."""
    return parsed(GapPage, {k: v for k, v in query.items() if v})


def shown(gap: Gap) -> dict[str, Any]:
    """Return a gap as people read it; *scene* and *item* are ids, or null."""
    what, _, which = gap.subject.partition(":")
    return {
        "kind": gap.kind,
        "scene": int(which) if what == "scene" else None,
        "item": int(which) if what == "item" else None,
        "path": gap.path,
        "detail": gap.detail,
        "first_seen": iso(gap.first_seen),
        "last_seen": iso(gap.last_seen),
        "resolved_at": iso_or_none(gap.resolved_at),
    }
