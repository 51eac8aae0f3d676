"""Hooks over HTTP as Stash runs them: a process with JSON on its standard input."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import sys
import time
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from stash2plex.plugin import HTTP_HOOKS, PLUGIN_ID, TASKS, Plugin
from stash2plex.sandbox.server import serving
from tests.end_to_end.test_delivery import sample
from tests.patience import patient


def script_of(plugin: Plugin) -> Path:
    return plugin.folder / f"{plugin.id}.py"


def is_hook(message: Any) -> bool:
    return "hookContext" in ((message or {}).get("args") or {})


async def run(
    message: Any, raw: bytes | None = None, *, script: Path | None = None
) -> tuple[dict[str, Any], list[str], float]:
    """Run the shim; returns its result, its log lines, and how long it took."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        str(script or script_of(HTTP_HOOKS if is_hook(message) else TASKS)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(
        raw if raw is not None else json.dumps(message).encode()
    )
    assert process.returncode == 0
    assert b"Traceback" not in err
    return json.loads(out), err.decode().splitlines(), loop.time() - started


def hook(stash, kind, entity, given, fields=None):
    context = {"id": entity, "type": kind, "input": given}
    if fields:
        context["inputFields"] = fields
    return {"server_connection": stash.connection(), "args": {"hookContext": context}}


@pytest.fixture
async def heard():
    """A daemon that only listens: what the shim posts, as it posts it."""
    posts: list[tuple[str | None, dict[str, Any]]] = []
    app = web.Application()

    async def receive(request: web.Request) -> web.Response:
        posts.append((request.headers.get("Authorization"), await request.json()))
        return web.json_response({"outcome": "queued", "reason": None}, status=202)

    app.add_routes([web.post("/api/v1/hooks", receive)])
    async with serving(app) as url:
        yield posts, url


@pytest.fixture
def installed(stash, heard):
    posts, url = heard
    stash.put_plugin(HTTP_HOOKS.folder)
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": f"{url}/", "daemonToken": "tok"}
    return posts


NULLS = dict.fromkeys(("title", "details", "cover_image", "tag_ids"))


@pytest.mark.parametrize(
    ("kind", "given", "fields", "expected"),
    [
        (
            "Scene.Update.Post",
            NULLS | {"id": "45"},
            ["id", "title"],
            {"fields": ["title"]},
        ),
        (
            "Scene.Update.Post",
            [NULLS, NULLS],
            ["id", "organized"],
            {"fields": ["organized"]},
        ),
        (
            "Scene.Update.Post",
            {"ids": ["1"], "tag_ids": {"mode": "ADD"}},
            ["ids"],
            {"fields": ["ids"]},
        ),
        (
            "Scene.Update.Post",
            {"cover_image": "A" * 5_000_000},
            ["cover_image"],
            {"fields": ["cover_image"]},
        ),
        ("Scene.Update.Post", None, None, {}),
        ("Scene.Create.Post", None, None, {}),
        (
            "Scene.Destroy.Post",
            {"id": "", "checksum": "", "oshash": "d94f", "path": "/data/\u00e9.mp4"},
            None,
            {"files": {"path": "/data/\u00e9.mp4", "oshash": "d94f", "checksum": ""}},
        ),
        ("Performer.Destroy.Post", ["12", "13"], None, {}),
        ("Tag.Merge.Post", {"source": ["1"], "destination": "2"}, None, {}),
    ],
)
async def test_every_shape_of_hook_is_forwarded(
    stash, installed, kind, given, fields, expected
):
    result, log, _ = await run(hook(stash, kind, 45, given, fields))

    assert result == {"output": "ok"}
    assert log == []
    assert installed == [("Bearer tok", {"type": kind, "id": 45} | expected)]


async def test_the_daemon_takes_what_the_shim_sends(daemon, stash, plex):
    scene, item = sample(stash, plex)
    stash.put_plugin(HTTP_HOOKS.folder)
    stash.plugin_settings[PLUGIN_ID] = {
        "daemonUrl": daemon.url,
        "daemonToken": "test-token",
    }

    await stash.edit(scene.id, title="Edited", tags=["new"])
    await daemon.idle()

    assert item.text["title"] == "Edited"
    assert item.tags["genre"] == ["new"]
    assert stash.plugin_log == []


@pytest.mark.parametrize(
    ("url", "token", "reason"),
    [
        ("http://127.0.0.1:9", "t", "no daemon at http://127.0.0.1:9"),
        ("127.0.0.1:9898", "t", "must look like http://127.0.0.1:9898"),
        ("http://host:port", "t", "must look like"),
        ("ftp://x", "t", "must look like"),
        ("http://127.0.0.1:9", "t\r\nX: y", "no HTTP header may have"),
    ],
)
async def test_a_daemon_that_is_away_is_one_warning(stash, url, token, reason):
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": url, "daemonToken": token}

    result, log, seconds = await run(
        hook(stash, "Scene.Update.Post", 45, NULLS, ["title"])
    )

    assert result == {"output": "ok"}
    (line,) = log
    assert line.startswith("\x01w\x02Scene.Update.Post of 45 was not forwarded: ")
    assert reason in line
    assert seconds < patient(1.0)


async def test_a_wrong_token_is_named(daemon, stash):
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": daemon.url, "daemonToken": "wrong"}

    _, (line,), _ = await run(hook(stash, "Scene.Update.Post", 45, NULLS, ["title"]))

    assert "setting Daemon token" in line
    assert "wrong" not in line.replace("wrong token", "")


async def test_something_else_than_the_daemon_is_named(stash, plex):
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": stash.url}

    _, (line,), _ = await run(hook(stash, "Scene.Update.Post", 45, NULLS, ["title"]))

    assert "is not the daemon" in line


def port_of(stash) -> int:
    return stash.connection()["Port"]


async def saved(stash) -> tuple[list[str], float]:
    """Run the hook of a save; returns what it logged and how long it took."""
    message = hook(stash, "Scene.Update.Post", 45, NULLS, ["title"])
    result, log, seconds = await run(message)
    assert result == {"output": "ok"}
    return log, seconds


async def test_a_daemon_that_hangs_costs_one_timeout(stash, plex):
    plex.hangs = True
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": plex.url}

    (line,), seconds = await saved(stash)
    assert "no answer" in line
    assert 0.8 <= seconds < 1.5  # one second, and a start of Python under load
    asked = stash.asked
    # Left alone from then on, and nothing is even asked about it.
    assert (await saved(stash))[0] == []
    assert stash.asked == asked


@pytest.mark.parametrize("age", [15.5, -1.0, 1e9], ids=["old", "ahead", "ancient"])
async def test_it_is_left_alone_for_a_while_only(
    stash, installed, temporary_folder, age
):
    marker = temporary_folder / f"stash2plexd-{os.getuid()}-{port_of(stash)}-no-answer"
    marker.touch()
    moment = time.time() - age
    os.utime(marker, (moment, moment))

    assert (await saved(stash))[0] == []
    assert len(installed) == 1


async def test_a_slow_stash_is_no_daemon_that_hangs(stash, installed, temporary_folder):
    stash.latency = 2.0
    (line,), _ = await saved(stash)
    assert "no answer in time" in line or "Stash did not tell" in line
    stash.latency = 0.0
    assert (await saved(stash))[0] == []
    assert len(installed) == 1
    assert list(temporary_folder.iterdir()) == []


async def test_what_others_put_in_the_marker_s_place(stash, plex, temporary_folder):
    """It is neither followed, nor waited for, nor believed."""
    plex.hangs = True
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": plex.url}
    marker = temporary_folder / f"stash2plexd-{os.getuid()}-{port_of(stash)}-no-answer"
    victim = temporary_folder / "victim"
    victim.touch()
    os.utime(victim, (1, 1))
    for put in (lambda: os.mkfifo(marker), lambda: marker.symlink_to(victim)):
        put()
        (line,), seconds = await saved(stash)
        assert "no answer" in line
        assert seconds < patient(1.5)
        marker.unlink()
    assert victim.stat().st_mtime == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [("{plex}", "which is Plex"), ("{daemon}/path", "the daemon has no path")],
)
async def test_a_daemon_that_is_another_server(stash, plex, daemon, url, words):
    url = url.format(plex=plex.url, daemon=daemon.url)
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": url, "daemonToken": "test-token"}

    (line,), _ = await saved(stash)
    assert words in line


async def test_a_folder_that_takes_no_marker_is_no_error(stash, plex, monkeypatch):
    plex.hangs = True
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": plex.url}
    monkeypatch.setenv("TMPDIR", "/nonexistent/folder")

    for _ in range(2):
        (line,), _ = await saved(stash)
        assert "no answer" in line


async def test_a_refused_connection_is_tried_each_time(stash):
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": "http://127.0.0.1:9"}

    for _ in range(2):
        (line,), _ = await saved(stash)
        assert "no daemon at http://127.0.0.1:9" in line


async def test_its_own_settings_win_where_they_are_set(stash, heard):
    posts, url = heard
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": url, "daemonToken": "theirs"}
    await saved(stash)
    stash.plugin_settings[HTTP_HOOKS.id] = {"daemonToken": "ours", "daemonUrl": ""}
    await saved(stash)
    stash.plugin_settings[PLUGIN_ID]["daemonUrl"] = "http://127.0.0.1:9"
    stash.plugin_settings[HTTP_HOOKS.id]["daemonUrl"] = url
    await saved(stash)

    assert [token for token, _ in posts] == [
        "Bearer theirs",
        "Bearer ours",
        "Bearer ours",
    ]


WITH_PASSWORDS = """http://user:hunter2@127.0.0.1:9 user:hunter2@127.0.0.1:9
//user:hunter2@h http:user:hunter2@h:1 http://user:hunter2/x@127.0.0.1:9
http:/user:hunter2@h http//user:hunter2@h http://user:hunter2@[::1""".split()


@pytest.mark.parametrize("url", WITH_PASSWORDS)
async def test_a_password_is_never_logged(stash, url):
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": url}

    (line,), _ = await saved(stash)
    assert "hunter2" not in line
    assert "must look like" in line
    message = {"server_connection": stash.connection(), "args": {"mode": "status"}}
    result, log, _ = await run(message)
    assert log == []
    assert "hunter2" not in result["error"]


@pytest.mark.parametrize("plugin", [HTTP_HOOKS, TASKS], ids=lambda one: one.id)
async def test_a_python_that_is_too_old_is_named(plugin, tmp_path):
    """Run as that Python would: what needs a newer one is not even reached."""
    script = script_of(plugin)
    ast.parse(script.read_text(), feature_version=(3, 4))
    old = tmp_path / "old.py"
    old.write_text(
        "import runpy, sys\nsys.version_info = (3, 6, 8)\n"
        f"runpy.run_path({str(script)!r}, run_name='__main__')\n"
    )
    result, log, _ = await run({}, script=old)

    assert log == []
    assert "Stash runs Python 3.6, and this needs 3.9 or newer" in result["error"]


async def test_a_stash_that_refuses_its_own_plugin(stash):
    stash.status = 401

    result, (line,), _ = await run(
        hook(stash, "Scene.Update.Post", 45, NULLS, ["title"])
    )

    assert result == {"output": "ok"}
    assert "Stash answered HTTP 401" in line


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"not json",
        b"\xff",
        b'{"args": null}',
        b'{"args": "x"}',
        b'{"args": {"hookContext": "x"}}',
        b'{"args": {"hookContext": [1]}}',
        b'{"server_connection": 5, "args": {"hookContext": {"id": 1}}}',
    ],
)
@pytest.mark.parametrize("plugin", [TASKS, HTTP_HOOKS], ids=attrgetter("id"))
async def test_whatever_comes_in_nothing_breaks(raw, plugin):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script_of(plugin)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(raw)

    assert set(json.loads(out)) == {"output", "error"}
    assert b"Traceback" not in out + err


def test_the_shim_imports_only_what_is_quick():
    source = script_of(HTTP_HOOKS).read_text()
    imports = [
        line for line in source.splitlines() if line.startswith(("import", "from"))
    ]

    modules = ["_thread", "json", "os", "socket", "stat", "sys", "time"]
    assert imports == [f"import {module}" for module in modules]
