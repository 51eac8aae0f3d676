"""Setting it up: from both servers' addresses to a configuration that works."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import re
import stat
import sys
import tomllib

import pytest

from stash2plex.cli import main
from stash2plex.config_file import load
from stash2plex.older_plugin import import_settings
from tests.conftest import free_port
from tests.end_to_end.test_delivery import sample
from tests.patience import patient


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    for name in os.environ:
        if name.startswith("STASH2PLEX_"):
            monkeypatch.delenv(name)


async def init(*words):
    return await asyncio.to_thread(main, ["init", *map(str, words)])


def both(stash, plex):
    return (
        "--stash-url",
        stash.url,
        "--plex-url",
        f"{plex.url}/",
        "--plex-token",
        plex.token,
    )


def written(tmp_path):
    return tomllib.loads((tmp_path / "config.toml").read_text())


async def test_without_a_terminal(stash, plex, tmp_path, capsys, monkeypatch):
    for number in range(30):
        stash.add(f"/data/{number}.mp4", title="x", size=100 + number)
        plex.add(f"/media/{number}.mp4", size=100 + number)
    assert await init(*both(stash, plex)) == 0

    out = capsys.readouterr().out
    found = written(tmp_path)
    assert found["stash"] == {"url": stash.url}
    assert found["plex"] == {"url": plex.url, "token": plex.token}
    assert len(found["server"]["token"]) > 30
    assert len(found["provider"]["secret"]) > 20
    assert found["path_rules"][0]["stash"] == "^/data/(?P<rest>.+)$"
    mode = (tmp_path / "config.toml").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert f"Stash v0.30.1 answers at {stash.url}" in out
    assert "movie libraries: 'Scenes'" in out
    assert "100.0% of 30 files" in out
    assert "stash2plex install-plugin" in out
    for secret in (
        found["server"]["token"],
        found["provider"]["secret"],
        plex.token,
    ):
        assert secret not in out
    assert not list(tmp_path.glob("*.new"))
    # And it works.
    settings = await asyncio.to_thread(load, tmp_path / "config.toml", {})
    assert settings.server.data_dir == tmp_path / "data"
    monkeypatch.setenv("STASH2PLEX_SERVER__PORT", str(free_port()))
    await asyncio.to_thread(main, ["check", "--json"])
    assert '"fail"' not in capsys.readouterr().out


async def test_the_same_paths_need_no_rules(stash, plex, tmp_path, capsys):
    sample(stash, plex)
    assert await init(*both(stash, plex)) == 0

    assert "path_rules" not in written(tmp_path)


async def test_nothing_to_compare(stash, plex, tmp_path, capsys):
    assert await init(*both(stash, plex)) == 0

    assert "stash2plex paths suggest" in capsys.readouterr().out
    assert "path_rules" not in written(tmp_path)


async def test_a_file_that_is_there_is_not_lost(stash, plex, tmp_path, capsys):
    (tmp_path / "config.toml").write_text("# mine\n")
    assert await init(*both(stash, plex)) == 2
    assert "--force writes another" in capsys.readouterr().err
    assert (tmp_path / "config.toml").read_text() == "# mine\n"

    assert await init(*both(stash, plex), "--force") == 0
    assert (tmp_path / "config.toml.old").read_text() == "# mine\n"
    assert written(tmp_path)["plex"]["token"] == plex.token


async def test_another_file(stash, plex, tmp_path):
    given = ["--config", str(tmp_path / "other.toml"), "init", *both(stash, plex)]
    assert await asyncio.to_thread(main, given) == 0

    assert (tmp_path / "other.toml").exists()


async def test_a_library_of_several(stash, plex, tmp_path, capsys):
    plex.sections[2] = "Films"
    sample(stash, plex)
    assert await init(*both(stash, plex), "--library", "Scenes") == 0
    assert written(tmp_path)["plex"]["libraries"] == ["Scenes"]

    assert await init(*both(stash, plex), "--force", "--library", "Nope") == 2
    assert "it has 'Scenes', 'Films'" in capsys.readouterr().err
    assert written(tmp_path)["plex"]["libraries"] == ["Scenes"]


async def test_secrets_from_the_environment_stay_there(
    stash, plex, tmp_path, monkeypatch
):
    stash.api_key = "key-from-the-environment"
    (tmp_path / "token").write_text(f"{plex.token}\n")
    monkeypatch.setenv("STASH2PLEX_STASH__URL", stash.url)
    monkeypatch.setenv("STASH2PLEX_STASH__API_KEY", stash.api_key)
    monkeypatch.setenv("STASH2PLEX_PLEX__URL", plex.url)
    monkeypatch.setenv("STASH2PLEX_PLEX__TOKEN_FILE", str(tmp_path / "token"))
    assert await init() == 0

    text = (tmp_path / "config.toml").read_text()
    assert plex.token not in text
    assert stash.api_key not in text


OLDER = {
    "plex_url": "PLEX",
    "plex_token": "TOKEN",
    "plex_library": "Scenes, Gone",
    "max_tags": "250",
    "sync_tagline": "false",
    "syncPoster": False,
    "preserve_plex_edits": True,
    "skip_not_found": "no",
    "strict_matching": True,
    "reconcile_interval": "weekly",
    "reconcile_scope": "7days",
    "obfuscate_paths": True,
    "plex_unmatched_path_map": "/films => /data; nonsense",
    "max_retries": "many",
    "strict_mode": True,
    "connect_timeout": "",
}


async def test_the_older_plugin_s_settings_are_taken(stash, plex, tmp_path, capsys):
    plex.sections[2] = "Films"
    stash.plugin_settings["Stash2Plex"] = OLDER | {
        "plex_url": plex.url,
        "plex_token": plex.token,
    }
    assert await init("--stash-url", stash.url) == 0

    found = written(tmp_path)
    out = capsys.readouterr().out
    assert found["plex"] == {
        "url": plex.url,
        "token": plex.token,
        "libraries": ["Scenes"],
    }
    assert found["sync"]["max_tags"] == 250
    assert found["sync"]["mode"] == "fill"
    assert found["sync"]["fields"] == {"tagline": False, "poster": False}
    assert found["match"] == {"strict": True}
    assert found["reconcile"] == {"interval": "weekly", "scope": "7d"}
    assert found["log"] == {"obfuscate_paths": True}
    assert found["path_rules"] == [
        {
            "name": "data-1",
            "stash": "^/data/(?P<rest>.+)$",
            "plex": "^/films/(?P<rest>.+)$",
        }
    ]
    assert "max_tags -> sync.max_tags" in out
    assert "strict_mode: has no counterpart, left out" in out
    assert "max_retries: is no number, left out" in out
    assert "connect_timeout" not in out
    assert plex.token not in out


async def test_what_the_older_plugin_says_and_what_goes_before_it(
    stash, plex, tmp_path, capsys, monkeypatch
):
    plex.sections[2] = "Films"
    stash.plugin_settings["Stash2Plex"] = {
        "plex_url": "http://127.0.0.1:1",
        "plex_library": "Films, Gone",
        "max_tags": 5000,
        "debug_logging": False,
        "reconcile_interval": "often",
        "sync_tags": False,
        "sync_date": False,
        "plex_unmatched_path_map": "/media => /data",
    }
    monkeypatch.setenv("STASH2PLEX_SYNC__FIELDS__DATE", "true")
    stash.add("/data/1.mp4", size=7)
    plex.add("/media/1.mp4", size=7)
    assert await init(*both(stash, plex)) == 0

    out = capsys.readouterr().out
    found = written(tmp_path)
    for line in (
        "plex_url: left out, --plex-url goes before it",
        "plex_library -> plex.libraries",
        "Plex has no movie library 'Gone'; it is left out.",
        "max_tags: is not from 10 to 500, left out",
        "debug_logging: is off, as it is here, left out",
        "reconcile_interval: is none of never, hourly",
        "sync_tags -> sync.fields.tags",
        "sync_date: left out, STASH2PLEX_SYNC__FIELDS__DATE goes before it",
        "plex_unmatched_path_map -> path_rules, unless the files tell of better ones",
    ):
        assert line in out
    assert found["plex"]["libraries"] == ["Films"]
    # One variable keeps only its own key out of the file.
    assert found["sync"] == {"fields": {"tags": False}}
    assert "log" not in found


@pytest.mark.parametrize("value", [None, "", [], {}, "x" * 5000, float("nan")])
def test_settings_that_make_no_sense_are_left_out(value):
    for key in OLDER:
        found = import_settings({key: value})
        assert all(one is not None for one in found.tables.values())
    assert import_settings({"max_tags": value}).tables == {}
    assert import_settings({"plex_url": value}).tables == {}


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"--plex-token": ""}, 2, "give --plex-token, or STASH2PLEX_PLEX__TOKEN"),
        ({"--plex-token": "wrong-token"}, 1, "Plex refused the token"),
        ({"--stash-url": "http://127.0.0.1:1"}, 1, "give another with --stash-url"),
        ({"--stash-url": "nonsense"}, 2, "stash.url: must be a URL such as"),
        ({"--plex-url": "http://127.0.0.1:1"}, 1, "tried http://127.0.0.1:1, give"),
        ({"--plex-token": "ümlaut"}, 2, "plex.token: "),
    ],
)
async def test_what_cannot_work(stash, plex, tmp_path, capsys, change, status, words):
    given = both(stash, plex)
    options = dict(zip(given[::2], given[1::2], strict=True)) | change
    words_given = [one for pair in options.items() for one in pair]
    assert await init(*words_given) == status

    error = capsys.readouterr().err
    assert words in error
    assert "wrong-token" not in error
    assert not (tmp_path / "config.toml").exists()


async def test_a_folder_that_takes_no_files(stash, plex, tmp_path, capsys):
    given = ["--config", str(tmp_path / "no" / "c.toml"), "init", *both(stash, plex)]
    assert await asyncio.to_thread(main, given) == 2

    assert "name another with --config" in capsys.readouterr().err


class Terminal:
    """The command on a terminal: what it asks, and what is typed."""

    def __init__(self, folder, *words):
        self._ours, theirs = pty.openpty()
        self._starting = asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "stash2plex",
            "init",
            *words,
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=os.environ | {"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "200"},
        )
        self._theirs = theirs
        self.said = ""

    async def __aenter__(self):
        self.process = await self._starting
        os.close(self._theirs)
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        os.close(self._ours)

    async def until(self, pattern):
        try:
            async with asyncio.timeout(patient(20)):
                while not re.search(pattern, self.said):
                    if not await self._more():
                        break
        except TimeoutError:
            pytest.fail(f"waits for {pattern!r}; said: {self.said!r}")
        assert re.search(pattern, self.said), self.said
        self.said = ""

    async def answer(self, pattern, text):
        await self.until(pattern)
        os.write(self._ours, f"{text}\n".encode())

    async def _more(self):
        try:
            found = await asyncio.to_thread(os.read, self._ours, 65536)
        except OSError:  # it has ended
            return False
        self.said += found.decode("utf-8", "replace")
        return bool(found)


async def test_on_a_terminal(stash, plex, tmp_path):
    stash.api_key = "the-key"
    plex.sections[2] = "Films"
    for number in range(10):
        stash.add(f"/data/{number}.mp4", title="x", size=100 + number)
        plex.add(f"/media/{number}.mp4", size=100 + number)
    async with Terminal(tmp_path) as terminal:
        await terminal.answer(r"Stash's URL .*9999", "nonsense")
        await terminal.answer(
            r"stash.url[\s\S]*Stash's URL .*9999", "http://127.0.0.1:1"
        )
        await terminal.answer(r"Stash is unavailable[\s\S]*Stash's URL", stash.url)
        await terminal.answer("API key", "another-key")
        await terminal.answer(r"refused[\s\S]*Security\): ", "the-key")
        await terminal.answer("Plex's URL", plex.url)
        await terminal.answer("Plex's token", "wrong-token")
        await terminal.answer(r"refused the token[\s\S]*Plex's token \(", plex.token)
        await terminal.answer(r"1  Scenes[\s\S]*2  Films[\s\S]*Which libraries", "7")
        await terminal.answer("Which libraries", "Filmes")
        await terminal.answer("Which libraries", "Scenes")
        await terminal.answer(r"100.0% of 10 files[\s\S]*Use these path rules", "y")
        await terminal.until(r"Written: config.toml[\s\S]*stash2plex check")
        assert await terminal.process.wait() == 0

    found = written(tmp_path)
    assert found["stash"] == {"url": stash.url, "api_key": "the-key"}
    assert found["plex"]["libraries"] == ["Scenes"]
    assert len(found["path_rules"]) == 1


async def test_rules_may_be_declined_and_the_end_of_input_ends_it(
    stash, plex, tmp_path
):
    for number in range(3):
        stash.add(f"/data/{number}.mp4", title="x", size=100 + number)
        plex.add(f"/media/{number}.mp4", size=100 + number)
    async with Terminal(tmp_path, *both(stash, plex)) as terminal:
        await terminal.answer("Use these path rules", "n")
        assert await terminal.process.wait() == 0
    assert "path_rules" not in written(tmp_path)
    async with Terminal(tmp_path, "--force") as terminal:
        await terminal.answer("Stash's URL", "\x04")
        await terminal.process.wait()
    assert terminal.process.returncode == 130


async def test_titles_with_brackets(stash, plex, tmp_path, capsys):
    plex.sections[2] = "Movies [/adult]"
    assert await init(*both(stash, plex)) == 0

    assert "'Movies [/adult]'" in capsys.readouterr().out


async def test_a_blank_variable_names_no_file(stash, plex, tmp_path, monkeypatch):
    monkeypatch.setenv("STASH2PLEX_CONFIG", " ")
    sample(stash, plex)

    assert await init(*both(stash, plex)) == 0
    assert written(tmp_path)
