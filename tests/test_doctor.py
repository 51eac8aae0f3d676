"""The doctor: all is well, and each mistake that people make, with its remedy."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections import namedtuple
from contextlib import closing
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from urllib.parse import quote

import pytest

from stash2plex.cli import main
from stash2plex.plex.item import Section
from stash2plex.plugin import HTTP_HOOKS, IN_PROCESS_HOOKS, PLUGIN_ID, TASKS
from stash2plex.provider.setup import steps
from stash2plex.sandbox.agent import RegisteredProvider
from stash2plex.sandbox.subscriptions import LOG
from tests.conftest import free_port, make_settings
from tests.end_to_end.test_delivery import sample
from tests.running import running

IDENTIFIER = "tv.plex.agents.custom.stash2plex"
SECRET = "not-to-be-shown"


class SetUp:
    """A configuration and its servers, all of it as it should be."""

    def __init__(self, stash, plex, folder):
        self.stash = stash
        self.plex = plex
        self.file = folder / "config.toml"
        self.settings = make_settings(
            stash,
            plex,
            folder,
            provider={"secret": SECRET},
            stash={"poll_interval": 60},
        )
        port = self.settings.server.port
        self.tables = {
            "server": {"host": "127.0.0.1", "port": port, "token": "test-token"},
            "stash": {"url": stash.url},
            "plex": {"url": plex.url, "token": plex.token},
            "provider": {"secret": SECRET, "image_cache_mb": 1},
        }
        sample(stash, plex)
        self.put_plugins(TASKS, IN_PROCESS_HOOKS)
        self.point_plugin(f"http://127.0.0.1:{port}", "test-token")
        self.register(f"http://127.0.0.1:{port}/plex/{SECRET}")

    def put_plugins(self, *plugins):
        """Have Stash have these plugins of ours, and no others."""
        self.stash.plugins.clear()
        for plugin in plugins:
            self.stash.put_plugin(plugin.folder)

    def point_hooks(self, url, token):
        """Have hooks over HTTP, with settings of their own."""
        self.put_plugins(TASKS, HTTP_HOOKS)
        own = {"daemonUrl": url, "daemonToken": token}
        self.stash.plugin_settings[HTTP_HOOKS.id] = own

    def age(self, plugin_id, version):
        """Have Stash have another release of a plugin."""
        plugin = self.stash.plugins[plugin_id]
        plugin.manifest = plugin.manifest.replace("version: ", f"version: {version} #")

    def point_plugin(self, url, token):
        self.stash.plugin_settings[PLUGIN_ID] = {
            "daemonUrl": url,
            "daemonToken": token,
        }

    def register(self, root):
        self.plex.providers[IDENTIFIER] = RegisteredProvider(
            1, root, IDENTIFIER, "Stash2Plex", "/m", "/l"
        )
        self.plex.agents[1] = IDENTIFIER

    def write(self):
        lines = []
        for name, table in self.tables.items():
            lines.append(f"[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        self.file.write_text("\n".join(lines))


@pytest.fixture
def setup(stash, plex, tmp_path):
    return SetUp(stash, plex, tmp_path)


async def checked(setup, capsys):
    """Run the command; returns its status and its findings by code."""
    setup.write()
    given = ["--config", str(setup.file), "check", "--json"]
    status = await asyncio.to_thread(main, given)
    found = json.loads(capsys.readouterr().out)
    assert SECRET not in str(found)
    assert "test-token" not in str(found)
    return status, {one["code"]: one for one in found}


async def test_all_is_well(setup, stash, plex, capsys):
    async with running(setup.settings, stash, plex) as daemon:
        await stash.facts.until(lambda: LOG in stash.subscriptions.listening)
        await stash.edit(1, title="New")  # its hook comes through the log
        await plex.facts.until(lambda: plex.items[1].text["title"] == "New")
        url = f"{daemon.url}/plex/{SECRET}"
        async with daemon.session.get(url) as answer:
            assert answer.status == 200
        setup.write()
        given = ["--config", str(setup.file), "check"]
        assert await asyncio.to_thread(main, given) == 0
        out = capsys.readouterr().out
        async with daemon.session.get(f"{daemon.url}/api/v1/health") as answer:
            health = await answer.json()

    lines = out.splitlines()
    assert [line.split()[1].rstrip(":") for line in lines] == [
        "config",
        "data_dir",
        "disk_space",
        "daemon",
        "stash",
        "stash_schema",
        "stash_clock",
        "plugin",
        "plugin_reaches",
        "plugin_hooks",
        "pictures",
        "plex",
        "plex_owner",
        "plex_request_line",
        "plex_libraries",
        "provider_registered",
        "provider_called",
        "path_coverage",
        "path_coverage_plex",
    ]
    assert all(line.startswith("ok ") for line in lines), out
    assert "1 of 1 files of Stash are in Plex" in out
    assert f"'Scenes' (agent {IDENTIFIER})" in out
    assert health["ok"]
    told = {one["code"]: one["level"] for one in health["findings"]}
    assert set(told.values()) == {"ok"}
    assert len(told) == len(lines)


def old_schema(setup):
    from graphql import build_schema

    setup.stash.schema = build_schema("type Query { old: Int }")


def lacking(*names):
    return lambda setup: setup.stash.become("v0.31.0", without=names)


def television(setup):
    setup.plex.kinds[1] = "show"
    setup.tables["plex"]["libraries"] = ["Scenes"]


def other_paths(setup):
    for number in range(3):
        setup.stash.add(f"/data/more/{number}.mp4", size=50 + number)
        setup.plex.add(f"/films/more/{number}.mp4", size=50 + number)


def some_missing(setup):
    setup.stash.add("/media/more.mp4")


def not_in_stash(setup):
    setup.plex.add("/media/only-in-plex.mp4")


def nothing_in_stash(setup):
    setup.stash.scenes.clear()
    setup.stash.__dict__["_ids"].clear()


def data_dir(setup):
    blocked = setup.file.parent / "blocked"
    blocked.write_text("")
    setup.tables["server"]["data_dir"] = f"{blocked}/data"


def table(name, **values):
    return lambda setup: setup.tables.setdefault(name, {}).update(values)


def attribute(server, name, value):
    return lambda setup: setattr(attrgetter(server)(setup), name, value)


def clock(setup):
    setup.stash.date = (datetime.now(UTC) + timedelta(minutes=10)).strftime(
        "%a, %d %b %Y %H:%M:%S GMT"
    )


MISTAKES = {
    "Stash's port is wrong": (
        table("stash", url="http://127.0.0.1:1"),
        ("stash_reachable", "fail", "reach Stash at http://127.0.0.1:1?"),
    ),
    "Stash is starting": (
        attribute("stash", "status", 503),
        ("stash_reachable", "fail", "HTTP 503"),
    ),
    "something else answers in Stash's place": (
        attribute("stash", "garbles", "<html>proxy</html>"),
        ("stash_reachable", "fail", "stash.url"),
    ),
    "the API key is missing": (
        attribute("stash", "api_key", "wanted"),
        ("stash_access", "fail", "set stash.api_key"),
    ),
    "Stash is no Stash": (old_schema, ("stash_version", "fail", "update Stash")),
    "Stash is too old": (
        lambda setup: setup.stash.become("v0.24.3"),
        ("stash_version", "fail", "Stash v0.24.3 is too old; update Stash to v0.25"),
    ),
    "Stash lacks a field": (
        lacking("Scene.director", "Query.findGroups"),
        ("stash_schema", "warn", "lacks Scene.director, Query.findGroups; what they"),
    ),
    "Stash lacks what it needs": (
        lacking("SceneFilterType.created_at"),
        ("stash_schema", "fail", "unknown field: variable.scenes.AND.OR.created_at"),
    ),
    "Stash waits for its migration": (
        attribute("stash", "state", "NEEDS_MIGRATION"),
        ("stash_ready", "fail", "Stash waits for its database to be migrated"),
    ),
    "Stash was never set up": (
        attribute("stash", "state", "SETUP"),
        ("stash_ready", "fail", "Stash was not set up yet: open its page"),
    ),
    "Stash's disk is full": (
        attribute("stash", "fails_reading", "disk I/O error"),
        ("stash_ready", "fail", "Stash cannot read its database: disk I/O error"),
    ),
    "Stash wants a login": (
        attribute("stash", "wants_login", True),
        ("stash_access", "fail", "Stash now wants a login: set stash.api_key"),
    ),
    "the address of a page of Stash": (
        lambda setup: setup.tables["stash"].update(url=f"{setup.stash.url}/settings"),
        ("stash", "ok", "answers"),
    ),
    "https to a port of http": (
        lambda setup: setup.tables["stash"].update(
            url=setup.stash.url.replace("http:", "https:")
        ),
        ("stash_reachable", "fail", "use http:// in stash.url"),
    ),
    "Stash's clock is wrong": (clock, ("stash_clock", "warn", "ahead of ours")),
    "covers cannot be fetched": (
        attribute("stash", "picture_status", 500),
        ("pictures", "warn", "cover of scene 1"),
    ),
    "covers cannot be read": (
        lambda setup: (
            setup.stash.change(1, cover=b"a cover"),
            setattr(setup.stash, "lost_blobs", True),
        ),
        ("pictures", "warn", "cover of scene 1: Stash has a cover of this scene and"),
    ),
    "a performer's picture cannot be used": (
        lambda setup: (
            setup.stash.change(1, performers=["P"]),
            setup.stash.portraits.update({("performer", 1): b"<html></html>"}),
        ),
        ("pictures", "warn", "picture of performer 1: Stash answered text/html"),
    ),
    "Plex's host name is wrong": (
        table("plex", url="http://plex.invalid:32400"),
        ("plex_reachable", "fail", "reach Plex at http://plex.invalid:32400?"),
    ),
    "Plex is starting": (
        attribute("plex", "status", 503),
        ("plex_reachable", "fail", "starting up"),
    ),
    "Plex's token is wrong": (
        attribute("plex", "token", "another"),
        ("plex_access", "fail", "set plex.token"),
    ),
    "the token is not the owner's": (
        attribute("plex", "shared_token", True),
        ("plex_owner", "fail", "set plex.token to the owner's"),
    ),
    "no library": (
        lambda setup: setup.plex.sections.clear(),
        ("plex_libraries", "fail", "no movie library"),
    ),
    "the library's name is wrong": (
        table("plex", libraries=["Nope"]),
        ("plex_libraries", "fail", "it has 'Scenes'"),
    ),
    "one library's name is wrong": (
        table("plex", libraries=["Nope", "Scenes"]),
        ("plex_libraries", "warn", "no library 'Nope'; using 'Scenes'"),
    ),
    "the library is one of shows": (
        television,
        ("plex_libraries", "fail", "'Scenes' is of the type show"),
    ),
    "Plex stumbles over its libraries": (
        lambda setup: setup.plex.read_status_of.update({"/library/sections": 500}),
        ("plex_libraries", "fail", "HTTP 500"),
    ),
    "Plex is too old for the provider": (
        lambda setup: setup.plex.read_status_of.update({"/media/providers": 404}),
        ("provider_registered", "warn", "update Plex to 1.43"),
    ),
    "Plex stumbles over its providers": (
        lambda setup: setup.plex.read_status_of.update({"/media/providers": 500}),
        ("provider_registered", "warn", "HTTP 500"),
    ),
    "the provider is not registered": (
        lambda setup: setup.plex.providers.clear(),
        ("provider_registered", "warn", "Plex does not have the metadata provider"),
    ),
    "no library uses the provider": (
        lambda setup: setup.plex.agents.clear(),
        ("provider_registered", "warn", "no library uses it"),
    ),
    "the provider is registered without the secret": (
        lambda setup: setup.register("http://127.0.0.1:9898/plex"),
        ("provider_url", "warn", "under another path"),
    ),
    "Plex has never called": (
        lambda setup: None,
        ("provider_called", "warn", "Plex has never asked the provider"),
    ),
    "the provider is open to the network": (
        lambda setup: setup.tables.update(server={"port": free_port()}, provider={}),
        ("provider_secret", "warn", "set provider.secret"),
    ),
    "the plugin is not installed": (
        lambda setup: setup.stash.plugins.clear(),
        ("plugin", "warn", "stash2plex install-plugin --via-stash"),
    ),
    "the plugin is disabled": (
        lambda setup: setattr(setup.stash.plugins[PLUGIN_ID], "enabled", False),
        ("plugin", "warn", "enable it under Settings > Plugins"),
    ),
    "the plugin has no token": (
        lambda setup: setup.point_plugin("http://127.0.0.1:9898", ""),
        ("plugin_token", "fail", "Daemon token is empty"),
    ),
    "the plugin has another token": (
        lambda setup: setup.point_plugin("http://127.0.0.1:9898", "stale"),
        ("plugin_token", "fail", "copy server.token"),
    ),
    "no hook has come over HTTP": (
        lambda setup: setup.put_plugins(TASKS, HTTP_HOOKS),
        ("plugin_hooks", "warn", "edit a scene in Stash"),
    ),
    "Stash's own update button took the hooks": (
        lambda setup: setup.put_plugins(TASKS),
        ("plugin_hooks", "warn", "stash2plex install-plugin --via-stash"),
    ),
    "hooks of both kinds": (
        lambda setup: setup.put_plugins(TASKS, IN_PROCESS_HOOKS, HTTP_HOOKS),
        ("plugin_hooks_twice", "warn", "keeps one kind"),
    ),
    "a plugin of another release": (
        lambda setup: setup.age(PLUGIN_ID, "0.0.9"),
        ("plugin_version", "warn", "Settings > Plugins > Check for updates"),
    ),
    "a proxy that lets no sockets through": (
        attribute("stash.subscriptions", "refused", True),
        ("stash_socket", "warn", "--hooks http"),
    ),
    "the hooks are disabled": (
        lambda setup: setattr(
            setup.stash.plugins[IN_PROCESS_HOOKS.id], "enabled", False
        ),
        ("plugin_hooks", "warn", "enable it under Settings > Plugins"),
    ),
    "a daemon URL that is none": (
        lambda setup: setup.point_plugin("http://user:hunter2@[::1", "test-token"),
        ("plugin_url", "warn", "is no URL: http://[::1"),
    ),
    "hooks over HTTP with another daemon's token": (
        lambda setup: setup.point_hooks("http://127.0.0.1:1", "stale"),
        ("plugin_hooks", "warn", "edit a scene in Stash"),
    ),
    "no polls": (
        lambda setup: setup.tables["stash"].update(poll_interval=0),
        ("poll", "warn", "set stash.poll_interval = 60"),
    ),
    "the older plugin is enabled too": (
        lambda setup: setup.stash.other_plugins.update(Stash2Plex=True),
        ("plugin_older", "warn", "both write to Plex"),
    ),
    "the daemon does not run": (
        lambda setup: None,
        ("daemon", "warn", "start it: stash2plex run"),
    ),
    "the paths differ": (
        other_paths,
        ("path_coverage", "warn", "give path_rules; Plex has for example '/films"),
    ),
    "Plex has not scanned": (
        some_missing,
        ("path_coverage", "warn", "scan the library in Plex"),
    ),
    "Stash has not scanned": (
        not_in_stash,
        ("path_coverage_plex", "warn", "scan in Stash what it lacks"),
    ),
    "Stash has nothing": (
        nothing_in_stash,
        ("path_coverage", "warn", "Stash has no files yet"),
    ),
    "nothing is to be written": (
        table("sync", enabled=False),
        ("sync_enabled", "warn", "set sync.enabled = true"),
    ),
    "the data directory is none": (
        data_dir,
        ("data_dir", "fail", "set server.data_dir"),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_one_mistake_at_a_time(setup, capsys, mistake):
    change, (code, level, words) = MISTAKES[mistake]
    change(setup)

    status, findings = await checked(setup, capsys)

    assert code in findings, findings
    found = findings[code]
    assert found["level"] == level
    assert words in found["message"] + found["fix"]
    failing = [one for one in findings.values() if one["level"] == "fail"]
    assert failing == ([found] if level == "fail" else [])
    assert status == (1 if level == "fail" else 0)


async def test_rules_are_proposed_where_paths_differ(setup, capsys):
    other_paths(setup)

    _, findings = await checked(setup, capsys)

    steps = findings["path_coverage"]["steps"]
    assert "stash = '^/data/(?P<rest>.+)$'" in steps
    assert "plex  = '^/films/(?P<rest>.+)$'" in steps


async def test_a_port_that_is_taken(setup, capsys):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        setup.tables["server"]["port"] = taken.getsockname()[1]
        status, findings = await checked(setup, capsys)

    assert status == 1
    assert findings["daemon"]["fix"] == "stop it, or set server.port"


async def test_little_space(setup, capsys, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(1, 1, 100 * 1024 * 1024))

    _, findings = await checked(setup, capsys)

    assert findings["disk_space"]["level"] == "warn"
    assert "100 MB are free" in findings["disk_space"]["message"]


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (
            lambda setup, url: setup.point_plugin("http://127.0.0.1:1", "test-token"),
            "no daemon at http://127.0.0.1:1",
        ),
        (lambda setup, url: setup.point_plugin(url, "stale"), "refused the token"),
        (
            lambda setup, url: setup.point_plugin("nonsense", "test-token"),
            "must look like",
        ),
        (
            lambda setup, url: setup.point_plugin(setup.stash.url, "test-token"),
            "is not the daemon",
        ),
    ],
)
async def test_a_plugin_that_does_not_reach_the_daemon(
    setup, stash, plex, capsys, point, words
):
    async with running(setup.settings, stash, plex) as daemon:
        point(setup, daemon.url)
        _, findings = await checked(setup, capsys)

    assert findings["plugin_reaches"]["level"] == "fail"
    assert words in findings["plugin_reaches"]["message"]
    assert "<address of this machine>" in findings["plugin_reaches"]["fix"]


@pytest.mark.parametrize("plugins", [(TASKS,), (HTTP_HOOKS,)], ids=str)
async def test_a_python_that_stash_does_not_find(setup, stash, plex, capsys, plugins):
    setup.put_plugins(*plugins)
    stash.plugin_runs.python = None
    async with running(setup.settings, stash, plex):
        _, findings = await checked(setup, capsys)

    (found,) = [one for one in findings.values() if "$PATH" in one["message"]]
    assert found["level"] == "fail"
    assert "install Python 3.9 or newer where Stash runs" in found["fix"]


async def test_hooks_that_tell_another_daemon(setup, stash, plex, capsys):
    setup.point_hooks("http://127.0.0.1:1", "stale")
    async with running(setup.settings, stash, plex):
        _, findings = await checked(setup, capsys)

    assert "has of its own is not the daemon's" in findings["plugin_token"]["message"]


async def test_a_password_in_a_setting_is_not_shown(setup, stash, plex, capsys):
    setup.point_plugin("http://user:hunter2@127.0.0.1:1", "stale")
    async with running(setup.settings, stash, plex):
        _, findings = await checked(setup, capsys)

    assert "hunter2" not in json.dumps(findings)


@pytest.mark.parametrize("status", [200, 400, 403, 501, 502, None])
async def test_whatever_a_proxy_makes_of_a_socket(setup, stash, plex, capsys, status):
    """While all else gets through."""
    stash.subscriptions.refused = status or True
    stash.subscriptions.hangs_up = status is None
    async with running(setup.settings, stash, plex) as daemon:
        _, findings = await checked(setup, capsys)
        found = await daemon.until(lambda s: s["stash"]["hooks"]["faults"])

    assert "--hooks http" in findings["stash_socket"]["fix"]
    assert found["stash"]["hooks"]["faults"][0]["code"] == "stash_socket"


@pytest.mark.parametrize(
    ("python", "words"),
    [("/bin/false", "exit status 1"), ("/bin/true", "said nothing")],
)
async def test_a_python_that_does_not_run(setup, stash, plex, capsys, python, words):
    stash.plugin_runs.python = python
    async with running(setup.settings, stash, plex):
        _, findings = await checked(setup, capsys)

    assert words in findings["plugin_reaches"]["message"]
    assert "name Python 3.9 or newer" in findings["plugin_reaches"]["fix"]


async def test_looking_writes_nothing_into_stash_s_log(setup, stash, plex, capsys):
    """Its page holds thirty lines, and they are for people."""
    setup.put_plugins(TASKS, HTTP_HOOKS)
    async with running(setup.settings, stash, plex):
        _, findings = await checked(setup, capsys)

    assert findings["plugin_hooks"]["message"].startswith("hooks: http; a hook over")
    assert list(stash.log.page) == []
    assert stash.plugin_log == []


async def test_addresses_that_mean_somebody_else_s_machine(
    setup, stash, plex, capsys, monkeypatch
):
    """Servers elsewhere, to which 127.0.0.1 is their own container."""
    from stash2plex.doctor import plugin, provider

    for module in (plugin, provider):
        monkeypatch.setattr(
            module, "is_loopback", lambda host: host in {"localhost", None}
        )
    setup.register(f"http://localhost:9898/plex/{SECRET}")
    setup.point_plugin("http://localhost:9898", "test-token")
    _, findings = await checked(setup, capsys)

    assert "Plex's own machine or container" in findings["provider_url"]["message"]
    assert "/plex/<provider.secret>" in str(findings["provider_url"]["steps"])
    assert "Stash's own machine or container" in findings["plugin_url"]["message"]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.1.5", False),
        ("plex", False),
        (None, False),
    ],
)
def test_what_means_the_same_machine(host, expected):
    from stash2plex.doctor.provider import is_loopback

    assert is_loopback(host) == expected


async def test_the_ways_to_add_the_provider_are_told(setup, capsys):
    setup.plex.providers.clear()
    setup.write()
    given = ["--config", str(setup.file), "check"]
    assert await asyncio.to_thread(main, given) == 0

    out = capsys.readouterr().out
    assert "Settings > Metadata Agents > Add Provider: http://<address of this" in out
    assert "/plex/<provider.secret>" in out
    # The steps of the API, as they stand there.
    calls = re.findall(r"curl -X (\w+) \S+ '\S+ \S+ '(\S+)'", out.replace("\n", " "))
    assert [method for method, _ in calls] == ["POST", "POST", "PUT"]


async def test_a_provider_that_is_not_wanted(setup, capsys):
    setup.tables["provider"] = {"enabled": False}
    _, findings = await checked(setup, capsys)

    assert not [code for code in findings if code.startswith("provider")]


async def test_the_steps_of_the_api_do_it(daemon, plex, stash):
    headers = {"X-Plex-Token": plex.token}
    root = quote(f"{daemon.url}/plex", safe="")
    for line in steps(daemon.settings, [Section(id=1, title="Scenes", kind="movie")]):
        found = re.search(r"-X (\w+) .* '([^']+)'$", line)
        if found:
            url = re.sub(r"uri=.*", f"uri={root}", found[2]).replace("<id>", "1")
            async with daemon.session.request(found[1], url, headers=headers) as answer:
                assert answer.status == 200, url

    assert plex.agents == {1: IDENTIFIER}
    assert plex.providers[IDENTIFIER].root == f"{daemon.url}/plex"
