"""Bodies of answers, read with a limit on what they unpack to.

0.3 MB of gzip can unpack to 300 MB. aiohttp unpacks piece by piece, so a body is
refused as soon as it is too large, whatever its header says.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import aiohttp

# The most that a body may unpack to, bytes.
LARGEST_BODY = 64 * 1024 * 1024
# So much of an error's body is read, and so much of that is shown, in characters.
_ERROR_BYTES = 4096
_ERROR_SHOWN = 200
_INVISIBLE = re.compile(r"<(title|style|script)\b.*?</\1>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_STATUS_TEXT = re.compile(r'\bstatus="([^"]+)"')


class BodyTooLarge(aiohttp.ClientPayloadError):
    """A body unpacks to more than is read of it."""

    def __init__(self) -> None:
        super().__init__(f"the body is larger than {LARGEST_BODY // 1024 // 1024} MB")


async def pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the unpacked body piece by piece; raises `BodyTooLarge`."""
    size = 0
    async for piece in answer.content.iter_any():
        size += len(piece)
        if size > LARGEST_BODY:
            answer.close()
            raise BodyTooLarge
        yield piece


class LimitedResponse(aiohttp.ClientResponse):
    """An answer whose ``read``, ``text`` and ``json`` raise `BodyTooLarge`."""

    _refused = False

    async def read(self) -> bytes:
        """Return the whole body."""
        if self._refused:  # reading it again must not go on where that ended
            raise BodyTooLarge
        if self._body is None:
            try:
                self._body = b"".join([piece async for piece in pieces(self)])
            except BodyTooLarge:
                self._refused = True
                raise
        return self._body


async def error_text(answer: aiohttp.ClientResponse) -> str:
    """Return what the body of an error says, on one line and shortened; "" for nothing.

    Servers answer with small HTML pages, plain text, or XML whose ``status`` tells.
    """
    body = b""
    try:
        while len(body) < _ERROR_BYTES and (
            more := await answer.content.read(_ERROR_BYTES - len(body))
        ):
            body += more
    except (aiohttp.ClientError, OSError):
        pass  # what came is enough
    text = body.decode("utf-8", "replace")
    told = " ".join(_STATUS_TEXT.findall(text)) if "<Response" in text else ""
    shown = told or _TAG.sub(" ", _INVISIBLE.sub(" ", text))
    visible = "".join(char if char.isprintable() else " " for char in shown)
    line = " ".join(visible.split())
    return line if len(line) <= _ERROR_SHOWN else f"{line[:_ERROR_SHOWN]}…"
