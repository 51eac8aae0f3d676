"""The query and the answer of ``GET /api/v1/gaps``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stash2plex.catalog.gaps import Gap, GapKind
from stash2plex.errors import InvalidRequest
from stash2plex.web.moments import iso


class GapPage(BaseModel):
    """Which gaps: of one kind or all, a page of them."""

    model_config = ConfigDict(extra="forbid")

    kind: GapKind | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=2**31)] = 0


def parse_page(query: Mapping[str, str]) -> GapPage:
    """Read the query; raises `InvalidRequest` saying what is wrong."""
    try:
        return GapPage.model_validate({k: v for k, v in query.items() if v})
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InvalidRequest(f"{where}: {problem['msg']}") from None


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
    }
