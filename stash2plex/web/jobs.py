"""The bodies and answers of the routes about dead letters and the queue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from stash2plex.moments import iso, iso_or_none
from stash2plex.push.hooks import StashNumber
from stash2plex.queue.store import Choice, Entry
from stash2plex.scene import MOST_SQLITE_HOLDS
from stash2plex.web.validation import Page, parsed

_DAY = 24 * 3600
# A short coalescing delay counts as due, seconds.
_SOON = 0.5


class ChoiceRequest(BaseModel):
    """Which dead letters; see ``docs/http-api.md``."""

    model_config = ConfigDict(extra="forbid")

    scene_ids: tuple[StashNumber, ...] | None = None
    codes: tuple[str, ...] | None = None
    days: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    def choice(self, now: float) -> Choice:
        """Return what is chosen at the time *now*, in unix seconds."""
        before = None if self.days is None else now - self.days * _DAY
        return Choice(scene_ids=self.scene_ids, codes=self.codes, before=before)


def _parts(text: Any) -> Any:
    return text.split(",") if isinstance(text, str) else text


class DeadPage(Page, ChoiceRequest):
    """A page of dead letters: all, or those chosen; lists go with commas."""

    scene_ids: Annotated[
        tuple[Annotated[int, Field(ge=1, le=MOST_SQLITE_HOLDS)], ...] | None,
        BeforeValidator(_parts, json_schema_input_type=str),
    ] = None
    codes: Annotated[
        tuple[str, ...] | None, BeforeValidator(_parts, json_schema_input_type=str)
    ] = None


def parse_dead_page(query: Mapping[str, str]) -> DeadPage:
    """Read the query; raises `InvalidRequest` saying what is wrong with it."""
    return parsed(DeadPage, dict(query))


def parse_choice(body: Any) -> ChoiceRequest:
    """Read a choice; raises `InvalidRequest` saying what is wrong with *body*."""
    return parsed(ChoiceRequest, {} if body is None else body)


def parse_page(query: Mapping[str, str]) -> Page:
    """Read a page; raises `InvalidRequest` saying what is wrong with *query*."""
    return parsed(Page, dict(query))


def shown(entry: Entry) -> dict[str, Any]:
    """Return a job as people read it; one that is not due yet waits."""
    waits = entry.state == "queued" and entry.due_at > time.time() + _SOON
    return {
        "kind": entry.kind,
        "id": entry.stash_id,
        "reason": entry.reason,
        "state": "waiting" if waits else entry.state,
        "attempts": entry.attempts,
        "lookups": entry.lookups,
        "code": entry.code,
        "error": entry.error,
        "created_at": iso(entry.created_at),
        "due_at": iso(entry.due_at),
        "first_failed_at": iso_or_none(entry.first_failed_at),
        "failed_at": iso_or_none(entry.failed_at),
        "outage": entry.outage_id,
    }
