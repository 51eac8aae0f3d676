"""``reconcile``, ``gaps`` and ``sync`` on the command line, and what a dry run says."""

from __future__ import annotations

import asyncio
import csv
import io
import json

import pytest

from stash2plex.cli import main
from stash2plex.sandbox.scenes import cover
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.running import running


@pytest.fixture
async def said(stash, plex, tmp_path, capsys):
    """A daemon with three scenes, and what commands print about it."""
    for number in (1, 2, 3):
        sample(stash, plex, number)
    settings = make_settings(stash, plex, tmp_path)
    file = tmp_path / "config.toml"
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        file.write_text(
            f'[server]\nhost = "127.0.0.1"\nport = {settings.server.port}\n'
            'token = "test-token"\n'
        )

        async def say(*arguments, status=0):
            words = ["--config", str(file), *map(str, arguments)]
            try:
                found = await asyncio.to_thread(main, words)
            except SystemExit as error:
                found = error.code
            assert found == status
            return capsys.readouterr().out

        say.daemon = daemon
        yield say


async def test_reconcile(said, stash, plex):
    stash.add("/media/only.mp4", title="x", details="y")
    out = await said("reconcile", "--dry-run")
    assert "4 scenes and 3 items compared (all)." in out
    assert "empty                    3 (a delivery mends it)" in out
    assert "missing_in_plex          1\n" in out
    assert out.endswith("3 would be enqueued.\n")
    assert plex.count("PUT") == 0

    run = json.loads(await said("reconcile", "--json"))
    await said.daemon.idle()
    assert (run["state"], run["enqueued"]) == ("done", 3)
    out = await said("reconcile", "--scope", "24h", "--only-empty")
    assert "0 enqueued." in out


async def test_a_run_that_fails_is_told_with_status_1(said, plex):
    plex.read_status_of["/library/sections"] = 500
    out = await said("reconcile", status=1)

    assert "failed: Plex: HTTP 500" in out


async def test_gaps(said, stash):
    for number in range(3):
        stash.add(f'/media/"{number}", only.mp4', title="x", details="y")
    await said("reconcile")
    out = await said("gaps", "--kind", "missing_in_plex", "--limit", 1)
    assert out.count("\n") == 2
    assert out.startswith("3 gaps, 1 of them here")
    rows = list(csv.DictReader(io.StringIO(await said("gaps", "--csv"))))
    paths = {row["path"] for row in rows if row["kind"] == "missing_in_plex"}
    assert paths == {f'/media/"{number}", only.mp4' for number in range(3)}
    page = json.loads(await said("gaps", "--json", "--limit", 2, "--offset", 2))
    assert page["total"] >= 3
    await said.daemon.idle()
    resolved = json.loads(await said("gaps", "--resolved", "--json"))
    assert {one["kind"] for one in resolved["gaps"]} == {"empty"}
    assert all(one["resolved_at"] for one in resolved["gaps"])


async def test_sync(said, plex):
    assert await said("sync", "--scene", 1, 2) == "2 scenes enqueued.\n"
    await said.daemon.idle()
    assert await said("sync", "--since", "24h") == "3 scenes enqueued.\n"
    assert await said("sync", "--all") == "3 scenes enqueued.\n"
    await said.daemon.idle()
    assert plex.items[3].text["title"] == "Title 3"


async def test_sync_dry_run_prints_what_would_be_written(said, stash, plex):
    out = await said("sync", "--scene", 1, "--scene", 99, "--dry-run")
    assert "scene 1, item 1:" in out
    assert "  title: '1' -> 'Title 1'" in out
    assert "  summary: nothing -> 'Text'" in out
    assert "scene 99: not delivered: gone from Stash" in out
    assert out.endswith("2 scenes looked at, 1 item would change.\n")
    assert plex.count("PUT") == 0

    await said("sync", "--scene", 1)
    await said.daemon.idle()
    out = await said("sync", "--scene", 1, "--dry-run")
    assert out == "1 scene looked at, 0 items would change.\n"


@pytest.mark.parametrize(
    "words",
    [
        ("sync",),
        ("sync", "--all", "--scene", "1"),
        ("sync", "--since", "1h"),
        ("sync", "--scene", "0"),
        ("reconcile", "--scope", "1h"),
        ("gaps", "--kind", "odd"),
        ("gaps", "--limit", "1001"),
        ("gaps", "--offset", "-1"),
    ],
)
async def test_wrong_usage_ends_with_2(said, words):
    await said(*words, status=2)


async def test_what_is_shown_is_what_is_written(stash, plex, tmp_path):
    """Every field, removals, pictures: the difference and then the delivery."""
    _, item = sample(
        stash, plex, 1, studio="North", tags=["a"], rating100=80, cover=cover(1)
    )
    everything = {"fields": {"poster": True, "background": True}}
    settings = make_settings(stash, plex, tmp_path, sync=everything)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()

        async def differences(**more):
            body = {"scene_ids": [1], "dry_run": True, **more}
            return (await daemon.post("sync", body, 200))["differences"]

        await daemon.deliver(1)
        assert await differences() == []
        stash.change(1, studio="", tags=["b"], rating100=None, cover=None, title="New")
        plex.requests.clear()
        (found,) = await differences()
        assert plex.count("PUT") == plex.count("POST") == plex.count("DELETE") == 0
        before = {name: item.text.get(name, "") for name in ("title", "studio")}
        await daemon.deliver(1)

    changes = {one["field"]: (one["before"], one["after"]) for one in found["changes"]}
    assert changes.pop("title") == (before["title"], "New")
    assert changes.pop("titleSort")[1] == "New"
    assert changes.pop("studio") == (before["studio"], "")
    assert changes.pop("genre") == (["a"], ["b"])
    assert changes.pop("collection") == (["North"], [])
    assert changes.pop("userRating") == ("8.0", "")
    assert {name: after for name, (_, after) in changes.items()} == {
        "thumb": "",
        "art": "",
    }
    assert item.text["title"] == "New"
    assert item.text["userRating"] == ""
    assert item.selected == {}


async def test_why_a_scene_would_not_be_delivered(stash, plex, tmp_path):
    stash.add("/media/1.mp4", scene_id=1)
    stash.add(None, scene_id=2, details="x")
    stash.add("/media/nowhere.mp4", scene_id=3, details="x")
    sample(stash, plex, 4)
    stash.failing[4] = "database is locked"
    async with running(make_settings(stash, plex, tmp_path), stash, plex) as daemon:
        await daemon.cataloged()
        answer = await daemon.post("sync", {"scope": "all", "dry_run": True}, 200)
        reasons = {one["scene"]: one["reason"] for one in answer["differences"]}
        assert reasons[1] == "no metadata yet"
        assert reasons[2] == "no files"
        assert reasons[3].startswith("Plex has no item with the file")
        assert reasons[4] == "Stash: database is locked"
        assert answer["complete"]
        stash.status = 503
        told = await daemon.post("sync", {"scene_ids": [1], "dry_run": True}, 503)
        assert told["code"] == "service_unavailable"
        await daemon.post("sync", {"scope": "all", "dry_run": "yes"}, 400)
