"""Cleaning text for Plex: control characters, limits, Unicode, line breaks kept.

PMS stores control characters it is given and later emits XML that no parser
accepts, so they must never be sent. Format characters, which nobody sees, make two
names of one, so they go as well; but for joiners between what they shape: without
them emoji and some scripts fall apart. What consists of nothing that can be seen is "".
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal
from urllib.parse import quote

# C0 but tab and newline, DEL and C1, surrogates, and the non-characters.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(
        f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17)
    )
    + "]"
)
# Format characters (Cf): zero-width space, soft hyphen, marks of direction, byte order
# and so on. Signs of some scripts are Cf too, and seen; they are not among these.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
# Blanks that count as letters or signs.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# What a joiner stands between: letters without case, marks, emoji.
_JOINED = frozenset({"Lo", "Lm", "Mn", "Mc", "Me", "So", "Sk"})
_NON_JOINER = "\u200c"
_VIRAMA = 9  # combining class of what ends a syllable, and may be joined to nothing
_BLACK_FLAG, _TAG, _LAST_TAG = "\U0001f3f4", "\U000e0020", "\U000e007f"
_LONGEST_FLAG = 8
_LINE_BREAK = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_NO_WORD = re.compile(r"[\W_]+")
_SPACES = re.compile(r"\s+")
_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
ELLIPSIS = "\u2026"
# So much of a message of others is kept: its start says what failed, its end why.
_HEAD, _TAIL = 160, 120
_ZERO_WIDTH_JOINER = "\u200d"


def clean_line(text: str, limit: int) -> str:
    """Return *text* on one line, at most *limit* characters, cut between words."""
    if text.isascii() and text.isprintable():  # as nearly all names are
        return _shorten(" ".join(text.split()), limit)
    return _shorten(_SPACES.sub(" ", _clean(text)).strip(), limit)


def clean_text(text: str, limit: int) -> str:
    """Return *text* with its line breaks, at most *limit* characters."""
    return _shorten(_clean(text).strip(), limit)


def shortened(message: str) -> str:
    """Return a message of others without its middle, if it is long.

    It may hold whole statements with all their values.
    """
    if len(message) <= _HEAD + _TAIL:
        return message
    return f"{message[:_HEAD]} {ELLIPSIS} {message[-_TAIL:]}"


def _clean(text: str) -> str:
    """Return *text* without what must not be sent, "" if nothing of it is seen."""
    text = unicodedata.normalize("NFC", _FORBIDDEN.sub("", _LINE_BREAK.sub("\n", text)))
    if _INVISIBLE.search(text):
        text = unicodedata.normalize("NFC", _INVISIBLE.sub(_kept_joiner, text))
    if all(one.isspace() or one in _BLANK or _INVISIBLE.match(one) for one in text):
        return ""
    return text


def _kept_joiner(found: re.Match[str]) -> str:
    """Return a format character if it shapes what is around it, else ""."""
    sign, text, start = found[0], found.string, found.start()
    before, after = text[max(0, start - 1) : start], text[start + 1 : start + 2]
    if sign in {_ZERO_WIDTH_JOINER, _NON_JOINER}:
        if before and unicodedata.combining(before) == _VIRAMA:
            return sign
        return sign if _is_joined(before) and _is_joined(after) else ""
    if not _TAG <= sign <= _LAST_TAG:
        return ""
    # The flags of England, Scotland and Wales.
    flag = text.rfind(_BLACK_FLAG, max(0, start - _LONGEST_FLAG), start)
    tags = text[flag + 1 : start]
    is_of_flag = flag >= 0 and all(_TAG <= one <= _LAST_TAG for one in tags)
    return sign if is_of_flag else ""


def _is_joined(char: str) -> bool:
    return bool(char) and unicodedata.category(char) in _JOINED


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


def both_forms(text: str) -> tuple[str, ...]:
    """Return *text* in each form of Unicode that disks keep: one if they are equal."""
    forms = (unicodedata.normalize(form, text) for form in _FORMS)
    return tuple(dict.fromkeys(forms))


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
