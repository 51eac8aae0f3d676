"""Where a file that Plex names may be: pure.

Plex says a name is relative to one of the library's folders, with or without a slash
before it. In one sample of its own it starts with that folder's name, and some report
that it is absolute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stash2plex.paths import Mapped, PathMap, normal


@dataclass(frozen=True, slots=True)
class Places:
    """Paths as Plex sees them: *likely* as documented, *odd* in other readings.

    *keys* and *odd_keys* are theirs, as `PathMap.key_of_plex` makes them.

    *twins* are the paths in Stash of all of them that a rule maps. *is_unmapped* says
    that no likely one is mapped, *is_mapped* that all are.
    """

    name: str
    likely: tuple[str, ...]
    odd: tuple[str, ...]
    keys: tuple[str, ...]
    odd_keys: tuple[str, ...]
    twins: tuple[str, ...]
    is_unmapped: bool
    is_mapped: bool

    @property
    def certain(self) -> str:
        """Return where the file is if there is one likely place, else its name."""
        return self.likely[0] if len(self.likely) == 1 else self.name


def places_of(path: str, folders: Sequence[str], paths: PathMap) -> Places:
    """Return where *path* may be, given the *folders* of the libraries."""
    relative = path.lstrip("/")
    first = relative.partition("/")[0]
    absolute: list[str] = []
    joined: list[str] = []
    odd: list[str] = []
    for folder in folders:
        base = normal(folder).rstrip("/")
        if path.startswith(f"{base}/"):
            absolute.append(path)
        joined.append(f"{base}/{relative}")
        parent, _, name = base.rpartition("/")
        if name == first:
            odd.append(f"{parent}/{relative}")
    likely = list(dict.fromkeys(absolute or joined))
    others = () if absolute else (*odd, path, f"/{relative}")
    rest = [one for one in dict.fromkeys(others) if one not in likely]
    answers = {one: paths.to_stash(one) for one in (*likely, *rest)}
    mapped = [isinstance(answers[one], Mapped) for one in likely]
    return Places(
        name=path,
        likely=tuple(likely),
        odd=tuple(rest),
        keys=_keys(likely, paths),
        odd_keys=_keys(rest, paths),
        twins=tuple(
            dict.fromkeys(t.path for t in answers.values() if isinstance(t, Mapped))
        ),
        is_unmapped=paths.has_rules and not any(mapped),
        is_mapped=paths.has_rules and bool(mapped) and all(mapped),
    )


def _keys(found: Sequence[str], paths: PathMap) -> tuple[str, ...]:
    return tuple(dict.fromkeys(paths.key_of_plex(path) for path in found))
