"""Items that come back under another rating key, on another server, or unknown to us."""

from __future__ import annotations

import shutil

import pytest

from stash2plex.doctor import examine
from stash2plex.sandbox.scenes import cover
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import PICTURES, sample
from tests.reconcile.test_reconcile import gaps, reconciled
from tests.running import running


def mint_new_keys(plex, offset=1000):
    """Give every item another rating key, as a rebuilt library does."""
    for key in sorted(plex.items):
        item = plex.items.pop(key)
        item.rating_key = key + offset
        item.updated_at += 1
        plex.items[item.rating_key] = item
    plex._next_key += offset
    plex.facts.changed()


def eight(stash, plex, **fields):
    for number in range(1, 9):
        sample(
            stash,
            plex,
            number,
            performers=["Ann"],
            studio="North",
            groups=["Series"],
            rating100=80,
            **fields,
        )


@pytest.mark.parametrize("respects", [False, True])
@pytest.mark.parametrize("new_ids", [False, True])
async def test_new_keys_do_not_leave_old_collections(
    stash, plex, tmp_path, respects, new_ids
):
    eight(stash, plex)
    settings = make_settings(stash, plex, tmp_path, sync={"respect_locks": respects})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(*range(1, 9))
        plex.items[1].tags["collection"].append("Mine")
        for studio in ("South", "East"):
            mint_new_keys(plex)
            await reconciled(daemon)
            for number in range(1, 9):
                stash.change(number, studio=studio, performers=["Bea"])
            if new_ids and studio == "East":
                _renumber(stash, 8)
                await reconciled(daemon, force=True)
            await daemon.deliver(*sorted(stash.scenes))

        shown = [item.tags["collection"] for item in plex.items.values()]
        actors = [item.tags["actor"] for item in plex.items.values()]
        status = await daemon.status()
    if respects:  # a person added to that list
        assert "Mine" in shown[0]
        shown, actors = shown[1:], actors[1:]
    else:
        assert sorted(shown.pop(0)) == ["East", "Mine", "Series"]
    assert {tuple(sorted(one)) for one in shown} == {("East", "Series")}
    assert {tuple(one) for one in actors} == {("Bea",)}
    assert status["queue"]["dead"] == 0


def _renumber(stash, offset):
    """Make the scenes anew, as another database of Stash does."""
    for key in sorted(stash.scenes):
        scene = stash.remove(key)
        scene.id = key + offset
        stash.scenes[scene.id] = scene
        stash._ids.append(scene.id)
    stash._ids.sort()


@pytest.mark.parametrize("respects", [False, True])
async def test_after_a_lost_database_collections_of_studios_are_ours(
    stash, plex, tmp_path, respects
):
    eight(stash, plex)
    settings = make_settings(stash, plex, tmp_path, sync={"respect_locks": respects})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(*range(1, 9))
    shutil.rmtree(tmp_path / "data")
    plex.items[1].tags["collection"].append("Mine")
    for number in range(1, 9):
        stash.change(number, studio="South", groups=[], rating100=None)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(*range(1, 9))

    shown = [item.tags["collection"] for item in plex.items.values()]
    if respects:
        assert "Mine" in shown.pop(0)
    else:
        assert sorted(shown.pop(0)) == ["Mine", "South"]
    assert {tuple(one) for one in shown} == {("South",)}
    # Nothing says whose the rating is.
    assert plex.items[2].text["userRating"] == "8.0"


async def test_an_unlocked_collection_is_a_persons(daemon, stash, plex):
    _, item = sample(stash, plex, studio="South")
    stash.entity("studio", "North")
    item.tags["collection"] = ["North"]
    await daemon.cataloged()

    await daemon.deliver(1)

    assert sorted(item.tags["collection"]) == ["North", "South"]


async def test_a_restored_plex_is_told_nothing_that_it_knows(
    stash, plex, tmp_path, log_lines
):
    """Other rating keys, another machine identifier; some values are from before."""
    eight(stash, plex)
    for number in range(1, 9):
        stash.change(number, cover=cover(number))
    settings = make_settings(stash, plex, tmp_path, sync=PICTURES)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(*range(1, 9))
        mint_new_keys(plex)
        plex.machine = "another-machine"
        plex.items[1003].text["title"] = "as it was before"
        plex.requests.clear()
    async with running(settings, stash, plex) as daemon:
        await daemon.until(lambda s: s["plex"]["state"] == "up")
        await reconciled(daemon)
        await daemon.idle()

        assert {line["event"] for line in log_lines} >= {"plex_replaced"}
        writes = [path for how, path in plex.requests if how in {"PUT", "POST"}]
        assert len(writes) == 1
        assert "id=1003" in writes[0]
        assert plex.items[1003].text["title"] == "Title 3"
        assert plex.redundant_edits == 0
        assert await gaps(daemon) == []
        # And it is all ours as before.
        stash.change(5, studio="", cover=None)
        await daemon.deliver(5)
        assert plex.items[1005].tags["collection"] == ["Series"]


async def test_a_rating_key_that_is_used_again_is_another_film(daemon, stash, plex):
    _, item = sample(stash, plex, studio="North", rating100=80)
    await daemon.cataloged()
    await daemon.deliver(1)
    stash.remove(1)
    plex.remove(1)
    plex.clock = lambda: item.updated_at + 1000
    stash.add("/media/2.mp4", scene_id=2, title="Two", details="x")
    other = plex.add("/media/2.mp4", rating_key=1)
    other.text["userRating"] = "8.0"
    other.tags["collection"] = ["North"]
    await reconciled(daemon, force=True)

    await daemon.deliver(2)

    assert other.text["title"] == "Two"
    assert other.text["userRating"] == "8.0"
    assert other.tags["collection"] == ["North"]


async def test_new_keys_are_found_soon_and_told_in_one_line(
    stash, plex, tmp_path, log_lines, monkeypatch
):
    """Without notifications, and though nothing about the items looks new."""
    monkeypatch.setattr("stash2plex.catalog.catalog._LISTING_INTERVAL", 1.0)
    settings = make_settings(stash, plex, tmp_path)
    for number in range(1, 41):
        sample(stash, plex, number)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(*range(1, 41))
        mint_new_keys(plex)
        for item in plex.items.values():
            item.updated_at = item.added_at = 1
        log_lines.clear()
        for number in range(1, 41):
            stash.change(number, title=f"New {number}")
            await daemon.hook(number)

        await daemon.until(lambda s: s["deliveries"]["written"] == 80)
        await daemon.idle()

        assert all(one.text["title"].startswith("New") for one in plex.items.values())
        warned = [o["event"] for o in log_lines if o["level"] in {"warning", "error"}]
        assert warned == []
        (line,) = [one for one in log_lines if one["event"] == "items_rekeyed"]
        assert line["items"] == 40
        assert "items_gone" not in {one["event"] for one in log_lines}


async def test_gaps_of_items_that_are_gone_close_with_the_listing(
    stash, plex, tmp_path, monkeypatch
):
    sample(stash, plex)
    for number in (2, 3, 4):
        plex.add(f"/media/{number}.mp4", rating_key=number)
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await daemon.deliver(1)
        await reconciled(daemon)
        assert await gaps(daemon) == [("missing_in_stash", key) for key in (2, 3, 4)]
        plex.remove(2)
        for key in (1, 3):
            item = plex.items.pop(key)
            item.rating_key = key + 10
            plex.items[key + 10] = item
        monkeypatch.setattr("stash2plex.catalog.catalog._LISTING_INTERVAL", 0.0)

        await daemon.deliver(1)  # whose item is not there: so all are listed
        await daemon.until(lambda s: s["gaps"]["missing_in_stash"] == 1)

        assert await gaps(daemon) == [("missing_in_stash", 4)]
        await reconciled(daemon)
        assert await gaps(daemon) == [("missing_in_stash", key) for key in (4, 13)]


async def test_one_file_has_one_gap(daemon, stash, plex):
    """Plex asked about a file before it listed it; then a comparison found it."""
    plex.locations = {1: ["/media"]}
    sample(stash, plex)
    await reconciled(daemon)
    await daemon.deliver(1)
    hints = {"type": 1, "title": "9", "filename": "9.mp4"}
    url = f"{daemon.url}/plex/library/metadata/matches"
    async with daemon.session.post(url, json=hints) as answer:
        assert answer.status == 200
    found = (await daemon.get("gaps"))["gaps"]
    assert (None, None) in [(one["scene"], one["item"]) for one in found]
    plex.add("/media/9.mp4", rating_key=9)

    await reconciled(daemon)

    assert await gaps(daemon) == [("missing_in_stash", 9)]


async def test_a_library_that_was_renamed_is_found_by_its_number(
    stash, plex, tmp_path, log_lines
):
    plex.sections = {1: "Scenes", 2: "Others"}
    sample(stash, plex)
    plex.add("/media/else.mp4", section=2, rating_key=50)
    settings = make_settings(stash, plex, tmp_path, plex={"libraries": ["Scenes"]})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
        plex.sections = {1: "Clips", 2: "Others"}
        stash.change(1, title="New")
        run = await reconciled(daemon)
        status = await daemon.deliver(1)
        assert (run["state"], run["error"], run["items"]) == ("done", None, 1)
        assert plex.items[1].text["title"] == "New"
        assert status["plex"]["libraries"] == ["Clips"]
    # Also after a restart, and by a check without a daemon.
    (line,) = [one for one in log_lines if one["event"] == "library_renamed"]
    assert (line["former"], line["title"]) == ("Scenes", "Clips")
    findings = {one.code: one async for one in examine(settings, unanswered)}
    assert findings["plex_libraries"].level == "warn"
    assert "'Scenes' is called 'Clips' by now" in findings["plex_libraries"].message
    async with running(settings, stash, plex) as daemon:
        stash.change(1, title="Newer")
        await daemon.deliver(1)
        assert plex.items[1].text["title"] == "Newer"
        # The title is what was configured, where a library has it.
        plex.sections = {1: "Clips", 2: "Scenes"}
        run = await reconciled(daemon, force=True)
        assert (await daemon.status())["plex"]["libraries"] == ["Scenes"]


async def test_another_server_has_other_numbers(stash, plex, tmp_path):
    sample(stash, plex)
    settings = make_settings(stash, plex, tmp_path, plex={"libraries": ["Scenes"]})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
    plex.machine = "another-machine"
    plex.sections = {1: "Holidays"}
    async with running(settings, stash, plex) as daemon:
        await daemon.until(lambda s: s["plex"]["state"] == "up")
        run = await reconciled(daemon)
        assert run["state"] == "failed"
        assert "no movie library 'Scenes'; it has 'Holidays'" in run["error"]


@pytest.mark.parametrize("mode", ["mirror", "merge"])
async def test_a_second_item_of_the_same_file_is_not_ours(stash, plex, tmp_path, mode):
    plex.sections = {1: "Scenes", 2: "More"}
    sample(stash, plex, 1, rating100=80)
    settings = make_settings(stash, plex, tmp_path, sync={"mode": mode})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
        other = plex.add("/media/1.mp4", size=1, section=2, userRating="8.0")
        other.tags["genre"] = ["a"]
        await reconciled(daemon)
        await daemon.deliver(1)
        stash.change(1, rating100=None, tags=["b"])
        await daemon.deliver(1)

    assert other.text.get("userRating") == "8.0"
    assert ("a" in other.tags["genre"]) == (mode == "merge")


async def test_another_server_for_a_day_costs_no_rows(stash, plex, tmp_path):
    sample(stash, plex, 1, rating100=80)
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
    first, plex.machine = plex.machine, "another-machine"
    for _ in range(2):  # rows are pruned at a start
        async with running(settings, stash, plex) as daemon:
            await daemon.until(lambda s: s["plex"]["state"] == "up")
            await reconciled(daemon)
            await daemon.deliver(1)
    plex.machine = first
    async with running(settings, stash, plex) as daemon:
        await daemon.until(lambda s: s["plex"]["state"] == "up")
        await reconciled(daemon)
        stash.change(1, rating100=None)
        await daemon.deliver(1)

    assert not plex.items[1].text.get("userRating")


async def unanswered():
    """Return the status of a daemon that does not run."""
