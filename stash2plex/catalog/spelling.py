"""Telling files apart whose paths differ in form only: Unicode's forms, or case.

Paths are compared in one form, since the two sides may not agree on any. But a disk can
hold both forms of one name: where both sides have both, the exact spelling decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

_BOTH = 2


def belongs(
    one: str, other: str, *, likes_of_one: Iterable[str], likes_of_other: Iterable[str]
) -> bool:
    """Whether two paths of either side, equal in form, are the same file.

    *likes_of_one* are all paths of the side of *one* that are equal in form, *one*
    among them, and so on.
    """
    ones, others = set(likes_of_one), set(likes_of_other)
    if len(_spellings(ones)) < _BOTH or len(_spellings(others)) < _BOTH:
        return True
    alike = _alike(one, other)
    return alike == max(_alike(one, like) for like in others) and alike == max(
        _alike(like, other) for like in ones
    )


def _parts(path: str) -> list[str]:
    return path.replace("\\", "/").split("/")


def _spellings(paths: Collection[str]) -> set[str]:
    return {path.replace("\\", "/") for path in paths}


def _alike(one: str, other: str) -> int:
    """Return how many parts at the end are spelled alike; folders may be mapped."""
    count = 0
    for mine, theirs in zip(
        reversed(_parts(one)), reversed(_parts(other)), strict=False
    ):
        if mine != theirs:
            break
        count += 1
    return count
