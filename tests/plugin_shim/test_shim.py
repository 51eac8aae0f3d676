"""The plugin as Stash runs it: a process with JSON on its standard input."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from stash2plex.plugin import plugin_folder
from stash2plex.sandbox.plugin_runs import PLUGIN_ID
from stash2plex.sandbox.server import serving
from tests.end_to_end.test_delivery import sample

SHIM = plugin_folder() / f"{PLUGIN_ID}.py"


async def run(
    message: Any, raw: bytes | None = None
) -> tuple[dict[str, Any], list[str], float]:
    """Run the shim; returns its result, its log lines, and how long it took."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        str(SHIM),
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
    stash.plugin = SHIM
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
            {"fields": ["id", "title"]},
        ),
        (
            "Scene.Update.Post",
            [NULLS, NULLS],
            ["id", "organized"],
            {"fields": ["id", "organized"]},
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
    stash.plugin = SHIM
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
    assert seconds < 1.0


async def test_a_wrong_token_is_named(daemon, stash):
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": daemon.url, "daemonToken": "wrong"}

    _, (line,), _ = await run(hook(stash, "Scene.Update.Post", 45, NULLS, ["title"]))

    assert "setting Daemon token" in line
    assert "wrong" not in line.replace("wrong token", "")


async def test_something_else_than_the_daemon_is_named(stash, plex):
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": stash.url}

    _, (line,), _ = await run(hook(stash, "Scene.Update.Post", 45, NULLS, ["title"]))

    assert "is not the daemon" in line


async def test_a_daemon_that_hangs_does_not_keep_the_user_waiting(stash, plex):
    plex.hangs = True
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": plex.url}

    result, (line,), seconds = await run(
        hook(stash, "Scene.Update.Post", 45, NULLS, ["title"])
    )

    assert result == {"output": "ok"}
    assert "no daemon at" in line
    assert seconds < 1.5  # one second, and a start of Python under load


async def test_a_stash_that_refuses_its_own_plugin(stash):
    stash.status = 401

    result, (line,), _ = await run(
        hook(stash, "Scene.Update.Post", 45, NULLS, ["title"])
    )

    assert result == {"output": "ok"}
    assert "Stash answered HTTP 401" in line


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[]", b"not json", b"\xff", b'{"args": null}']
)
async def test_whatever_comes_in_nothing_breaks(raw):
    result, _, _ = await run(None, raw)

    assert set(result) == {"output", "error"}


async def test_show_status_prints_readable_lines(daemon, stash, plex):
    stash.plugin_settings[PLUGIN_ID] = {
        "daemonUrl": daemon.url,
        "daemonToken": "test-token",
    }
    await daemon.cataloged()

    message = {"server_connection": stash.connection(), "args": {"mode": "status"}}
    result, log, _ = await run(message)

    assert result["output"]["queue"]["dead"] == 0
    assert 5 <= len(log) < 30
    assert all(line.startswith("\x01i\x02") for line in log)
    assert any("Plex: up (circuit closed)" in line for line in log)


async def test_a_task_that_fails_says_what_to_do(stash):
    stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": "http://127.0.0.1:9"}

    message = {"server_connection": stash.connection(), "args": {"mode": "status"}}
    result, _, _ = await run(message)

    assert result["output"] is None
    assert "See the setting Daemon URL" in result["error"]


async def test_an_unknown_mode_is_refused(stash):
    result, _, _ = await run(
        {"server_connection": stash.connection(), "args": {"mode": "x"}}
    )

    assert result["error"].startswith("unknown mode 'x'; known are clear_queue, dead,")


def test_the_shim_imports_only_what_is_quick():
    source = Path(SHIM).read_text()
    imports = [
        line for line in source.splitlines() if line.startswith(("import", "from"))
    ]

    modules = ["_thread", "json", "os", "socket", "sys", "time"]
    assert imports == [f"import {module}" for module in modules]
