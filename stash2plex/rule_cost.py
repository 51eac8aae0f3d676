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
# What one path may take, seconds of this thread: two ``.+`` take a tenth of it at most,
# and three take many times as much on a fast machine.
_TOO_LONG = 0.05
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
_OF_CATEGORY = {
    sre.CATEGORY_DIGIT: "1",
    sre.CATEGORY_NOT_DIGIT: "a",
    sre.CATEGORY_SPACE: " ",
    sre.CATEGORY_NOT_SPACE: "a",
    sre.CATEGORY_WORD: "a",
    sre.CATEGORY_NOT_WORD: "/",
}
_CANDIDATES = "a1/ -._A" + "".join(map(chr, range(0x21, 0x7F)))


@lru_cache(maxsize=200)
def is_costly(source: str, flags: int) -> bool:
    """Whether *source*, which compiles, takes over some path too long."""
    tree = list(parser.parse(source, flags))
    repeats = list(_repeats(tree, ""))
    if len(repeats) <= 1 and not any(_branches(body) for _, body in repeats):
        return False  # a path can be shared in one way only
    pattern = re.compile(source, flags)
    starts = list(dict.fromkeys(start for start, _ in repeats))[:_MOST_STARTS]
    bodies = [sample for _, body in repeats for sample in _samples(body)]
    between = list(_literals(tree))
    own = [*bodies, *(body + text for body in bodies for text in between), *between]
    units = [one for one in dict.fromkeys((*_UNITS[:3], *own, *_UNITS)) if one]
    return any(
        _takes_too_long(pattern, start, unit)
        for start in starts
        for unit in units[:_MOST_UNITS]
    )


def _takes_too_long(pattern: re.Pattern[str], start: str, unit: str) -> bool:
    length = float(_SHORTEST)
    while True:
        path = start + unit * max(1, int(length) // len(unit))
        took = 0.0
        for end in _ENDS:
            began = time.thread_time()
            pattern.fullmatch(path + end)
            took = max(took, time.thread_time() - began)
        if took > _TOO_LONG:
            return True
        if length >= _LONGEST:
            return False
        longer = length * 2
        if took > _NOTICEABLE:
            longer = max(length + 1, length * _STEP)
        length = min(longer, _LONGEST)


# --- reading an expression ----------------------------------------------------------


def _repeats(tree: Iterable[Any], start: str) -> Iterator[tuple[str, list[Any]]]:
    """Yield what leads up to each part that repeats, and that part."""
    for op, value in tree:
        if op in _REPEATS:
            _, most, body = value
            if most > 1:
                yield start, list(body)
            yield from _repeats(body, start)
        else:
            for inner in _inner(op, value):
                yield from _repeats(inner, start)
        start += _sample([(op, value)])


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


def _samples(body: list[Any]) -> list[str]:
    """Return texts that a part takes: one for each alternative."""
    if len(body) == 1 and (inner := _inner(*body[0])):
        return [_sample(one) or "a" for one in inner]
    return [_sample(body) or "a"]


def _sample(tree: Iterable[Any]) -> str:
    """Return a short text that *tree* takes, or nearly so."""
    return "".join(_sample_of(op, value) for op, value in tree)


def _sample_of(op: Any, value: Any) -> str:
    if op is sre.LITERAL:
        return chr(value)
    if op in {sre.ANY, sre.NOT_LITERAL, sre.IN}:
        return next((one for one in _CANDIDATES if _takes(op, value, one)), "a")
    if op in _REPEATS:
        least, _, body = value
        return _sample(body) * min(int(least), _LONGEST)
    if op in {sre.ASSERT, sre.ASSERT_NOT}:
        return ""
    inner = _inner(op, value)
    return _sample(inner[0]) if inner else ""


def _takes(op: Any, value: Any, char: str) -> bool:
    """Whether a class of characters has *char*, as far as paths need to know."""
    if op is sre.ANY:
        return True
    if op is sre.NOT_LITERAL:
        return bool(ord(char) != value)
    negated = bool(value) and value[0][0] is sre.NEGATE
    found = any(_has(kind, what, char) for kind, what in value)
    return found is not negated


def _has(kind: Any, what: Any, char: str) -> bool:
    if kind is sre.LITERAL:
        return bool(ord(char) == what)
    if kind is sre.RANGE:
        return bool(what[0] <= ord(char) <= what[1])
    return kind is sre.CATEGORY and _OF_CATEGORY.get(what) == char
