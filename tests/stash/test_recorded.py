"""The pretend Stash says what a real one said."""

from __future__ import annotations

import json

import aiohttp
import pytest

from stash2plex.sandbox.server import serving
from stash2plex.sandbox.stash import PretendStash
from tests.stash import replay
from tests.stash.differences import DIFFERENCES

LISTED = {name: why for why, names in DIFFERENCES.items() for name in names.split()}


async def test_every_recorded_question_is_answered_as_recorded():
    stash, differing, seen = replay.fresh(), {}, set()
    async with serving(stash.app) as url, aiohttp.ClientSession() as session:
        stash.url = url
        for record in replay.records("answers-snapshot.jsonl"):
            name = record["name"]
            seen.add(name)
            if name == "create-tag":
                replay.describe(stash)
            if name == "login-graphql-key-none":
                stash.api_key = replay.KEY
            said, wanted = (
                await replay.said(session, stash, record),
                replay.recorded(record),
            )
            if said != wanted:
                differing[name] = (said, wanted)
    unlisted = {name: pair for name, pair in differing.items() if name not in LISTED}
    assert not unlisted, json.dumps(unlisted, indent=1)[:4000]
    assert seen & LISTED.keys() == differing.keys(), "listed, and the same by now"
    assert seen >= LISTED.keys()


@pytest.mark.parametrize("state", ["NEEDS_MIGRATION", "SETUP"])
async def test_a_stash_that_waits_answers_all_but_what_reads_its_library(state):
    stash = PretendStash(release="v0.30.1")
    stash.state = state
    stash.plugin_settings["stash2plexd"] = {
        "daemonToken": "daemon-token",
        "daemonUrl": "http://127.0.0.1:9999",
    }
    stash.other_plugins["stash2plexd"] = True
    compared = 0
    async with serving(stash.app) as url, aiohttp.ClientSession() as session:
        for record in replay.records("release-v0.30.1-needs-migration.jsonl"):
            if "Probe" in record["name"] or "status" not in record:
                continue  # the schema is its own
            async with session.post(
                f"{url}/graphql",
                json=record["request"],
                headers={"Accept": "application/json"},
            ) as answer:
                assert (answer.status, await answer.json()) == (
                    record["status"],
                    record["answer"],
                ), record["name"]
            compared += 1
        assert compared == 6
        async with session.get(f"{url}/scene/1/screenshot") as answer:
            assert (answer.status, await answer.read()) == (500, b"")


MISFITS = {
    "unknown-field-in-query": ("query Q { findScene(id: 1) { custom_fields } }", {}),
    "unknown-field-in-variable": (
        "query Q($f: SceneFilterType) { findScenes(scene_filter: $f) { count } }",
        {"f": {"OR": {"files_filter": {}}}},
    ),
    "wrong-enum-in-variable": (
        "query Q($f: FindFilterType) { findScenes(filter: $f) { count } }",
        {"f": {"direction": "SIDEWAYS"}},
    ),
}


@pytest.mark.parametrize(
    "record", replay.records("release-misfits.jsonl"), ids=lambda one: one["name"]
)
async def test_what_does_not_fit_its_schema_is_refused_as_recorded(record):
    stash = PretendStash(release="v0.29.3")
    document, variables = MISFITS[record["name"]]
    asked = {"query": document, "variables": variables}
    async with (
        serving(stash.app) as url,
        aiohttp.ClientSession(headers={"Accept": "application/json"}) as session,
        session.post(f"{url}/graphql", json=asked) as answer,
    ):
        said = await answer.json()
    assert answer.status == record["status"]
    for error in (*said["errors"], *record["answer"]["errors"]):
        error.pop("locations", None)
    assert said == record["answer"]


async def test_a_socket_tells_in_both_protocols():
    stash = PretendStash()
    told = []
    asked = {"query": "subscription { scanCompleteSubscribe }"}
    async with serving(stash.app) as url, aiohttp.ClientSession() as session:
        for protocol, start in (
            ("graphql-transport-ws", "subscribe"),
            ("graphql-ws", "start"),
        ):
            async with session.ws_connect(
                f"{url}/graphql", protocols=[protocol]
            ) as socket:
                await socket.send_json({"type": "connection_init"})
                await socket.send_json({"id": "1", "type": start, "payload": asked})
                await stash.facts.until(lambda: any(stash.subscriptions.open.values()))
                stash.subscriptions.tell_scan_completed()
                stash.subscriptions.fault = "no"
                await socket.send_json({"id": "2", "type": start, "payload": asked})
                frames = []
                while not frames or frames[-1].get("type") != "complete":
                    frames.append(json.loads(await socket.receive_str()))
                told.append([one["type"] for one in frames])
                stash.subscriptions.fault = ""
    assert told == [
        ["connection_ack", "next", "error", "complete"],
        ["connection_ack", "ka", "data", "error", "complete"],
    ]
