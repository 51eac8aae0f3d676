"""Cleaning text for Plex: control characters, limits, Unicode, line breaks kept.

PMS stores control characters it is given and later emits XML that no parser
accepts, so they must never be sent. Zero-width joiners and variation selectors
stay: without them emoji fall apart.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

# C0 but tab and newline, DEL and C1, surrogates, and the non-characters.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(
        f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17)
    )
    + "]"
)
_LINE_BREAK = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_NO_WORD = re.compile(r"[\W_]+")
_SPACES = re.compile(r"\s+")
ELLIPSIS = "\u2026"
_ZERO_WIDTH_JOINER = "\u200d"


def clean_line(text: str, limit: int) -> str:
    """Return *text* on one line, at most *limit* characters, cut between words."""
    if text.isascii() and text.isprintable():  # as nearly all names are
        return _shorten(" ".join(text.split()), limit)
    text = unicodedata.normalize("NFC", _FORBIDDEN.sub("", _LINE_BREAK.sub("\n", text)))
    return _shorten(_SPACES.sub(" ", text).strip(), limit)


def clean_text(text: str, limit: int) -> str:
    """Return *text* with its line breaks, at most *limit* characters."""
    text = unicodedata.normalize("NFC", _FORBIDDEN.sub("", _LINE_BREAK.sub("\n", text)))
    return _shorten(text.strip(), limit)


def fitted(text: str, encoded_limit: int) -> str:
    """Return *text*, cut to *encoded_limit* bytes once percent-encoded.

    What is cut ends in an ellipsis. Plex takes edits in the request line only.
    """
    if len(quote(text, safe="")) <= encoded_limit:
        return text
    limit = encoded_limit - len(quote(ELLIPSIS))
    cut = text
    while (size := len(quote(cut, safe=""))) > limit:
        cut = _shorten(cut, min(len(cut) * limit // size, len(cut) - 1))
    return cut + ELLIPSIS


def is_cut_of(text: str, whole: str) -> bool:
    """Whether *text* is *whole* as `fitted` may have cut it."""
    return text.endswith(ELLIPSIS) and whole.startswith(text[: -len(ELLIPSIS)])


def name_key(name: str) -> str:
    """Return what two spellings of one name have in common: all but the case.

    Letter by letter, so that Weiss and Weiß are two people.
    """
    if name.isascii():
        return name.lower()
    return "".join(map(_letter_key, unicodedata.normalize("NFC", name)))


def _letter_key(letter: str) -> str:
    folded = letter.casefold()
    return folded if len(folded) == 1 else letter.lower()


def search_key(text: str) -> str:
    """Return *text* as words to search for: no case, accents or punctuation."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    return _NO_WORD.sub(" ", "".join(c for c in folded if not _is_mark(c))).strip()


def _is_mark(char: str) -> bool:
    return unicodedata.category(char) == "Mn"


def _shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    cut = limit
    # Keep whole words, unless that would cost more than a fifth of the text.
    space = max(text.rfind(" ", 0, limit + 1), text.rfind("\n", 0, limit + 1))
    if space >= limit * 4 // 5:
        cut = space
    while cut > 0 and _continues(text, cut):
        cut -= 1
    return text[:cut].rstrip()


def _continues(text: str, at: int) -> bool:
    """Whether cutting before *at* would split what a reader sees as one sign."""
    here, before = text[at], text[at - 1]
    return (
        _ZERO_WIDTH_JOINER in {here, before}
        or "\U0001f3fb" <= here <= "\U0001f3ff"  # skin tones
        or unicodedata.category(here) in {"Mn", "Me", "Mc"}
    )
