"""The body of ``POST /api/v1/sync``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from stash2plex.web.validation import StashNumber, invalid_request

_HOURS = {"all": None, "24h": 24, "7d": 7 * 24}


class SyncRequest(BaseModel):
    """Which scenes to look at: a scope, or ids."""

    model_config = ConfigDict(extra="forbid")

    scope: Literal["all", "24h", "7d"] | None = None
    scene_ids: list[StashNumber] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> SyncRequest:
        if (self.scope is None) == (self.scene_ids is None):
            raise ValueError("give either scope or scene_ids")
        return self

    @property
    def hours(self) -> int | None:
        """How far back the scope reaches, in hours; None for everything."""
        return _HOURS[self.scope or "all"]


def parse_sync(body: Any) -> SyncRequest:
    """Read the request; raises `InvalidRequest` saying what is wrong."""
    try:
        return SyncRequest.model_validate(body)
    except ValidationError as error:
        raise invalid_request(error) from None
