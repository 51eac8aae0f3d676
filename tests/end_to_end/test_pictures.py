"""Which picture Plex shows: known by its candidate, whatever else happens to the item."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stash2plex.sandbox.scenes import cover
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import PICTURES, sample
from tests.reconcile.test_reconcile import reconciled
from tests.running import running

THEIRS = cover(900)


class Clock:
    """Plex's clock, which no two changes read alike."""

    def __init__(self):
        self.now = 1_800_000_000

    def __call__(self):
        self.now += 1
        return float(self.now)


@pytest.fixture(autouse=True)
def plex_clock(plex):
    plex.clock = Clock()


@pytest.fixture
def make(stash, plex, tmp_path):
    def made(**sync):
        settings = make_settings(stash, plex, tmp_path, sync=PICTURES | sync)
        return running(settings, stash, plex)

    return made


def lists(plex):
    return [
        path
        for how, path in plex.requests
        if how == "GET" and path.endswith(("/posters", "/arts"))
    ]


def writes(plex):
    return [(how, path) for how, path in plex.requests if how != "GET"]


@pytest.mark.parametrize("selects_known", [False, True])
@pytest.mark.parametrize("locks", [False, True])
async def test_an_earlier_cover_comes_back(make, stash, plex, selects_known, locks):
    plex.habits.upload_selects_known, plex.habits.upload_locks = selects_known, locks
    _, item = sample(stash, plex, cover=cover(1))
    async with make() as daemon:
        await daemon.deliver(1)
        first = item.picture("thumb")
        stash.change(1, cover=cover(2))
        await daemon.deliver(1)
        assert item.picture("art") == cover(2)

        # One save changes the title too.
        stash.change(1, cover=cover(1), title="And another title")
        await daemon.deliver(1)

    assert item.picture("art") == cover(1)
    assert item.picture("thumb") == first
    assert item.text["title"] == "And another title"
    assert plex.count("POST") == 4  # known bytes are selected, not uploaded


@pytest.mark.parametrize("mode", ["mirror", "merge"])
async def test_a_cover_that_goes_leaves_what_was_there_before(make, stash, plex, mode):
    _, item = sample(stash, plex, cover=cover(1))
    item.provided["thumb"] = THEIRS
    async with make(mode=mode) as daemon:
        await daemon.deliver(1)
        plex.touch(1)  # somebody edits something else
        stash.change(1, cover=None)
        await daemon.deliver(1)
        before = len(writes(plex))
        stash.change(1, title="x")
        await daemon.deliver(1)

    assert item.picture("thumb") == THEIRS
    assert item.shown("thumb").startswith("metadata://")
    assert item.picture("art") is None
    assert len(writes(plex)) == before + 1


async def test_a_cover_that_goes_leaves_what_others_chose(make, stash, plex):
    _, item = sample(stash, plex, cover=cover(1))
    async with make() as daemon:
        await daemon.deliver(1)
        plex.choose(1, "thumb", THEIRS)
        stash.change(1, cover=None)
        await daemon.deliver(1)

    assert item.picture("thumb") == THEIRS
    assert item.picture("art") is None


@pytest.mark.parametrize("locks", [False, True])
async def test_our_own_lock_stops_no_second_cover(make, stash, plex, locks):
    plex.habits.upload_locks = locks
    _, item = sample(stash, plex, cover=cover(1))
    async with make(respect_locks=True) as daemon:
        await daemon.deliver(1)
        for number in (2, 1, 3):
            plex.touch(1)
            stash.change(1, cover=cover(number))
            await daemon.deliver(1)
            assert item.picture("art") == cover(number)


@pytest.mark.parametrize("sync", [{"respect_locks": True}, {"mode": "fill"}])
async def test_what_others_chose_stays_if_wished(make, stash, plex, sync):
    _, item = sample(stash, plex, cover=cover(1))
    async with make(**sync) as daemon:
        await daemon.deliver(1)
        plex.choose(1, "thumb", THEIRS)
        run = await reconciled(daemon)
        assert run["gaps"]["drift"] == 0
        stash.change(1, title="Another", cover=cover(2))
        await daemon.deliver(1)

    assert item.picture("thumb") == THEIRS


@pytest.mark.parametrize("mode", ["mirror", "merge"])
@pytest.mark.parametrize("by", ["comparison", "delivery"])
async def test_what_others_chose_is_drift(make, stash, plex, mode, by):
    _, item = sample(stash, plex, cover=cover(1))
    async with make(mode=mode) as daemon:
        await daemon.deliver(1)
        ours = item.picture("thumb")
        plex.choose(1, "thumb", THEIRS)
        plex.requests.clear()
        explained = await daemon.get("explain?q=scene:1")
        assert explained["verdict"]["state"] == "differs"
        assert explained["verdict"]["message"].endswith("thumb")
        assert (await daemon.get("status"))["gaps"]["drift"] == 0
        if by == "comparison":
            run = await reconciled(daemon, dry_run=True)
            assert (run["gaps"]["drift"], writes(plex)) == (1, [])
            run = await reconciled(daemon)
            assert run["enqueued"] == 1
            await daemon.idle()
        else:
            await daemon.deliver(1)

        assert [how for how, _ in writes(plex)] == ["PUT"]
        assert item.picture("thumb") == ours
        plex.requests.clear()
        run = await reconciled(daemon)
        assert run["gaps"]["drift"] == 0
        assert lists(plex) == writes(plex) == []


async def test_a_foreign_edit_costs_two_lists_once(make, stash, plex):
    for number in range(1, 11):
        sample(stash, plex, number, cover=cover(number))
    async with make() as daemon:
        await daemon.cataloged()
        await daemon.deliver(*range(1, 11))
        for number in range(1, 11):
            plex.touch(number)
        plex.requests.clear()
        await reconciled(daemon)
        assert (len(lists(plex)), writes(plex)) == (20, [])
        plex.requests.clear()
        await reconciled(daemon)
        await daemon.deliver(*range(1, 11))
        assert lists(plex) == writes(plex) == []


async def test_the_screenshot_of_a_scene_scanned_again_comes_back(make, stash, plex):
    """Stash makes it anew, byte by byte, and tells nobody."""
    generated = cover(1)
    _, item = sample(stash, plex, cover=generated)
    for number in range(2, 20):
        sample(stash, plex, number)
    async with make() as daemon:
        await daemon.cataloged()
        await daemon.deliver(*range(1, 20))
        stash.change(1, cover=cover(2))
        await daemon.deliver(1)
        stash.remove(1)
        again = {"title": "Anew", "details": "x", "cover": generated}
        stash.add("/media/1.mp4", scene_id=99, size=1, **again)
        await reconciled(daemon)
        await daemon.idle()

    assert item.picture("art") == generated
    assert item.text["title"] == "Anew"


async def test_uploads_that_are_not_shown_are_all_proven(
    make, stash, plex, log_lines, tmp_path
):
    plex.habits.upload_selects_fresh = False
    for number in range(1, 31):
        sample(stash, plex, number, cover=cover(number))
    async with make() as daemon:
        await daemon.cataloged()
        status = await daemon.deliver(*range(1, 31))

    assert status["queue"]["dead"] == 0
    assert all(plex.items[n].picture("art") == cover(n) for n in range(1, 31))
    assert any(line["event"] == "upload_not_shown" for line in log_lines)


async def test_uploads_are_proven_at_first_and_then_now_and_then(make, stash, plex):
    for number in range(1, 61):
        sample(stash, plex, number, cover=cover(number))
    async with make() as daemon:
        await daemon.cataloged()
        await daemon.deliver(*range(1, 61))

    # Two lists of what was there before, 20 proofs, and one of each 50 uploads.
    assert len(lists(plex)) == 120 + 20 + 2


async def test_a_killed_daemon_remembers_what_was_there_before(
    make, stash, plex, tmp_path
):
    """The upload arrived, and nobody could remember it."""
    _, item = sample(stash, plex, cover=cover(1))
    item.provided["thumb"] = THEIRS
    async with make() as daemon:
        await daemon.cataloged()
        plex.loses_uploads = 1
        await daemon.deliver(1)
        stash.change(1, cover=None)
        await daemon.deliver(1)

    assert item.picture("thumb") == THEIRS
    assert item.shown("thumb").startswith("metadata://")


async def test_a_list_that_lags_behind_is_waited_for(make, stash, plex):
    _, item = sample(stash, plex, cover=cover(1))
    plex.lists_lag = 2
    async with make() as daemon:
        status = await daemon.deliver(1)

    assert item.picture("art") == cover(1)
    assert status["queue"]["dead"] == 0


@pytest.mark.parametrize("fails", ["upload", "list", "cover"])
async def test_a_second_cover_that_fails_at_first_arrives(make, stash, plex, fails):
    """Although the scene has not changed for long."""
    _, item = sample(stash, plex, cover=cover(1))
    async with make() as daemon:
        await daemon.deliver(1)
        stash.change(1, cover=cover(2))
        stash.scenes[1].updated_at -= timedelta(hours=1)
        match fails:
            case "upload":
                plex.picture_status = 500
            case "list":
                plex.read_status_of["/library/metadata/1/"] = 500
            case "cover":
                stash.picture_status = 500
        await daemon.post("sync", {"scene_ids": [1]})
        await daemon.until(lambda s: s["queue"]["waiting"])
        plex.picture_status = stash.picture_status = None
        plex.read_status_of.clear()
        status = await daemon.idle()

    assert status["queue"]["dead"] == 0
    assert item.picture("art") == cover(2)
