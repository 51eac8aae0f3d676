"""Both libraries compared: every kind of gap, in every scope, and what mends it."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta

import pytest

from stash2plex.db.database import DATABASE, Database
from stash2plex.doctor import examine
from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.scenes import cover
from stash2plex.sandbox.server import serving
from tests.bench.servers import QuickStash
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.likeness import some_fields, unlike
from tests.patience import patient
from tests.running import running


async def reconciled(daemon, scope="all", status=202, **more):
    """Have a comparison made; returns it once it has ended."""
    answer = await daemon.post("reconcile", {"scope": scope, **more})
    return await ended(daemon, answer["run"])


async def ended(daemon, number, seconds=20):
    async with asyncio.timeout(patient(seconds)):
        while True:
            url = f"{daemon.url}/api/v1/reconcile/{number}"
            async with daemon.session.get(url) as answer:
                run = await answer.json()
            if run["state"] != "running":
                return run
            await asyncio.sleep(0.02)


async def settled(daemon):
    """Wait until nothing is due or runs; what Plex lacks may wait."""
    await daemon.until(
        lambda status: not (status["queue"]["queued"] or status["queue"]["running"])
    )


async def gaps(daemon, query=""):
    async with daemon.session.get(f"{daemon.url}/api/v1/gaps?limit=1000{query}") as one:
        found = (await one.json())["gaps"]
    return sorted((gap["kind"], gap["scene"] or gap["item"]) for gap in found)


@pytest.fixture
async def synced(stash, plex, tmp_path):
    """A daemon between libraries that are in step: ten scenes."""
    for number in range(1, 11):
        sample(stash, plex, number)
    settings = make_settings(stash, plex, tmp_path, queue={"not_found_base": 36_000.0})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.post("sync", {"scope": "all"})
        await daemon.idle()
        yield daemon


async def test_nothing_to_do(synced, plex):
    writes = plex.count("PUT")
    run = await reconciled(synced)

    assert run["state"] == "done"
    assert (run["scenes"], run["items"], run["enqueued"]) == (10, 10, 0)
    assert set(run["gaps"].values()) == {0}
    assert run["finished_at"] >= run["started_at"]
    assert plex.count("PUT") == writes
    assert (await synced.status())["reconcile"]["last"] == run


async def test_what_was_never_written_is_empty_or_stale(stash, plex, tmp_path):
    sample(stash, plex, 1)
    sample(stash, plex, 2)
    plex.items[2].text["studio"] = "Somebody else's"
    async with running(make_settings(stash, plex, tmp_path), stash, plex) as daemon:
        run = await reconciled(daemon, dry_run=True)
        assert run["gaps"]["empty"] == run["gaps"]["stale"] == 1
        assert run["would_enqueue"] == 2
        assert await gaps(daemon) == []
        assert plex.count("PUT") == 0
        run = await reconciled(daemon, only_empty=True)
        assert run["enqueued"] == 1
        await daemon.idle()
        assert await gaps(daemon) == [("stale", 2)]
        await reconciled(daemon)
        await daemon.idle()
        assert await gaps(daemon) == []
        assert await gaps(daemon, "&resolved=true") == [("empty", 1), ("stale", 2)]

    assert [plex.items[key].text["title"] for key in (1, 2)] == ["Title 1", "Title 2"]


async def test_what_changed_in_stash_is_stale(synced, stash, plex):
    stash.change(4, title="Changed")
    stash.scenes[4].updated_at += timedelta(seconds=5)
    run = await reconciled(synced)
    await synced.idle()

    assert run["gaps"]["stale"] == run["enqueued"] == 1
    assert plex.items[4].text["title"] == "Changed"
    assert await gaps(synced) == []


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Theirs"},
        {"summary": "Theirs"},  # not in a listing: told by the item's time
    ],
)
async def test_what_others_changed_in_plex_is_drift(synced, plex, change):
    plex.items[3].text |= change
    plex.items[3].updated_at += 100
    recent = await reconciled(synced, "24h")
    assert recent["gaps"]["drift"] == 0  # full scope only
    run = await reconciled(synced)
    await synced.idle()

    assert run["gaps"]["drift"] == run["enqueued"] == 1
    assert plex.items[3].text["title"] == "Title 3"
    assert plex.items[3].text["summary"] == "Text"
    assert await gaps(synced) == []


async def test_tags_and_people_drift_too(synced, plex):
    plex.items[3].tags["genre"] = ["theirs"]
    plex.items[4].tags["collection"] = ["Theirs as well"]
    for key in (3, 4):
        plex.items[key].updated_at += 100
    run = await reconciled(synced)

    assert run["gaps"]["drift"] == 1  # collections of others are welcome


async def test_what_was_looked_at_is_not_read_again(synced, plex):
    for item in plex.items.values():
        item.updated_at += 100  # Plex refreshed everything, and changed nothing
    first = await reconciled(synced)
    plex.requests.clear()
    second = await reconciled(synced)

    assert first["gaps"]["drift"] == second["gaps"]["drift"] == 0
    assert not any("/library/metadata" in path for _, path in plex.requests)


async def test_what_a_human_locked_is_no_drift_if_so_wished(stash, plex, tmp_path):
    sample(stash, plex, 1)
    settings = make_settings(stash, plex, tmp_path, sync={"respect_locks": True})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
        plex.items[1].text["title"] = "A human's"
        plex.items[1].updated_at += 100
        run = await reconciled(daemon)

    assert run["gaps"]["drift"] == 0


async def test_an_item_that_lost_everything_is_empty(synced, plex):
    item = plex.items[5]
    item.text = {"title": "5"}
    item.tags = {}
    item.updated_at += 100
    run = await reconciled(synced)
    await synced.idle()

    assert run["gaps"]["empty"] == 1
    assert item.text["title"] == "Title 5"


async def test_both_directions(synced, stash, plex):
    stash.add("/media/only-stash.mp4", scene_id=70, title="x", details="y")
    orphan = plex.add("/media/only-plex.mp4")
    run = await reconciled(synced)

    assert run["gaps"]["missing_in_plex"] == run["gaps"]["missing_in_stash"] == 1
    assert run["enqueued"] == 0
    assert await gaps(synced) == [
        ("missing_in_plex", 70),
        ("missing_in_stash", orphan.rating_key),
    ]
    plex.remove(orphan.rating_key)
    stash.remove(70)
    await reconciled(synced)
    assert await gaps(synced) == []


async def test_a_deliberate_subset_misses_nothing(stash, plex, tmp_path):
    stash.add("/media/only-stash.mp4", title="x", details="y")
    for more in ({"match": {"not_found": "skip"}}, {"reconcile": {"missing": False}}):
        settings = make_settings(stash, plex, tmp_path, **more)
        async with running(settings, stash, plex) as daemon:
            run = await reconciled(daemon)
            assert run["gaps"]["missing_in_plex"] == 0


RULES = (
    {"name": "r", "stash": "^/data/(?P<rest>.+)$", "plex": "^/media/(?P<rest>.+)$"},
)


async def test_unmapped_and_ambiguous_of_both_sides(stash, plex, tmp_path):
    stash.add("/elsewhere/1.mp4", scene_id=1, title="x", details="y")
    stash.add("/data/2.mp4", scene_id=2, title="x", details="y")
    stash.add("/data/2.mp4", scene_id=3, title="x", details="y")
    plex.add("/media/2.mp4", rating_key=20)
    plex.add("/mnt/4.mp4", rating_key=40)
    settings = make_settings(stash, plex, tmp_path, path_rules=RULES)
    async with running(settings, stash, plex) as daemon:
        await reconciled(daemon)
        assert await gaps(daemon) == [
            ("ambiguous", 2),
            ("ambiguous", 3),
            ("unmapped", 1),
            ("unmapped", 40),
        ]
        assert await gaps(daemon, "&kind=unmapped") == [
            ("unmapped", 1),
            ("unmapped", 40),
        ]


async def test_changed_rules_map_the_catalogue_anew_without_reading_it(
    stash, plex, tmp_path
):
    stash.add("/data/1.mp4", scene_id=1, title="x", details="y", size=5)
    plex.add("/media/1.mp4", rating_key=10, size=6)
    async with running(make_settings(stash, plex, tmp_path), stash, plex) as daemon:
        run = await reconciled(daemon)
        assert run["gaps"]["missing_in_plex"] == 1
    asked = stash.operations["Stash2PlexEntries"]
    settings = make_settings(stash, plex, tmp_path, path_rules=RULES)
    async with running(settings, stash, plex) as daemon:
        await daemon.deliver(1)

    assert plex.items[10].text["title"] == "x"
    assert stash.operations["Stash2PlexEntries"] - asked <= 1


async def test_scenes_that_say_nothing_yet_are_no_gaps_and_not_read_again(
    stash, plex, tmp_path
):
    stash.add("/media/1.mp4", scene_id=1)
    stash.add(None, scene_id=2, title="without a file", details="x")
    plex.add("/media/1.mp4")
    async with running(make_settings(stash, plex, tmp_path), stash, plex) as daemon:
        first = await reconciled(daemon)
        await daemon.idle()
        second = await reconciled(daemon)
        assert (first["enqueued"], second["enqueued"]) == (1, 0)
        assert await gaps(daemon) == []
        stash.change(1, details="something")
        stash.scenes[1].updated_at += timedelta(seconds=5)
        third = await reconciled(daemon)
        await daemon.idle()

    assert third["enqueued"] == 1
    assert plex.items[1].text["summary"] == "something"


@pytest.mark.parametrize("scope", ["24h", "7d"])
async def test_a_scope_looks_at_what_changed_lately(synced, stash, plex, scope):
    now = datetime.now(UTC).replace(microsecond=0)
    days = 1 if scope == "24h" else 7
    for scene in stash.scenes.values():
        scene.created_at = now - timedelta(days=30)
    for number, age in ((1, days - 0.1), (2, days + 0.1)):
        stash.change(number, title="Changed")
        stash.scenes[number].updated_at = now - timedelta(days=age)
    stash.scenes[3].updated_at = now - timedelta(days=30)
    run = await reconciled(synced, scope)
    await synced.idle()

    assert run["scope"] == scope
    assert run["enqueued"] == 1
    assert plex.items[1].text["title"] == "Changed"
    assert plex.items[2].text["title"] == "Title 2"


async def test_a_library_that_cannot_be_read_leaves_all_as_it_was(synced, stash, plex):
    plex.sections[2] = "More"
    plex.read_status_of["/library/sections/2/"] = 500
    stash.remove(1)
    plex.remove(2)
    run = await reconciled(synced)

    assert run["state"] == "failed"
    assert "HTTP 500" in run["error"]
    catalog = (await synced.status())["catalog"]
    assert (catalog["scenes"], catalog["items"]) == (10, 10)
    assert await gaps(synced) == []
    plex.read_status_of.clear()
    run = await reconciled(synced)
    assert run["state"] == "done"
    assert (run["scenes"], run["items"]) == (9, 9)


async def test_a_stash_that_dies_half_way_leaves_all_as_it_was(stash, plex, tmp_path):
    for number in range(1, 41):
        sample(stash, plex, number)
    find, pages = stash.find, []

    def dying(wanted, limit):
        pages.append(wanted)
        if len(pages) == 3:
            stash.status = 502
        return find(wanted, limit)

    settings = make_settings(stash, plex, tmp_path, stash={"page_size": 10})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        for number in (1, 15, 35):
            stash.remove(number)
        stash.find = dying
        run = await reconciled(daemon)
        stash.status, stash.find = None, find

        assert run["state"] == "failed"
        assert "Stash is unavailable" in run["error"]
        assert len(pages) == 3
        assert (await daemon.status())["catalog"]["scenes"] == 40
        assert await gaps(daemon) == []
        assert (await reconciled(daemon))["scenes"] == 37


async def test_a_total_that_lies_forgets_nothing(synced, plex):
    plex.total_offset = 3
    plex.remove(1)
    run = await reconciled(synced)

    assert run["state"] == "done"
    assert (await synced.status())["catalog"]["items"] == 10


async def test_a_total_that_is_one_page_loses_nothing(
    stash, plex, tmp_path, monkeypatch
):
    monkeypatch.setattr("stash2plex.plex.library.PAGE_SIZE", 20)
    for number in range(1, 24):
        sample(stash, plex, number)
    async with running(make_settings(stash, plex, tmp_path), stash, plex) as daemon:
        await daemon.cataloged()
        plex.total_offset = -3
        run = await reconciled(daemon)

    assert (run["state"], run["items"]) == ("done", 23)


# --- the brake ---------------------------------------------------------------------


@pytest.fixture
async def large(stash, plex, tmp_path):
    """A daemon that knows 300 scenes and items."""
    for number in range(1, 301):
        sample(stash, plex, number)
    async with running(make_settings(stash, plex, tmp_path), stash, plex) as daemon:
        await daemon.cataloged()
        yield daemon


@pytest.mark.parametrize("side", ["plex", "stash"])
@pytest.mark.parametrize("left", [0, 150])
async def test_an_unmounted_share_wipes_nothing(large, stash, plex, side, left):
    """Half of a side is gone, or all of it."""
    if side == "plex":
        gone = {key: plex.items.pop(key) for key in range(left + 1, 301)}
    else:
        gone = {key: stash.remove(key) for key in range(left + 1, 301)}
    run = await reconciled(large)

    assert run["state"] == "stopped"
    assert f"shows {left} where there were 300" in run["error"]
    assert "--force" in run["error"]
    catalog = (await large.status())["catalog"]
    assert (catalog["scenes"], catalog["items"]) == (300, 300)
    assert await gaps(large) == []
    forced = await reconciled(large, force=True)
    assert forced["state"] == "done"
    assert len(gone) == 300 - left
    missing = [one for one in await gaps(large) if one[0].startswith("missing")]
    assert len(missing) == 300 - left


async def test_check_tells_of_the_brake_until_it_is_released(large, stash, plex):
    items = dict(plex.items)
    plex.items.clear()
    await reconciled(large)

    async def told():
        found = [one async for one in examine(large.settings, large.status)]
        return [one for one in found if one.code == "brake"]

    (finding,) = await told()
    assert finding.level == "fail"
    assert "shows 0 where there were 300" in finding.message
    plex.items |= items
    await reconciled(large)
    assert await told() == []


async def test_it_goes_on_by_itself_once_the_share_is_back(large, stash, plex):
    items = dict(plex.items)
    plex.items.clear()
    assert (await reconciled(large))["state"] == "stopped"
    plex.items |= items

    assert (await reconciled(large))["state"] == "done"


async def test_a_burst_of_deletions_stops_half_way(large, stash, plex):
    for number in range(1, 301):
        stash.remove(number)
        await large.hook(number, "Scene.Destroy.Post", fields=None)
    await large.idle()
    catalog = (await large.status())["catalog"]

    assert catalog["scenes"] > 150
    run = await reconciled(large)
    assert run["state"] == "stopped"
    assert (await reconciled(large, force=True))["state"] == "done"
    assert (await large.status())["catalog"]["scenes"] == 0
    assert all(item.writes == 0 for item in plex.items.values())


async def test_small_clean_ups_are_nobody_s_business(large, stash, plex):
    for number in range(1, 60):
        stash.remove(number)
        plex.remove(number)

    assert (await reconciled(large))["state"] == "done"


async def test_a_library_that_was_renamed_is_no_shrinkage(large, plex):
    plex.sections[1] = "Another name"

    assert (await reconciled(large))["state"] == "done"


async def test_a_library_that_was_removed_is(large, plex):
    plex.sections = {2: "Another"}
    run = await reconciled(large)

    assert run["state"] == "stopped"
    assert "library number 1 shows 0 where there were 300" in run["error"]


# --- runs --------------------------------------------------------------------------


async def test_runs_never_overlap_and_join_what_covers_them(synced, plex):
    plex.latency = 0.1
    first = await synced.post("reconcile", {"scope": "7d"})
    same = await synced.post("reconcile", {"scope": "24h"})
    wider = await synced.post("reconcile", {"scope": "all"})
    dry = await synced.post("reconcile", {"scope": "24h", "dry_run": True})
    again = await synced.post("reconcile", {})

    assert same == first
    assert again == wider
    assert len({first["run"], wider["run"], dry["run"]}) == 3
    runs = [await ended(synced, one["run"]) for one in (first, wider, dry)]
    assert all(run["state"] == "done" for run in runs)
    assert runs[0]["finished_at"] <= runs[1]["started_at"]
    assert runs[1]["finished_at"] <= runs[2]["started_at"]
    # It is over a moment before it is on record.
    status = await synced.until(lambda found: len(found["reconcile"]["history"]) > 2)
    history = status["reconcile"]["history"]
    assert [run["run"] for run in history[:3]] == [r["run"] for r in reversed(runs)]


@pytest.mark.parametrize("number", ["0", "99", "x", "-1", "9" * 40])
async def test_a_run_that_does_not_exist(synced, number):
    async with synced.session.get(f"{synced.url}/api/v1/reconcile/{number}") as answer:
        assert answer.status == 404
        assert (await answer.json())["code"] == "not_found"


@pytest.mark.parametrize(
    "body", [[], {"scope": "1h"}, {"dry_run": "yes"}, {"what": 1}, {"scope": None}]
)
async def test_requests_that_make_no_sense(synced, body):
    assert (await synced.post("reconcile", body, 400))["code"] == "invalid_request"


async def test_the_first_start_compares_the_last_day(stash, plex, tmp_path):
    sample(stash, plex, 1)
    settings = make_settings(stash, plex, tmp_path, reconcile={"on_start": True})
    async with running(settings, stash, plex) as daemon:
        await daemon.until(lambda status: status["reconcile"]["last"])
        await daemon.idle()
        assert plex.items[1].text["title"] == "Title 1"
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        status = await daemon.status()
    assert len(status["reconcile"]["history"]) == 1  # that was a moment ago


@pytest.mark.parametrize(("starts", "state"), [(1, "done"), (3, "failed")])
async def test_a_run_that_a_dead_daemon_left_is_taken_up_again(
    stash, plex, tmp_path, starts, state
):
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await reconciled(daemon)
    async with Database.open(tmp_path / "data" / DATABASE) as database:
        await database.write(
            "UPDATE run SET state = 'running', finished_at = NULL, starts = ?", starts
        )
    async with running(settings, stash, plex) as daemon:
        status = await daemon.until(lambda found: found["reconcile"]["last"])

    assert status["reconcile"]["last"]["state"] == state


# --- stash-api 2.4, what only a comparison finds, and a storm -------------------------


async def test_a_renamed_folder_is_followed(synced, stash, plex):
    stash.rename_folder("/media", "/moved")
    for item in plex.items.values():
        item.files = [
            (path.replace("/media", "/moved"), size) for path, size in item.files
        ]
        item.updated_at += 100
    run = await reconciled(synced)
    await synced.idle()

    assert run["state"] == "done"
    assert await gaps(synced) == []
    assert (await synced.status())["deliveries"]["failed"] == 0


async def test_merged_scenes(synced, stash, plex):
    stash.merge_scenes(1, 2)
    stash.scenes[2].updated_at += timedelta(seconds=5)
    run = await reconciled(synced)
    await synced.idle()

    assert run["state"] == "done"
    assert [plex.items[key].text["title"] for key in (1, 2)] == ["Title 2", "Title 2"]


@pytest.mark.parametrize("kind", ["performer", "studio", "tag", "group"])
async def test_a_part_that_was_deleted_without_a_hook(synced, stash, plex, kind):
    field = kind if kind == "studio" else f"{kind}s"
    name = "Gone" if kind == "studio" else ["Gone"]
    stash.change(1, **{field: name})
    await synced.deliver(1)
    stash.remove_entity(kind, stash.entity(kind, "Gone"))
    run = await reconciled(synced)
    await synced.idle()

    assert run["enqueued"] == 1
    shown = plex.items[1]
    names = {name for tags in shown.tags.values() for name in tags}
    assert "Gone" not in names | {shown.text.get("studio")}


async def test_merged_performers(synced, stash, plex):
    stash.change(1, performers=["Old"])
    await synced.deliver(1)
    old, new = stash.entity("performer", "Old"), stash.entity("performer", "New")
    stash.merge_entities("performer", old, new)
    await reconciled(synced)
    await synced.idle()

    assert plex.items[1].tags["actor"] == ["New"]


async def test_a_deleted_tag_by_its_hook(synced, stash, plex):
    stash.change(1, tags=["Gone", "Kept"])
    await synced.deliver(1)
    key = stash.entity("tag", "Gone")
    stash.remove_entity("tag", key)
    await synced.hook(key, "Tag.Destroy.Post", fields=None)
    await synced.idle()

    assert plex.items[1].tags["genre"] == ["Kept"]


def edit(chance, stash, key, step):
    stash.change(key, **some_fields(chance, step), cover=cover(step))
    stash.scenes[key].updated_at += timedelta(seconds=step + 1)


def move(stash, plex, key, step):
    before, size = stash.scenes[key].files[0]
    path = f"/media/moved/{step}.mp4"
    stash.move_file(key, path)
    for item in plex.items.values():
        item.files = [(path, size) if one[0] == before else one for one in item.files]


def meddle(chance, plex, step):
    """Change an item in Plex as other tools do."""
    item = chance.choice(list(plex.items.values()))
    match chance.randrange(4):
        case 0:
            item.text["title"] = f"Theirs {step}"
        case 1:
            item.text |= {"summary": f"Theirs {step}", "studio": ""}
        case 2:
            item.tags = {"genre": ["Theirs"], "actor": [], "director": ["Theirs"]}
        case 3:
            item.choose("art", cover(1000 + step))
    item.updated_at += 1000 + step


def rage(chance, stash, plex):
    for step in range(200):
        key = chance.choice(list(stash.scenes))
        match chance.choice((0, 1, 2, 2, 3, 4, 4, 4, 5)):
            case 0 | 1:
                edit(chance, stash, key, step)
            case 2:
                move(stash, plex, key, step)
            case 3:
                if len(stash.scenes) > 60:
                    stash.remove(key)
            case 4:
                meddle(chance, plex, step)
            case 5:
                plex.remove(chance.choice(list(plex.items)))


@pytest.mark.parametrize("seed", range(4))
async def test_a_storm_of_silent_edits_is_settled_by_one_comparison(
    stash, plex, tmp_path, seed
):
    chance = random.Random(seed)
    settings = make_settings(
        stash,
        plex,
        tmp_path,
        queue={"not_found_base": 36_000.0},
        sync={"fields": {"poster": False}},
    )
    for number in range(1, 61):
        sample(stash, plex, number)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await reconciled(daemon)
        await daemon.idle()
        for number in range(61, 81):
            sample(stash, plex, number)
        rage(chance, stash, plex)
        run = await reconciled(daemon)
        await settled(daemon)
        # A moment later nothing is left to be done, and what is left is told.
        again = await reconciled(daemon)
        await settled(daemon)
        left = await gaps(daemon)

    assert run["state"] == again["state"] == "done"
    assert again["enqueued"] == 0
    items = {item.files[0][0]: item for item in plex.items.values()}
    scenes = {scene.files[0][0]: scene for scene in stash.scenes.values()}
    both = items.keys() & scenes.keys()
    assert len(both) > 30
    for path in both:
        scene, item = scenes[path], items[path]
        assert unlike(stash, scene, item) == {}, scene.id
        assert "Theirs" not in item.tags.get("director", [])
        assert scene.cover is None or item.picture("art") == scene.cover
    assert left == sorted(
        [
            *(("missing_in_plex", scenes[path].id) for path in scenes.keys() - both),
            *(
                ("missing_in_stash", items[path].rating_key)
                for path in items.keys() - both
            ),
        ]
    )


# --- odd libraries -------------------------------------------------------------------


async def test_many_files_versions_and_holes(stash, plex, tmp_path):
    files = [f"/media/{part}.mp4" for part in "abcde"]
    stash.add(*files, scene_id=7, title="Five files", details="x")
    stash.add("/media/z.mp4", scene_id=90_000, title="Far away", details="x")
    versions = plex.add(*files[:4])
    other = plex.add(files[4])
    far = plex.add("/media/z.mp4", rating_key=1_000_000)
    async with running(make_settings(stash, plex, tmp_path), stash, plex) as daemon:
        run = await reconciled(daemon)
        await daemon.idle()
        again = await reconciled(daemon)

    assert (run["enqueued"], again["enqueued"]) == (2, 0)
    assert versions.text["title"] == other.text["title"] == "Five files"
    assert far.text["title"] == "Far away"


@pytest.mark.parametrize("date", ["1925-03-01", "2150-12-31", "1969", "2024-02"])
async def test_dates_of_other_centuries(stash, plex, tmp_path, date):
    scene, item = sample(stash, plex, 1, date=date)
    async with running(make_settings(stash, plex, tmp_path), stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(scene.id)
        item.text["originallyAvailableAt"] = "2000-01-01"
        run = await reconciled(daemon)
        await daemon.idle()

    assert run["gaps"]["drift"] == 1
    assert item.text["originallyAvailableAt"].startswith(date)


async def test_people_edit_while_pages_are_read(stash, plex, tmp_path):
    """Stash's order changes under the reader, and scenes come and go."""
    for number in range(1, 101):
        sample(stash, plex, number)
    find = stash.find

    def edited(wanted, limit):
        found = list(find(wanted, limit))
        for scene in found[:3]:
            stash.change(scene.id, title=f"Aaa {scene.id}")
        return found

    settings = make_settings(stash, plex, tmp_path, stash={"page_size": 10})
    stash.find = edited
    async with running(settings, stash, plex) as daemon:
        run = await reconciled(daemon)

    assert (run["state"], run["scenes"], run["items"]) == ("done", 100, 100)


@pytest.mark.timeout(120)
async def test_ten_thousand_orphans_on_each_side(plex, tmp_path):
    stash = QuickStash()
    for number in range(10_000):
        stash.add(f"/media/s{number}.mp4", title="x", details="y", size=number)
        plex.add(f"/media/p{number}.mp4", size=number)
    async with serving(stash.app) as stash.url:
        settings = make_settings(stash, plex, tmp_path)
        async with running(settings, stash, plex) as daemon:
            answer = await daemon.post("reconcile", {})
            run = await ended(daemon, answer["run"], 100)
            status = await daemon.status()

    assert run["gaps"]["missing_in_plex"] == run["gaps"]["missing_in_stash"] == 10_000
    assert status["gaps"]["missing_in_plex"] == 10_000
    assert run["enqueued"] == 0


@pytest.mark.timeout(240)
async def test_a_tag_of_many_scenes_does_not_starve_fresh_edits(tmp_path):
    many = 50_000
    stash, plex = QuickStash(), PretendPlex()
    for number in range(1, many + 1):
        path = f"/media/{number}.mp4"
        stash.add(path, size=number, title="x", tags=["Everywhere"])
        plex.add(path, size=number)
    async with serving(stash.app) as stash.url, serving(plex.app) as plex.url:
        settings = make_settings(stash, plex, tmp_path)
        async with running(settings, stash, plex) as daemon:
            await daemon.until(lambda one: one["catalog"]["scenes"] == many, 120)
            asked = stash.operations.total()
            await daemon.hook(stash.entity("tag", "Everywhere"), "Tag.Update.Post")
            await daemon.until(lambda one: one["queue"]["queued"] > many - 2000, 120)
            read = stash.operations.total() - asked
            late = max(plex.items.values(), key=lambda one: not one.writes)
            begun = time.monotonic()
            await daemon.hook(late.rating_key)
            await plex.facts.until(lambda: late.writes)
            took = time.monotonic() - begun
            writes = sum(item.writes for item in plex.items.values())

    assert took < patient(5)
    assert writes < many / 2
    # Ids in bulk, and what was delivered meanwhile.
    assert read < many / 100
