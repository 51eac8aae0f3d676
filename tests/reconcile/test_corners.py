"""Comparisons and polls where they could go wrong for ever: false gaps, endless work."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web

from stash2plex.config import StashSettings
from stash2plex.db.database import Database
from stash2plex.errors import Restarting, Stash2PlexError, StoreUnavailable
from stash2plex.reconcile.reconciler import Reconciler
from stash2plex.reconcile.runs import Run, Runs, RunState
from stash2plex.sandbox.server import serving
from stash2plex.stash.client import StashClient
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.patience import patient
from tests.reconcile.test_changes import poll  # noqa: F401 - a fixture
from tests.reconcile.test_reconcile import gaps, reconciled
from tests.running import running

LONG_AGO = timedelta(days=5)


@asynccontextmanager
async def between(stash, plex, tmp_path, /, **sections):
    settings = make_settings(stash, plex, tmp_path, **sections)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        yield daemon


async def again_and_again(daemon):
    """Compare and deliver three times; returns what the last one enqueued."""
    for _ in range(3):
        run = await reconciled(daemon)
        await daemon.idle()
    return run["enqueued"]


# --- gaps that are none ----------------------------------------------------------------


async def test_an_item_matched_by_name_is_no_orphan_of_a_scope(stash, plex, tmp_path):
    stash.clock = lambda: datetime.now(UTC) - LONG_AGO
    stash.add("/data/one.mp4", size=7, title="x", details="y")
    item = plex.add("/media/other/one.mp4", size=7)
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1)
        assert item.text["title"] == "x"
        await reconciled(daemon, "24h")
        assert await gaps(daemon) == []


async def test_nor_is_that_of_a_scene_which_says_nothing_yet(stash, plex, tmp_path):
    stash.add("/data/one.mp4", size=7, title="x")
    plex.add("/media/other/one.mp4", size=7)
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1)
        await reconciled(daemon)
        assert await gaps(daemon) == []


async def test_what_is_ambiguous_by_name_is_told_once(stash, plex, tmp_path):
    for folder in "ab":
        stash.add(f"/data/{folder}/one.mp4", size=7, title="x", details="y")
    plex.add("/media/other/one.mp4", size=7)
    async with between(stash, plex, tmp_path) as daemon:
        await reconciled(daemon)
        assert await gaps(daemon) == [("ambiguous", 1), ("ambiguous", 2)]


async def test_one_of_two_scenes_of_an_item_is_deleted(stash, plex, tmp_path):
    sample(stash, plex, 1)
    stash.add("/media/1b.mp4", scene_id=2, title="Two", details="y")
    plex.items[1].files.append(("/media/1b.mp4", 9))
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.post("sync", {"scene_ids": [1, 2]})
        await daemon.until(lambda status: status["gaps"]["ambiguous"] == 2)
        stash.remove(2)
        await daemon.hook(2, "Scene.Destroy.Post", None)
        await daemon.idle()
        assert await gaps(daemon) == []

    assert plex.items[1].text["title"] == "Title 1"


async def test_the_gap_of_an_item_goes_with_it(stash, plex, tmp_path):
    orphan = plex.add("/media/orphan.mp4")
    listening = {"notifications": True}
    async with between(stash, plex, tmp_path, plex=listening) as daemon:
        await daemon.until(lambda status: status["plex"]["listening"])
        await reconciled(daemon)
        assert await gaps(daemon) == [("missing_in_stash", orphan.rating_key)]
        plex.remove(orphan.rating_key)
        await daemon.until(lambda status: not status["gaps"]["missing_in_stash"])


# --- work that never ends ----------------------------------------------------------------


async def test_an_item_that_cannot_be_read_fails_no_run(stash, plex, tmp_path):
    for number in (1, 2, 3):
        sample(stash, plex, number)
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1, 2, 3)
        for key in (2, 3):
            plex.items[key].updated_at += 100
        plex.items[3].text["summary"] = "Theirs"
        plex.unreadable.add(2)
        run = await reconciled(daemon)
        assert (run["state"], run["gaps"]["drift"]) == ("done", 1)
        body = {"scope": "all", "dry_run": True}
        shown = (await daemon.post("sync", body, 200))["differences"]
        assert {one["scene"] for one in shown} >= {2}


async def test_what_a_human_emptied_and_locked_stays_if_so_wished(
    stash, plex, tmp_path
):
    sample(stash, plex, 1)
    wish = {"respect_locks": True}
    async with between(stash, plex, tmp_path, sync=wish) as daemon:
        await daemon.deliver(1)
        item = plex.items[1]
        item.text, item.tags = {"title": "mine"}, {}
        item.locked |= {"title", "summary", "genre", "actor", "studio", "collection"}
        item.updated_at += 100
        assert await again_and_again(daemon) == 0


async def test_an_item_bound_to_one_scene_is_not_another_s_by_name(
    stash, plex, tmp_path
):
    stash.add("/data/a.mp4", size=7, title="First", details="y")
    stash.add("/data/b.mp4", size=8, title="Second", details="y")
    item = plex.add("/media/other/a.mp4", size=7)
    item.guid = "tv.plex.agents.custom.stash2plex://movie/scene-2"
    never = {"not_found_base": 36_000.0, "not_found_attempts": 1}
    async with between(stash, plex, tmp_path, queue=never) as daemon:
        assert await again_and_again(daemon) == 0

    assert item.text["title"] == "Second"


async def test_nothing_is_enqueued_while_nothing_is_written(stash, plex, tmp_path):
    sample(stash, plex, 1)
    async with between(stash, plex, tmp_path, sync={"enabled": False}) as daemon:
        run = await reconciled(daemon)
        shown = await daemon.post("sync", {"scope": "all", "dry_run": True}, 200)

    assert (run["gaps"]["empty"], run["enqueued"]) == (1, 0)
    # But people may look at what would be.
    (difference,) = shown["differences"]
    assert {"field": "title", "before": "1", "after": "Title 1"} in difference[
        "changes"
    ]


async def test_a_rating_that_is_a_human_s_now_is_no_drift(stash, plex, tmp_path):
    sample(stash, plex, 1, rating100=80)
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1)
        plex.items[1].text["userRating"] = "5.0"
        stash.change(1, rating100=None)
        stash.scenes[1].updated_at += timedelta(seconds=3)
        await daemon.deliver(1)
        plex.items[1].updated_at = int(time.time()) + 60  # Plex's clock is ahead
        run = await reconciled(daemon)

    assert (run["enqueued"], run["gaps"]["drift"]) == (0, 0)
    assert plex.items[1].text["userRating"] == "5.0"


@pytest.mark.parametrize("state", RunState)
def test_only_a_run_that_is_going_is_joined(state):
    run, wanted = (Run(id=number, scope="all") for number in (1, 0))
    run.state = state
    assert run.covers(wanted) == (state is RunState.RUNNING)


async def test_a_dead_letter_stays_one(stash, plex, tmp_path):
    sample(stash, plex, 1)
    plex.status_of[1] = 409
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1)
        run = await reconciled(daemon)
        status = await daemon.idle()

    assert (run["gaps"]["empty"], run["enqueued"]) == (1, 0)
    assert status["queue"]["dead"] == 1


async def test_a_missing_scene_s_folder_is_scanned_once(stash, plex, tmp_path):
    plex.locations = {1: ["/media"]}
    for number in range(3):
        stash.add(f"/media/new/{number}.mp4", title="x", details="y")
    async with between(stash, plex, tmp_path, plex={"scan_new_scenes": True}) as daemon:
        await reconciled(daemon)
        await plex.facts.until(lambda: plex.scans)
        await reconciled(daemon)
        stash.add("/media/newer/9.mp4", title="x", details="y")
        await reconciled(daemon)
        await plex.facts.until(lambda: len(plex.scans) > 1)

    assert plex.scans == ["/media/new", "/media/newer"]


# --- the brake, dry runs, settings --------------------------------------------------------


async def test_a_dry_run_forgets_nothing_even_by_force(stash, plex, tmp_path):
    for number in range(1, 21):
        sample(stash, plex, number)
    async with between(stash, plex, tmp_path) as daemon:
        for number in range(1, 21):
            stash.remove(number)
        assert (await reconciled(daemon))["state"] == "stopped"
        run = await reconciled(daemon, dry_run=True, force=True)
        assert run["state"] == "stopped"
        assert (await daemon.status())["catalog"]["scenes"] == 20
        assert (await reconciled(daemon))["state"] == "stopped"


async def test_a_library_that_is_not_wanted_any_more_is_no_shrinkage(
    stash, plex, tmp_path
):
    plex.sections = {1: "Scenes", 2: "Others"}
    for number in range(1, 21):
        path = f"/media/{number}.mp4"
        stash.add(path, size=number, title=f"T{number}", details="x")
        plex.add(path, size=number, section=1 + number % 2)
    async with between(stash, plex, tmp_path):
        pass
    async with between(stash, plex, tmp_path, plex={"libraries": ["Scenes"]}) as daemon:
        run = await reconciled(daemon)

    assert (run["state"], run["items"]) == ("done", 10)


async def test_what_the_socket_says_is_gone_does_not_pass_the_brake(
    stash, plex, tmp_path
):
    for number in range(1, 201):
        sample(stash, plex, number)
    listening = {"notifications": True}
    async with between(stash, plex, tmp_path, plex=listening) as daemon:
        await daemon.until(lambda status: status["plex"]["listening"])
        for number in range(1, 180):
            plex.remove(number)
        await daemon.until(lambda status: status["catalog"]["brake"])
        run = await reconciled(daemon)

    assert run["state"] == "stopped"


async def test_a_lost_part_is_counted_by_a_dry_run(stash, plex, tmp_path):
    sample(stash, plex, 1, tags=["Gone"])
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1)
        stash.remove_entity("tag", stash.entity("tag", "Gone"))
        dry = await reconciled(daemon, dry_run=True)
        assert plex.items[1].tags["genre"] == ["Gone"]
        run = await reconciled(daemon)
        await daemon.idle()

    assert (dry["enqueued"], dry["would_enqueue"]) == (0, 1)
    assert (run["enqueued"], run["would_enqueue"]) == (1, 0)


@pytest.mark.parametrize("made", [True, False])
async def test_a_scope_knows_when_scenes_were_made(stash, plex, tmp_path, made):
    """An import keeps old times of change."""
    sample(stash, plex, 1)
    now = datetime.now(UTC).replace(microsecond=0)
    stash.scenes[1].updated_at = now - LONG_AGO
    stash.scenes[1].created_at = now - (timedelta(hours=1) if made else LONG_AGO)
    async with between(stash, plex, tmp_path) as daemon:
        run = await reconciled(daemon, "24h")

    assert run["enqueued"] == int(made)


# --- polls ------------------------------------------------------------------------------


async def test_a_zone_that_moves_west_hides_nothing_for_ever(poll):  # noqa: F811
    async for page in poll.client.entries():
        await poll.catalog.note_scenes(page)
    poll.stash.change(3, title="New")
    poll.clock.forward(minutes=1)
    assert await poll() == [("scene", 3)]
    poll.stash.zone = ZoneInfo("America/Los_Angeles")  # set, and Stash restarted
    poll.clock.forward(minutes=1)
    poll.stash.change(4, title="West")
    seen = []
    for _ in range(7 * 12):
        poll.clock.forward(minutes=5)
        seen += await poll()

    assert seen == [("scene", 4)]


async def test_many_changes_while_the_clock_goes_back(poll):  # noqa: F811
    """More than a page in the last hours: what is hidden comes a little later."""
    poll.stash.zone = ZoneInfo("Europe/Berlin")
    poll.clock.now = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
    poll.client._page_size = 5
    for number in range(20, 40):
        poll.stash.add(f"/media/{number}.mp4", title="x", details="x")
    async for page in poll.client.entries():
        await poll.catalog.note_scenes(page)
    await poll()
    changed: dict[int, int] = {}
    for minute in range(180):
        poll.clock.forward(seconds=50)
        scene_id = 6 + minute % 20
        poll.stash.change(scene_id, title=f"At {minute}")
        changed[scene_id] = minute
        poll.clock.forward(seconds=10)
        for _, found in await poll():
            changed.pop(found, None)
    for _ in range(20):
        poll.clock.forward(minutes=1)
        for _, found in await poll():
            changed.pop(found, None)

    assert changed == {}


async def test_a_disk_that_fills_up_forgets_no_moved_file(poll):  # noqa: F811
    async for page in poll.client.entries():
        await poll.catalog.note_scenes(page)
    poll.clock.forward(minutes=1)
    poll.stash.move_file(3, "/media/moved.mp4")
    poll.clock.forward(minutes=1)
    await poll.database._writer.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailable):
        await poll()
    await poll.database._writer.execute("PRAGMA query_only = OFF")

    assert await poll() == [("scene", 3)]


async def test_a_file_that_moved_while_we_were_away(stash, plex, tmp_path):
    """Nothing but its path tells, and the listing at the start overwrites what we knew."""
    sample(stash, plex, 1)
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1)
    stash.move_file(1, "/media/moved.mp4")
    item = plex.add("/media/moved.mp4")
    async with between(stash, plex, tmp_path):
        await plex.facts.until(lambda: item.writes)

    assert item.text["title"] == "Title 1"


async def test_a_time_in_the_future_counts_once(poll):  # noqa: F811
    poll.stash.change(2, title="New")
    poll.stash.scenes[2].updated_at += timedelta(hours=2)

    assert await poll() == [("scene", 2)]
    poll.clock.forward(minutes=1)
    assert await poll() == []


# --- what must not end the daemon ------------------------------------------------------


async def test_a_start_on_a_disk_that_takes_nothing(stash, plex, tmp_path, monkeypatch):
    async with between(stash, plex, tmp_path):
        pass

    @asynccontextmanager
    async def full(self, *, durable):
        raise StoreUnavailable("the database cannot be written: disk is full")
        yield

    monkeypatch.setattr(Database, "_written", full)
    settings = make_settings(stash, plex, tmp_path, reconcile={"on_start": True})
    async with running(settings, stash, plex) as daemon:
        for _ in range(5):
            assert (await daemon.status())["reconcile"]["last"] is None


@pytest.mark.parametrize("frame", ["[]", "null", "5", "{}", "garbage"])
async def test_a_subscription_that_is_answered_with_garbage(frame):
    async def answer(request):
        socket = web.WebSocketResponse(protocols=["graphql-transport-ws"])
        await socket.prepare(request)
        await socket.receive()
        await socket.send_str(frame)
        await socket.close()
        return socket

    app = web.Application()
    app.add_routes([web.get("/graphql", answer)])
    async with (
        serving(app) as url,
        StashClient.connect(StashSettings(url=url, timeout=1)) as client,
    ):
        with pytest.raises(Stash2PlexError):
            async for _ in client.scans(lambda: None):
                pass


async def test_a_run_that_nobody_waits_for_is_tried_again(
    stash, plex, tmp_path, monkeypatch
):
    """Both were started together, and Plex took longer."""
    monkeypatch.setattr("stash2plex.reconcile.reconciler._AGAIN", 0.05)
    sample(stash, plex, 1)
    plex.status = 503
    settings = make_settings(stash, plex, tmp_path, reconcile={"on_start": True})
    async with running(settings, stash, plex) as daemon:
        failed = await daemon.until(lambda status: status["reconcile"]["last"])
        assert failed["reconcile"]["last"]["state"] == "failed"
        plex.status = None
        await daemon.until(
            lambda status: status["reconcile"]["last"]["state"] == "done"
        )
        await daemon.idle()

    assert plex.items[1].text["title"] == "Title 1"


async def test_a_subscription_that_does_not_part_is_left():
    """Whoever is to end does not wait for the goodbye of a server that hangs."""
    listening = asyncio.Event()

    async def deaf(request):
        socket = web.WebSocketResponse(protocols=["graphql-transport-ws"])
        await socket.prepare(request)
        await socket.send_json({"type": "connection_ack"})
        await asyncio.Event().wait()

    app = web.Application()
    app.add_routes([web.get("/graphql", deaf)])
    async with (
        serving(app) as url,
        StashClient.connect(StashSettings(url=url)) as client,
    ):

        async def follow():
            async for _ in client.scans(listening.set):
                pass

        task = asyncio.create_task(follow())
        await listening.wait()
        task.cancel()
        await asyncio.wait_for(asyncio.wait([task]), patient(6))

    assert task.cancelled()


GARBAGE = [
    '<Directory type="movie" key="a"/>',
    '<Directory type="movie"/>',
    '<Directory type="movie" key="1"/><Video/>',
    f'<Directory type="movie" key="1"/><Video ratingKey="{2**70}"/>',
]


@pytest.mark.parametrize("inner", GARBAGE)
async def test_xml_that_is_not_plex_s(stash, plex, tmp_path, inner):
    sample(stash, plex, 1)
    head = '<MediaContainer machineIdentifier="pretend-machine" version="1"'
    plex.garbles = f'{head} totalSize="1">{inner}</MediaContainer>'.encode()
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        run = await reconciled(daemon)
        assert run["state"] == "failed"
        assert "makes no sense" in run["error"]
        plex.garbles = None
        await daemon.deliver(1)

    assert plex.items[1].text["title"] == "Title 1"


async def test_a_former_configuration_takes_no_requests(database):
    def make():
        return Reconciler(
            Runs(database),
            None,
            catalog=None,
            whole=None,
            stash=None,
            gaps=None,
            jobs=None,
            scans=None,
            mends=True,
            wake=lambda: None,
        )

    former = make()
    task = asyncio.create_task(former.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    with pytest.raises(Restarting):
        await former.request("all")


async def test_a_run_that_ends_on_a_full_disk_is_told(stash, plex, tmp_path):
    sample(stash, plex, 1)
    async with between(stash, plex, tmp_path) as daemon:

        async def full(*_):
            raise StoreUnavailable("database or disk is full")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("stash2plex.reconcile.runs.Runs.save", full)
            run = await reconciled(daemon)

    assert (run["state"], run["scenes"]) == ("done", 1)
