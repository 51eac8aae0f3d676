"""Hearing from Stash that it completed a scan."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

from stash2plex.stash import queries
from stash2plex.stash.subscription import subscription

if TYPE_CHECKING:
    from stash2plex.stash.connection import StashConnection

_TOLD = '"scanCompleteSubscribe":'


async def scans(
    stash: StashConnection, on_listening: Callable[[], None]
) -> AsyncGenerator[None, None]:
    """Yield whenever a scan was completed, until the link breaks.

    Raises what `subscription` raises.
    """
    async for frame in subscription(stash, queries.SCANS, on_listening):
        if _TOLD in frame:
            yield
