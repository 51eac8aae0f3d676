"""Fetching pictures from Stash."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import aiohttp

from stash2plex.errors import (
    PictureFailed,
    PictureNotFound,
    PictureUnusable,
    ServiceUnavailable,
)
from stash2plex.stash.connection import DENIED, FIRST_ERROR, REDIRECT

if TYPE_CHECKING:
    from stash2plex.stash.connection import StashConnection

_NOT_MODIFIED = 304
_NOT_FOUND = 404
_MOST = 32 * 1024 * 1024
_AT_ONCE = 4
# Whose placeholder can be asked for.
_BY_NAME = re.compile(r"/(?:performer|studio|tag|group)/")
SVG = "SVG cannot be used; save it as JPEG, PNG or WebP in Stash"


@dataclass(frozen=True, slots=True)
class PictureAnswer:
    """What asking for a picture brought.

    *data* is None when Stash shows a placeholder, and when *unchanged*: then it is what
    *etag* said before. A placeholder stands for no picture, or for one that cannot be
    read; *is_certain* unless nobody can tell which. *svg* is the ETag of an SVG file:
    that is what most placeholders are, and some pictures too.
    """

    data: bytes | None
    etag: str
    unchanged: bool = False
    is_certain: bool = True
    svg: str = ""

    @property
    def is_known_to_be_none(self) -> bool:
        """Whether Stash has no picture, for sure."""
        return self.data is None and not self.unchanged and self.is_certain


class StashPictures:
    """The pictures of one Stash, a few at a time."""

    def __init__(self, stash: StashConnection) -> None:
        self._stash = stash
        self._turns = asyncio.Semaphore(_AT_ONCE)
        # The ETags of what stands for pictures of performers, studios and so on.
        self._placeholders: set[str] = set()

    async def fetch(self, url: str, etag: str = "") -> PictureAnswer:
        """Fetch a picture's bytes, unless it still is the one that *etag* names.

        Raises `PictureFailed`, `PictureUnusable` (with the ETag) for what is no picture
        or too large, and `ServiceUnavailable`.
        """
        async with self._turns:
            answer = await self._fetch(url, etag)
            if not (answer.data or answer.svg) or not _BY_NAME.search(url):
                return answer
            if await self._stands_for_none(url, answer.etag or answer.svg):
                return PictureAnswer(None, "")
        if answer.svg:
            raise PictureUnusable(SVG, etag=answer.svg)
        return answer

    async def _stands_for_none(self, url: str, etag: str) -> bool:
        """Whether a performer's or studio's picture is what Stash shows without any.

        It does so where the picture cannot be read. There is one for each gender, or
        some of the user's own, so it is compared for each.
        """
        if etag and etag not in self._placeholders:
            standing_in = f"{url.partition('?')[0]}?default=true"
            answer = await self._fetch(standing_in, etag, is_default=True)
            told = etag if answer.unchanged else answer.etag or answer.svg
            self._placeholders |= {told} - {""}
        return etag in self._placeholders

    async def _fetch(
        self, url: str, etag: str, *, is_default: bool = False
    ) -> PictureAnswer:
        headers = {"If-None-Match": etag} if etag else {}
        try:
            async with self._stash.web.get(
                url, headers=headers, allow_redirects=False
            ) as answer:
                return await self._read(answer, etag, is_default=is_default)
        except aiohttp.ClientConnectorError as error:
            raise ServiceUnavailable("Stash", await self._stash.reason(error)) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            # Stash may be well, and only this picture not.
            raise PictureFailed(f"Stash: {await self._stash.reason(error)}") from None

    async def _read(
        self, answer: aiohttp.ClientResponse, etag: str, *, is_default: bool
    ) -> PictureAnswer:
        if answer.status == _NOT_MODIFIED:
            return PictureAnswer(None, etag, unchanged=True)
        await self._refuse_status(answer)
        kind, told = answer.content_type, answer.headers.get("ETag", "")
        if not is_default and _is_default(answer):
            return PictureAnswer(None, "")
        if kind == "image/svg+xml":
            return PictureAnswer(None, "", svg=told)
        if not kind.startswith("image/") and kind != "application/octet-stream":
            message = f"Stash answered {kind} for a picture"
            if told:
                raise PictureUnusable(message, etag=told)
            raise PictureFailed(message)
        return PictureAnswer(await _body(answer, told), told)

    async def _refuse_status(self, answer: aiohttp.ClientResponse) -> None:
        """Raise what a status means; a refusal may be of everything, or of this."""
        status = answer.status
        if status in DENIED or REDIRECT <= status < FIRST_ERROR:
            await self._stash.prove()
            raise PictureFailed(
                f"Stash refused the picture: HTTP {status}; does a proxy guard"
                f" {answer.url.path}?"
            )
        if status == _NOT_FOUND:
            raise PictureNotFound("Stash has no such picture")
        if status >= FIRST_ERROR:
            raise PictureFailed(f"Stash answered HTTP {status} for a picture")


async def _body(answer: aiohttp.ClientResponse, etag: str) -> bytes:
    """Return all bytes of a picture; raises `PictureUnusable` if they are too many."""
    data = b""
    if (answer.content_length or 0) <= _MOST:
        while len(data) <= _MOST:
            more = await answer.content.read(_MOST + 1 - len(data))
            if not more:
                return data
            data += more
    raise PictureUnusable(
        "the picture is larger than 32 MB; choose a smaller one in Stash", etag=etag
    )


def _is_default(answer: aiohttp.ClientResponse) -> bool:
    return parse_qs(answer.url.query_string).get("default") == ["true"]
