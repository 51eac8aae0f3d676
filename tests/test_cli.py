"""Every command as a user runs it: what it prints, and its exit status."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from stash2plex import __version__
from stash2plex.cli import main
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


@pytest.mark.parametrize("words", [["status"], ["check"], ["run"], ["sync", "--all"]])
def test_without_a_configuration_it_says_so(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) != 0

    told = f"there is no config.toml in {tmp_path}"
    assert told in capsys.readouterr().err
    (tmp_path / "config.toml").write_text("")
    assert main(words) != 0
    assert told not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["paths"],
        ["demo", "--scenes", "0"],
        ["demo", "--port", "0"],
        ["paths", "test"],
    ],
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


def test_every_command_is_there_and_says_what_it_does():
    import argparse
    import importlib

    from stash2plex.cli import _parser

    def leaves(parser):
        if command := parser.get_default("command"):
            yield command, parser.description
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for one in action.choices.values():
                    yield from leaves(one)

    found = dict(leaves(_parser()))
    assert len(found) == 18
    for command, described in found.items():
        module, _, name = command.partition(".")
        function = getattr(
            importlib.import_module(f"stash2plex.commands.{module}"), name
        )
        assert function.__doc__ == described


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
        await daemon.until(
            lambda status: (
                status["plex"]["state"] == "up"
                and status["reconcile"]["last"]
                and status["deliveries"]["written"]
                and not status["gaps"]["empty"]
            )
        )
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

        assert await command("--config", config, "explain", "scene:abc") == 2
        assert "'scene:abc' must be scene:ID" in capsys.readouterr().err
        wrong = config.read_text().replace("cli-token", "wrong-token")
        config.write_text(wrong)
        assert await command("--config", config, "status") == 1
        assert "has another token than this configuration" in capsys.readouterr().err


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
    assert {file.name for file in installed.iterdir()} >= {
        "stash2plexd.py",
        "stash2plexd.yml",
        "stash2plexd_tasks.py",
    }
    assert "Daemon URL" in capsys.readouterr().out
    # The folder of a fresh Stash is not there yet.
    assert main(["install-plugin", str(tmp_path / "none"), "--hooks", "http"]) == 0
    assert sorted(one.name for one in (tmp_path / "none").iterdir()) == [
        "stash2plexd",
        "stash2plexd_http_hooks",
    ]
    assert main(["install-plugin", str(tmp_path / "none"), "--hooks", "none"]) == 0
    assert [one.name for one in (tmp_path / "none").iterdir()] == ["stash2plexd"]
    assert main(["install-plugin", str(tmp_path / "none"), "--remove"]) == 0
    assert list((tmp_path / "none").iterdir()) == []
    # Stash installed it from a source, and would have it twice.
    shutil.copytree(tmp_path / "stash2plexd", tmp_path / "none" / "x" / "stash2plexd")
    capsys.readouterr()
    assert main(["install-plugin", str(tmp_path / "none")]) == 1
    assert "uninstall it" in capsys.readouterr().err
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
