"""What happens to items in Plex: deleted, trashed, joined, renamed, and new films."""

from __future__ import annotations

import pytest

from stash2plex.sandbox.scenes import cover
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import PICTURES, sample
from tests.reconcile.test_reconcile import reconciled
from tests.running import running


@pytest.fixture
async def listening(stash, plex, tmp_path):
    """A daemon that follows Plex's notification socket, with thirty scenes."""
    for number in range(1, 31):
        sample(stash, plex, number)
    settings = make_settings(stash, plex, tmp_path, plex={"notifications": True})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.until(lambda s: s["plex"]["listening"])
        await daemon.deliver(*range(1, 31))
        yield daemon


async def items(daemon, count):
    return await daemon.until(lambda s: s["catalog"]["items"] == count, seconds=20)


@pytest.mark.parametrize("no_type", [True, False])
async def test_an_item_deleted_in_plex_leaves_at_once(listening, plex, no_type):
    plex.habits.deletion_has_no_type = no_type
    plex.remove(5)
    await items(listening, 29)


async def test_a_deletion_of_what_nobody_knows_asks_nothing(listening, plex):
    plex.requests.clear()
    for key in range(1000, 1100):
        plex._tell_item(key, kind=-1, state=5)
    plex.remove(5)
    await items(listening, 29)

    asked = [path for _, path in plex.requests if path.startswith("/library/metadata/")]
    assert len(asked) == 1


async def test_a_deletion_told_while_plex_stumbles_is_not_lost(
    listening, plex, monkeypatch
):
    monkeypatch.setattr("stash2plex.catalog.listener._AGAIN", 0.2)
    plex.read_status_of["/library/metadata/"] = 503
    plex.remove(5)
    await plex.facts.until(lambda: plex.refused[503] or _asked_for(plex, 5))
    plex.read_status_of.clear()
    await items(listening, 29)


def _asked_for(plex, key):
    return [
        path for _, path in plex.requests if path.startswith(f"/library/metadata/{key}")
    ]


async def test_an_item_that_is_still_there_stays(listening, plex):
    plex._tell_item(5, kind=-1, state=5)
    plex.remove(6)
    await items(listening, 29)
    assert (await listening.get("explain?q=scene:5"))["verdict"]["state"] == "in_sync"


async def test_a_trashed_item_does_not_count(listening, stash, plex):
    plex.trash(5)
    await items(listening, 29)
    stash.change(5, title="Another")
    plex.requests.clear()
    await listening.post("sync", {"scene_ids": [5]})
    await listening.until(
        lambda s: s["queue"]["waiting"] == 1 or s["gaps"]["missing_in_plex"]
    )
    assert not [path for how, path in plex.requests if how == "PUT"]
    run = await reconciled(listening)
    assert run["gaps"]["missing_in_plex"] == 1
    assert (await listening.get("explain?q=plex:5"))["verdict"] == {
        "state": "gone",
        "message": "the file of item 5 is missing: it is in Plex's trash",
    }

    plex.restore(5)
    await items(listening, 30)
    await plex.facts.until(lambda: plex.items[5].text["title"] == "Another")


async def test_a_trashed_item_is_no_rival(stash, plex, tmp_path):
    scene, _ = sample(stash, plex)
    twin = plex.add("/other/1.mp4", size=1)
    stash.scenes[scene.id].files = [("/elsewhere/1.mp4", 1)]
    settings = make_settings(stash, plex, tmp_path)
    plex.trash(1)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)

    assert twin.text["title"] == "Title 1"


async def test_a_library_trashed_at_once_pulls_the_brake(listening, stash, plex):
    plex.tells = False
    plex.trash(*range(1, 31))
    stash.change(5, title="Another")
    run = await reconciled(listening)
    assert run["state"] == "stopped"
    assert not any(run["gaps"].values())
    # Jobs wait; none is lost, nothing is written.
    writes = sum(one.writes for one in plex.items.values())
    await listening.hook(5)
    status = await listening.until(lambda s: s["queue"]["waiting"] == 1)
    assert (status["queue"]["dead"], sum(status["gaps"].values())) == (0, 0)
    assert sum(one.writes for one in plex.items.values()) == writes

    plex.restore(*range(1, 31))
    await reconciled(listening)
    await listening.post("queue/process", {}, status=200)
    await listening.idle()
    assert plex.items[5].text["title"] == "Another"


async def test_items_of_one_guid_become_one(listening, stash, plex):
    plex.items[7].guid = plex.items[8].guid = (
        "tv.plex.agents.custom.stash2plex://movie/scene-7"
    )
    stash.scenes[7].files = [("/media/7.mp4", 7), ("/media/8.mp4", 8)]
    stash.remove(8)
    stash.change(7, title="Both files")
    plex.join_equal_guids()
    await items(listening, 29)
    await listening.deliver(7)

    assert [path for path, _ in plex.items[7].files] == ["/media/7.mp4", "/media/8.mp4"]
    assert plex.items[7].text["title"] == "Both files"
    found = await listening.get("explain?q=plex:7")
    assert [one["path"] for one in found["items"][0]["files"]] == [
        "/media/7.mp4",
        "/media/8.mp4",
    ]


@pytest.mark.parametrize("keeps_key", [False, True])
async def test_a_renamed_file_is_described_again(stash, plex, tmp_path, keeps_key):
    plex.habits.renamed_keeps_key = keeps_key
    for number in range(1, 6):
        sample(stash, plex, number, rating100=80, studio="S", cover=cover(number))
    settings = make_settings(
        stash, plex, tmp_path, sync=PICTURES, plex={"notifications": True}
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.until(lambda s: s["plex"]["listening"])
        await daemon.deliver(*range(1, 6))
        stash.scenes[3].files = [("/media/renamed.mp4", 3)]
        stash.change(3)
        item = plex.rename(3, "/media/renamed.mp4")
        # PMS keeps a rating with the guid.
        item.text["userRating"] = "8.0"
        await daemon.hook(3)
        await plex.facts.until(lambda: item.picture("art") == cover(3))
        await daemon.idle()
        assert item.text["title"] == "Title 3"
        assert item.tags["collection"] == ["S"]
        # What is ours is known: it goes with Stash's.
        stash.change(3, rating100=None, studio="")
        await daemon.deliver(3)

    assert item.text["userRating"] == ""
    assert item.tags["collection"] == []


async def test_the_frames_of_a_new_film_cost_few_requests(listening, stash, plex):
    stash.add("/media/new.mp4", title="New", details="x", size=77)
    await listening.hook(31)
    await listening.until(lambda s: s["queue"]["waiting"] == 1)
    plex.requests.clear()
    item = plex.add("/media/new.mp4", size=77)
    await plex.facts.until(lambda: item.text["title"] == "New")
    await listening.idle()

    # Some 150 frames: the item is read, and read again as it is written.
    assert len(plex.requests) < 10
