"""Why a scene, an item or a path is, or is not, in step: each answer there is."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.running import running

RULES = [
    {"name": "two", "stash": "^/data/(?P<rest>.+)$", "plex": "^/media/(?P<rest>.+)$"}
]
PATIENT = {"not_found_base": 36_000.0, "not_found_cap": 36_000.0}


@asynccontextmanager
async def asking(stash, plex, tmp_path, /, **sections):
    """A daemon, with a function that explains something."""
    settings = make_settings(stash, plex, tmp_path, **{"queue": PATIENT} | sections)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()

        async def explain(q, status=200):
            url = f"{daemon.url}/api/v1/explain"
            async with daemon.session.get(url, params={"q": q}) as answer:
                document = await answer.json()
                assert answer.status == status, document
                return document

        explain.daemon = daemon
        yield explain


def state(document):
    return document["verdict"]["state"]


async def test_a_scene_from_first_sight_to_in_sync(stash, plex, tmp_path):
    stash.add("/data/one.mp4", title="One", details="It", studio="S", size=7)
    plex.add("/media/one.mp4", size=7)
    async with asking(stash, plex, tmp_path, path_rules=RULES) as explain:
        before = await explain("scene:1")
        await explain.daemon.deliver(1)
        after = await explain("scene:1")

    assert state(before) == "differs"
    (scene,) = before["scenes"]
    assert before["verdict"]["message"].startswith("a delivery would change ")
    (file,) = scene["files"]
    assert file == {
        "path": "/data/one.mp4",
        "size": 7,
        "mapped": "/media/one.mp4",
        "rule": "two",
        "reason": None,
        "items": [1],
    }
    (difference,) = scene["differences"]
    changes = {one["field"]: one["after"] for one in difference["changes"]}
    assert changes["title"] == "One"
    assert scene["deliveries"] == []
    assert state(after) == "in_sync"
    (scene,) = after["scenes"]
    assert scene["differences"] == []
    (delivery,) = scene["deliveries"]
    assert delivery["text"]["title"] == "One"
    assert "title" in delivery["locked"]
    assert scene["match"] == {
        "items": [1],
        "how": "path",
        "confidence": "high",
        "error": None,
    }
    assert scene["candidates"] == [
        {
            "item": 1,
            "file": "/media/one.mp4",
            "size": 7,
            "how": "path",
            "score": 100,
            "chosen": True,
            "reason": None,
        }
    ]
    assert (scene["job"], scene["dead"], scene["gaps"]) == (None, None, [])


async def test_the_item_and_both_paths_say_the_same(stash, plex, tmp_path):
    stash.add("/data/one.mp4", title="One", details="It")
    plex.add("/media/one.mp4")
    async with asking(stash, plex, tmp_path, path_rules=RULES) as explain:
        await explain.daemon.deliver(1)
        found = [
            await explain(q) for q in ("plex:1", "/data/one.mp4", r"\media\one.mp4")
        ]

    assert [state(one) for one in found] == ["in_sync"] * 3
    assert [one["kind"] for one in found] == ["item", "path", "path"]
    for one in found:
        assert [scene["scene"] for scene in one["scenes"]] == [1]
        (item,) = one["items"]
        assert (item["item"], item["scenes"], item["section"]) == (1, [1], "Scenes")
        assert item["files"][0]["mapped"] == "/data/one.mp4"
        assert item["files"][0]["scenes"] == [1]
        assert one["machine"] == plex.machine
    paths = found[1]["paths"]
    assert paths["as_stash_path"]["mapped"] == "/media/one.mp4"
    assert "no path rule" in paths["as_plex_path"]["reason"]


async def test_a_scene_that_plex_lacks(stash, plex, tmp_path):
    stash.add("/data/one.mp4", title="One", details="It")
    async with asking(stash, plex, tmp_path, path_rules=RULES) as explain:
        await explain.daemon.hook(1)
        await explain.daemon.until(lambda status: status["queue"]["waiting"])
        found = await explain("scene:1")

    assert state(found) == "missing"
    assert "/media/one.mp4" in found["verdict"]["message"]
    assert "looked for again at" in found["verdict"]["message"]
    (scene,) = found["scenes"]
    assert scene["job"]["code"] == "item_not_found"
    assert scene["match"]["items"] == []


async def test_a_scene_that_no_rule_covers(stash, plex, tmp_path):
    stash.add("/else/one.mp4", title="One", details="It")
    async with asking(stash, plex, tmp_path, path_rules=RULES) as explain:
        await explain.daemon.hook(1)
        await explain.daemon.until(lambda status: status["gaps"]["unmapped"])
        found = await explain("scene:1")

    assert state(found) == "unmapped"
    (scene,) = found["scenes"]
    assert scene["gaps"][0]["kind"] == "unmapped"
    assert "no path rule" in scene["files"][0]["reason"]


async def test_why_namesakes_lost(stash, plex, tmp_path):
    stash.add("/data/a/one.mp4", title="One", details="It", size=7)
    stash.add("/data/b/one.mp4", title="Two", details="It", size=8)
    plex.add("/media/x/one.mp4", size=7)
    plex.add("/media/y/one.mp4", size=9)
    plex.add("/media/b/one.mp4", size=8)
    async with asking(stash, plex, tmp_path, path_rules=RULES) as explain:
        found = await explain("scene:1")

    (scene,) = found["scenes"]
    told = {one["item"]: one["reason"] for one in scene["candidates"]}
    assert told == {
        1: None,
        2: "another item says more",
        3: "scene 2 has its path",
    }
    assert scene["match"]["how"] == "name and size"


async def test_namesakes_of_another_size_alone(stash, plex, tmp_path):
    stash.add("/data/a/one.mp4", title="One", details="It", size=7)
    plex.add("/media/x/one.mp4", size=9)
    async with asking(stash, plex, tmp_path, path_rules=RULES) as explain:
        found = await explain("scene:1")

    (candidate,) = found["scenes"][0]["candidates"]
    assert candidate["reason"] == "the file has another size"
    assert state(found) == "missing"


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        ({"fallback": "none"}, 'match.fallback is "none"'),
        ({}, "items 1, 2 all have a file of this name and size"),
        ({"strict": False}, "another item says as much and comes first"),
    ],
)
async def test_two_namesakes(stash, plex, tmp_path, match, reason):
    stash.add("/data/a/one.mp4", title="One", details="It", size=7)
    plex.add("/media/x/one.mp4", size=7)
    plex.add("/media/y/one.mp4", size=7)
    async with asking(stash, plex, tmp_path, match=match) as explain:
        found = await explain("scene:1")

    assert found["scenes"][0]["candidates"][-1]["reason"] == reason


async def test_an_item_that_two_scenes_claim(stash, plex, tmp_path):
    stash.add("/media/one.mp4", title="One", details="It")
    stash.add("/media/two.mp4", title="Two", details="It")
    plex.add("/media/one.mp4", "/media/two.mp4")
    async with asking(stash, plex, tmp_path) as explain:
        item = await explain("plex:1")
        scene = await explain("scene:2")

    assert (state(item), item["items"][0]["scenes"]) == ("orphan", [1, 2])
    assert "scene 1 or 2 could be meant" in item["verdict"]["message"]
    assert state(scene) == "ambiguous"
    (candidate,) = scene["scenes"][0]["candidates"]
    assert candidate["reason"] == "scene 1 has its path"


async def test_a_dead_letter(stash, plex, tmp_path):
    """What was about to be written, and then refused, does not count as delivered."""
    stash.add("/media/1.mp4", title="T", details="x", studio="S", tags=["t"])
    plex.add("/media/1.mp4")
    plex.status_of[1] = 409
    async with asking(stash, plex, tmp_path) as explain:
        await explain.daemon.deliver(1)
        found = await explain("scene:1")

    assert state(found) == "dead"
    assert found["scenes"][0]["deliveries"] == []
    assert found["scenes"][0]["dead"]["code"] == "request_rejected"
    assert found["verdict"]["message"].endswith("[request_rejected]")


async def test_a_scene_that_does_not_take_part(stash, plex, tmp_path):
    stash.add("/media/one.mp4", title="One")
    plex.add("/media/one.mp4")
    async with asking(stash, plex, tmp_path) as explain:
        found = await explain("scene:1")

    assert state(found) == "kept_out"
    assert found["scenes"][0]["gate"] == "no metadata yet"


async def test_while_plex_is_away(stash, plex, tmp_path):
    sample(stash, plex, 1)
    async with asking(stash, plex, tmp_path) as explain:
        plex.status = 503
        unknown = await explain("scene:1")
        item = await explain("plex:1")
        nothing = await explain("plex:99")
        await explain.daemon.hook(1)
        await explain.daemon.until(lambda status: status["plex"]["breaker"] == "open")
        waiting = await explain("scene:1")
        plex.status = None

    assert state(unknown) == "unknown"
    assert unknown["scenes"][0]["differences"] is None
    assert "Plex is unavailable" in unknown["scenes"][0]["notes"][0]
    assert item["items"][0]["scenes"] == [1]
    assert state(nothing) == "unknown"
    assert state(waiting) == "waiting"


async def test_while_stash_is_away(stash, plex, tmp_path):
    sample(stash, plex, 1)
    async with asking(stash, plex, tmp_path) as explain:
        await explain.daemon.deliver(1)
        stash.status = 503
        found = await explain("scene:1")
        path = await explain("/media/nobody.mp4")
        stash.status = None

    assert state(found) == "unknown"
    (scene,) = found["scenes"]
    assert scene["exists"] is None
    assert scene["files"][0]["mapped"] == "/media/1.mp4"
    assert scene["deliveries"]
    assert state(path) == "unknown"


async def test_what_is_not_there(stash, plex, tmp_path):
    plex.add("/media/orphan.mp4")
    async with asking(stash, plex, tmp_path) as explain:
        found = [
            await explain(q)
            for q in (
                "scene:9",
                "plex:9",
                "plex:1",
                "/media/x.mp4",
                "/media/orphan.mp4",
            )
        ]

    assert [state(one) for one in found] == [
        "gone",
        "gone",
        "orphan",
        "unknown",
        "orphan",
    ]


async def test_a_namesake_is_offered_for_an_orphan(stash, plex, tmp_path):
    stash.add("/else/one.mp4", title="One", details="It", size=7)
    plex.add("/media/one.mp4", size=9)
    async with asking(stash, plex, tmp_path) as explain:
        found = await explain("plex:1")

    assert state(found) == "orphan"
    assert "scene 1 could be meant" in found["verdict"]["message"]


async def test_every_way_to_name_a_thing(stash, plex, tmp_path):
    """As people type it, and as gaps, logs and dead letters print it."""
    sample(stash, plex)
    async with asking(stash, plex, tmp_path) as explain:
        for q in ("plex:1", "item:1", "item 1", "Item: 1", " item 1 "):
            assert (await explain(q))["kind"] == "item"
        for q in ("scene:1", "scene 1", "Scene:1"):
            assert (await explain(q))["kind"] == "scene"
        for q in ("item 1.mp4", "item/1", "scene 1/2.mp4"):
            assert (await explain(q))["kind"] == "path"


@pytest.mark.parametrize(
    "q",
    ["", " ", "scene:", "scene:x", "scene:0", "plex:-1", "plex:²", f"scene:{2**64}"],
)
async def test_questions_that_make_no_sense(stash, plex, tmp_path, q):
    async with asking(stash, plex, tmp_path) as explain:
        document = await explain(q, status=400)

    assert document["code"] == "invalid_request"
    assert "scene:ID, plex:RATINGKEY or a path" in document["message"]


async def test_the_command_says_it_in_lines(stash, plex, tmp_path, capsys):
    from stash2plex.cli import main

    stash.add("/data/one.mp4", title="<b>", details="It", size=1234)
    stash.add("/data/b.mp4", title="T" * 300, details="It")
    plex.add("/media/one.mp4", size=1234)
    async with asking(stash, plex, tmp_path, path_rules=RULES) as explain:
        await explain.daemon.deliver(1)
        stash.change(1, title="New")
        config = tmp_path / "config.toml"
        config.write_text(
            f"[server]\nport = {explain.daemon.settings.server.port}\n"
            'host = "127.0.0.1"\ntoken = "test-token"\n'
        )

        async def told(*words):
            given = ["--config", str(config), "explain", *words]
            assert await asyncio.to_thread(main, given) == 0
            return capsys.readouterr().out

        text = await told("scene:1")
        document = json.loads(await told("plex:1", "--json"))
        path = await told("/data/one.mp4")
        lacking = await told("scene:2")

    assert "scene:1: differs: a delivery would change title" in text
    assert "in Plex: /media/one.mp4 (rule two): item 1" in text
    assert "item 1 by path (100), chosen: /media/one.mp4, 1,234 bytes" in text
    assert "title: '<b>' -> 'New'" in text
    assert "delivered: item 1 at " in text
    assert document["verdict"]["state"] == "differs"
    assert "as a path of Stash, in Plex: /media/one.mp4 (rule two)" in path
    assert "in Stash: /data/one.mp4 (rule two): scene 1" in path
    assert "match: none: Plex has no item" in lacking
