"""The routes below the root: every answer is JSON, whatever is asked."""

from __future__ import annotations

import asyncio
import io
import json

import aiohttp
import pytest

from tests.provider.asking import EMPTY, IDENTIFIER, Plex, providing

MATCHES = "/library/metadata/matches"


@pytest.mark.parametrize("path", ["", "/", "?includePreferences=1", "/?x=1"])
async def test_the_root(asking, path):
    document = await asking.get(path)

    said = document["MediaProvider"]
    assert said["identifier"] == IDENTIFIER
    assert said["title"] == "Stash2Plex"
    assert said["Types"] == [{"type": 1, "Scheme": [{"scheme": IDENTIFIER}]}]
    assert said["Feature"] == [
        {"type": "match", "key": "/library/metadata/matches"},
        {"type": "metadata", "key": "/library/metadata"},
    ]


async def test_a_root_typed_with_a_slash_makes_double_ones(asking, stash):
    stash.add("/data/one.mp4", scene_id=7)

    document = await asking.get("//library/metadata/scene-7/")

    assert document["MediaContainer"]["size"] == 1


@pytest.mark.parametrize(
    "key",
    [
        "841662",
        "7",
        "scene-abc",
        "scene-",
        "scene-0",
        "scene--7",
        "scene-7.5",
        "scene-99999999999999999999",
        "scene-\u0667",
        "performer-1",
        "%00",
        "..%2f..%2fetc",
        "scene-8",
        "x" * 4000,
    ],
)
@pytest.mark.parametrize("more", ["", "/images"])
async def test_an_unknown_key_is_404_with_an_empty_container(asking, stash, key, more):
    stash.add("/data/one.mp4", scene_id=7)

    document = await asking.get(f"/library/metadata/{key}{more}", 404)

    assert document == EMPTY


@pytest.mark.parametrize(
    "more", ["extras?updating=1", "children", "grandchildren", "similar/deep"]
)
async def test_what_a_movie_has_none_of(asking, stash, more):
    stash.add("/data/one.mp4", scene_id=7)
    asked = stash.asked

    assert await asking.get(f"/library/metadata/scene-7/{more}") == EMPTY
    assert stash.asked == asked


@pytest.mark.parametrize("path", ["/x", "/library", "/library/metadata", "/hubs/home"])
async def test_other_paths_are_404(asking, path):
    assert await asking.get(path, 404) == EMPTY


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", MATCHES, 405),
        ("PUT", "/library/metadata/scene-7", 405),
        ("DELETE", "", 405),
    ],
)
async def test_wrong_methods(asking, method, path, status):
    assert "code" in await asking.ask(method, path, status)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"<html>", 400),
        (b"\xff\xfe", 400),
        (b"[]", 400),
        (b'"x"', 400),
        (b"null", 400),
        (b"{}", 400),
        (b'{"type": "movie"}', 400),
        (b'{"type": null}', 400),
        (b'{"type": [1]}', 400),
        (b"[" * 100_000, 400),
        (b'{"type": 1, "title": "' + b"x" * 2_000_000 + b'"}', 413),
    ],
)
async def test_bodies_that_make_no_sense(asking, body, status):
    document = await asking.ask("POST", MATCHES, status, data=io.BytesIO(body))

    assert set(document) == {"code", "message"}


@pytest.mark.parametrize(
    "hints",
    [
        {"title": None},
        {"title": 5, "year": "soon", "manual": [], "filename": {}, "guid": 7},
        {"title": "\ud800 half", "filename": "\ud800.mp4", "manual": 1},
        {"filename": "../../etc/passwd"},
        {"filename": "a/../b.mp4"},
        {"filename": "nul\0.mp4"},
        {"filename": "folder/"},
        {"filename": "/"},
        {"filename": "x" * 5000},
        {"filename": "a/" * 1999 + "b.mp4"},
        {"filename": "%2e%2e%2fetc%2fpasswd"},
        {"filename": 'it\'s "quoted" %_.mp4', "manual": 1, "title": "'\"%_"},
        {"year": 10**40, "size": -1, "duration": float("1e308")},
        {"includeFields": 5, "excludeElements": ["x"]},
    ],
)
async def test_hints_that_make_no_sense_are_no_match(asking, stash, hints):
    stash.add("/data/passwd", scene_id=7)
    stash.add("/data/b.mp4x", scene_id=8)
    body = json.dumps({"type": 1, "title": "x"} | hints)

    document = await asking.ask("POST", MATCHES, data=body.encode())

    assert document == EMPTY


@pytest.mark.parametrize("kind", [2, 3, 4, 18, "2"])
async def test_other_types_of_metadata(asking, stash, kind):
    stash.add("/data/one.mp4", scene_id=7)

    assert await asking.match("one.mp4", type=kind) == []
    status = await asking.daemon.status()
    assert status["provider"]["unmatched"] == 0
    assert await asking.gaps() == []


@pytest.mark.parametrize("kind", ["1", 1.0])
async def test_a_type_that_is_nearly_a_number(asking, stash, kind):
    stash.add("/data/one.mp4", scene_id=7)

    assert await asking.scenes("one.mp4", type=kind) == [7]


async def test_a_scene_deleted_between_match_and_metadata(asking, stash, plex):
    stash.add("/data/one.mp4", scene_id=7)
    assert await asking.scenes("one.mp4") == [7]
    stash.remove(7)
    await asking.daemon.hook(7, "Scene.Destroy.Post")

    assert await asking.get("/library/metadata/scene-7", 404) == EMPTY


async def test_counters_and_the_last_request(asking, stash):
    stash.add("/data/one.mp4", scene_id=7)
    before = (await asking.daemon.status())["provider"]
    assert before == {
        "matched": 0,
        "unmatched": 0,
        "failed": 0,
        "last_request_at": None,
    }
    await asking.match("one.mp4")
    await asking.match("two.mp4")
    await asking.ask("POST", MATCHES, 400, data=b"")

    after = (await asking.daemon.status())["provider"]

    assert (after["matched"], after["unmatched"], after["failed"]) == (1, 1, 1)
    assert after["last_request_at"].endswith("Z")


# --- paging and trimming -------------------------------------------------------------


@pytest.mark.parametrize("where", ["headers", "params"])
@pytest.mark.parametrize(
    ("start", "size", "offset", "count"),
    [
        ("0", "1", 0, 1),
        ("1", "50", 1, 2),
        ("0", "99999999999999999", 0, 3),
        ("99999999999", "1", 10_000, 0),
        ("-1", "x", 0, 3),
        ("", "0", 0, 0),
    ],
)
async def test_pages(asking, stash, where, start, size, offset, count):
    from stash2plex.sandbox.scenes import cover

    stash.add("/data/one.mp4", scene_id=7, cover=cover(1))
    page = {"X-Plex-Container-Start": start, "X-Plex-Container-Size": size}

    document = await asking.get("/library/metadata/scene-7/images", **{where: page})

    container = document["MediaContainer"]
    assert container["totalSize"] == 3
    assert container["offset"] == offset
    assert container["size"] == len(container["Image"]) == count


async def test_trimming(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, title="One", details="D", tags=["t"])
    path = "/library/metadata/scene-7"

    async def members(**query):
        document = await asking.get(path, params=query)
        return set(document["MediaContainer"]["Metadata"][0])

    needed = {"ratingKey", "key", "guid", "type", "title"}
    everything = await members()
    assert everything > needed | {"summary", "Genre", "duration"}
    assert everything - await members(excludeFields="summary,title, guid") == {
        "summary"
    }
    assert everything - await members(excludeElements="Genre") == {"Genre"}
    fields = {"summary", *needed}
    assert await members(includeFields="summary", includeElements="Genre") == {
        *fields,
        "Genre",
    }
    assert await members(includeFields="", excludeFields="") == everything
    (found,) = await asking.match("one.mp4", excludeFields="summary")
    assert "summary" not in found


# --- root, secret, switches ------------------------------------------------------------


async def test_a_secret_root(stash, plex, tmp_path, log_lines):
    stash.add("/data/one.mp4", scene_id=7)
    provider = {"path": "/media/agent", "secret": "hidden-path-7"}
    async with providing(stash, plex, tmp_path, provider=provider) as asking:
        assert asking.root == "/media/agent/hidden-path-7"
        assert await asking.scenes("one.mp4") == [7]
        outside = Plex(asking.daemon, "/media/agent")
        for path in ("", "/", "/library/metadata/scene-7", "/wrong", "/wrong/library"):
            assert await outside.get(path, 404) == EMPTY
        async with asking.daemon.session.get(f"{asking.daemon.url}/plex") as answer:
            assert answer.status == 404
        stash.status = 500
        await asking.fails("unknown.mp4")

    assert log_lines
    assert "hidden-path-7" not in json.dumps(log_lines)


async def test_switched_off(stash, plex, tmp_path):
    async with providing(stash, plex, tmp_path, provider={"enabled": False}) as asking:
        async with asking.daemon.session.get(f"{asking.daemon.url}/plex") as answer:
            assert answer.status == 404
            assert answer.content_type == "application/json"
        assert (await asking.daemon.status())["provider"]["matched"] == 0


# --- a busy or broken Stash ---------------------------------------------------------------


async def test_errors_of_stash_are_told_without_secrets(asking, stash):
    stash.add("/data/one.mp4", scene_id=7)
    stash.failing[7] = "GET http://nas/scene/7/screenshot?apikey=hush-hush-7: refused"
    failed = await asking.get("/library/metadata/scene-7", 500)

    assert "refused" in failed["message"]
    assert "hush-hush" not in failed["message"]


async def test_metadata_as_last_known_while_stash_is_down(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, title="One", tags=["t"])
    stash.add("/data/two.mp4", scene_id=8)
    before = await asking.metadata(7)
    stash.status = 503
    await asking.daemon.hook(7)  # nothing is kept in memory
    await asking.daemon.until(lambda status: status["stash"]["state"] == "down")

    assert await asking.metadata(7) == before
    assert (await asking.images(7)) == []
    failed = await asking.get("/library/metadata/scene-8", 500)
    assert failed["code"] == "service_unavailable"
    assert await asking.get("/library/metadata/scene-8/images") == {
        "MediaContainer": {
            "offset": 0,
            "totalSize": 0,
            "identifier": IDENTIFIER,
            "size": 0,
            "Image": [],
        }
    }


async def test_requests_at_the_same_time_are_one_to_stash(asking, stash):
    for number in range(1, 21):
        stash.add(f"/data/{number}.mp4")
    await asyncio.gather(*(asking.metadata(1) for _ in range(50)))
    assert stash.operations["Stash2PlexScenes"] == 1
    await asking.images(1)
    assert stash.operations["Stash2PlexScenes"] == 1

    await asyncio.gather(*(asking.metadata(one) for one in range(2, 21)))

    assert stash.operations["Stash2PlexScenes"] <= 6


async def test_a_hook_makes_it_read_afresh(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, title="One", tags=["Old"])
    assert (await asking.metadata(7))["title"] == "One"
    stash.change(7, title="Two")
    assert (await asking.metadata(7))["title"] == "One"
    await asking.daemon.hook(7)
    assert (await asking.metadata(7))["title"] == "Two"
    stash.names["tag"][1] = "New"
    await asking.daemon.hook(1, "Tag.Update.Post", ["name"])

    assert (await asking.metadata(7))["Genre"] == [{"tag": "New"}]


async def test_one_who_gives_up_does_not_cost_the_others(asking, stash):
    stash.add("/data/one.mp4", scene_id=7)
    stash.latency = 0.3
    url = f"{asking.daemon.url}/plex/library/metadata/scene-7"
    patient = asyncio.create_task(asking.metadata(7))
    with pytest.raises(TimeoutError):
        await asking.daemon.session.get(url, timeout=aiohttp.ClientTimeout(total=0.1))

    assert (await patient)["ratingKey"] == "scene-7"


async def test_a_hanging_stash_is_given_up_in_time(stash, plex, tmp_path, monkeypatch):
    monkeypatch.setattr("stash2plex.provider.routes._BUDGET", 0.6)
    for module in ("scenes", "images"):
        monkeypatch.setattr(f"stash2plex.provider.{module}.PATIENCE", 0.1)
    stash.add("/data/one.mp4", scene_id=7)
    stash.add("/data/three.mp4", scene_id=8, title="Three")
    async with providing(stash, plex, tmp_path) as asking:
        before = await asking.metadata(8)
        await asking.daemon.hook(8)
        stash.hangs = True
        assert await asking.metadata(8) == before
        assert await asking.fails("two.mp4") == "timeout"
        assert (await asking.get("/library/metadata/scene-7", 500))["code"] == "timeout"
        assert await asking.scenes("one.mp4") == [7]  # the catalogue is enough
        stash.hangs = False
        stash.status = 503  # ends what still hangs


async def test_the_daemon_stops_while_requests_are_under_way(stash, plex, tmp_path):
    stash.add("/data/one.mp4", scene_id=7)
    async with providing(stash, plex, tmp_path) as asking:
        stash.hangs = True
        asked = stash.asked
        waiting = asyncio.create_task(asking.metadata(7))
        await stash.facts.until(lambda: stash.asked > asked)
    with pytest.raises((aiohttp.ClientError, AssertionError)):
        await waiting
    assert asking.daemon.settings


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
async def test_a_body_that_is_compressed(asking, encoding):
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    url = f"{asking.daemon.url}/plex{MATCHES}"

    async with asking.daemon.session.post(
        url, data=io.BytesIO(b'{"type": 1}'), headers=headers
    ) as answer:
        assert answer.status == 415
        assert answer.content_type == "application/json"


async def test_numbers_beyond_all_bounds(asking):
    for name in ("duration", "year", "size", "manual"):
        body = f'{{"type": 1, "title": "x", "{name}": 1{"0" * 400}}}'
        assert await asking.ask("POST", MATCHES, data=body.encode()) == EMPTY


async def test_trimming_in_the_query_of_a_match(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, details="D")
    hints = {"type": 1, "title": "x", "filename": "one.mp4"}

    document = await asking.ask(
        "POST", MATCHES, json=hints, params={"excludeFields": "summary"}
    )

    (found,) = document["MediaContainer"]["Metadata"]
    assert "summary" not in found


async def test_a_hundred_times_the_same_question_is_one_for_stash(asking, stash):
    stash.latency = 0.3  # so that all come while the first is under way

    await asyncio.gather(*(asking.scenes("unknown.mp4") for _ in range(100)))

    assert stash.operations["Stash2PlexFind"] <= 5


async def test_a_match_whose_body_does_not_come(asking, monkeypatch):
    monkeypatch.setattr("stash2plex.provider.routes._PATIENCE", 0.2)

    async def slow():
        yield b"{"
        await asyncio.Event().wait()

    document = await asking.ask("POST", MATCHES, 408, data=slow())
    assert document["code"] == "request_timeout"


async def test_a_long_title_blocks_nobody(asking, stash):
    for number in range(300):
        stash.add(f"/data/{number}.mp4", title=f"{'word ' * 50}{number}")
    await asking.know(*range(1, 301))
    slowest = 0.0

    async def look() -> None:
        nonlocal slowest
        while True:
            started = asyncio.get_running_loop().time()
            await asyncio.sleep(0)
            slowest = max(slowest, asyncio.get_running_loop().time() - started)

    looking = asyncio.create_task(look())
    found = await asking.scenes(title="word " * 200, manual=1)
    looking.cancel()

    assert len(found) == 20
    assert slowest < 0.5


async def test_a_change_while_the_scene_is_being_read(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, title="Old")
    stash.latency = 0.2
    asked = stash.asked
    early = asyncio.create_task(asking.metadata(7))
    await stash.facts.until(lambda: stash.asked > asked)
    await asking.daemon.hook(7)
    stash.change(7, title="New")
    await asking.daemon.hook(7)
    await early

    assert (await asking.metadata(7))["title"] == "New"


async def test_pictures_are_remembered_though_push_does_not_read_them(asking, stash):
    from stash2plex.sandbox.scenes import cover

    stash.add("/data/one.mp4", scene_id=7, title="One", performers=["P"], studio="S")
    stash.portraits["performer", 1] = stash.portraits["studio", 1] = cover(1)
    before = await asking.metadata(7)
    stash.change(7, title="Two")
    await asking.know(7)
    stash.status = 503
    await asking.daemon.hook(7)

    after = await asking.metadata(7)

    assert after["title"] == "Two"
    assert after["Role"] == before["Role"]
    assert {one["type"] for one in after["Image"]} >= {"clearLogo"}


async def test_ids_that_nobody_has_make_no_jobs(asking, stash, monkeypatch):
    monkeypatch.setattr("stash2plex.provider.completion._SETTLING", 0.0)
    stash.add("/data/one.mp4", scene_id=7, title="One", tags=["t"])
    for number in range(100, 120):
        await asking.get(f"/library/metadata/scene-{number}", 404)
    await asking.metadata(7)

    await asking.daemon.until(lambda status: status["queue"]["waiting"] == 1)


async def test_a_full_disk_costs_no_answer(asking, stash, monkeypatch):
    import sqlite3

    import aiosqlite

    from stash2plex.sandbox.scenes import cover

    stash.add("/data/one.mp4", scene_id=7, title="One", cover=cover(1))
    assert await asking.scenes("one.mp4") == [7]

    usual = aiosqlite.Connection.execute_fetchall

    def full(_connection, sql, *_):
        raise sqlite3.OperationalError("database or disk is full")

    def full_unless_reading(connection, sql, *values):
        return (usual if sql.startswith("SELECT") else full)(connection, sql, *values)

    monkeypatch.setattr(aiosqlite.Connection, "execute", full)
    monkeypatch.setattr(aiosqlite.Connection, "execute_fetchall", full_unless_reading)
    found = await asking.metadata(7)
    async with asking.daemon.session.get(found["thumb"]) as answer:
        assert answer.status == 200
    assert await asking.scenes("one.mp4") == [7]
    # What cannot be looked up properly is not denied.
    assert await asking.fails("unknown.mp4") == "store_unavailable"
    monkeypatch.undo()
