"""Commands on terminals of all kinds: narrow, monochrome, old, or none at all."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from pathlib import Path

import pytest
import structlog
from aiohttp import web

from stash2plex.logs import Secrets, configure
from stash2plex.sandbox.server import serving
from tests.conftest import make_settings
from tests.running import running

TITLE = "<script>alert(1)</script> [bold]" + "x" * 300
ARABIC = "عنوان طويل"
PATIENT = {"not_found_base": 36e3, "not_found_cap": 36e3}
OLD = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
async def daemon(stash, plex, tmp_path):
    """A daemon with gaps and dead letters that hold what is hard to show."""
    stash.add(f"/media/{TITLE}.mp4".replace("</", "<"), title=TITLE, details="x")
    stash.add(f"/media/{ARABIC} 秘密 😀.mp4", title=ARABIC, details="x")
    stash.add("/media/dead.mp4", title="x", details="y")
    plex.add("/media/dead.mp4")
    stash.failing[3] = f"resolver failed over {ARABIC} 😀 [red]"
    settings = make_settings(stash, plex, tmp_path, queue=PATIENT | {"max_attempts": 1})
    (tmp_path / "config.toml").write_text(
        f'[server]\nhost = "127.0.0.1"\nport = {settings.server.port}\n'
        'token = "test-token"\n'
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.post("sync", {"scope": "all"})
        await daemon.until(
            lambda status: (
                (status["queue"]["waiting"], status["queue"]["dead"]) == (2, 1)
            )
        )
        await daemon.post("reconcile", {})
        await daemon.until(lambda status: status["gaps"]["missing_in_plex"] == 2)
        # The comparison had the dead letter tried again, since Stash stumbled over it.
        await daemon.until(lambda status: not status["reconcile"]["running"])
        await daemon.until(
            lambda status: (
                (status["queue"]["waiting"], status["queue"]["dead"]) == (2, 1)
            )
        )
        yield daemon


async def begun(tmp_path, *words, out, err=asyncio.subprocess.PIPE, **environment):
    """Start a command as a process."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "stash2plex",
        "--config",
        str(tmp_path / "config.toml"),
        *words,
        stdout=out,
        stderr=err,
        env=os.environ | environment,
    )


async def told(tmp_path, *words, terminal=False, errors_too=False, **environment):
    """Run a command as a process; returns its status, output and errors as bytes.

    Its output is a *terminal*, or *errors_too*: then they are part of its output.
    """
    ours, theirs = pty.openpty() if terminal else (None, asyncio.subprocess.PIPE)
    errors = theirs if errors_too else asyncio.subprocess.PIPE
    process = await begun(tmp_path, *words, out=theirs, err=errors, **environment)
    if ours is None:
        out, err = await process.communicate()
        return process.returncode, out, err
    os.close(theirs)
    out = b""
    while True:
        try:
            more = await asyncio.to_thread(os.read, ours, 65536)
        except OSError:
            break
        out += more
    os.close(ours)
    err = b"" if errors_too else await process.stderr.read()
    return await process.wait(), out, err


COMMANDS = [
    ["status"],
    ["gaps"],
    ["gaps", "--csv"],
    ["dead"],
    ["queue"],
    ["outages"],
    ["explain", "scene:1"],
    ["explain", "scene:2"],
    ["sync", "--all", "--dry-run"],
    ["reconcile", "--dry-run"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
async def test_a_locale_that_knows_no_letters(daemon, tmp_path, words):
    status, out, err = await told(tmp_path, *words, **OLD)

    assert (status, err) == (0, b"")
    assert out.isascii()
    assert out


@pytest.mark.parametrize(
    "words", [one for one in COMMANDS if "--csv" not in one], ids=" ".join
)
async def test_json_is_json_in_any_locale(daemon, tmp_path, words):
    status, out, _ = await told(tmp_path, *words, "--json", **OLD)
    assert status == 0
    assert out.isascii()
    assert json.loads(out)


async def test_what_is_typed_into_titles_stays_text(daemon, tmp_path):
    _, out, _ = await told(tmp_path, "explain", "scene:1", PYTHONUTF8="1")
    text = out.decode()

    assert TITLE in text
    _, out, _ = await told(tmp_path, "dead", PYTHONUTF8="1")
    assert f"resolver failed over {ARABIC} 😀 [red]" in out.decode()


@pytest.fixture
def both_servers(daemon, tmp_path):
    """Their addresses, for the commands that ask them without the daemon."""
    with (tmp_path / "config.toml").open("a") as file:
        file.write(f'[plex]\nurl = "{daemon.plex.url}"\n')
        file.write(f'token = "{daemon.plex.token}"\n')
        file.write(f'[stash]\nurl = "{daemon.stash.url}"\n')


@pytest.mark.usefixtures("both_servers")
@pytest.mark.parametrize(
    ("words", "step"),
    [
        (("sync", "--all", "--dry-run"), b"reading scenes from Stash"),
        (("reconcile", "--dry-run"), b"waiting for its turn"),
        (("support", "report.zip"), b"looking at both servers"),
        (("paths", "coverage"), b"reading the files of both libraries"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
async def test_a_terminal_shows_what_is_waited_for(tmp_path, words, step):
    words = [str(tmp_path / one) if "." in one else one for one in words]
    plain = {"TERM": "xterm", "COLUMNS": "100", "PYTHONUTF8": "1"}
    _, shown, _ = await told(tmp_path, *words, terminal=True, errors_too=True, **plain)
    status, out, err = await told(tmp_path, *words, **plain)

    assert step in shown
    assert step not in out
    assert (status, err) == (0, b"")


@pytest.mark.usefixtures("both_servers")
@pytest.mark.parametrize("lines", [0, 1, 9, 12])
@pytest.mark.parametrize(
    "words", [["check"], ["status"], ["gaps"], ["--help"]], ids=" ".join
)
async def test_whoever_reads_it_may_stop(tmp_path, words, lines):
    """As ``| head`` does."""
    ours, theirs = os.pipe()
    process = await begun(tmp_path, *words, out=theirs)
    os.close(theirs)
    with open(ours, "rb", buffering=0) as file:  # noqa: ASYNC230, PTH123 - a pipe
        for _ in range(lines):
            await asyncio.to_thread(file.readline)
    _, err = await process.communicate()

    assert err == b""


@pytest.mark.usefixtures("both_servers")
@pytest.mark.parametrize("words", [["check"], ["status"]], ids=" ".join)
async def test_no_colour_where_none_is_wanted(tmp_path, words):
    plain = {"NO_COLOR": "1", "TERM": "xterm", "COLUMNS": "40"}
    _, out, _ = await told(tmp_path, *words, terminal=True, **plain)
    assert b"\x1b[" not in out
    assert out
    _, piped, _ = await told(tmp_path, *words, TERM="xterm")
    assert b"\x1b[" not in piped


async def test_what_moves_the_cursor_is_spelled_out(daemon, tmp_path):
    daemon.stash.failing[3] = "resolver \x1b[31mfailed\x07\nscene 9: forged"
    await daemon.post("dead/retry", {}, 200)
    await daemon.until(lambda status: status["queue"]["dead"] == 1)
    _, out, _ = await told(tmp_path, "dead", PYTHONUTF8="1")

    assert b"\x1b" not in out
    assert b"resolver \\x1b[31mfailed" in out
    assert b"\nscene 9" not in out


async def test_narrow_terminals_lose_nothing(daemon, tmp_path):
    _, out, _ = await told(
        tmp_path, "explain", "scene:1", terminal=True, COLUMNS="40", NO_COLOR="1"
    )

    assert "x" * 300 in out.decode()


async def test_a_status_of_a_newer_daemon(daemon, tmp_path):
    """It has fields that we do not know, and states that we have never heard of."""
    status = await daemon.status()
    status["plex"] |= {"state": "hibernating", "mood": {"deep": [1]}}
    status["gaps"]["haunted"] = 3
    status["news"] = "x"

    async def answer(_):
        return web.json_response(status)

    app = web.Application()
    app.add_routes([web.get("/api/v1/status", answer)])
    async with serving(app) as url:
        (tmp_path / "config.toml").write_text(
            f'[server]\nhost = "127.0.0.1"\nport = {url.rpartition(":")[2]}\n'
            'token = "test-token"\n'
        )
        code, out, _ = await told(tmp_path, "status")

    assert code == 0
    assert "hibernating" in out.decode()
    assert "3 haunted" in out.decode()


async def test_differences_are_a_table_on_a_terminal(daemon, tmp_path):
    daemon.stash.failing.clear()
    plain = {"NO_COLOR": "1", "COLUMNS": "100", "PYTHONUTF8": "1", "TERM": "xterm"}
    words = ("sync", "--scene", "3", "1", "--dry-run")
    _, out, _ = await told(tmp_path, *words, terminal=True, **plain)
    table = out.decode()
    _, piped, _ = await told(tmp_path, *words, PYTHONUTF8="1")
    lines = piped.decode()

    assert "│ title" in table
    assert "┃ Scene ┃ Item ┃ Field" in table
    assert "2 scenes looked at, 1 item would change." in table
    assert "  title: 'dead' -> 'x'" in lines
    assert "│" not in lines


STRANGERS = [{"status": "ok"}, {}, {"total": 3}, {"run": None}]


@pytest.mark.parametrize("words", [*COMMANDS, ["recover"]], ids=" ".join)
async def test_what_answers_in_the_daemon_s_place(tmp_path, words, capsys):
    from stash2plex.cli import main

    asked = []

    async def answer(request):
        asked.append(request.path)
        return web.json_response(STRANGERS[len(asked) % len(STRANGERS)])

    app = web.Application()
    app.add_routes([web.route("*", "/{rest:.*}", answer)])
    async with serving(app) as url:
        (tmp_path / "config.toml").write_text(
            f'[server]\nhost = "127.0.0.1"\nport = {url.rpartition(":")[2]}\n'
            'token = "test-token"\n'
        )
        given = ["--config", str(tmp_path / "config.toml"), *words]
        assert await asyncio.to_thread(main, given) == 1

    assert "is not the daemon" in capsys.readouterr().err


async def test_a_demo_on_a_port_that_is_taken(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, out, err = await told(tmp_path, "demo", "--once", "--port", port)

    assert status == 1
    assert f"something else listens on port {port}; name another with --port" in (
        err.decode()
    )
    assert b"Traceback" not in out + err


async def test_only_the_dead_letters_that_are_asked_for(daemon, tmp_path):
    for words, count in (
        (["--scene", "3"], 1),
        (["--scene", "1"], 0),
        (["--code", "server_fault"], 1),
        (["--code", "other"], 0),
        (["--days", "1"], 0),
    ):
        _, out, _ = await told(tmp_path, "dead", "list", *words, "--json")
        assert json.loads(out)["total"] == count
    _, out, _ = await told(tmp_path, "gaps", "--limit", "1")
    assert out.startswith(b"3 gaps, 1 of them here; --limit and --offset show others")


@pytest.mark.skipif(os.getuid() != 0, reason="only root may be others")
async def test_folders_that_are_somebody_else_s(tmp_path):
    from tests.test_container import NOBODY, python_for_others, room  # noqa: F401

    python = python_for_others()
    data = tmp_path / "locked"
    data.mkdir(mode=0o700)
    for words in (["install-plugin", str(data / "in")], ["init"], ["check"]):
        process = await asyncio.create_subprocess_exec(
            python,
            "-m",
            "stash2plex",
            "--config",
            str(data / "config.toml"),
            *words,
            cwd="/",
            env={
                "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path]),
                "PATH": "/usr/bin:/bin",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        assert process.returncode in {1, 2}, out.decode()
        assert b"Traceback" not in out, out.decode()


STEERING = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eexe.4pm"
STEERS = [one.encode() for one in ("\x1b]", "\x1b[2J", "\x9b", "\u202e")]


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("words", [*COMMANDS, ["gaps", "--json"]], ids=" ".join)
async def test_what_steers_a_terminal_is_spelled_out(
    stash, plex, tmp_path, words, terminal
):
    """Titles, paths and what is asked for come from others."""
    path = f"/media/{STEERING}.mp4"
    stash.add(path, title=STEERING, details=STEERING)
    stash.add(f"/media/only-{STEERING}.mp4", title=STEERING, details="x")
    plex.add(path)
    settings = make_settings(stash, plex, tmp_path, queue=PATIENT)
    (tmp_path / "config.toml").write_text(
        f'[server]\nhost = "127.0.0.1"\nport = {settings.server.port}\n'
        'token = "test-token"\n'
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        _, out, err = await told(tmp_path, *words, terminal=terminal)

    assert out
    for one in STEERS:
        assert one not in out + err


@pytest.mark.parametrize("style", ["console", "json"])
def test_nor_does_it_reach_the_log(style, tmp_path):
    with (tmp_path / "log").open("w+") as stream:
        configure("info", style, Secrets(), stream=stream)
        structlog.get_logger().warning(
            "request_failed",
            route=STEERING,
            files=[STEERING],
            error={"x": STEERING},
            folder=Path(STEERING),
        )
        try:
            raise ValueError(STEERING)
        except ValueError:
            structlog.get_logger().exception("crashed")
        stream.seek(0)
        shown = stream.read().encode()

    assert b"request_failed" in shown
    for one in STEERS:
        assert one not in shown


NO_TEXT = os.fsdecode(b"/media/caf\xe9.mp4")


@pytest.mark.parametrize("environment", [{}, OLD], ids=["UTF-8", "C"])
@pytest.mark.parametrize(
    "words",
    [
        ["paths", "test", NO_TEXT],
        ["explain", NO_TEXT],
        ["explain", "caf\u00e9"],
        ["--config", NO_TEXT, "status"],
        ["--config", NO_TEXT, "check"],
        ["install-plugin", NO_TEXT],
        ["support", NO_TEXT],
        ["dead", "--code", NO_TEXT],
        ["check"],
    ],
    ids=lambda words: ascii(words[-1]),
)
async def test_names_that_are_no_text(daemon, tmp_path, words, environment):
    status, out, err = await told(tmp_path, *words, **environment)

    assert status in {0, 1, 2}
    assert b"Traceback" not in out + err
    assert out + err


async def test_a_folder_whose_name_is_no_text(stash, plex, tmp_path):
    """The daemon keeps its files there all the same."""
    folder = tmp_path / NO_TEXT.rpartition("/")[2]
    await asyncio.to_thread(folder.mkdir)
    settings = make_settings(stash, plex, tmp_path, server={"data_dir": folder})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        assert (await daemon.get("health"))["findings"]
