r"""Whether a path rule can be tried on any path in no time.

An expression with several ``.+`` in a row tries every way to share a path among them,
and a path that fits none, of a thousand slashes, takes it minutes: anybody who reaches
the provider can send one. While Python matches, nothing else of the process runs, so
such an expression is found out before it is used. It is measured, on paths made from
its own literals, as Python has no way to tell.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache

# No longer paths are tried by strangers, characters.
_LONGEST = 1024
# What one path may take, seconds of this thread: two ``.+`` take a tenth of it at most,
# and three take many times as much on a fast machine.
_TOO_LONG = 0.05
# From here on lengths grow slowly, so that what doubles with each character is found
# out before it never ends.
_NOTICEABLE = 0.0005
_SHORTEST, _STEP = 6, 1.15
_UNBOUNDED = re.compile(r"[*+]|\{\d*,\}")
_LITERALS = re.compile(r"[\w /.,&'@#~%=-]+")
_UNITS = ("/a", "a", "/", "1", " ", "-", ".", "A")
_MOST_UNITS = 12
# What no path has at its end, so that nothing matches in the end.
_NEVER = "\x01"


@lru_cache(maxsize=200)
def is_costly(source: str, flags: int) -> bool:
    """Whether *source*, which compiles, takes over some path too long."""
    plain = re.sub(r"\\.", "", source, flags=re.DOTALL)
    if len(_UNBOUNDED.findall(plain)) <= 1 and "|" not in plain:
        return False  # a path can be shared in one way only
    pattern = re.compile(source, flags)
    literals = _literals(source)
    start = literals[0] if source.removeprefix("^").startswith(literals[0]) else ""
    own = [one for literal in literals for one in (literal, f"{literal}a")]
    units = list(dict.fromkeys((*_UNITS[:3], *own, *_UNITS)))[:_MOST_UNITS]
    return any(_takes_too_long(pattern, start, unit) for unit in units)


def _literals(source: str) -> list[str]:
    """Return the runs of characters in *source* that stand for themselves, or so."""
    plain = re.sub(r"\(\?P<\w+>|\\[A-Za-z0-9]|\[[^]]*\]", "(", source)
    plain = re.sub(r"\\(.)", r"\1", plain, flags=re.DOTALL)
    return _LITERALS.findall(plain) or [""]


def _takes_too_long(pattern: re.Pattern[str], start: str, unit: str) -> bool:
    if not unit:
        return False
    length = float(_SHORTEST)
    while True:
        path = start + unit * max(1, int(length) // len(unit))
        took = 0.0
        for end in (_NEVER, ""):
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
