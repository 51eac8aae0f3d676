"""Path rules proposed from what both libraries hold, and how far those in use reach.

Two files are twins when they have the same name and size and no other file has. What
their paths do not share at the end is how the two sides see the same folder.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stash2plex.config import PathRule, Settings
from stash2plex.paths import PathMap, normal
from stash2plex.plex.connection import PlexConnection
from stash2plex.plex.library import PlexLibrary
from stash2plex.stash.client import StashClient
from stash2plex.text import name_key

_CLIENT = "stash2plex-paths"
_MOST_RULES = 20
# A rule for fewer twins than this, and than this share of them, is not worth having.
_FEWEST, _LEAST_SHARE = 2, 0.001
# How many examples are shown of what is left.
EXAMPLES = 5

# Path and size in bytes, None when unknown.
File = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many *files* of one side have their twin's path; *missing* are the others."""

    files: int
    missing: tuple[str, ...]

    @property
    def share(self) -> float:
        """The share that has, 0 to 1."""
        return 1 - len(self.missing) / self.files if self.files else 1.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """Rules to paste, in order, and how many of the *twins* found they map.

    *left* are the paths in Stash of the other twins.
    """

    rules: tuple[PathRule, ...]
    twins: int
    left: tuple[str, ...]

    @property
    def toml(self) -> str:
        """The rules as they stand in ``config.toml``."""
        return rules_as_toml(self.rules)

    @property
    def told(self) -> str:
        """How far the rules reach, in one line."""
        mapped = self.twins - len(self.left)
        shown = ", ".join(self.left[:EXAMPLES])
        return (
            f"{mapped / max(1, self.twins):.1%} of {self.twins:,} files that are on"
            f" both sides, {len(self.left):,} left"
            f"{f', for example {shown}' if shown else ''}"
        )


def rules_as_toml(rules: Iterable[PathRule]) -> str:
    """Return rules as they stand in ``config.toml``."""
    return "\n".join(
        f"[[path_rules]]\nname  = {_quoted(rule.name)}\n"
        f"stash = {_quoted(rule.stash)}\nplex  = {_quoted(rule.plex)}\n"
        for rule in rules
    )


def folder_rule(number: int, ours: str, theirs: str) -> PathRule:
    """Return the rule for all below a folder of Stash, *ours*, and one of Plex."""
    return PathRule(
        name=_name(ours, number), stash=_pattern(ours), plex=_pattern(theirs)
    )


async def read_files(settings: Settings) -> tuple[list[File], list[File]]:
    """Return the files of Stash and of Plex; raises the servers' errors."""
    stash_files: list[File] = []
    plex_files: list[File] = []
    async with StashClient.connect(settings.stash) as stash:
        async for page in stash.entries():
            stash_files += [(f.path, f.size) for one in page for f in one.files]
    async with PlexConnection.open(settings.plex, _CLIENT) as connection:
        plex = PlexLibrary(connection, settings.plex.libraries)
        for section in await plex.sections():
            async for items, _ in plex.entries(section.id):
                there = [one for one in items if not one.is_trashed]
                plex_files += [(f.path, f.size) for one in there for f in one.files]
    return stash_files, plex_files


def coverage(
    stash_files: Iterable[File], plex_files: Iterable[File], paths: PathMap
) -> tuple[Coverage, Coverage]:
    """Return how far *paths* reach, of Stash's files and of Plex's."""
    in_stash = {path: paths.key_of_stash(path) for path, _ in stash_files}
    in_plex = {path: paths.key_of_plex(path) for path, _ in plex_files}
    keys = set(in_stash.values())
    there = set(in_plex.values())
    return (
        Coverage(
            len(in_stash), _sorted(p for p, k in in_stash.items() if k not in there)
        ),
        Coverage(len(in_plex), _sorted(p for p, k in in_plex.items() if k not in keys)),
    )


def propose(stash_files: Sequence[File], plex_files: Sequence[File]) -> Proposal:
    """Return the fewest rules that map most twins; none if both see the same paths."""
    twins = _twins(stash_files, plex_files)
    votes = Counter(_heads(*pair) for pair in twins)
    least = max(_FEWEST, len(twins) * _LEAST_SHARE)
    heads = [pair for pair, count in votes.most_common(_MOST_RULES) if count >= least]
    # The more specific folder first, so that a wider one does not take its files.
    heads.sort(key=lambda pair: (-pair[0].count("/"), pair))
    rules = tuple(
        folder_rule(number, ours, theirs)
        for number, (ours, theirs) in enumerate(heads, 1)
    )
    if all(ours == theirs for ours, theirs in heads):
        rules = ()
    paths = PathMap(rules)
    left = [
        ours
        for ours, theirs in twins
        if paths.key_of_stash(ours) != paths.key_of_plex(theirs)
    ]
    return Proposal(rules, len(twins), _sorted(left))


def _twins(
    stash_files: Sequence[File], plex_files: Sequence[File]
) -> list[tuple[str, str]]:
    ours, theirs = _unique(stash_files), _unique(plex_files)
    return [(ours[key], theirs[key]) for key in sorted(ours.keys() & theirs.keys())]


def _unique(files: Sequence[File]) -> dict[tuple[str, int], str]:
    """Return the paths by name and size that only one file has."""
    found: dict[tuple[str, int], str] = {}
    seen: Counter[tuple[str, int]] = Counter()
    for path, size in dict.fromkeys(files):
        if size:
            key = (name_key(normal(path).rpartition("/")[2]), size)
            seen[key] += 1
            found[key] = normal(path)
    return {key: path for key, path in found.items() if seen[key] == 1}


def _heads(ours: str, theirs: str) -> tuple[str, str]:
    """Return the folders of two paths that end alike, as each side calls them."""
    left, right = ours.split("/"), theirs.split("/")
    while len(left) > 1 and len(right) > 1 and left[-1] == right[-1]:
        left.pop()
        right.pop()
    return "/".join(left), "/".join(right)


def _pattern(folder: str) -> str:
    return f"^{re.escape(folder)}/(?P<rest>.+)$"


def _name(folder: str, number: int) -> str:
    last = re.sub(r"[^A-Za-z0-9]+", "-", folder.rpartition("/")[2]).strip("-").lower()
    return f"{last or 'files'}-{number}"


def _quoted(text: str) -> str:
    """Return *text* as TOML writes it; literal, unless it has a quote itself."""
    return json.dumps(text) if "'" in text else f"'{text}'"


def _sorted(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(paths))
