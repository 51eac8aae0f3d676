"""What hooks, polls and news used up in vain, comparisons find; and what they let go."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from stash2plex import cron
from stash2plex.errors import StoreUnavailable
from stash2plex.queue.store import JobStore
from stash2plex.sandbox.scenes import cover
from tests.end_to_end.test_delivery import sample
from tests.reconcile.test_certainty import move
from tests.reconcile.test_corners import LONG_AGO, between
from tests.reconcile.test_reconcile import gaps, reconciled, settled

PLAIN = {"poster": False, "background": False}
WRONG = (
    {"name": "r", "stash": "^/wrong/(?P<rest>.+)$", "plex": "^/media/(?P<rest>.+)$"},
)


# 1 --- what was swallowed while a scene could not be delivered ------------------------


@pytest.mark.parametrize(
    "meanwhile",
    [
        {"sync": {"enabled": False, "fields": PLAIN}},
        {"sync": {"exclude_tag": "a", "fields": PLAIN}},
        {
            "path_rules": WRONG,
            "match": {"fallback": "none"},
            "queue": {"not_found_attempts": 2},
        },
    ],
    ids=["disabled", "excluded", "rules"],
)
async def test_what_changed_while_sync_was_off(stash, plex, tmp_path, meanwhile):
    sample(stash, plex, 1, performers=["Old"])
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1)
    async with between(stash, plex, tmp_path, **meanwhile) as daemon:
        key = stash.entity("performer", "Old")
        stash.rename("performer", key, "New")
        await daemon.hook(key, "Performer.Update.Post")
        await daemon.idle()
    async with between(stash, plex, tmp_path) as daemon:
        await reconciled(daemon)
        await daemon.idle()
        left = await gaps(daemon)
    assert plex.items[1].tags["actor"] == ["New"] or left


@pytest.mark.parametrize("why", ["missing_in_plex", "ambiguous"])
async def test_what_changed_while_there_was_a_gap(stash, plex, tmp_path, why):
    sample(stash, plex, 1, performers=["Old"])
    queue = {"not_found_attempts": 2}
    async with between(stash, plex, tmp_path, queue=queue) as daemon:
        await daemon.deliver(1)
        if why == "ambiguous":
            stash.add("/media/1.mp4", scene_id=2, title="Twin", details="x")
        else:
            plex.items[1].files = [("/mnt/elsewhere/x.mp4", 1)]
            plex.items[1].updated_at += 400
        await reconciled(daemon)
        key = stash.entity("performer", "Old")
        stash.rename("performer", key, "New")
        await daemon.hook(key, "Performer.Update.Post")
        await daemon.idle()
        assert (why, 1) in await gaps(daemon)
        if why == "ambiguous":
            stash.remove(2)
        else:
            plex.items[1].files = [("/media/1.mp4", 1)]
            plex.items[1].updated_at += 400
        await reconciled(daemon)
        await daemon.idle()
        left = await gaps(daemon)
    assert plex.items[1].tags["actor"] == ["New"] or left


# 2, 4 --- the brake -------------------------------------------------------------------


async def test_a_listing_that_was_unsteady_lets_go_of_no_brake(stash, plex, tmp_path):
    for number in range(1, 401):
        plex.add(f"/media/{number}.mp4", size=number)
    lost = iter(range(1, 401))
    wakeful = {"plex": {"notifications": True}}
    async with between(stash, plex, tmp_path, **wakeful) as daemon:
        await daemon.until(lambda status: status["plex"]["listening"])
        for _ in range(6):  # a mount is away, and Plex empties its trash
            for _ in range(50):
                plex.remove(next(lost))
            status = await daemon.until(
                lambda status: (
                    status["catalog"]["brake"]
                    or status["catalog"]["items"] == len(plex.items)
                )
            )
            if status["catalog"]["brake"]:
                plex.total_offset = 1  # items go while they are listed
                await reconciled(daemon)
                plex.total_offset = 0
        run = await reconciled(daemon)
        left = (await daemon.status())["catalog"]["items"]
    assert (run["state"], left) == ("stopped", 300)


@pytest.mark.parametrize("side", ["plex", "stash"])
async def test_a_small_library_is_not_emptied_piecemeal(stash, plex, tmp_path, side):
    for number in range(1, 61):
        sample(stash, plex, number)
    wakeful = {"plex": {"notifications": True}}
    async with between(stash, plex, tmp_path, **wakeful) as daemon:
        await daemon.until(lambda status: status["plex"]["listening"])
        for number in range(1, 61):
            if side == "plex":
                plex.remove(number)
            else:
                stash.remove(number)
                await daemon.hook(number, "Scene.Destroy.Post", fields=None)
        await daemon.until(lambda status: status["catalog"]["brake"])
        run = await reconciled(daemon)
    assert run["state"] == "stopped"


async def test_a_library_that_shares_its_files_is_not_wiped(stash, plex, tmp_path):
    plex.sections = {1: "A", 2: "B"}
    for number in range(1, 601):
        section = 1 if number <= 300 else 2
        plex.add(f"/media/{(number - 1) % 300}.mp4", section=section)
    async with between(stash, plex, tmp_path) as daemon:
        for key in range(301, 601):
            plex.items.pop(key)
        assert (await reconciled(daemon))["state"] == "stopped"


# 3 --- news of Plex -------------------------------------------------------------------


@pytest.mark.parametrize("hint", [False, True])
async def test_what_was_missed_while_the_socket_was_away(stash, plex, tmp_path, hint):
    now = int(time.time())
    plex.clock = lambda: now - 7200
    for number in (1, 2):
        sample(stash, plex, number)
    stash.add("/media/3.mp4", scene_id=3, title="Three", details="x")
    more = {"plex": {"notifications": True}, "queue": {"not_found_attempts": 2}}
    async with between(stash, plex, tmp_path, **more) as daemon:
        await daemon.until(lambda status: status["plex"]["listening"])
        await daemon.deliver(1, 3)
        assert await gaps(daemon) == [("missing_in_plex", 3)]
        plex.tells = False  # the line is away for twenty minutes
        plex.clock = lambda: now - 900
        plex.add("/media/3.mp4", rating_key=3, size=3)
        plex.clock = lambda: now
        for one in list(plex.sockets):
            await one.close()
        await daemon.until(lambda status: not status["plex"]["listening"])
        await daemon.until(lambda status: status["plex"]["listening"])
        plex.tells = True
        if hint:  # the first thing that Plex says then
            plex.items[2].updated_at = now
            plex._tell_item(2, state=5)
        await plex.facts.until(lambda: plex.items[3].writes)
        await daemon.idle()
        left = await gaps(daemon)
    assert left == []


@pytest.mark.parametrize("jump", [False, True])
async def test_a_row_that_was_read_singly_hides_no_news(stash, plex, tmp_path, jump):
    now = int(time.time())
    plex.clock = lambda: now - 3600
    for number in (1, 2):
        sample(stash, plex, number)
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1, 2)
        plex.clock = lambda: now - 900
        plex.add("/media/3.mp4", rating_key=3, size=3)
        plex.clock = lambda: now
        if jump:  # a file was renamed on both sides a moment ago
            plex.items[1].files = [("/media/renamed.mp4", 1)]
            plex.items[1].updated_at = now
            await daemon.post("sync", {"scene_ids": [1]})
            await settled(daemon)
        stash.add("/media/3.mp4", scene_id=3, title="Three", details="x")
        await daemon.post("sync", {"scene_ids": [3]})
        await plex.facts.until(lambda: plex.items[3].text["title"] == "Three")


async def test_the_listing_of_a_start_swallows_no_news(stash, plex, tmp_path):
    sample(stash, plex, 1)
    stash.clock = lambda: datetime.now(UTC) - LONG_AGO
    stash.add("/media/3.mp4", scene_id=3, title="Three", details="x")
    more = {"plex": {"notifications": True}, "queue": {"not_found_attempts": 2}}
    async with between(stash, plex, tmp_path, **more) as daemon:
        await daemon.deliver(1, 3)
        assert await gaps(daemon) == [("missing_in_plex", 3)]
    plex.add("/media/3.mp4", rating_key=3, size=3)
    more |= {"reconcile": {"on_start": True}}
    async with between(stash, plex, tmp_path, **more) as daemon:
        await daemon.until(lambda status: status["reconcile"]["last"])
        await plex.facts.until(lambda: plex.items[3].writes)
        await daemon.idle()
        left = await gaps(daemon)
    assert left == []


# 5 --- settings -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "then",
    [
        {"provider": {"content_rating": "R"}},
        {"sync": {"max_tags": 10}},
        {"sync": {"fields": {**PLAIN, "tagline": True}}},
        {"sync": {"fields": {**PLAIN, "tagline": False, "poster": True}}},
    ],
    ids=["content_rating", "max_tags", "tagline", "poster"],
)
async def test_changed_settings_reach_plex(stash, plex, tmp_path, then):
    tags = [f"t{n}" for n in range(20)]
    sample(stash, plex, 1, code="AB-1", tags=tags, cover=cover(1))
    sync = {"fields": {**PLAIN, "tagline": False}}
    async with between(stash, plex, tmp_path, sync=sync) as daemon:
        await daemon.deliver(1)
    more = {"sync": sync} | then
    more["sync"] = {**sync, **then.get("sync", {})}
    async with between(stash, plex, tmp_path, **more) as daemon:
        run = await reconciled(daemon)
        await daemon.idle()
        left = await gaps(daemon)
    assert run["enqueued"] or left


# 6, 7 --- gaps that are not told ---------------------------------------------------------


async def test_an_item_of_two_scenes_is_told_of(stash, plex, tmp_path):
    stash.add("/media/a1.mp4", "/media/a2.mp4", scene_id=1, title="A", details="a")
    stash.add("/media/b1.mp4", "/media/b2.mp4", scene_id=2, title="B", details="b")
    plex.add("/media/a1.mp4", rating_key=10)
    plex.add("/media/b1.mp4", rating_key=20)
    plex.add("/media/a2.mp4", "/media/b2.mp4", rating_key=30)
    async with between(stash, plex, tmp_path) as daemon:
        await reconciled(daemon)
        await daemon.idle()
        await reconciled(daemon)
        found = await gaps(daemon)
    assert plex.items[30].writes == 0
    assert "ambiguous" in {kind for kind, _ in found}


async def test_a_namesake_hides_no_orphan(stash, plex, tmp_path):
    for number in (1, 2):
        stash.add("/data/a/video.mp4", scene_id=number, title="x", details="y", size=5)
    plex.add("/data/a/video.mp4", rating_key=10, size=5)
    plex.add("/data/b/video.mp4", rating_key=20, size=77)
    async with between(stash, plex, tmp_path) as daemon:
        await reconciled(daemon)
        found = await gaps(daemon)
    assert ("missing_in_stash", 20) in found


async def test_a_guid_hides_no_orphan(stash, plex, tmp_path):
    stash.add("/media/a1.mp4", scene_id=1, title="A", details="a")
    plex.add("/media/a1.mp4", rating_key=10)
    other = plex.add("/media/zzz.mp4", rating_key=20)
    other.guid = "tv.plex.agents.custom.stash2plex://movie/scene-1"
    async with between(stash, plex, tmp_path) as daemon:
        await reconciled(daemon)
        await daemon.idle()
        await reconciled(daemon)
        found = await gaps(daemon)
    assert other.writes or found


# 8, 9, 10 --- --------------------------------------------------------------------------


async def test_a_picture_that_failed_is_tried_again(stash, plex, tmp_path):
    sample(stash, plex, 1, cover=cover(1))
    plex.picture_status = 500
    more = {
        "sync": {"fields": {"poster": True, "background": True}},
        "queue": {"max_attempts": 2},
    }
    async with between(stash, plex, tmp_path, **more) as daemon:
        await daemon.post("sync", {"scene_ids": [1]})
        await daemon.until(lambda status: status["queue"]["dead"])
        plex.picture_status = None
        await daemon.post("dead/clear", {}, 200)  # as 30 days do
        await reconciled(daemon)
        await daemon.idle()
        left = await gaps(daemon)
    assert plex.items[1].picture("thumb") or left


@pytest.mark.parametrize("what", ["userRating", "collection"])
async def test_nothing_is_left_of_a_former_scene(stash, plex, tmp_path, what):
    sample(stash, plex, 1, rating100=80, groups=["Series"])
    stash.add("/media/x.mp4", scene_id=9, title="x", details="x")
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1)
        stash.remove(1)  # cleaned and scanned under another name
        stash.add("/media/renamed.mp4", scene_id=2, size=1, title="Anew", details="x")
        plex.items[1].files = [("/media/renamed.mp4", 1)]
        plex.items[1].updated_at += 100
        await reconciled(daemon)
        await daemon.idle()
        run = await reconciled(daemon)
        await daemon.idle()
    item = plex.items[1]
    assert (run["state"], item.text["title"]) == ("done", "Anew")
    assert not item.text.get(what)
    assert not item.tags.get(what)


@pytest.mark.parametrize("reader", ["explain", "all", "24h"])
async def test_no_move_is_lost_where_locks_count(stash, plex, tmp_path, reader):
    sample(stash, plex, 1, title="")
    sync = {"respect_locks": True, "fields": PLAIN}
    async with between(stash, plex, tmp_path, sync=sync) as daemon:
        await daemon.deliver(1)
        move(stash, plex)
        if reader == "explain":
            url = f"{daemon.url}/api/v1/explain?q=scene:1"
            async with daemon.session.get(url) as answer:
                assert answer.status == 200
        else:
            await reconciled(daemon, reader, dry_run=True)
        await reconciled(daemon)
        await daemon.idle()
    assert plex.items[1].text["title"] == "renamed"


async def test_a_dead_letter_that_was_mended_in_stash(stash, plex, tmp_path):
    sample(stash, plex, 1)
    plex.status_of[1] = 409
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(1)
        plex.status_of.clear()
        stash.change(1, title="Mended")
        stash.scenes[1].updated_at += timedelta(seconds=9)
        await reconciled(daemon)
        await daemon.idle()
    assert plex.items[1].text["title"] == "Mended"


def test_a_step_from_a_star_is_no_limit():
    """As with cron: `*/2` starts with a star, so both days must fit."""
    (line,) = cron.either("0 4 */2 * sun")
    assert line["day_of_week"] == "sun"


# --- what ends as gone, and what turns up at a bad moment ------------------------------


@pytest.mark.parametrize("gone", [30, 1], ids=["spared", "forgotten"])
async def test_scenes_that_were_gone_for_a_while(stash, plex, tmp_path, gone):
    """Stash had another database; a performer was renamed meanwhile."""
    for number in range(1, 31):
        sample(stash, plex, number, performers=["Old"])
    async with between(stash, plex, tmp_path) as daemon:
        await daemon.deliver(*range(1, 31))
        stash.rename("performer", stash.entity("performer", "Old"), "New")
        away = {key: stash.scenes.pop(key) for key in range(31 - gone, 31)}
        await daemon.deliver(*away)
        assert bool((await daemon.status())["catalog"]["brake"]) == (gone == 30)
        stash.scenes |= away
        await reconciled(daemon)
        await daemon.idle()

    assert plex.items[30].tags["actor"] == ["New"]


@pytest.mark.parametrize("what", ["Plex", "the disk"])
async def test_news_are_told_although_something_fails(
    stash, plex, tmp_path, monkeypatch, what
):
    monkeypatch.setattr("stash2plex.catalog.listener._AGAIN", 0.2)
    for number in (1, 2):
        sample(stash, plex, number)
    stash.add("/media/3.mp4", scene_id=3, title="Three", details="x")
    patient = {"not_found_attempts": 2, "max_attempts": 100}
    more = {"plex": {"notifications": True}, "queue": patient}
    enqueue, failed = JobStore.enqueue_many, []

    async def full(*given):
        if what == "the disk" and 3 in given[2] and not failed:
            failed.append(given)
            raise StoreUnavailable("database or disk is full")
        return await enqueue(*given)

    async with between(stash, plex, tmp_path, **more) as daemon:
        await daemon.until(lambda status: status["plex"]["listening"])
        await daemon.deliver(1, 3)
        assert await gaps(daemon) == [("missing_in_plex", 3)]
        monkeypatch.setattr(JobStore, "enqueue_many", full)
        plex.tells = False  # the line is away
        for one in list(plex.sockets):
            await one.close()
        await daemon.until(lambda status: not status["plex"]["listening"])
        plex.add("/media/3.mp4", rating_key=3, size=3)
        if what == "Plex":
            plex.read_status_of["/library/metadata/"] = 500
        await daemon.until(lambda status: status["plex"]["listening"])
        plex.tells = True
        plex.requests.clear()
        plex._tell_item(2, state=5)
        await plex.facts.until(
            lambda: (
                failed
                or any(one.startswith("/library/metadata/") for _, one in plex.requests)
            )
        )
        plex.read_status_of.clear()
        await plex.facts.until(lambda: plex.items[3].writes)


async def test_one_bad_mount_makes_nothing_else_ambiguous(stash, plex, tmp_path):
    plex.sections = {1: "A", 2: "B"}
    for number in range(1, 31):
        sample(stash, plex, number)
    for number in range(31, 51):
        stash.add(f"/b/{number}.mp4", scene_id=number, title="B", details="x")
        plex.add(f"/b/{number}.mp4", rating_key=number, section=2)
    queue = {"not_found_attempts": 2}
    async with between(stash, plex, tmp_path, queue=queue) as daemon:
        await daemon.deliver(*range(1, 51))
        for number in range(31, 51):
            plex.items.pop(number)
        assert (await reconciled(daemon))["state"] == "stopped"
        stash.remove(1)  # and scanned anew
        stash.add("/media/1.mp4", scene_id=101, size=1, title="Anew", details="x")
        await daemon.hook(1, "Scene.Destroy.Post", fields=None)
        await daemon.hook(101, "Scene.Create.Post", fields=None)
        await settled(daemon)
        await daemon.deliver(101)

    assert plex.items[1].text["title"] == "Anew"


async def test_what_turned_up_is_told_although_the_brake_holds(stash, plex, tmp_path):
    plex.sections = {1: "A", 2: "B"}
    for number in range(1, 13):
        sample(stash, plex, number)
    stash.clock = lambda: datetime.now(UTC) - LONG_AGO
    stash.add("/media/99.mp4", scene_id=99, title="Late", details="x", size=99)
    queue = {"not_found_attempts": 2}
    async with between(stash, plex, tmp_path, queue=queue) as daemon:
        await daemon.deliver(*range(1, 13), 99)
        plex.items = {}
        plex.add("/media/99.mp4", rating_key=99, section=2, size=99)
        assert (await reconciled(daemon))["state"] == "stopped"
        await daemon.idle()

    assert plex.items[99].writes
