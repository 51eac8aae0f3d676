"""Proposed path rules, and how far rules reach."""

from __future__ import annotations

import asyncio
import json
import tomllib

import pytest

from stash2plex.cli import main
from stash2plex.path_report import coverage, propose
from stash2plex.paths import PathMap


def files(folder: str, *names: str, first: int = 1):
    return [(f"{folder}/{name}", size) for size, name in enumerate(names, first)]


NAMES = [f"sub {number % 3}/scene.{number}.mp4" for number in range(30)]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("/data", "/media/videos"),
        ("/data/stash", "/mnt"),
        ("/data (1) [x]", "/media+more"),
        ("/data/Bob's", "/media/it's"),
        ("D:\\Videos", "/volume1/videos"),
        ("/data", "\\\\nas\\share\\videos"),
    ],
)
def test_one_rule_for_one_folder(ours, theirs):
    found = propose(files(ours, *NAMES), files(theirs, *NAMES))

    assert len(found.rules) == 1
    assert (found.twins, found.left) == (30, ())
    table = tomllib.loads(found.toml)["path_rules"]
    assert table[0]["stash"] == found.rules[0].stash


def test_no_rule_for_the_same_paths():
    found = propose(files("/data", *NAMES), files("/data", *NAMES))

    assert found.rules == ()
    assert found.toml == ""


def test_several_roots_the_more_specific_first():
    archive = [f"old/{number}.mp4" for number in range(10)]
    ours = files("/data", *NAMES) + files("/data/archive", *archive, first=100)
    theirs = files("/media", *NAMES) + files("/cold", *archive, first=100)
    found = propose(ours, theirs)

    assert [rule.name for rule in found.rules] == ["archive-1", "data-2"]
    assert found.left == ()


def test_what_does_not_fit_is_left_and_told():
    ours = [*files("/data", *NAMES), ("/data/odd.mp4", 999)]
    theirs = [*files("/media", *NAMES), ("/elsewhere/deep/odd.mp4", 999)]
    found = propose(ours, theirs)

    assert len(found.rules) == 1
    assert found.left == ("/data/odd.mp4",)


def test_names_and_sizes_that_are_not_unique_say_nothing():
    same = [("/data/a/x.mp4", 5), ("/data/b/x.mp4", 5), ("/data/y.mp4", None)]
    found = propose(same, [("/media/a/x.mp4", 5), ("/media/y.mp4", 7)])

    assert (found.twins, found.rules) == (0, ())


def test_coverage_of_both_sides():
    rules = propose(files("/data", *NAMES), files("/media", *NAMES)).rules
    ours = [*files("/data", *NAMES), ("/data/only.mp4", 1)]
    theirs = [*files("/media", *NAMES), ("/other/thing.mp4", 1)]
    stash, plex = coverage(ours, theirs, PathMap(rules))

    assert (stash.files, stash.missing) == (31, ("/data/only.mp4",))
    assert plex.missing == ("/other/thing.mp4",)
    assert stash.share == pytest.approx(30 / 31)
    assert coverage([], [], PathMap())[0].share == 1.0


@pytest.fixture
async def said(stash, plex, tmp_path, capsys):
    for size, name in enumerate(NAMES, 1):
        stash.add(f"/data/{name}", size=size)
        plex.add(f"/media/{name}", size=size)
    file = tmp_path / "config.toml"
    base = (
        f'[stash]\nurl = "{stash.url}"\n'
        f'[plex]\nurl = "{plex.url}"\ntoken = "{plex.token}"\n'
    )
    file.write_text(base)

    async def say(*words, status=0, rules=""):
        file.write_text(base + rules)
        arguments = ["--config", str(file), "paths", *words]
        assert await asyncio.to_thread(main, arguments) == status
        return capsys.readouterr().out

    return say


async def test_the_commands(said):
    assert "Stash: 0.0% of 30 files by path, 30 left, for example /data" in await said(
        "coverage"
    )
    out = await said("suggest")
    assert out.endswith("# 100.0% of 30 files that are on both sides, 0 left\n")
    # What it prints can be pasted as it is.
    told = await said("coverage", rules=out)
    assert "Stash: 100.0% of 30 files by path, 0 left" in told
    assert "Plex: 100.0% of 30 files by path, 0 left" in told
    document = json.loads(await said("suggest", "--json"))
    assert document["twins"] == 30
    assert json.loads(await said("coverage", "--json"))["plex"]["covered"] == 0


async def test_nothing_to_go_by(said, plex):
    plex.items.clear()
    assert "nothing\nto go by" in await said("suggest", status=1)


async def test_a_server_that_is_away(said, stash):
    stash.status = 503
    await said("suggest", status=1)
