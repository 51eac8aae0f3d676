"""Changes that fire no hook arrive with the next poll: stash-api 2.4, row by row."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from stash2plex.catalog.catalog import Catalog
from stash2plex.config import MatchSettings
from stash2plex.db.database import DATABASE
from stash2plex.errors import ServiceUnavailable, StoreUnavailable
from stash2plex.queue.store import JobStore
from stash2plex.reconcile.imports import Imports
from stash2plex.reconcile.moved import Moved
from stash2plex.reconcile.poll import Poll
from stash2plex.reconcile.vanished import Vanished
from stash2plex.reconcile.zone import Zone
from stash2plex.sandbox.scenes import cover
from stash2plex.sandbox.server import serving
from stash2plex.sandbox.stash import PretendStash
from stash2plex.stash.client import StashClient
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.reconcile.test_reconcile import reconciled
from tests.running import running

ZONES = [
    UTC,
    ZoneInfo("America/Los_Angeles"),
    ZoneInfo("Pacific/Kiritimati"),
    ZoneInfo("Asia/Kathmandu"),
]


async def nothing(*_: object) -> None: ...


class Clock:
    """Both Stash's clock and ours."""

    def __init__(self, start: datetime) -> None:
        self.now = start

    def seconds(self) -> float:
        return self.now.timestamp()

    def forward(self, **time: float) -> None:
        self.now += timedelta(**time)


class Polling:
    """Polls, with what was asked for."""

    def __init__(self, stash, client, database, clock):
        self.stash, self.client, self.database = stash, client, database
        self.clock = clock
        self.store = JobStore(database)
        catalog = Catalog(
            database,
            client,
            None,
            match=MatchSettings(),
            rules=(),
            identifier="tv.plex.agents.custom.stash2plex",
            on_complete=nothing,
            on_moved=nothing,
        )
        self.catalog = catalog
        self.compared = []
        self.again()

    def again(self):
        """Start anew, as after a restart."""
        # The pretend Stash's clock is its own; the header tells the real one.
        type(self.client).server_time = property(lambda _: self.clock.seconds())
        self.zone = Zone(self.database, monotonic=self.clock.seconds)
        parts = self.database, self.client, self.catalog, self.store
        self.poll = Poll(
            *parts,
            zone=self.zone,
            moved=Moved(*parts[1:]),
            vanished=Vanished(*parts, self.compare, monotonic=self.clock.seconds),
            imports=Imports(self.database, self.compare),
            monotonic=self.clock.seconds,
        )

    async def compare(self, reason):
        self.compared.append(reason)
        return True

    async def __call__(self):
        """Poll once; returns what was enqueued, and forgets it."""
        await self.poll.look()
        jobs, _ = await self.store.waiting(10_000, 0)
        await self.store.clear_waiting()
        return sorted((job.kind, job.stash_id) for job in jobs)


@pytest.fixture
async def poll(stash, database, settings, monkeypatch):
    clock = Clock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    stash.clock = lambda: clock.now
    for number in range(1, 6):
        stash.add(f"/media/{number}.mp4", title=f"Title {number}", details="x")
    clock.forward(days=3)
    monkeypatch.setattr(StashClient, "server_time", None)
    async with StashClient.connect(settings.stash) as client:
        polling = Polling(stash, client, database, clock)
        assert await polling() == []  # the cursor is set
        yield polling


@pytest.mark.parametrize("zone", ZONES, ids=str)
async def test_a_change_is_found_once_in_every_zone(poll, zone):
    poll.stash.zone = zone
    for _ in range(4):
        poll.clock.forward(minutes=1)
        poll.stash.change(3, title="New")
        poll.clock.forward(minutes=1)
        assert await poll() == [("scene", 3)]
        poll.clock.forward(minutes=1)
        assert await poll() == []


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Europe/Berlin", datetime(2026, 3, 28, 23, tzinfo=UTC)),  # an hour is skipped
        ("Europe/Berlin", datetime(2026, 10, 24, 23, tzinfo=UTC)),  # one comes twice
        ("America/New_York", datetime(2026, 11, 1, 4, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 13, tzinfo=UTC)),  # half of one
    ],
)
async def test_no_change_is_lost_when_the_clocks_are_changed(poll, zone, start):
    poll.stash.zone = ZoneInfo(zone)
    poll.clock.now = start
    await poll()
    for number in range(60):
        poll.clock.forward(minutes=4)
        scene = number % 5 + 1
        poll.stash.change(scene, title=f"Title {number}")
        poll.clock.forward(minutes=1)
        assert await poll() == [("scene", scene)], f"{number}"


@pytest.mark.parametrize("foreign", ZONES[1:], ids=str)
@pytest.mark.parametrize("away", [timedelta(hours=-2), timedelta(), timedelta(hours=3)])
async def test_a_time_from_elsewhere_blinds_no_poll(poll, foreign, away):
    """An import keeps the zone that it was written in."""
    poll.stash.change(1, title="Here")
    poll.clock.forward(seconds=10)
    assert await poll() == [("scene", 1)]
    poll.clock.forward(minutes=20)
    poll.stash.change(2, title="Imported")
    moment = poll.clock.now + away
    poll.stash.scenes[2].updated_at = moment.astimezone(foreign)
    for number in range(5):
        poll.clock.forward(minutes=9)
        await poll()
        poll.stash.change(3, title=f"Edit {number}")
        poll.clock.forward(seconds=10)
        assert ("scene", 3) in await poll()


async def test_stash_is_asked_in_all_zones_once_it_was_away(poll):
    poll.stash.change(1, title="East")
    poll.clock.forward(minutes=1)
    await poll()
    poll.stash.zone = ZoneInfo("America/Los_Angeles")  # set, and Stash started anew
    poll.clock.forward(minutes=1)
    poll.stash.change(2, title="West")
    poll.clock.forward(minutes=1)
    assert await poll() == []
    poll.zone.doubt()

    assert await poll() == [("scene", 2)]


async def test_a_zone_is_doubted_until_a_change_tells(poll):
    poll.stash.change(1, title="East")
    poll.clock.forward(minutes=1)
    await poll()
    poll.clock.forward(minutes=1)
    poll.stash.zone = ZoneInfo("America/Los_Angeles")
    poll.zone.doubt()
    await poll()  # there is nothing yet that tells
    for number in range(3):
        poll.clock.forward(minutes=5)
        poll.stash.change(2, title=f"West {number}")
        poll.clock.forward(minutes=1)
        assert await poll() == [("scene", 2)]


async def test_two_changes_in_one_second_are_one_a_moment_later(poll):
    poll.stash.change(1, title="First")
    assert await poll() == []  # the second is not over
    poll.stash.change(1, title="Second")
    poll.clock.forward(seconds=4)
    assert await poll() == [("scene", 1)]
    poll.clock.forward(seconds=10)
    assert await poll() == []


async def test_who_changes_all_the_time_is_not_put_off_for_ever(poll):
    found = []
    for number in range(30):
        poll.stash.change(1, title=f"{number}")
        poll.clock.forward(seconds=2)
        found += await poll()
    assert len(found) == 4


async def test_a_long_transaction_is_dated_before_it_can_be_read(poll):
    poll.clock.forward(minutes=10)
    started = poll.clock.now
    await poll()
    poll.clock.forward(minutes=3)
    await poll()
    poll.stash.change(2, title="Late")
    poll.stash.scenes[2].updated_at = started

    assert await poll() == [("scene", 2)]


async def test_what_happened_while_we_were_away_is_found(poll):
    poll.stash.change(4, title="Away")
    poll.clock.forward(days=9)
    poll.again()

    assert await poll() == [("scene", 4)]
    assert await poll() == []


@pytest.mark.parametrize("kind", ["performer", "studio", "tag", "group"])
async def test_a_renamed_part_is_found_once(poll, kind):
    key = poll.stash.entity(kind, "Old")
    poll.clock.forward(minutes=1)
    await poll()
    poll.stash.rename(kind, key, "New")
    poll.clock.forward(minutes=1)

    assert await poll() == [(kind, key)]
    assert await poll() == []


async def test_a_moved_file_is_found_where_stash_can_tell(poll):
    async for page in poll.client.entries():
        await poll.catalog.note_scenes(page)
    poll.clock.forward(minutes=1)
    poll.stash.move_file(3, "/media/moved/3.mp4")
    poll.clock.forward(minutes=1)
    assert await poll() == [("scene", 3)]
    poll.stash.scenes[4].files_updated_at = poll.clock.now  # read again, unchanged

    assert await poll() == []


async def test_an_old_stash_is_asked_in_its_own_words(
    database, plex, tmp_path, monkeypatch
):
    stash = PretendStash(release="v0.25.1")
    clock = Clock(datetime(2026, 3, 1, 12, tzinfo=UTC))
    stash.clock = lambda: clock.now
    monkeypatch.setattr(StashClient, "server_time", None)
    async with serving(stash.app) as stash.url:
        settings = make_settings(stash, plex, tmp_path)
        async with StashClient.connect(settings.stash) as client:
            poll = Polling(stash, client, database, clock)
            assert await poll() == []
            movie = stash.entity("group", "Movie")
            clock.forward(minutes=1)
            stash.add("/media/1.mp4", title="New")
            stash.rename("group", movie, "Film")
            clock.forward(minutes=1)
            assert await poll() == [("group", movie), ("scene", 1)]


async def test_a_poll_with_nothing_new_is_one_request(poll):
    await poll()
    poll.stash.operations.clear()
    await poll()

    assert dict(poll.stash.operations) == {"Stash2PlexLook": 1}


async def test_people_edit_while_pages_are_read(poll, monkeypatch):
    """Their scenes have higher ids, and do not count as those that were to come."""
    poll.client._page_size = 2
    poll.clock.forward(days=1)
    for number in (1, 2, 5):
        poll.stash.change(number, title="Changed")
    poll.clock.forward(seconds=30)
    asked = poll.client.changed_entries

    async def meanwhile(*given, **more):
        found = await asked(*given, **more)
        if poll.stash.scenes[3].title != "Meanwhile":
            poll.stash.change(3, title="Meanwhile")
            poll.stash.change(4, title="Meanwhile")
        return found

    monkeypatch.setattr(poll.client, "changed_entries", meanwhile)

    assert [key for _, key in await poll()] == [1, 2, 5]
    poll.clock.forward(seconds=10)
    assert [key for _, key in await poll()] == [3, 4]


async def test_many_changes_are_not_asked_for_again_and_again(poll):
    """More than a page: what is settled is listed again every quarter of an hour."""
    poll.client._page_size = 10
    for number in range(6, 60):
        poll.stash.add(f"/media/{number}.mp4", title="x", details="y")
    poll.clock.forward(minutes=20)
    found = await poll()
    assert len(found) == 54
    poll.clock.forward(minutes=1)
    poll.stash.operations.clear()
    poll.stash.change(7, title="Again")
    poll.clock.forward(seconds=10)

    assert await poll() == [("scene", 7)]
    assert poll.stash.operations["Stash2PlexLook"] <= 2


async def listed(poll):
    """Have the catalogue know all scenes of this moment."""
    async for page in poll.client.entries():
        await poll.catalog.note_scenes(page)
    poll.catalog.stash_complete = poll.catalog.plex_complete = True


async def test_a_deletion_is_found_though_something_always_changes(poll):
    await listed(poll)
    poll.clock.forward(minutes=1)
    await poll()
    poll.stash.remove(5)
    found = []
    for number in range(40):
        poll.clock.forward(seconds=5)
        poll.stash.change(1, title=f"{number}")
        found += await poll()
    assert ("scene", 5) in found
    assert poll.stash.operations["Stash2PlexIds"] < 5


@pytest.mark.parametrize("change", ["removed", "assigned"])
async def test_what_could_not_be_enqueued_is_found_again(poll, monkeypatch, change):
    await listed(poll)
    poll.clock.forward(days=1)
    await poll()
    if change == "removed":
        poll.stash.remove(5)
    else:
        poll.stash.assign_file("/media/5.mp4", 4)
    enqueue = poll.store.enqueue_many

    async def fails(kind, ids, reason):
        if list(ids):
            raise StoreUnavailable("the disk is full")
        return 0

    monkeypatch.setattr(poll.store, "enqueue_many", fails)
    failed = 0
    for _ in range(3):
        poll.clock.forward(minutes=1)
        try:
            await poll()
        except StoreUnavailable:
            failed += 1
    assert failed
    monkeypatch.setattr(poll.store, "enqueue_many", enqueue)
    found = []
    for _ in range(3):
        poll.clock.forward(minutes=1)
        found += await poll()
    assert ("scene", 5) in found


async def test_a_scene_that_comes_back_is_found_as_the_one_that_went(poll):
    await listed(poll)
    poll.clock.forward(days=1)
    await poll()
    scene = poll.stash.remove(5)
    found = []
    for _ in range(3):
        poll.clock.forward(minutes=1)
        found += await poll()
    assert found == [("scene", 5)]
    await poll.catalog.forget_scenes({5})
    poll.stash.scenes[5] = scene
    poll.stash._ids = sorted(poll.stash.scenes)
    for _ in range(3):
        poll.clock.forward(minutes=1)
        found += await poll()
    assert found == [("scene", 5)] * 2


@pytest.mark.parametrize("known", ["", "0"], ids=["no zone yet", "UTC"])
async def test_many_files_that_were_read_again_tell_the_zone(poll, known):
    """A rescan: their times are new, and those of the scenes are not."""
    poll.client._page_size = 2
    if known:
        await poll.database.set_fact("stash_offset", known)
    async for page in poll.client.entries():
        await poll.catalog.note_scenes(page)
    poll.clock.forward(minutes=1)
    await poll()
    for scene in poll.stash.scenes.values():
        scene.files_updated_at = poll.clock.now
    poll.zone.doubt()
    for _ in range(3):
        poll.clock.forward(minutes=1)
        await poll()
    poll.clock.forward(minutes=10)
    await poll()
    asked = poll.stash.operations["Stash2PlexFiles"]
    poll.clock.forward(minutes=1)
    await poll()
    assert poll.stash.operations["Stash2PlexFiles"] == asked


async def test_a_folder_of_scenes_that_cannot_be_read_was_not_renamed(poll, stash):
    stash.become("v0.27.2")
    for number in range(6, 9):
        stash.add(f"/media/odd/{number}.mp4", title="x", details="x")
    async for page in poll.client.entries():
        await poll.catalog.note_scenes(page)
    poll.catalog.stash_complete = True
    stash.failing[6] = "this scene is broken"
    assert await poll.poll._moved.check_folders() == 0
    stash.rename_folder("/media/odd", "/media/odd (old)")
    del stash.failing[6]
    assert await poll.poll._moved.check_folders() == 3


async def test_files_in_the_root_of_a_drive(poll, stash):
    """Windows ends the name of that folder, and of no other, with its separator."""
    for number in range(6, 9):
        stash.add(f"D:\\{number}.mp4", title="x", details="x")
    async for page in poll.client.entries():
        await poll.catalog.note_scenes(page)
    poll.catalog.stash_complete = True
    assert await poll.poll._moved.check_folders() == 0


async def test_the_cursor_waits_for_all_that_it_covers(poll):
    """Stash fails between one look and the next for longer than any overlap."""
    tag = poll.stash.entity("tag", "Old")
    poll.clock.forward(minutes=1)
    await poll()
    poll.client._page_size = 2
    for number in range(1, 6):
        poll.stash.change(number, title="New")
    poll.stash.rename("tag", tag, "New")
    find = poll.stash.find

    def last(*asked):
        poll.stash.status = 503
        return find(*asked)

    poll.stash.find = last
    for _ in range(40):
        poll.clock.forward(hours=2)
        poll.stash.status = None
        with pytest.raises(ServiceUnavailable):
            await poll()
    poll.stash.find, poll.stash.status = find, None

    assert ("tag", tag) in await poll()


@pytest.mark.parametrize("text", ["", "soon", "2026-03-04 12:00:00"])
async def test_a_time_that_cannot_be_read_counts_as_new(poll, text):
    poll.stash.change(2, title="New")
    poll.stash.odd[2] = {"updated_at": text}

    assert ("scene", 2) in await poll()


# --- through the daemon -----------------------------------------------------------


QUICK = {"stash": {"poll_interval": 0.1}}


async def test_a_change_without_a_hook_reaches_plex(stash, plex, tmp_path):
    sample(stash, plex, 1)
    settings = make_settings(stash, plex, tmp_path, **QUICK)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await stash.facts.until(lambda: stash.operations["Stash2PlexLook"] > 2)
        stash.change(1, title="By auto-tag", tags=["found"])
        await plex.facts.until(lambda: plex.items[1].text["title"] == "By auto-tag")

    assert plex.items[1].tags["genre"] == ["found"]


async def listening(stash):
    """Wait until the first look was had, and the end of a scan would be heard of."""
    await stash.facts.until(
        lambda: (
            any(stash.subscriptions.open.values())
            and stash.operations["Stash2PlexVersion"]
            + stash.operations["Stash2PlexProbe"]
            > 1
        )
    )


async def test_a_scan_that_ends_is_looked_at_at_once(stash, plex, tmp_path):
    sample(stash, plex, 1)
    settings = make_settings(stash, plex, tmp_path, stash={"poll_interval": 3600})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await listening(stash)
        stash.change(1, title="Scanned")
        stash.subscriptions.tell_scan_completed()
        await plex.facts.until(lambda: plex.items[1].text["title"] == "Scanned")


async def test_what_comes_after_a_scan_is_looked_for_once_more(
    stash, plex, tmp_path, monkeypatch
):
    monkeypatch.setattr("stash2plex.reconcile.changes._SECOND_LOOK", 3.0)
    clock = stash.clock
    stash.clock = lambda: clock() - timedelta(seconds=10)
    sample(stash, plex, 1)
    settings = make_settings(stash, plex, tmp_path, stash={"poll_interval": 3600})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await listening(stash)
        stash.subscriptions.tell_scan_completed()
        await stash.facts.until(lambda: stash.operations["Stash2PlexLook"] >= 2)
        await plex.facts.until(lambda: plex.items[1].writes)
        await daemon.idle()
        stash.clock = lambda: clock() - timedelta(seconds=5)
        stash.change(1, title="With a cover", cover=cover(1))
        await plex.facts.until(lambda: plex.items[1].text["title"] == "With a cover")


async def test_without_subscriptions_it_polls(stash, plex, tmp_path):
    sample(stash, plex, 1)
    stash.subscriptions.refused = True
    settings = make_settings(stash, plex, tmp_path, **QUICK)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await stash.facts.until(lambda: stash.operations["Stash2PlexLook"] > 2)
        stash.change(1, title="Polled")
        await plex.facts.until(lambda: plex.items[1].text["title"] == "Polled")


async def test_what_a_poll_saw_of_parts_that_are_gone_is_forgotten(
    stash, plex, tmp_path
):
    def seen() -> set[int]:
        with closing(sqlite3.connect(tmp_path / "data" / DATABASE)) as file:
            rows = file.execute("SELECT id FROM polled_part WHERE kind = 'performer'")
            return {key for (key,) in rows}

    sample(stash, plex, 1, performers=["Ann", "Bea"])
    settings = make_settings(stash, plex, tmp_path, stash={"poll_interval": 0.1})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        # Of each kind twice: the first look came to its end.
        await stash.facts.until(lambda: stash.operations["Stash2PlexLook"] >= 3)
        assert await asyncio.to_thread(seen) == {1, 2}
        stash.remove_entity("performer", 1)
        await reconciled(daemon)
        assert await asyncio.to_thread(seen) == {2}
