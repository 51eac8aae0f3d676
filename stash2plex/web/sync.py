"""The body of ``POST /api/v1/sync``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stash2plex.errors import InvalidRequest

_HOURS = {"all": None, "24h": 24, "7d": 7 * 24}
_MOST_SQLITE_HOLDS = 2**63 - 1


class SyncRequest(BaseModel):
    """Which scenes to look at: a scope, or ids."""

    model_config = ConfigDict(extra="forbid")

    scope: Literal["all", "24h", "7d"] | None = None
    scene_ids: (
        list[Annotated[int, Field(ge=1, le=_MOST_SQLITE_HOLDS, strict=True)]] | None
    ) = None

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
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "body"
        raise InvalidRequest(f"{where}: {problem['msg']}") from None
