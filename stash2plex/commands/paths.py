"""Commands about path rules."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from stash2plex import path_report
from stash2plex.commands.lines import counted
from stash2plex.commands.shared import (
    FAILED,
    WELL,
    demand_plex_token,
    print_json,
    say,
    settings_of,
)
from stash2plex.commands.terminal import waiting
from stash2plex.config import Settings
from stash2plex.paths import Mapped, PathMap


def test(options: argparse.Namespace) -> int:
    """Map a path both ways, and name the rule."""
    paths = PathMap(settings_of(options).path_rules)
    to_plex, to_stash = paths.to_plex(options.path), paths.to_stash(options.path)
    answers = {"as_stash_path": to_plex, "as_plex_path": to_stash}
    mapped = any(isinstance(one, Mapped) for one in answers.values())
    if options.json:
        document = {
            way: {"path": one.path, "rule": one.rule or None, "reason": None}
            if isinstance(one, Mapped)
            else {"path": None, "rule": None, "reason": one.reason}
            for way, one in answers.items()
        }
        print_json({"path": options.path, **document})
    else:
        for way, one in (("Stash to Plex", to_plex), ("Plex to Stash", to_stash)):
            if isinstance(one, Mapped):
                rule = f"rule {one.rule}" if one.rule else "no rules: same path"
                say(f"{way}: {one.path}  ({rule})")
            else:
                say(f"{way}: not mapped: {one.reason}")
    return WELL if mapped else FAILED


def suggest(options: argparse.Namespace) -> int:
    """Propose path rules from what both libraries hold."""
    settings = settings_of(options)
    demand_plex_token(settings)
    found = path_report.propose(*_files(settings))
    if options.json:
        rules = [
            rule.model_dump(include={"name", "stash", "plex"}) for rule in found.rules
        ]
        document = {"rules": rules, "twins": found.twins, "left": found.left}
        print_json(document)
        return WELL
    if not found.twins:
        say("No file has the same name and size on both sides, so there is nothing")
        say("to go by. Are plex.libraries right, and were they scanned?")
        return FAILED
    none = "# No rules are needed: both sides see the same paths."
    for line in (found.toml or none).splitlines():
        say(line)
    if found.toml:
        say("")
    say(f"# {found.told}")
    return WELL


def coverage(options: argparse.Namespace) -> int:
    """Say how many files of each side find their twin, with examples."""
    settings = settings_of(options)
    demand_plex_token(settings)
    sides = path_report.coverage(*_files(settings), PathMap(settings.path_rules))
    if options.json:
        document = {
            name: {"files": one.files, "covered": one.files - len(one.missing)}
            | {"missing": one.missing}
            for name, one in zip(("stash", "plex"), sides, strict=True)
        }
        print_json(document)
        return WELL
    for name, one in zip(("Stash", "Plex"), sides, strict=True):
        say(
            f"{name}: {one.share:.1%} of {counted(one.files, 'file')} by path,"
            f" {len(one.missing)} left{_for_example(one.missing)}"
        )
    return WELL


def _files(settings: Settings) -> tuple[list[path_report.File], list[path_report.File]]:
    with waiting("reading the files of both libraries"):
        return asyncio.run(path_report.read_files(settings))


def _for_example(paths: Sequence[str]) -> str:
    shown = paths[: path_report.EXAMPLES]
    return f", for example {', '.join(shown)}" if shown else ""
