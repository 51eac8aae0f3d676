"""PMS's XML, parsed piece by piece so that a large page holds nothing up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from xml.etree.ElementTree import Element, ParseError, XMLParser

from stash2plex.errors import ServiceUnavailable

# PMS stores control characters that it is given, and writes them out as they are.
_CONTROLS = bytes(one for one in range(32) if one not in b"\t\n\r")
# The same as references, and what XML forbids beyond ASCII.
_FORBIDDEN = re.compile(
    "&#(?:x0*(?:[0-8bcef]|1[0-9a-f])|0*(?:[0-8]|1[124-9]|2[0-9]|3[01]));"
    "|[\ufffe\uffff\ud800-\udfff]",
    re.IGNORECASE,
)
_ROOTS = frozenset({"MediaContainer", "Response"})
# A piece of more is parsed in several steps, bytes.
_STEP = 64 * 1024


async def parse(pieces: AsyncIterator[bytes]) -> Element | None:
    """Return the root element; None for an empty body.

    Raises `ServiceUnavailable` for what is no answer of a PMS.
    """
    parser, read, broken = _parser(), bytearray(), False
    async for piece in pieces:
        cleaned = piece.translate(None, _CONTROLS)
        read += cleaned
        for start in range(0, len(cleaned), _STEP):
            if not broken:
                broken = not _feed(parser, cleaned[start : start + _STEP])
            await asyncio.sleep(0)
    if not read.strip():
        return None
    try:
        root = _repaired(read) if broken else parser.close()
    except ParseError:
        # Some of it may be forbidden only as a whole.
        root = _repaired(read)
    if root.tag not in _ROOTS:
        raise ServiceUnavailable("Plex", "its answer is not Plex's; is plex.url right?")
    return root


def _parser() -> XMLParser:
    return XMLParser()  # noqa: S314 - expat itself bounds what entities expand to


def _feed(parser: XMLParser, piece: bytes) -> bool:
    try:
        parser.feed(piece)
    except (ParseError, LookupError):  # or an encoding that nobody knows
        return False
    return True


def _repaired(read: bytearray) -> Element:
    """Parse once more, without what XML forbids."""
    parser = _parser()
    try:
        text = read.decode("utf-8", "replace")
        parser.feed(_FORBIDDEN.sub("", text).encode("utf-8", "replace"))
        root: Element = parser.close()
    except (ParseError, LookupError):
        msg = "its answer is cut short or no XML; is plex.url right?"
        raise ServiceUnavailable("Plex", msg) from None
    return root
