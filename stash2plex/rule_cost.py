r"""Whether a path rule can be tried on any path in no time.

An expression with several ``.+`` in a row tries every way to share a path among them,
and a path that fits none, of a thousand slashes, takes it minutes: anybody who reaches
the provider can send one. While Python matches, nothing else of the process runs, so
such an expression is found out before it is used. It is measured, on paths that lead up
to each part that repeats and then go on as it does, as Python has no way to tell.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache

# How Python itself reads an expression; there is no public way to it.
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

# No longer paths are tried by strangers, characters.
_LONGEST = 1024
# What one path may take: so many times as long as two ``.+`` here and now, and no less
# than this, seconds of this thread. Three take a hundred times as long.
_TIMES, _TOO_LONG = 20.0, 0.05
_TWO = re.compile(r"/(.+)/(.+)\.mp4", re.DOTALL)
# From here on lengths grow slowly, so that what doubles with each character is found
# out before it never ends.
_NOTICEABLE = 0.0005
_SHORTEST, _STEP = 6, 1.15
# What paths consist of, besides what an expression names itself.
_UNITS = ("/a", "a", "/", "1", " ", "-", ".")
_MOST_UNITS, _MOST_STARTS = 14, 12
# Ends that few expressions take, so that nothing matches in the end.
_ENDS = ("\x01", "", "/")
_REPEATS = frozenset({sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT})
_CATEGORIES = {
    sre.CATEGORY_DIGIT: re.compile(r"\d"),
    sre.CATEGORY_NOT_DIGIT: re.compile(r"\D"),
    sre.CATEGORY_SPACE: re.compile(r"\s"),
    sre.CATEGORY_NOT_SPACE: re.compile(r"\S"),
    sre.CATEGORY_WORD: re.compile(r"\w"),
    sre.CATEGORY_NOT_WORD: re.compile(r"\W"),
}
_CANDIDATES = "a1/ -._A" + "".join(map(chr, range(0x21, 0x7F)))


@lru_cache(maxsize=200)
def is_costly(source: str, flags: int) -> bool:
    """Whether *source*, which compiles, takes over some path too long."""
    tree = list(parser.parse(source, flags))
    reading = _Reading()
    repeats = list(reading.repeats(tree, ""))
    if len(repeats) <= 1 and not any(_branches(body) for _, body in repeats):
        return False  # a path can be shared in one way only
    pattern, too_long = re.compile(source, flags), _limit()
    starts = list(dict.fromkeys(start for start, _ in repeats))[:_MOST_STARTS]
    bodies = [sample for _, body in repeats for sample in reading.samples(body)]
    between = list(_literals(tree))
    own = [*bodies, *(body + text for body in bodies for text in between), *between]
    units = [one for one in dict.fromkeys((*_UNITS[:3], *own, *_UNITS)) if one]
    return any(
        _takes_longer(pattern, start, unit, too_long)
        for start in starts
        for unit in units[:_MOST_UNITS]
    )


def _limit() -> float:
    """Return what a path may take on this machine, seconds."""
    path = "/a" * (_LONGEST // 2)
    return max(_TOO_LONG, _TIMES * min(_timed(_TWO, path) for _ in range(3)))


def _takes_longer(
    pattern: re.Pattern[str], start: str, unit: str, limit: float
) -> bool:
    """Whether some path of *start* and many of *unit* takes more than *limit*."""
    length = float(_SHORTEST)
    while True:
        path = start + unit * max(1, int(length) // len(unit))
        took = max(_timed(pattern, path + end) for end in _ENDS)
        if took > limit or length >= _LONGEST:
            return took > limit
        longer = length * 2
        if took > _NOTICEABLE:
            longer = max(length + 1, length * _STEP)
        length = min(longer, _LONGEST)


def _timed(pattern: re.Pattern[str], path: str) -> float:
    began = time.thread_time()
    pattern.fullmatch(path)
    return time.thread_time() - began


# --- reading an expression ----------------------------------------------------------


def _inner(op: Any, value: Any) -> list[Any]:
    """Return the parts of a part: of a group, of each alternative."""
    if op is sre.SUBPATTERN:
        return [value[3]]
    if op is sre.BRANCH:
        return list(value[1])
    if op in _REPEATS:
        return [value[2]]
    if op is sre.ATOMIC_GROUP:
        return [value]
    return [value[1]] if op in {sre.ASSERT, sre.ASSERT_NOT} else []


def _branches(tree: Iterable[Any]) -> bool:
    """Whether there are alternatives in *tree*."""
    return any(
        op is sre.BRANCH or any(map(_branches, _inner(op, value))) for op, value in tree
    )


def _literals(tree: Iterable[Any]) -> Iterator[str]:
    """Yield the runs of characters that stand for themselves."""
    run = ""
    for op, value in tree:
        if op is sre.LITERAL:
            run += chr(value)
            continue
        if run:
            yield run
        run = ""
        for inner in _inner(op, value):
            yield from _literals(inner)
    if run:
        yield run


class _Reading:
    """Texts that an expression takes, made while it is read from left to right."""

    def __init__(self) -> None:
        self._groups: dict[int, str] = {}

    def repeats(
        self, tree: Iterable[Any], start: str
    ) -> Iterator[tuple[str, list[Any]]]:
        """Yield what leads up to each part that repeats or may miss, and that part."""
        for op, value in tree:
            if op in _REPEATS:
                least, most, body = value
                if most > 1 or least != most:
                    yield start, list(body)
            for inner in _inner(op, value):
                yield from self.repeats(inner, start)
            start += self._sample_of(op, value)

    def samples(self, body: list[Any]) -> list[str]:
        """Return texts that a part takes: one for each alternative."""
        if len(body) == 1 and (inner := _inner(*body[0])):
            return [self._sample(one) or "a" for one in inner]
        return [self._sample(body) or "a"]

    def _sample(self, tree: Iterable[Any]) -> str:
        """Return a short text that *tree* takes, or nearly so."""
        return "".join(self._sample_of(op, value) for op, value in tree)

    def _sample_of(self, op: Any, value: Any) -> str:
        if op is sre.LITERAL:
            return chr(value)
        if op in {sre.ANY, sre.NOT_LITERAL, sre.IN}:
            return next((c for c in _characters(op, value) if _has(op, value, c)), "a")
        if op is sre.GROUPREF:
            return self._groups.get(value, "")
        if op in {sre.ASSERT, sre.ASSERT_NOT}:
            return ""
        inner = _inner(op, value)
        found = self._sample(inner[0]) if inner else ""
        if op in _REPEATS:
            return found * min(int(value[0]), _LONGEST)
        if op is sre.SUBPATTERN and value[0] is not None:
            self._groups[value[0]] = found
        return found


def _characters(op: Any, value: Any) -> Iterator[str]:
    """Yield characters of which a class may have one; the last it has."""
    yield from _CANDIDATES
    for kind, what in value if op is sre.IN else ():
        if kind is sre.LITERAL:
            yield chr(what)
        elif kind is sre.RANGE:
            yield chr(what[0])
    yield from map(chr, range(1, 0xD800))


def _has(op: Any, value: Any, char: str) -> bool:
    """Whether a class of characters has *char*."""
    if op is sre.ANY:
        return True
    if op is sre.NOT_LITERAL:
        return bool(ord(char) != value)
    negated = bool(value) and value[0][0] is sre.NEGATE
    found = any(_is_of(kind, what, char) for kind, what in value)
    return found is not negated


def _is_of(kind: Any, what: Any, char: str) -> bool:
    if kind is sre.LITERAL:
        return bool(ord(char) == what)
    if kind is sre.RANGE:
        return bool(what[0] <= ord(char) <= what[1])
    return kind is sre.CATEGORY and bool(_CATEGORIES[what].match(char))
