"""Changing one picture of an item, and proving that Plex shows it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from stash2plex.errors import PictureFailed
from stash2plex.pictures import bytes_hash

if TYPE_CHECKING:
    from collections.abc import Callable

    from stash2plex.plex.item import Picture
    from stash2plex.plex.library import PlexLibrary
    from stash2plex.push.artwork import PictureChange
    from stash2plex.push.learned import Learned

log = structlog.get_logger()

# The list of candidates can lag behind an upload; how long it is waited for, seconds.
_LAGS = (0.3, 0.6)


class PictureWriter:
    """Uploads, selects and drops pictures."""

    def __init__(self, plex: PlexLibrary, learned: Learned) -> None:
        self._plex = plex
        self._learned = learned

    async def change(self, rating_key: int, name: str, change: PictureChange) -> int:
        """Carry out *change*; returns how many requests it took.

        Raises `PictureFailed` if Plex does not show what it should, and Plex's errors.
        """
        if change.key:
            await self._plex.select(rating_key, name, change.key)
            return 1 + await self._prove_selected(rating_key, name, change.key)
        if not change.data:
            await self._plex.drop_picture(rating_key, name)
            return 1
        await self._plex.upload(rating_key, name, change.data)
        log.debug(
            "picture_uploaded", item=rating_key, field=name, size=len(change.data)
        )
        if not self._learned.wants_proof():
            return 1
        digest = bytes_hash(change.data)
        requests, found = await self._find(
            rating_key, name, lambda one: one.digest == digest
        )
        missed = found is None or not found.selected
        await self._learned.note_proof(missed=missed)
        if found is None:
            raise PictureFailed("Plex does not list the upload")
        if missed:
            await self._plex.select(rating_key, name, found.key)
            requests += 1 + await self._prove_selected(rating_key, name, found.key)
        return 1 + requests

    async def _prove_selected(self, rating_key: int, name: str, key: str) -> int:
        """See that what was selected is; returns how many requests that took."""
        requests, found = await self._find(
            rating_key, name, lambda one: one.key == key and one.selected
        )
        if found is None:
            raise PictureFailed("Plex does not show the picture that was selected")
        return requests

    async def _find(
        self, rating_key: int, name: str, wanted: Callable[[Picture], bool]
    ) -> tuple[int, Picture | None]:
        """Look for a candidate, a few times: the list can lag behind."""
        requests = 0
        for lag in (*_LAGS, 0.0):
            requests += 1
            listed = await self._plex.pictures(rating_key, name)
            if found := next((one for one in listed if wanted(one)), None):
                return requests, found
            if lag:
                await asyncio.sleep(lag)
        return requests, None
