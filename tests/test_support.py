"""A bug report, and a log that hides paths: nothing private is in either."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile

import aiohttp
import pytest

from stash2plex.cli import main
from tests.conftest import free_port
from tests.end_to_end.test_process import TOKEN, started
from tests.patience import patient

# Whatever holds one of these is private.
MARKS = ("Private", "Geheim", "秘密", "nas.example.org")
SECRETS = ("process-token", "pretend-plex-token", "the-api-key", "provider-secret")


@pytest.fixture
def config(stash, plex, tmp_path):
    stash.api_key = "the-api-key"
    file = tmp_path / "Private folder" / "config.toml"
    file.parent.mkdir()
    file.write_text(
        f'[server]\nhost = "127.0.0.1"\nport = {free_port()}\ntoken = "process-token"\n'
        f'[stash]\nurl = "{stash.url}"\napi_key = "the-api-key"\n'
        f'[plex]\nurl = "{plex.url}"\ntoken = "{plex.token}"\n'
        '[provider]\nsecret = "provider-secret"\n'
        'public_url = "http://nas.example.org:9898"\n'
        '[sync]\nexclude_tag = "Private tag"\n'
        '[log]\nlevel = "debug"\nobfuscate_paths = true\n'
        "[queue]\nnot_found_base = 3600\nnot_found_cap = 3600\n"
        "[[path_rules]]\nname = 'Private rule'\n"
        "stash = '^/data/Private films/(?P<rest>.+)$'\n"
        "plex = '^/media/Geheim/(?P<rest>.+)$'\n"
    )
    return file


def fill(stash, plex):
    """Scenes that arrive, that are missing, that no rule covers, that die."""
    plex.sections[1] = "Private library"
    for number in (1, 2, 3):
        stash.add(
            f"/data/Private films/Private {number}.mp4",
            title=f"Private title {number} 'quoted'",
            details="Private details",
            tags=["Private genre"],
            performers=["Private Person"],
            studio="Private Studio",
        )
    plex.add("/media/Geheim/Private 1.mp4")
    plex.add("/media/Geheim/Private 2.mp4")
    plex.add("/media/Geheim/orphan 秘密.mp4")
    stash.add("/elsewhere/Private's/秘密 film.mp4", title="秘密", details="x")
    stash.failing[3] = "a resolver failed at '/data/Private films/Private 3.mp4'"
    plex.status_of[2] = 409


async def busy(daemon, stash, plex):
    """Have the daemon do all that it does."""
    async with aiohttp.ClientSession(headers=TOKEN) as session:

        async def post(route, body):
            url = f"{daemon.url}/api/v1/{route}"
            async with session.post(url, json=body) as answer:
                return await answer.json()

        await post("sync", {"scope": "all"})
        async with asyncio.timeout(patient(20)):
            while True:
                async with session.get(f"{daemon.url}/api/v1/status") as answer:
                    status = await answer.json()
                if status["gaps"]["unmapped"] and status["queue"]["dead"]:
                    break
                await asyncio.sleep(0.05)
        run = await post("reconcile", {})
        for path in ("/Private/秘密.mp4", "/media/Geheim/Private 1.mp4"):
            url = f"{daemon.url}/plex/provider-secret/library/metadata/matches"
            body = {"type": 1, "filename": path, "title": "Private title"}
            async with session.post(url, json=body) as answer:
                await answer.read()
        async with asyncio.timeout(patient(20)):
            while True:
                url = f"{daemon.url}/api/v1/reconcile/{run['run']}"
                async with session.get(url) as answer:
                    if (await answer.json())["state"] != "running":
                        break
                await asyncio.sleep(0.05)
        async with session.post(
            f"{daemon.url}/api/v1/sync", json={"scene_ids": ["Private"]}
        ) as answer:
            assert answer.status == 400


def clean(text):
    for mark in (*MARKS, *SECRETS):
        assert mark not in text, text[max(0, text.index(mark) - 300) :][:600]


async def test_neither_the_log_nor_the_report_holds_anything_private(
    config, stash, plex, tmp_path, capsys
):
    fill(stash, plex)
    report = tmp_path / "report.zip"
    async with started(config) as daemon:
        await daemon.ready()
        await busy(daemon, stash, plex)
        given = ["--config", str(config), "support", str(report)]
        assert await asyncio.to_thread(main, given) == 0
        daemon.process.terminate()
        await daemon.process.wait()
        log = await asyncio.to_thread(daemon.log.read_text)

    events = {json.loads(line)["event"] for line in log.splitlines()}
    assert {
        "scene_delivered",
        "scene_read",
        "scene_matched",
        "job_buried",
        "match_answered",
        "reconcile_ended",
    } <= events
    clean(log)
    assert "***" not in report.name
    with zipfile.ZipFile(io.BytesIO(report.read_bytes())) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert set(parts) == {
        "about.txt",
        "versions.json",
        "config.json",
        "check.json",
        "status.json",
        "dead.json",
        "queue.json",
        "gaps.json",
        "outages.json",
        "log.jsonl",
    }
    for text in parts.values():
        clean(text)
    # And it says something nevertheless, in the words of the log.
    settings = json.loads(parts["config.json"])
    assert settings["plex"]["token"] == settings["stash"]["api_key"] == "***"
    assert settings["stash"]["url"] == stash.url
    (rule,) = settings["path_rules"]
    word = rule["stash"].removeprefix("^/").partition("/")[2].partition("/")[0]
    assert rule["stash"].endswith(f"/{word}/(?P<rest>.+)$")
    assert f"/{word}/" in log
    assert json.loads(parts["status.json"])["queue"]["dead"]
    assert json.loads(parts["versions.json"])["stash2plex"]
    assert len(parts["log.jsonl"].splitlines()) > 20
    # The words are those of the data directory: the next report has the same.
    async with started(config) as daemon:
        await daemon.ready()
        assert await asyncio.to_thread(main, [*given[:-1], str(report)]) == 0
    with zipfile.ZipFile(report) as archive:
        again = json.loads(archive.read("config.json"))
    assert again["path_rules"] == settings["path_rules"]


async def test_a_report_without_a_daemon(config, stash, plex, tmp_path, capsys):
    fill(stash, plex)
    report = tmp_path / "report.zip"
    given = ["--config", str(config), "support", str(report)]
    assert await asyncio.to_thread(main, given) == 0

    assert "The daemon does not answer" in capsys.readouterr().out
    with zipfile.ZipFile(report) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert "check.json" in parts
    assert "start it with 'stash2plex run'" in parts["daemon.json"]
    for text in parts.values():
        clean(text)


async def test_where_it_cannot_be_written(config, stash, plex, tmp_path, capsys):
    given = ["--config", str(config), "support", str(tmp_path / "no" / "x.zip")]
    assert await asyncio.to_thread(main, given) == 1

    assert "name another file [report_not_written]" in capsys.readouterr().err
