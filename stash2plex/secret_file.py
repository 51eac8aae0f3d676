"""A file that holds one value, such as a token, whatever editor wrote it."""

from __future__ import annotations

import codecs
from pathlib import Path


def read_secret(file: Path) -> str:
    """Return what *file* holds, without a byte order mark, blanks and line ends.

    Raises OSError, and UnicodeDecodeError for what is no text.
    """
    data = file.read_bytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if wide else "utf-8-sig").strip()
