"""The path rules: how far they reach, from both sides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from stash2plex.config import Settings
from stash2plex.doctor.finding import Finding
from stash2plex.errors import Stash2PlexError
from stash2plex.path_report import File, propose
from stash2plex.paths import Mapped, PathMap, file_name
from stash2plex.plex.item import Section
from stash2plex.plex.library import PlexLibrary
from stash2plex.scene import SceneEntry
from stash2plex.stash.client import StashClient

_FEW = 0.5
# Each of these files of Plex costs a request to Stash.
_PROBES = 20
_TRY = "'stash2plex paths test PATH' shows a mapping"


async def examine(
    settings: Settings,
    stash: StashClient,
    plex: PlexLibrary,
    sections: Sequence[Section],
    scenes: Sequence[SceneEntry],
) -> AsyncIterator[Finding]:
    """Compare files of *scenes* with Plex's, and some of Plex's with Stash's."""
    rules = PathMap(settings.path_rules)
    ours = [(file.path, file.size) for scene in scenes for file in scene.files]
    theirs: list[File] = []
    try:
        for section in sections:
            async for page, _ in plex.entries(section.id):
                there = [one for one in page if not one.is_trashed]
                theirs += [(f.path, f.size) for one in there for f in one.files]
        yield _of_stash(ours, theirs, rules)
        if theirs:
            yield await _of_plex(stash, theirs, rules)
    except Stash2PlexError as error:
        yield Finding("path_coverage", "warn", str(error), "look at Plex")


def _of_stash(ours: Sequence[File], theirs: Sequence[File], rules: PathMap) -> Finding:
    """Say how many of Stash's files are, by path, where Plex looks."""
    code = "path_coverage"
    if not ours:
        return Finding(code, "warn", "Stash has no files yet", "scan in Stash")
    keys = {rules.key_of_plex(path) for path, _ in theirs}
    missing = [path for path, _ in ours if rules.key_of_stash(path) not in keys]
    found = len(ours) - len(missing)
    message = (
        f"{found} of {len(ours)} files of Stash are in Plex under their mapped path"
    )
    if not missing:
        return Finding(code, "ok", message)
    message += f"; not, for example: {missing[0]!r}"
    if found >= len(ours) * _FEW:
        fix = f"scan the library in Plex; {_TRY}"
        return Finding(code, "warn", message, fix)
    example = min((path for path, _ in theirs), default="")
    fix = (
        "give path_rules; "
        + (
            f"Plex has for example {example!r}"
            if example
            else "Plex has no files at all"
        )
        + f"; {_TRY}"
    )
    return Finding(code, "warn", message, fix, _proposal(ours, theirs))


def _proposal(ours: Sequence[File], theirs: Sequence[File]) -> tuple[str, ...]:
    """Return rules that would do better, line by line."""
    found = propose(ours, theirs)
    if not found.rules:
        return ()
    return ("These rules would do better:", *found.toml.splitlines())


async def _of_plex(
    stash: StashClient, theirs: Sequence[File], rules: PathMap
) -> Finding:
    """Say how many of some of Plex's files Stash has."""
    code = "path_coverage_plex"
    step = max(1, len(theirs) // _PROBES)
    paths = [path for path, _ in theirs[::step]][:_PROBES]
    missing = [path for path in paths if not await _is_in_stash(stash, path, rules)]
    found = len(paths) - len(missing)
    message = f"{found} of {len(paths)} files of Plex that were tried are in Stash"
    if not missing:
        return Finding(code, "ok", message)
    message += f"; not, for example: {missing[0]!r}"
    fix = f"scan in Stash what it lacks, or give path_rules; {_TRY}"
    return Finding(code, "warn", message, fix)


async def _is_in_stash(stash: StashClient, path: str, rules: PathMap) -> bool:
    """Whether matching would find the file, however either side spells its path."""
    mapped, key = rules.to_stash(path), rules.key_of_plex(path)
    if not isinstance(mapped, Mapped):
        return False
    found = await stash.scenes_of_file(file_name(mapped.path), [mapped.path])
    return any(
        rules.key_of_stash(file.path) == key for one in found for file in one.files
    )
