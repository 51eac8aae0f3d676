r"""PathMap: a file's path as Stash, and as Plex, sees it.

A rule is two regular expressions that share named groups. A path of one side is
matched by that side's expression and written by the other side: from its
literals and groups, or from a template. Whatever maps there maps back; a path for
which that is not so is not mapped at all, since a write to the wrong item is worse
than none. ``\`` counts as ``/`` and comparison is on NFC.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from stash2plex.rule_cost import is_costly

_SLASHES = re.compile("//+")
_SPECIAL = frozenset(".^$*+?{}[]|()")


class RuleError(ValueError):
    """A path rule that cannot be used; the message names the rule and the reason."""


class RuleSettings(Protocol):
    """What a rule is made from; see ``[[path_rules]]`` in the configuration."""

    @property
    def name(self) -> str: ...
    @property
    def stash(self) -> str: ...
    @property
    def plex(self) -> str: ...
    @property
    def stash_template(self) -> str | None: ...
    @property
    def plex_template(self) -> str | None: ...
    @property
    def ignore_case(self) -> bool: ...
    @property
    def example(self) -> tuple[str, str] | None: ...


@dataclass(frozen=True, slots=True)
class Mapped:
    """A path on the other side, and the rule that put it there ("" without rules)."""

    path: str
    rule: str


@dataclass(frozen=True, slots=True)
class Unmapped:
    """Why a path has no counterpart."""

    reason: str


def normal(path: str) -> str:
    """Return *path* with forward slashes, one at a time, in NFC.

    Two at its start are those of a share on Windows.
    """
    path = unicodedata.normalize("NFC", path).replace("\\", "/")
    if "//" in path[1:]:
        path = path[0] + _SLASHES.sub("/", path[1:])
    return path


def file_name(path: str) -> str:
    """Return the last part of *path*, whichever slashes it has."""
    return normal(path).rpartition("/")[2]


def folder_of(path: str) -> str:
    """Return the folder of *path* as it is spelled, whichever separators it has."""
    return path.rpartition("/" if "/" in path else "\\")[0]


class PathMap:
    """Ordered rules, both ways; without rules both sides see the same paths."""

    def __init__(self, rules: Sequence[RuleSettings] = ()) -> None:
        """Compile *rules*; raises `RuleError` for one that cannot work."""
        self._rules = [_Rule(rule) for rule in rules]
        for rule in rules:
            if rule.example:
                self._check_example(rule.name, *rule.example)

    @property
    def has_rules(self) -> bool:
        return bool(self._rules)

    def to_plex(self, stash_path: str) -> Mapped | Unmapped:
        """Map a path of Stash to Plex's spelling."""
        return self._map(normal(stash_path), _STASH, _PLEX)

    def to_stash(self, plex_path: str) -> Mapped | Unmapped:
        """Map a path of Plex to Stash's spelling."""
        return self._map(normal(plex_path), _PLEX, _STASH)

    def key_of_plex(self, plex_path: str) -> str:
        """Return what every spelling of this path of Plex has in common."""
        path = normal(plex_path)
        for rule in self._rules:
            if rule.groups(_PLEX, path) is not None:
                return path.casefold() if rule.ignore_case else path
        return path

    def key_of_stash(self, stash_path: str) -> str | None:
        """Return `key_of_plex` of the mapped path, or None when nothing maps it."""
        mapped = self.to_plex(stash_path)
        return self.key_of_plex(mapped.path) if isinstance(mapped, Mapped) else None

    def _map(self, path: str, source: int, target: int) -> Mapped | Unmapped:
        if not self._rules:
            return Mapped(path, "")
        rule, written = self._first(path, source, target)
        if rule is None:
            return Unmapped(f"no path rule matches {path!r}")
        if written is None:
            return Unmapped(f"rule {rule.name!r} matches {path!r} but cannot write it")
        back, returned = self._first(written, target, source)
        if back is not None and returned is not None and rule.same(returned, path):
            return Mapped(written, rule.name)
        by = f"rule {back.name!r}" if back else "no rule"
        remedy = "put the more specific rule first"
        if back is None or back is rule:
            remedy = "its sides, or its templates, must be each other's reverse"
        return Unmapped(
            f"rule {rule.name!r} maps {path!r} to {written!r}, but {by} maps that back"
            f"{f' to {returned!r}' if returned else ''}; {remedy}"
        )

    def _first(
        self, path: str, source: int, target: int
    ) -> tuple[_Rule | None, str | None]:
        for rule in self._rules:
            groups = rule.groups(source, path)
            if groups is not None:
                return rule, rule.write(target, groups)
        return None, None

    def _check_example(self, name: str, stash_path: str, plex_path: str) -> None:
        for mapped, wanted, way in (
            (self.to_plex(stash_path), plex_path, "Stash's"),
            (self.to_stash(plex_path), stash_path, "Plex's"),
        ):
            if isinstance(mapped, Unmapped):
                msg = f"path rule {name!r}: {way} side of its example: {mapped.reason}"
                raise RuleError(msg)
            if mapped.path != normal(wanted):
                raise RuleError(
                    f"path rule {name!r}: {way} side of its example maps to "
                    f"{mapped.path!r} (by rule {mapped.rule!r}), not to {wanted!r}"
                )


_STASH, _PLEX = 0, 1
_SIDES = ("stash", "plex")


class _Rule:
    """One compiled rule; sides are numbered, Stash first."""

    def __init__(self, settings: RuleSettings) -> None:
        self.name = settings.name
        self.ignore_case = settings.ignore_case
        sources = [_slashed(settings.stash), _slashed(settings.plex)]
        self._patterns = [
            self._compile(side, source)
            for side, source in zip(_SIDES, sources, strict=True)
        ]
        names = [set(pattern.groupindex) for pattern in self._patterns]
        if names[_STASH] != names[_PLEX]:
            raise RuleError(
                f"path rule {self.name!r}: the sides have different groups: stash has "
                f"{_listed(names[_STASH])}, plex has {_listed(names[_PLEX])}"
            )
        templates = (settings.stash_template, settings.plex_template)
        self._writers = [
            self._writer(side, source, template, names[_STASH])
            for side, source, template in zip(_SIDES, sources, templates, strict=True)
        ]

    def groups(self, side: int, path: str) -> dict[str, str | None] | None:
        """Return the named groups of *path*, or None when it does not match."""
        match = self._patterns[side].fullmatch(path)
        return match.groupdict() if match else None

    def write(self, side: int, groups: dict[str, str | None]) -> str | None:
        """Return the path with *groups* filled in, or None if one took no part."""
        parts = [
            part if literal else groups[part] for literal, part in self._writers[side]
        ]
        if any(part is None for part in parts):
            return None
        return normal("".join(part or "" for part in parts))

    def same(self, one: str, other: str) -> bool:
        if self.ignore_case:
            return one.casefold() == other.casefold()
        return one == other

    def _compile(self, side: str, source: str) -> re.Pattern[str]:
        flags = re.DOTALL | (re.IGNORECASE if self.ignore_case else 0)
        try:
            pattern = re.compile(source, flags)
        except re.error as error:
            raise RuleError(
                f"path rule {self.name!r}: {side} is not a regular expression: {error}"
                " (write a path's backslash as / and put a backslash before a literal"
                " . ( ) [ ] + ? *)"
            ) from error
        if is_costly(source, flags):
            raise RuleError(
                f"path rule {self.name!r}: {side} = {source!r} takes far too long over"
                " some paths, since its parts with + or * can share them in many ways;"
                " write [^/]+ for one folder or name, and .+ once at most"
            )
        return pattern

    def _writer(
        self, side: str, source: str, template: str | None, names: set[str]
    ) -> list[tuple[bool, str]]:
        if template is not None:
            return self._template(side, template, names)
        parts = _literals_and_groups(source)
        if parts is None:
            raise RuleError(
                f"path rule {self.name!r}: a path cannot be written from {side} = "
                f"{source!r}, which has more than literals and named groups; "
                f"add {side}_template"
            )
        return parts

    def _template(
        self, side: str, template: str, names: set[str]
    ) -> list[tuple[bool, str]]:
        problem = f"path rule {self.name!r}: {side}_template {template!r}"
        try:
            parsed = list(string.Formatter().parse(template))
        except ValueError as error:
            raise RuleError(f"{problem} is malformed: {error}") from error
        parts: list[tuple[bool, str]] = []
        for literal, field, spec, conversion in parsed:
            parts.append((True, literal))
            if field is not None:
                if spec or conversion or field not in names:
                    raise RuleError(
                        f"{problem} names the group {field!r}, but the rule has "
                        f"{_listed(names)}"
                    )
                parts.append((False, field))
        return parts


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _slashed(source: str) -> str:
    """Return the expression *source* with each escaped backslash as a slash."""
    return re.sub(
        r"\\(.)",
        lambda found: "/" if found[1] == "\\" else found[0],
        unicodedata.normalize("NFC", source),
        flags=re.DOTALL,
    )


def _literals_and_groups(source: str) -> list[tuple[bool, str]] | None:
    """Return what *source* consists of as (is literal, text or group name) pairs.

    None when it has anything else than literals and named groups, so that no path
    can be written from it.
    """
    body = source.removeprefix("^")
    if body.endswith("$") and not _is_escaped(body, len(body) - 1):
        body = body[:-1]
    parts: list[tuple[bool, str]] = []
    at = 0
    while at < len(body):
        if group := re.compile(r"\(\?P<(\w+)>").match(body, at):
            end = _closing(body, at)
            parts.append((False, group[1]))
            at = end + 1
            if at < len(body) and body[at] in "*+?{":
                return None
        elif body[at] == "\\":
            following = body[at + 1]
            if following.isalnum():
                return None
            parts.append((True, following))
            at += 2
        elif body[at] in _SPECIAL:
            return None
        else:
            parts.append((True, body[at]))
            at += 1
    return parts


def _is_escaped(body: str, at: int) -> bool:
    backslashes = len(body[:at]) - len(body[:at].rstrip("\\"))
    return backslashes % 2 == 1


def _closing(body: str, at: int) -> int:
    """Return where the group that opens at *at* closes (the source compiles)."""
    depth, in_set = 0, False
    while True:
        char = body[at]
        if char == "\\":
            at += 1
        elif in_set:
            in_set = char != "]"
        elif char == "[":
            in_set = True
            # A ] that comes first belongs to the set.
            at += 1 if body[at + 1] == "^" else 0
            at += 1 if body[at + 1] == "]" else 0
        else:
            depth += (char == "(") - (char == ")")
            if depth == 0:
                return at
        at += 1
