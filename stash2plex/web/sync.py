"""The body of ``POST /api/v1/sync``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stash2plex.push.hooks import StashNumber
from stash2plex.push.preview import Difference, Preview
from stash2plex.push.sync import Syncer
from stash2plex.web.validation import parsed

# Items whose differences one answer shows.
SHOWN = 1000
_HOURS = {"all": None, "24h": 24, "7d": 7 * 24}


class SyncRequest(BaseModel):
    """Which scenes to look at: a scope, or ids; and whether only to look."""

    model_config = ConfigDict(extra="forbid")

    scope: Literal["all", "24h", "7d"] | None = None
    scene_ids: list[StashNumber] | None = None
    dry_run: Annotated[bool, Field(strict=True)] = False

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
    return parsed(SyncRequest, body)


async def differences(
    wanted: SyncRequest, syncer: Syncer, preview: Preview
) -> dict[str, Any]:
    """Return what a sync would change, the first `SHOWN` items of it.

    All is counted that was looked at; nothing more is, once there is enough to show.
    """
    found: list[Difference] = []
    scenes = 0
    pages = syncer.ids(wanted.hours)
    if wanted.scene_ids is not None:
        pages = _once(list(dict.fromkeys(wanted.scene_ids)))
    complete = True
    async for ids in pages:
        if len(found) > SHOWN:
            complete = False
            break
        scenes += len(ids)
        found += await preview.of(ids)
    return {
        "scenes": scenes,
        "complete": complete and len(found) <= SHOWN,
        "differences": [shown_difference(one) for one in found[:SHOWN]],
    }


async def _once(ids: list[int]) -> AsyncIterator[list[int]]:
    yield ids


def shown_difference(difference: Difference) -> dict[str, Any]:
    """Return a difference as people read it."""
    return {
        "scene": difference.scene_id,
        "item": difference.rating_key,
        "reason": difference.reason,
        "respected": list(difference.respected),
        "changes": [
            {"field": one.field, "before": one.before, "after": one.after}
            for one in difference.changes
        ],
    }
