"""The folders of ``provider.media_roots``: there, readable, and not hanging."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from stash2plex.config import MediaRoot
from stash2plex.doctor.finding import Finding
from stash2plex.provider.media_roots import DEADLINE
from stash2plex.threads import in_daemonic_thread


async def examine(roots: Sequence[MediaRoot]) -> AsyncIterator[Finding]:
    """Look at each folder for as long as a match request would."""
    for root in roots:
        yield await _looked_at(root.here)


async def _looked_at(folder: Path) -> Finding:
    code, fix = "media_root", "mount it, or take it out of provider.media_roots"
    try:
        async with asyncio.timeout(DEADLINE):
            problem = await in_daemonic_thread("media root", _problem, folder)
    except TimeoutError:
        message = (
            f"{str(folder)!r} does not answer: its share or disk hangs; files there are"
            " not matched by hash"
        )
        return Finding(code, "warn", message, "look at the share or the disk")
    if problem:
        return Finding(code, "warn", f"{str(folder)!r}: {problem}", fix)
    return Finding(code, "ok", f"{str(folder)!r} can be read")


def _problem(folder: Path) -> str:
    """Return what is wrong with *folder*, "" if nothing is."""
    try:
        with os.scandir(folder) as entries:
            next(entries, None)
    except OSError as error:
        return error.strerror or str(error)
    return ""
