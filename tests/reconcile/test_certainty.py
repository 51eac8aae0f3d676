"""What a comparison must never get wrong: nothing wiped, nothing lost, nothing hidden."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from stash2plex.db.database import DATABASE, Database
from stash2plex.errors import ServiceUnavailable
from stash2plex.plex.library import PlexLibrary
from stash2plex.reconcile.reconciler import Reconciler
from stash2plex.reconcile.runs import Runs
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.patience import patient
from tests.reconcile.test_corners import between
from tests.reconcile.test_reconcile import (  # noqa: F401 - fixtures
    gaps,
    large,
    reconciled,
    synced,
)
from tests.running import running


def others_change(item, **text):
    item.text |= text
    item.updated_at += 100


# --- drift ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["summary", "tagline", "studio"])
async def test_what_is_empty_in_stash_drifts_too(stash, plex, tmp_path, name):
    sample(stash, plex, 1, details="", studio="", code="")
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1)
        others_change(plex.items[1], **{name: "Somebody's"})
        run = await reconciled(daemon)
        await daemon.idle()

    assert run["gaps"]["drift"] == 1
    assert not plex.items[1].text.get(name)


@pytest.mark.parametrize("later", [3, -7 * 86_400], ids=str)
@pytest.mark.parametrize("off", [-7200, 0, 7200], ids=str)
async def test_what_others_changed_is_told_by_plexs_clock(
    stash, plex, tmp_path, off, later
):
    """Whatever that shows: after our write, or with a copy of the database put back."""
    for number in (1, 2):
        sample(stash, plex, number, details="Ours")
    plex.clock = lambda: time.time() + off
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1, 2)
        first = await reconciled(daemon)
        written = plex.items[1].updated_at
        plex.items[1].text["summary"] = "Theirs"
        plex.items[1].updated_at += later
        run = await reconciled(daemon)
        await daemon.idle()

    assert abs(written - time.time() - off) < 60
    assert first["gaps"]["drift"] == 0
    assert run["gaps"]["drift"] == 1
    assert plex.items[1].text["summary"] == "Ours"


async def test_drift_of_an_item_that_cannot_be_read_stays(stash, plex, tmp_path):
    sample(stash, plex, 1)
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1)
    others_change(plex.items[1], title="Theirs")
    writes_nothing = {"sync": {"enabled": False}}
    async with between(stash, plex, tmp_path, **writes_nothing) as daemon:
        await reconciled(daemon)
        before = await gaps(daemon)
        plex.unreadable = {1}
        await reconciled(daemon)
        assert await gaps(daemon) == before == [("drift", 1)]


async def test_a_scene_that_was_kept_out_once_drifts_too(stash, plex, tmp_path):
    sample(stash, plex, 1, tags=["private"])
    hidden = {"sync": {"exclude_tag": "private"}}
    async with between(stash, plex, tmp_path, **hidden) as daemon:
        await daemon.deliver(1)
        stash.rename("tag", stash.entity("tag", "private"), "public")
        await daemon.deliver(1)
        others_change(plex.items[1], title="Theirs")
        run = await reconciled(daemon)

    assert run["gaps"]["drift"] == 1


# --- gaps -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sync", [{"require_organized": True}, {"exclude_tag": "a"}], ids=str
)
async def test_what_is_kept_out_is_no_gap(stash, plex, tmp_path, sync):
    sample(stash, plex, 1)
    async with between(stash, plex, tmp_path, sync=sync) as daemon:
        await reconciled(daemon)
        await daemon.idle()
        assert await gaps(daemon) == []


async def test_a_server_that_fails_at_last_leaves_the_gaps_as_they_were(
    stash, plex, tmp_path, monkeypatch
):
    for number in range(1, 251):
        sample(stash, plex, number)

    async def dead(*_):
        raise ServiceUnavailable("Plex", "no connection")

    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(*range(1, 251))
        plex.remove(4)
        others_change(plex.items[240], title="Theirs")
        monkeypatch.setattr(PlexLibrary, "readable_items", dead)
        run = await reconciled(daemon)
        assert run["state"] == "failed"
        assert await gaps(daemon) == []


async def test_what_is_delivered_while_it_compares_is_no_gap(stash, plex, tmp_path):
    for number in range(1, 601):
        sample(stash, plex, number)
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(*range(1, 601))
        stash.change(3, title="Changed")
        stash.scenes[3].updated_at += timedelta(seconds=9)
        for item in plex.items.values():
            item.updated_at += 100  # each has to be read, a hundred at once
        plex.latency = 0.2
        await reconciled(daemon)
        plex.latency = 0.0
        await daemon.idle()
        assert plex.items[3].text["title"] == "Changed"
        assert await gaps(daemon) == []


async def test_a_run_that_is_taken_up_again_resolves_its_own_gaps(
    stash, plex, tmp_path
):
    for number in (1, 2):
        sample(stash, plex, number)
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1, 2)
        items = dict(plex.items)
        plex.items.pop(1)
        await reconciled(daemon)
        assert await gaps(daemon) == [("missing_in_plex", 1)]
    async with Database.open(tmp_path / "data" / DATABASE) as database:
        await database.write("UPDATE run SET state = 'running', finished_at = NULL")
    plex.items |= items
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await daemon.until(lambda status: status["reconcile"]["last"])
        assert await gaps(daemon) == []


async def test_runs_that_wait_are_told_of_at_their_end(synced):  # noqa: F811
    """More than are kept of those that ended."""
    wanted = [await synced.post("reconcile", {"dry_run": True}) for _ in range(40)]
    newest = wanted[-1]["run"]
    await synced.until(
        lambda status: (
            (last := status["reconcile"]["last"])
            and (last["run"], last["state"]) == (newest, "done")
        )
    )
    known = 0
    for one in wanted:
        url = f"{synced.url}/api/v1/reconcile/{one['run']}"
        async with synced.session.get(url) as answer:
            known += answer.status == 200
    assert known > 30


# --- moves that somebody read ----------------------------------------------------------


def move(stash, plex):
    stash.move_file(1, "/media/renamed.mp4")
    plex.items[1].files = [("/media/renamed.mp4", 1)]
    plex.items[1].updated_at += 100


async def test_a_dry_run_writes_nothing(stash, plex, tmp_path):
    sample(stash, plex, 1, title="")
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1)
        writes = plex.items[1].writes
        move(stash, plex)
        await reconciled(daemon, dry_run=True)
        await daemon.idle()

    assert plex.items[1].writes == writes


async def test_a_dry_run_tells_what_a_run_would(large, stash, plex):  # noqa: F811
    for number in range(1, 31):
        stash.remove(number)
    for number in range(21, 51):
        plex.remove(number)
    dry = await reconciled(large, dry_run=True)
    run = await reconciled(large)

    told = ("state", "scenes", "items", "gaps")
    assert [dry[name] for name in told] == [run[name] for name in told]
    assert dry["would_enqueue"] == run["enqueued"]
    assert run["gaps"]["missing_in_stash"] == run["gaps"]["missing_in_plex"] == 20


@pytest.mark.parametrize("reader", ["sync", "explain", "all", "24h"])
async def test_no_move_is_lost_to_a_reader(stash, plex, tmp_path, reader):
    sample(stash, plex, 1, title="")
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1)
        move(stash, plex)
        if reader == "sync":
            await daemon.post("sync", {"scope": "all", "dry_run": True}, 200)
        elif reader == "explain":
            async with daemon.session.get(
                f"{daemon.url}/api/v1/explain?q=scene:1"
            ) as answer:
                assert answer.status == 200
        else:
            await reconciled(daemon, reader, dry_run=True)
        await reconciled(daemon)
        await daemon.idle()
        again = await reconciled(daemon)

    assert plex.items[1].text["title"] == "renamed"
    assert again["enqueued"] == 0


# --- the brake ------------------------------------------------------------------------


async def test_a_burst_stays_braked_until_somebody_agrees(stash, plex, tmp_path):
    for number in range(1, 301):
        sample(stash, plex, number)
    async with between(stash, plex, tmp_path) as daemon:
        for number in range(1, 161):
            stash.remove(number)
            await daemon.hook(number, "Scene.Destroy.Post", fields=None)
        await daemon.idle()
        assert (await reconciled(daemon))["state"] == "stopped"
        assert (await reconciled(daemon, force=True))["state"] == "done"
        assert (await daemon.status())["catalog"]["brake"] is None


async def test_one_library_of_several_is_not_wiped_by_the_socket(stash, plex, tmp_path):
    plex.sections = {1: "A", 2: "B"}
    for number in range(1, 701):
        plex.add(f"/media/{number}.mp4", size=number, section=1)
    lost = [
        plex.add(f"/b/{number}.mp4", size=number, section=2).rating_key
        for number in range(1001, 1151)
    ]
    wakeful = {"plex": {"notifications": True}}
    async with between(stash, plex, tmp_path, **wakeful) as daemon:
        await daemon.until(lambda status: status["plex"]["listening"])
        for key in lost:
            plex.remove(key)
        await daemon.until(lambda status: status["catalog"]["brake"])
        run = await reconciled(daemon)

    assert run["state"] == "stopped"
    assert "'B'" in run["error"]


async def test_a_configured_library_that_was_renamed_is_not_wiped(
    stash, plex, tmp_path
):
    plex.sections = {1: "A", 2: "B"}
    for number in range(1, 401):
        plex.add(f"/media/{number}.mp4", size=number, section=1 + number % 2)
    both = {"plex": {"libraries": ["A", "B"]}}
    async with between(stash, plex, tmp_path, **both) as daemon:
        plex.sections[2] = "B renamed"
        run = await reconciled(daemon)
        # It is found by its number. One that is not there any more is another matter.
        assert (run["state"], run["items"]) == ("done", 400)
        plex.sections = {1: "A", 3: "B"}
        run = await reconciled(daemon)

    assert run["state"] == "stopped"


async def test_items_under_new_keys_are_not_gone(large, stash, plex):  # noqa: F811
    """A library that was made anew, and a database of Stash."""
    for number in range(1, 301):
        item = plex.items.pop(number)
        plex.add(*(path for path, _ in item.files), rating_key=number + 1000)
        scene = stash.scenes[number]
        stash.remove(number)
        stash.add(scene.files[0][0], scene_id=number + 1000, title="x", details="y")
    run = await reconciled(large)

    assert (run["state"], run["scenes"], run["items"]) == ("done", 300, 300)


async def test_a_small_library_that_is_empty_is_suspect_too(stash, plex, tmp_path):
    for number in range(1, 4):
        sample(stash, plex, number)
    async with between(stash, plex, tmp_path) as daemon:
        plex.items.clear()
        assert (await reconciled(daemon))["state"] == "stopped"


async def test_scenes_that_nobody_knew_pull_no_brake(large):  # noqa: F811
    await large.deliver(*range(5000, 5200))

    assert (await large.status())["catalog"]["brake"] is None


async def test_force_counts_in_every_scope(large, plex):  # noqa: F811
    for key in range(151, 301):
        plex.items.pop(key)
    assert (await reconciled(large))["state"] == "stopped"
    assert (await reconciled(large, "24h", force=True))["state"] == "done"
    assert (await large.status())["catalog"]["brake"] is None


# --- runs that fail --------------------------------------------------------------------


class DeadCatalog:
    plex_complete = stash_complete = True

    def __init__(self):
        self.asked = asyncio.Semaphore(0)

    async def refresh(self, **_):
        self.asked.release()
        raise ServiceUnavailable("Plex", "no connection")


async def test_failures_go_on_for_years(database, monkeypatch):
    """However many runs failed before, one at a time is tried again."""
    monkeypatch.setattr("stash2plex.reconcile.reconciler._LONGEST", 0.05)
    catalog = DeadCatalog()
    reconciler = Reconciler(
        Runs(database),
        None,
        catalog=catalog,
        whole=None,
        stash=None,
        gaps=None,
        jobs=None,
        scans=None,
        mends=True,
        wake=lambda: None,
    )
    reconciler._failures = 5000
    task = asyncio.create_task(reconciler.run())
    for _ in range(5):
        await reconciler.request("all", reason="schedule")
        async with asyncio.timeout(patient(5)):
            await catalog.asked.acquire()
    for _ in range(3):  # and goes on by itself
        async with asyncio.timeout(patient(5)):
            await catalog.asked.acquire()
    assert not task.done()
    task.cancel()
    await asyncio.wait({task})
