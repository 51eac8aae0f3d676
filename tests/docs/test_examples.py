"""The examples of the documents: configurations load, commands run and print that."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from stash2plex.cli import _parser, main
from stash2plex.config import PathRule
from stash2plex.config_file import load
from stash2plex.paths import Mapped, PathMap, normal
from tests.docs.reading import DOCS, blocks, blocks_of, pages, prose_of, text_of
from tests.docs.world import config_file, world

TOML = blocks("toml")
SHELL = [
    (str(block), line.strip())
    for block in blocks("sh")
    for line in block.text.splitlines()
    if "stash2plex" in line
]
# Ways to come to the command: as it is, by its folder, as another user, in a container.
_COMMAND = re.compile(
    r"(?:runuser -u \S+ -- )?(?:\S*/)?stash2plex(?= |$)(.*)"
    r"|docker compose (?:run --rm stash2plex|exec stash2plex entrypoint) (.*)"
)
_INLINE = re.compile(r"`stash2plex( [^`]+)`")
# What stands for something of the reader's.
_STANDS_FOR = {
    "ID": "7",
    "DIR": "folder",
    "CODE": "internal",
    "PATH": "/x",
    "COMMAND": "",
}


def parses(arguments: str) -> None:
    """Fail unless the real parser takes these arguments."""
    try:
        _parser().parse_args(shlex.split(arguments, comments=True))
    except SystemExit as ended:
        if ended.code:  # --help and --version end well
            pytest.fail(f"stash2plex {arguments}")


@pytest.mark.parametrize("block", TOML, ids=str)
def test_every_configuration_loads(block, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(block.text)

    assert load(path, {})


def test_every_json_document_is_one():
    for block in blocks("json"):
        assert json.loads(block.text), block


@pytest.mark.parametrize(("where", "line"), SHELL, ids=lambda one: str(one)[:60])
def test_every_command_parses(where, line):
    command = _COMMAND.fullmatch(line)
    if command:
        parses(command[1] or command[2] or "--help")
    else:
        known = ("useradd", "install ", "python3 -m venv", "/opt/", "sed ", "chown ")
        known += (
            "chmod ",
            "cp ",
            "mkdir ",
            "systemctl",
            "journalctl",
            "docker compose",
        )
        known += ("export ", "curl ")
        assert line.startswith(known), where


def test_the_commands_in_sentences_parse_too():
    found = {command for page in pages() for command in _INLINE.findall(prose_of(page))}
    assert len(found) > 30
    for form in found:
        if "[" in form or "(" in form:
            continue  # not a command
        command = re.sub(
            r"\b[A-Z]+\b", lambda one: _STANDS_FOR.get(one[0], one[0]), form
        )
        # A name alone only speaks of the command.
        parses(command if " " in command.strip() else f"{command} --help")


def test_a_command_outside_a_block_of_its_language_is_found():
    """Nothing that looks like a command hides in a block that no test reads."""
    for block in blocks("", "text", "bash", "shell"):
        assert not re.search(r"^(?:venv/bin/)?stash2plex ", block.text, re.M), block


def test_commands_that_need_no_server_run(tmp_path, capsys, monkeypatch):
    """With the first configuration of the page that shows them."""
    monkeypatch.delenv("STASH2PLEX_CONFIG", raising=False)
    ran = 0
    for block in blocks("sh"):
        for line in block.text.splitlines():
            if "stash2plex paths test " not in line:
                continue
            (tmp_path / "config.toml").write_text(
                next(one.text for one in TOML if one.page == block.page)
            )
            monkeypatch.chdir(tmp_path)
            assert main(shlex.split(line)[1:]) == 0, block
            assert "rule" in capsys.readouterr().out
            ran += 1
    assert ran


# --- path rules ---------------------------------------------------------------------


def layouts() -> list[tuple[str, str, list[list[str]]]]:
    """Every layout of the page: its heading, its rules, its pairs of paths."""
    text = text_of(DOCS / "path-rules.md")
    found = []
    for part in re.split(r"^##+ ", text, flags=re.M):
        rules = "\n".join(re.findall(r"```toml\n(.*?)```", part, re.DOTALL))
        pairs = re.findall(r"^\| `(.+?)` \| `(.+?)` \|$", part, re.M)
        if pairs and rules:
            found.append((part.partition("\n")[0], rules, pairs))
    return found


def test_six_layouts_are_worked_out():
    assert len(layouts()) == 7  # and templates


@pytest.mark.parametrize(
    ("title", "rules", "pairs"), layouts(), ids=lambda one: str(one)[:20]
)
def test_the_pairs_of_a_layout_map_both_ways(title, rules, pairs):
    table = tomllib.loads(rules).get("path_rules", [])
    paths = PathMap([PathRule(**rule) for rule in table])
    for stash, plex in pairs:
        to_plex, to_stash = paths.to_plex(stash), paths.to_stash(plex)
        assert isinstance(to_plex, Mapped), to_plex
        assert isinstance(to_stash, Mapped), to_stash
        assert (to_plex.path, to_stash.path) == (plex, normal(stash))


def test_what_the_page_says_is_not_mapped_is_not():
    (rule,) = [
        one
        for _, rules, _ in layouts()
        for one in tomllib.loads(rules).get("path_rules", [])
        if "stash_template" in one
    ]
    paths = PathMap([PathRule(**rule)])

    assert not isinstance(paths.to_plex("/data/archive-2/one.mp4"), Mapped)
    assert "/data/archive-2/one.mp4" in prose_of(DOCS / "path-rules.md")


# --- what commands print ------------------------------------------------------------

STASH, PLEX, OURS = (f"http://192.168.1.5:{port}" for port in (9999, 32400, 9898))


def sessions(page: Path) -> list[tuple[str, list[str]]]:
    """Every command that a page runs, with the lines that it shows."""
    found: list[tuple[str, list[str]]] = []
    for block in blocks_of(page):
        if block.language != "console":
            continue
        for line in block.text.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ stash2plex "), []))
            else:
                found[-1][1].append(line)
    return found


def plain(line: str) -> str:
    """Return a line without what is different each time."""
    line = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", line.rstrip())
    return re.sub(r"\d[\d,.]*", "N", line)


def replaced(text: str, words: dict[str, str]) -> str:
    """Return *text* with each of *words* replaced."""
    for before, after in words.items():
        text = text.replace(before, after)
    return text


def shows(wanted: list[str], printed: str) -> None:
    """Fail unless these lines were printed; … stands for any number of lines."""
    real = [plain(line) for line in printed.splitlines()]
    at, gap = 0, False
    for line in wanted:
        if line == "…":
            gap = True
            continue
        found = real.index(plain(line), at) if plain(line) in real[at:] else None
        assert found is not None, f"{line!r} is not in\n{printed}"
        assert gap or found == at, f"before {line!r} there is {real[at]!r}"
        at, gap = found + 1, False
    assert gap or at == len(real), f"left out: {real[at:]}"


async def test_what_the_page_of_commands_shows_is_printed(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    async with world(tmp_path) as daemon:
        config = config_file(daemon, tmp_path)
        addresses = {
            STASH: daemon.stash.url.rstrip("/"),
            PLEX: daemon.plex.url.rstrip("/"),
            OURS: daemon.url,
        }
        monkeypatch.setenv("STASH2PLEX_PLEX__TOKEN", daemon.plex.token)
        ran = set()
        capsys.readouterr()
        for command, wanted in sessions(DOCS / "commands.md"):
            name = command.split()[0]
            file = tmp_path / "new.toml" if name == "init" else config
            real = replaced(command, addresses)
            given = ["--config", str(file), *shlex.split(real)]
            status = await asyncio.to_thread(main, given)
            captured = capsys.readouterr()
            assert status == 0, captured.err
            printed = captured.out.replace(str(file), "config.toml")
            printed = replaced(
                printed, {here: shown for shown, here in addresses.items()}
            )
            own = [
                line for line in printed.splitlines() if not line.startswith('{"')
            ]  # the daemon of this test logs to the same stream
            shows(wanted, "\n".join(own))
            ran.add(name)
            await daemon.until(lambda status: not status["queue"]["running"])
    assert ran >= {"init", "install-plugin", "check", "status", "sync", "dead"}
