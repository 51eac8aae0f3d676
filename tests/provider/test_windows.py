"""A Stash on Windows, and names in the form of Unicode that a Mac's disk keeps."""

from __future__ import annotations

import pytest

from tests.provider.asking import providing

RULE = {
    "name": "videos",
    "stash": "^D:/Clips/(?P<rest>.+)$",
    "plex": "^/media/(?P<rest>.+)$",
}
CAFE = "Cafe\u0301"


@pytest.mark.parametrize("slash", ["/", "\\"])
@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("name", ["one.mp4", f"{CAFE}.mp4", "100%_real.mp4"])
async def test_files_are_found_whatever_the_separator(
    stash, plex, tmp_path, slash, new, name
):
    """Also those that the catalogue does not have yet, and the first after a start."""
    plex.locations = {1: ["/media"]}
    if not new:
        stash.add(f"D:{slash}Clips{slash}A{slash}{name}", title="One", tags=["t"])
    stash.add(f"D:{slash}Clips{slash}other.mp4", title="Other", tags=["t"])
    async with providing(stash, plex, tmp_path, path_rules=[RULE]) as asking:
        await asking.daemon.cataloged()
        if new:
            stash.add(f"D:{slash}Clips{slash}A{slash}{name}", title="One", tags=["t"])
        scenes = await asking.scenes(f"A/{name}")

    assert scenes == [2 if new else 1]
