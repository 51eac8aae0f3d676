"""Every task of the plugin, as Stash runs it, against the real daemon."""

from __future__ import annotations

import asyncio
import json
import os
import re

import pytest
from aiohttp import web

from stash2plex.plugin import PLUGIN_ID, TASKS, install
from stash2plex.sandbox.server import serving
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.plugin_shim.test_shim import run, script_of
from tests.running import running

NAMES = """Show Status · Process Queue · Clear Pending Queue · Show Dead Letters ·
Retry Dead Letters · Clear Dead Letters · Purge Old Dead Letters ·
Recover Outage Failures · Sync All Scenes · Sync Recent Scenes · Reconcile (All) ·
Reconcile (Last 24 Hours) · Reconcile (Last 7 Days) · Show Gaps · Health Check ·
Outage Report"""


def manifest() -> dict[str, dict[str, str]]:
    """The tasks of the manifest with their arguments, all text as Stash sends them."""
    text = (TASKS.folder / f"{PLUGIN_ID}.yml").read_text().partition("tasks:\n")[2]
    tasks = {}
    for block in text.split("  - name: ")[1:]:
        name, _, rest = block.partition("\n")
        found = re.findall(r'^      (\w+): "?([^"\n]+)"?$', rest, re.MULTILINE)
        tasks[name] = dict(found)
    return tasks


@pytest.fixture
def threshold():
    """How many failures open the circuit."""
    return 3


@pytest.fixture
async def told(stash, plex, tmp_path, threshold):
    """A daemon with ten scenes, a gap and a dead letter, and what the plugin says."""
    for number in range(1, 11):
        sample(stash, plex, number)
    stash.add("/media/only.mp4", scene_id=50, title="<script>", details="x")
    plex.status_of[3] = 409
    settings = make_settings(
        stash,
        plex,
        tmp_path,
        queue={"not_found_base": 36_000.0, "not_found_cap": 36e3},
        outage={"failure_threshold": threshold},
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        stash.plugin_settings[PLUGIN_ID] = {
            "daemonUrl": daemon.url,
            "daemonToken": "test-token",
        }

        async def tell(**args):
            message = {"server_connection": stash.connection(), "args": args}
            result, log, _ = await run(message)
            lines = [line[3:] for line in log if line[1] != "p"]
            progress = [float(line[3:]) for line in log if line[1] == "p"]
            assert len(lines) < 30
            assert all(len(line) < 4000 for line in lines)
            assert all(0 <= one <= 1 for one in progress)
            return result, lines, progress

        tell.daemon = daemon
        yield tell


def test_the_tasks_have_their_names():
    assert list(manifest()) == re.split(r"\s*·\s*", NAMES)


@pytest.mark.parametrize("name", list(manifest()))
async def test_every_task_works(told, name):
    args = manifest()[name]
    result, lines, progress = await told(**args)

    assert "error" not in result
    assert isinstance(result["output"], dict)
    assert lines
    assert bool(progress) == ("follow" in args)
    assert not progress or progress[-1] == 1.0


async def test_a_day_with_the_tasks(told, plex):
    _, lines, progress = await told(**manifest()["Sync All Scenes"])
    assert lines[0] == "11 scenes enqueued"
    assert "9 scenes" in lines[-1]
    assert lines[-1].startswith("1 job waits for another try; since its start ")
    assert lines[-1].endswith("; 1 dead")
    assert progress[-1] == 1.0
    # The newest line is the first that Stash shows.
    _, lines, _ = await told(**manifest()["Show Dead Letters"])
    assert lines[-1] == "1 dead letter"
    assert lines[0].startswith("scene 3: request_rejected, 1 attempt, last ")
    _, lines, _ = await told(**manifest()["Reconcile (All)"])
    assert lines[-1].startswith("11 scenes and 10 items compared, ")
    assert "missing_in_plex: 1" in lines
    _, lines, _ = await told(**manifest()["Show Gaps"])
    assert any("missing_in_plex: scene 50 /media/only.mp4" in line for line in lines)
    plex.status_of.clear()
    _, lines, _ = await told(**manifest()["Retry Dead Letters"])
    assert lines[0] == "1 dead letter tried again"
    assert plex.items[3].text["title"] == "Title 3"
    _, lines, _ = await told(**manifest()["Health Check"])
    assert any(line.startswith("ok plex: Plex 1.43") for line in lines)
    _, lines, _ = await told(**manifest()["Clear Pending Queue"])
    assert lines == ["1 job dropped"]


@pytest.mark.parametrize("threshold", [10_000])
async def test_nothing_is_not_what_is_left_while_plex_is_away(told, plex):
    """A server that is away is named, although its circuit is closed so far."""
    plex.status = 503
    await told.daemon.hook(1)
    status = await told.daemon.until(
        lambda s: (
            s["plex"]["state"] == "down"
            and s["queue"]["waiting"] + s["queue"]["queued"]
        )
    )
    assert status["plex"]["breaker"] == "closed"
    _, lines, _ = await told(**manifest()["Sync All Scenes"])

    assert re.fullmatch(r"Plex is away; \d+ jobs delivered later", lines[-1])


async def test_a_queue_is_not_waited_for_while_plex_is_away(told, plex):
    plex.status = 503
    await told.daemon.hook(1)
    await told.daemon.until(lambda status: status["plex"]["breaker"] == "open")
    _, lines, _ = await told(**manifest()["Process Queue"])
    plex.status = None

    assert re.fullmatch(r"Plex is away; \d+ jobs? delivered later", lines[-1])


async def test_operations_answer_at_once_with_what_the_daemon_says(told, plex):
    result, _, progress = await told(mode="sync", scene_ids=[1, 2])
    assert result["output"] == {"enqueued": 2}
    assert progress == []
    await plex.facts.until(lambda: plex.items[2].writes)
    result, _, _ = await told(mode="reconcile", scope="24h")
    assert set(result["output"]) == {"run"}
    result, _, _ = await told(mode="gaps", kind="empty", limit=1, offset=0)
    assert set(result["output"]) == {"total", "gaps"}
    result, _, _ = await told(mode="dead_clear", scene_ids=[3], codes=["x"], days=1)
    assert result["output"] == {"cleared": 0}


@pytest.mark.parametrize(
    "args",
    [
        {"mode": "sync", "scope": "1h"},
        {"mode": "sync", "scene_ids": "1"},
        {"mode": "sync", "scene_ids": ["1"]},
        {"mode": "dead_retry", "scene_ids": [True]},
        {"mode": "dead_clear", "days": -1},
        {"mode": "gaps", "kind": "a&b=c"},
        {"mode": "gaps", "limit": "many"},
        {"mode": "gaps", "kind": "odd"},
        {"mode": ["status"]},
        {"mode": None},
    ],
)
async def test_operations_that_make_no_sense(told, args):
    """Any user of Stash may call them with whatever they like."""
    result, _, _ = await told(**args)

    assert result["output"] is None
    assert result["error"]


async def test_an_installed_plugin_finds_its_tasks(told, stash, tmp_path):
    for _ in range(2):
        folder, _ = await asyncio.to_thread(install, tmp_path / "plugins")
        (folder / "stash2plexd_old.yml").write_text("of an older release")
        (folder / "notes.txt").write_text("the user's own")
    folder, hooks = await asyncio.to_thread(install, tmp_path / "plugins")
    message = {"server_connection": stash.connection(), "args": {"mode": "status"}}
    result, lines, _ = await run(message, script=folder / script_of(TASKS).name)

    assert result["output"]["queue"]
    assert lines
    assert sorted(await asyncio.to_thread(os.listdir, folder)) == [
        "notes.txt",
        "stash2plexd.css",
        "stash2plexd.js",
        "stash2plexd.py",
        "stash2plexd.yml",
        "stash2plexd_asking.js",
        "stash2plexd_daemon.py",
        "stash2plexd_lists.js",
        "stash2plexd_page.js",
        "stash2plexd_scene.js",
        "stash2plexd_state.js",
        "stash2plexd_tasks.py",
        "stash2plexd_ui.js",
        "stash2plexd_update.js",
    ]
    assert sorted(await asyncio.to_thread(os.listdir, hooks)) == [
        "stash2plexd_hooks.js",
        "stash2plexd_hooks.yml",
    ]
    assert json.dumps(result)


@pytest.mark.parametrize("found", [[], None, "x", {}, {"status": "ok"}])
@pytest.mark.parametrize(
    "args",
    [
        {"mode": "status"},
        {"mode": "health"},
        {"mode": "reconcile", "follow": "1"},
        {
            "hookContext": {
                "id": 1,
                "type": "Scene.Update.Post",
                "inputFields": ["title"],
            }
        },
    ],
    ids=str,
)
async def test_what_is_not_the_daemon(stash, args, found):
    async def answer(_):
        return web.json_response(found)

    app = web.Application()
    app.add_routes([web.route("*", "/{rest:.*}", answer)])
    async with serving(app) as url:
        stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": url}
        message = {"server_connection": stash.connection(), "args": args}
        result, log, _ = await run(message)

    if "mode" in args and args["mode"] == "health" and isinstance(found, dict):
        return  # no findings are what it may well say
    told = log[-1] if "hookContext" in args else result["error"]
    assert "is not the daemon" in told


async def test_an_error_of_many_lines_is_one_line_of_the_log(told, stash):
    stash.failing[1] = "one\ntwo\nthree"
    await told.daemon.post("sync", {"scene_ids": [1]})
    await told.daemon.until(lambda status: status["queue"]["waiting"] >= 1)
    _, lines, _ = await told(mode="queue")

    assert any("one two three" in line for line in lines)


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


async def test_a_task_that_takes_long_leaves_it_to_the_daemon(told, plex):
    """Meanwhile every other job of Stash waits, its scans too."""
    plex.hangs = True
    _, lines, _ = await told(**manifest()["Sync All Scenes"] | {"follow": "0.2"})
    plex.hangs = False

    assert re.fullmatch(
        r"\d+ jobs to go; the daemon goes on by itself; Show Status tells how far it is",
        lines[-1],
    )
    follows = {args.get("follow") for args in manifest().values()}
    assert follows == {None, "30", "86400"}
    assert manifest()["Process Queue"]["follow"] == "86400"


async def test_what_the_page_asks_is_not_in_the_log(told):
    for mode in ("status", "health", "gaps", "sync"):
        result, lines, progress = await told(mode=mode, quiet=True)
        assert (lines, progress) == ([], [])
        assert result["output"]


async def test_many_findings_end_with_the_headline(stash):
    findings = [
        {"level": level, "code": f"c{n}", "message": "m", "fix": None}
        for level in ("ok", "warn", "fail")
        for n in range(20)
    ]

    async def answer(_):
        return web.json_response({"findings": findings})

    app = web.Application()
    app.add_routes([web.route("*", "/{rest:.*}", answer)])
    async with serving(app) as url:
        stash.plugin_settings[PLUGIN_ID] = {"daemonUrl": url}
        message = {"server_connection": stash.connection(), "args": {"mode": "health"}}
        _, log, _ = await run(message)

    lines = [line[3:] for line in log]
    assert len(lines) < 30
    assert lines[-1] == "40 findings to look at, 20 well"
    assert lines[-2].startswith("fail c0")
    assert lines[0] == "and 34 findings more"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("{plex}", "which is Plex"),
        ("{stash}", "is that Stash itself?"),
        (
            "{daemon}/stash2plex",
            "the daemon has no path, so take '/stash2plex' out",
        ),
        ("http://user:hunter2@{host}", "has a name or password in it"),
        ("user:hunter2@{host}", "has a name or password in it"),
        ("http://127.0.0.1:9", "See the setting Daemon URL"),
        ("http://[::1", "must look like"),
        ("http://host:99999", "must look like"),
    ],
)
async def test_urls_that_are_not_the_daemons(told, stash, plex, url, words):
    where = told.daemon.url
    stash.plugin_settings[PLUGIN_ID]["daemonUrl"] = url.format(
        plex=plex.url,
        stash=stash.url,
        daemon=where,
        host=where.partition("://")[2],
    )
    result, lines, _ = await told(mode="status")

    assert words in result["error"]
    assert "hunter2" not in result["error"]
    assert lines == []
