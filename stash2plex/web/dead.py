"""The bodies and answers of the routes about dead letters and the queue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from stash2plex.moments import iso, iso_or_none
from stash2plex.queue.store import Choice, Entry
from stash2plex.web.validation import Page, StashNumber, invalid_request

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
        return _choice(self, now)


def _parts(text: Any) -> Any:
    return text.split(",") if isinstance(text, str) else text


class DeadPage(Page):
    """A page of dead letters: all, or those chosen; lists go with commas."""

    scene_ids: Annotated[
        tuple[Annotated[int, Field(ge=1, le=2**63 - 1)], ...] | None,
        BeforeValidator(_parts, json_schema_input_type=str),
    ] = None
    codes: Annotated[
        tuple[str, ...] | None, BeforeValidator(_parts, json_schema_input_type=str)
    ] = None
    days: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    def choice(self, now: float) -> Choice:
        """Return what is chosen at the time *now*, in unix seconds."""
        return _choice(self, now)


def _choice(asked: ChoiceRequest | DeadPage, now: float) -> Choice:
    before = None if asked.days is None else now - asked.days * _DAY
    return Choice(scene_ids=asked.scene_ids, codes=asked.codes, before=before)


def parse_dead_page(query: Mapping[str, str]) -> DeadPage:
    """Read the query; raises `InvalidRequest` saying what is wrong with it."""
    try:
        return DeadPage.model_validate(dict(query))
    except ValidationError as error:
        raise invalid_request(error) from None


def parse_choice(body: Any) -> ChoiceRequest:
    """Read a choice; raises `InvalidRequest` saying what is wrong with *body*."""
    try:
        return ChoiceRequest.model_validate({} if body is None else body)
    except ValidationError as error:
        raise invalid_request(error) from None


def parse_page(query: Mapping[str, str]) -> Page:
    """Read a page; raises `InvalidRequest` saying what is wrong with *query*."""
    try:
        return Page.model_validate(dict(query))
    except ValidationError as error:
        raise invalid_request(error) from None


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
