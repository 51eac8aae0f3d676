"""Every command as a user runs it: what it prints, and its exit status."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from stash2plex import __version__
from stash2plex.cli import main
from stash2plex.db.database import DATABASE, Database
from stash2plex.plex.item import Section
from stash2plex.provider.setup import steps
from stash2plex.provider.traffic import LAST_REQUEST
from stash2plex.sandbox.agent import RegisteredProvider
from tests.conftest import free_port
from tests.end_to_end.test_delivery import sample

IDENTIFIER = "tv.plex.agents.custom.stash2plex"


@pytest.fixture
def config(stash, plex, tmp_path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(
        f'[server]\nhost = "127.0.0.1"\nport = {free_port()}\ntoken = "cli-token"\n'
        f'[stash]\nurl = "{stash.url}"\n[plex]\nurl = "{plex.url}"\ntoken = "{plex.token}"\n'
    )
    return file


async def command(*arguments: Any) -> int:
    """Run a command in a thread, as its own event loop needs."""
    return await asyncio.to_thread(main, [str(one) for one in arguments])


def test_help_everywhere_and_the_version(capsys):
    for arguments in (
        ["--help"],
        ["run", "--help"],
        ["paths", "test", "--help"],
        ["--version"],
    ):
        with pytest.raises(SystemExit) as raised:
            main(arguments)
        assert raised.value.code == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["paths"], ["demo", "--scenes", "0"], ["paths", "test"]],
)
def test_wrong_usage_is_2(arguments, capsys):
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2


@pytest.mark.parametrize("name", ["run", "check", "status", "paths test /x"])
def test_a_wrong_configuration_is_2_without_a_traceback(name, tmp_path, capsys):
    file = tmp_path / "c.toml"
    file.write_text("[plex]\ntokn = 'x'\n")

    assert main(["--config", str(file), *name.split()]) == 2

    error = capsys.readouterr().err
    assert error.startswith(f"stash2plex: {file}: plex.tokn: unknown key")
    assert "Traceback" not in error


@pytest.mark.parametrize("name", ["run", "check"])
def test_without_a_plex_token_there_is_no_work(name, tmp_path, capsys):
    file = tmp_path / "c.toml"
    file.write_text("")

    assert main(["--config", str(file), name]) == 2
    assert "plex.token is not set" in capsys.readouterr().err


def test_the_configuration_may_be_named_by_the_environment(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("STASH2PLEX_CONFIG", str(tmp_path / "no.toml"))

    assert main(["paths", "test", "/x"]) == 2
    assert "no.toml: no such file" in capsys.readouterr().err


async def test_check_finds_all_well(config, stash, plex, capsys):
    sample(stash, plex)
    plex.providers[IDENTIFIER] = RegisteredProvider(
        1, "http://x/plex", IDENTIFIER, "Stash2Plex", "/m", "/l"
    )
    plex.agents[1] = IDENTIFIER
    (config.parent / "data").mkdir()
    async with Database.open(config.parent / "data" / DATABASE) as database:
        await database.set_fact(LAST_REQUEST, "2026-01-01T00:00:00Z")

    assert await command("--config", config, "check") == 0

    out = capsys.readouterr().out
    assert [line.split()[1] for line in out.splitlines()] == [
        "config:",
        "data_dir:",
        "stash:",
        "plex:",
        "plex_libraries:",
        "provider_registered:",
        "provider_called:",
        "path_coverage:",
    ]
    assert all(line.startswith("ok ") for line in out.splitlines())
    assert "1 of 1 files of Stash are in Plex" in out
    assert "used by 'Scenes'" in out
    assert "last asked the provider at 2026-01-01T00:00:00Z" in out


async def test_check_tells_how_to_add_the_provider(config, stash, plex, capsys):
    sample(stash, plex)
    secret = '[provider]\nsecret = "not-to-be-shown"\n'
    config.write_text(config.read_text() + secret)

    assert await command("--config", config, "check") == 0

    out = capsys.readouterr().out
    assert "warn provider_registered: Plex does not have the metadata provider" in out
    assert "Settings > Metadata Agents > Add Provider: http://<address of this" in out
    assert "/plex/<provider.secret>" in out
    assert "not-to-be-shown" not in out
    assert "warn provider_called: Plex has never asked the provider" in out
    # The steps of the API, as they stand there.
    calls = re.findall(r"curl -X (\w+) \S+ '\S+ \S+ '(\S+)'", out.replace("\n", " "))
    assert [method for method, _ in calls] == ["POST", "POST", "PUT"]


async def test_the_steps_of_the_api_do_it(config, daemon, plex, stash):
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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("old", "update Plex to 1.43"),
        ("unused", "no library uses it"),
        ("fails", "HTTP 500"),
        ("off", ""),
    ],
)
async def test_check_knows_the_states_of_the_provider(
    config, stash, plex, capsys, change, words
):
    match change:
        case "old":
            plex.read_status_of["/media/providers"] = 404
        case "unused":
            plex.providers[IDENTIFIER] = RegisteredProvider(
                1, "http://x", IDENTIFIER, "Stash2Plex", "/m", "/l"
            )
        case "fails":
            plex.read_status_of["/media/providers"] = 500
        case "off":
            config.write_text(config.read_text() + "[provider]\nenabled = false\n")

    await command("--config", config, "check", "--json")

    findings = {one["code"]: one for one in json.loads(capsys.readouterr().out)}
    if change == "off":
        assert not {"provider_registered", "provider_called"} & set(findings)
    else:
        found = findings["provider_registered"]
        assert found["level"] == "warn"
        assert words in found["message"] + found["fix"]


async def test_check_names_what_is_wrong(config, stash, plex, capsys):
    stash.api_key = "wanted"
    plex.token = "another"

    assert await command("--config", config, "check", "--json") == 1

    findings = {one["code"]: one for one in json.loads(capsys.readouterr().out)}
    assert findings["stash_access"]["level"] == "fail"
    assert findings["plex_access"]["fix"] == "set plex.token"
    assert "pretend-plex-token" not in str(findings)


@pytest.mark.parametrize(
    ("change", "code", "level", "words"),
    [
        ("stash down", "stash_reachable", "fail", "HTTP 503"),
        ("stash old", "stash_version", "fail", "update Stash"),
        ("plex down", "plex_reachable", "fail", "starting up"),
        ("no library", "plex_libraries", "fail", "no movie library"),
        ("wrong library", "plex_libraries", "fail", "it has 'Scenes'"),
        (
            "half a library",
            "plex_libraries",
            "warn",
            "no library 'Nope'; using 'Scenes'",
        ),
        ("sections fail", "plex_libraries", "fail", "HTTP 500"),
        (
            "paths differ",
            "path_coverage",
            "warn",
            "give path_rules; Plex has for example",
        ),
        ("some missing", "path_coverage", "warn", "scan the library in Plex"),
        ("no files", "path_coverage", "warn", "Stash has no files yet"),
        ("data dir", "data_dir", "fail", "set server.data_dir"),
    ],
)
async def test_check_one_mistake_at_a_time(
    config, stash, plex, capsys, change, code, level, words
):
    text = config.read_text()
    if change not in {"no files", "paths differ"}:
        sample(stash, plex)
    match change:
        case "stash down":
            stash.status = 503
        case "stash old":
            from graphql import build_schema

            stash.schema = build_schema("type Query { old: Int }")
        case "plex down":
            plex.status = 503
        case "no library":
            plex.sections.clear()
        case "wrong library":
            text = text.replace("[plex]", '[plex]\nlibraries = ["Nope"]')
        case "half a library":
            text = text.replace("[plex]", '[plex]\nlibraries = ["Nope", "Scenes"]')
        case "sections fail":
            plex.read_status_of["/library/sections"] = 500
        case "paths differ":
            stash.add("/data/a.mp4")
            plex.add("/media/a.mp4")
        case "some missing":
            stash.add("/media/more.mp4")
        case "data dir":
            blocked = config.parent / "blocked"
            blocked.write_text("")
            text = text.replace("[server]", f'[server]\ndata_dir = "{blocked}/data"')
    config.write_text(text)

    status = await command("--config", config, "check", "--json")

    findings = {one["code"]: one for one in json.loads(capsys.readouterr().out)}
    assert findings[code]["level"] == level
    assert words in findings[code]["message"] + findings[code]["fix"]
    assert status == (1 if level == "fail" else 0)


async def test_paths_test_names_the_rule(config, capsys):
    config.write_text(
        config.read_text()
        + "[[path_rules]]\nname = 'r'\nstash = '^/data/(?P<x>.+)$'\nplex = '^/media/(?P<x>.+)$'\n"
    )

    assert await command("--config", config, "paths", "test", "/data/a.mp4") == 0
    out = capsys.readouterr().out
    assert "Stash to Plex: /media/a.mp4  (rule r)" in out
    assert "Plex to Stash: not mapped: no path rule matches" in out
    assert await command("--config", config, "paths", "test", "/x", "--json") == 1
    assert json.loads(capsys.readouterr().out)["as_plex_path"]["path"] is None
    assert await command("--config", config, "paths", "test", "/media/b", "--json") == 0
    assert json.loads(capsys.readouterr().out)["as_plex_path"] == {
        "path": "/data/b",
        "rule": "r",
        "reason": None,
    }


async def test_paths_test_without_rules(config, capsys):
    assert await command("--config", config, "paths", "test", "/x") == 0
    assert "no rules: same path" in capsys.readouterr().out


async def test_status_of_a_running_daemon(config, capsys, stash, plex):
    from stash2plex.config_file import load
    from tests.running import running

    sample(stash, plex)
    settings = await asyncio.to_thread(load, config, {})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        assert await command("--config", config, "status") == 0
        out = capsys.readouterr().out
        assert "Plex       up, circuit closed" in out
        assert "Gaps       none" in out
        assert await command("--config", config, "status", "--json") == 0
        assert json.loads(capsys.readouterr().out)["catalog"]["items"] == 1
        plex.token = "changed"
        await daemon.hook(1)
        await daemon.until(lambda status: status["plex"]["state"] == "denied")
        await command("--config", config, "status")
        assert "Plex says: Plex refused the token" in capsys.readouterr().out

        wrong = config.read_text().replace("cli-token", "wrong-token")
        config.write_text(wrong)
        assert await command("--config", config, "status") == 1
        assert "answered HTTP 401" in capsys.readouterr().err


async def test_status_without_a_daemon(config, capsys, stash):
    assert await command("--config", config, "status") == 1
    assert (
        "start it with 'stash2plex run' [daemon_unreachable]" in capsys.readouterr().err
    )
    text = config.read_text()
    config.write_text(text.replace('token = "cli-token"', ""))
    assert await command("--config", config, "status") == 1
    assert "the daemon has not run with this configuration" in capsys.readouterr().err
    port = stash.url.rpartition(":")[2]
    lines = [
        f"port = {port}" if one.startswith("port") else one for one in text.splitlines()
    ]
    config.write_text("\n".join(lines))
    assert await command("--config", config, "status") == 1
    assert "is not the daemon" in capsys.readouterr().err


def test_install_plugin(tmp_path, capsys):
    for _ in range(2):  # again over the older one
        assert main(["install-plugin", str(tmp_path)]) == 0

    installed = tmp_path / "stash2plexd"
    assert sorted(file.name for file in installed.iterdir()) == [
        "stash2plexd.py",
        "stash2plexd.yml",
        "stash2plexd_tasks.py",
    ]
    assert "Daemon URL" in capsys.readouterr().out
    assert main(["install-plugin", str(tmp_path / "none")]) == 1
    assert "is not a folder" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "stash2plexd").write_text("in the way")
    assert main(["install-plugin", str(tmp_path / "other")]) == 1
    assert "plugin_not_installed" in capsys.readouterr().err


async def test_the_demo_runs_to_its_end(capsys):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "stash2plex",
        "demo",
        "--once",
        "--scenes",
        "5",
        "--port",
        str(free_port()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()

    text = out.decode()
    assert process.returncode == 0, text + err.decode()
    assert text.count("ok ") >= 6
    assert "failed" not in text.replace("0 failed", "")
    assert "0 dead letters" in text
    assert err == b""
