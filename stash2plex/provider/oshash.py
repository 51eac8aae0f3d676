"""A file's oshash, as OpenSubtitles defines it and Stash computes it."""

from __future__ import annotations

import os
import re
from pathlib import Path

_CHUNK = 64 * 1024
_WORD = 8
_MASK = 2**64 - 1
_IN_NAME = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{16}(?![0-9A-Za-z])")


def hashes_in(name: str) -> list[str]:
    """Return what may be oshashes in a file name: runs of 16 hex digits."""
    return list(dict.fromkeys(found.lower() for found in _IN_NAME.findall(name)))


def oshash(file: Path) -> str:
    """Return size plus the words of the first and the last 64 KiB, 16 hex digits.

    Of a smaller file, as many whole words as it has, from either end. "" for one of 8
    bytes at most: Stash has none for those either (its ``pkg/hash/oshash``). Raises
    OSError.
    """
    with file.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        if size <= _WORD:
            return ""
        length = min(_CHUNK, size // _WORD * _WORD)
        head = opened.read(length)
        opened.seek(size - length)
        tail = opened.read(length)
    if len(head) != length or len(tail) != length:
        return ""  # it is being written
    total = size + sum(
        int.from_bytes(part[at : at + _WORD], "little")
        for part in (head, tail)
        for at in range(0, length, _WORD)
    )
    return f"{total & _MASK:016x}"
