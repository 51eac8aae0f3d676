"""Text of others as it may be printed: what steers a terminal is spelled out."""

from __future__ import annotations

# C0 and C1, which move the cursor or worse, and what reverses or breaks a line.
_STEERING = (
    *range(32),
    *range(127, 160),
    *(0x200E, 0x200F, 0x2028, 0x2029),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    *range(0xD800, 0xE000),  # half a character, which no stream takes
)
_SPELLED = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"  # noqa: PLR2004 - of one byte
    for code in _STEERING
}
_IN_LINES = {code: text for code, text in _SPELLED.items() if chr(code) not in "\n\t"}
# JSON's own spelling; that of C0 is the business of who writes JSON.
_IN_JSON = {code: f"\\u{code:04x}" for code in _STEERING if code >= 127}  # noqa: PLR2004


def visible(text: str) -> str:
    """Return *text* on one line, with all that steers a terminal spelled out."""
    return text.translate(_SPELLED)


def visible_lines(text: str) -> str:
    """Return the same of *text* that has lines, such as a traceback."""
    return text.translate(_IN_LINES)


def visible_json(document: str) -> str:
    """Return the same of a *document* that is JSON; it stays that."""
    return document.translate(_IN_JSON)
