"""Two files whose names are equal in one form of Unicode, and paths with odd slashes."""

from __future__ import annotations

import pytest

from tests.conftest import make_settings
from tests.provider.asking import RULE, providing
from tests.reconcile.test_reconcile import gaps, reconciled
from tests.running import running

NFC, NFD = "Caf\u00e9", "Cafe\u0301"


@pytest.mark.parametrize("pattern", ["/media/{}.mp4", "/media/{}/1.mp4"])
async def test_both_sides_have_both(daemon, stash, plex, pattern):
    for number, form in ((1, NFC), (2, NFD)):
        stash.add(pattern.format(form), title=f"Title {number}", details="x")
        plex.add(pattern.format(form), rating_key=number)
    await daemon.cataloged()

    await daemon.deliver(1, 2)
    await reconciled(daemon)

    assert [plex.items[key].text["title"] for key in (1, 2)] == ["Title 1", "Title 2"]
    assert await gaps(daemon) == []


async def test_one_side_has_one_only(daemon, stash, plex):
    for number, form in ((1, NFC), (2, NFD)):
        stash.add(f"/media/{form}.mp4", title=f"Title {number}", details="x")
    plex.add(f"/media/{NFC}.mp4", rating_key=1)
    await daemon.cataloged()

    await daemon.post("sync", {"scene_ids": [1, 2]})
    await daemon.until(lambda s: s["gaps"]["ambiguous"] == 2)

    assert plex.items[1].text["title"] == NFC


async def test_a_scene_of_one_form_has_all_items(daemon, stash, plex):
    stash.add(f"/media/{NFC}.mp4", title="Title", details="x")
    for number, form in ((1, NFC), (2, NFD)):
        plex.add(f"/media/{form}.mp4", rating_key=number)
    await daemon.cataloged()

    await daemon.deliver(1)

    assert [plex.items[key].text["title"] for key in (1, 2)] == ["Title", "Title"]


async def test_another_file_of_the_item_still_counts(daemon, stash, plex):
    """An item with both forms is both scenes', and so nobody's."""
    for number, form in ((1, NFC), (2, NFD)):
        stash.add(f"/media/{form}.mp4", title=f"Title {number}", details="x")
    plex.add(f"/media/{NFC}.mp4", f"/media/{NFD}.mp4", rating_key=1)
    await daemon.cataloged()

    await daemon.post("sync", {"scene_ids": [1, 2]})
    await daemon.until(lambda s: s["gaps"]["ambiguous"] == 2)


@pytest.mark.parametrize("listed", [True, False])
async def test_the_provider_tells_them_apart(stash, plex, tmp_path, listed):
    plex.locations = {1: ["/media"]}
    for number, form in ((1, NFC), (2, NFD)):
        stash.add(f"/data/{form}.mp4", title=f"Title {number}", details="x")
        if listed:
            plex.add(f"/media/{form}.mp4", rating_key=number)
    if not listed:
        plex.add(f"/media/{NFD}.mp4", rating_key=2)
    async with providing(stash, plex, tmp_path, path_rules=[RULE]) as asking:
        assert await asking.scenes(f"{NFC}.mp4") == [1]
        if listed:
            assert await asking.scenes(f"{NFD}.mp4") == [2]


async def test_a_slash_too_many_is_none(stash, plex, tmp_path):
    stash.add("/data/sub/1.mp4", title="Title", details="x")
    stash.add("/data/other/1.mp4", title="Other", details="x")
    plex.add("/media/sub//1.mp4", rating_key=1)
    settings = make_settings(stash, plex, tmp_path, path_rules=[RULE])
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)

    assert plex.items[1].text["title"] == "Title"
