"""A Stash scene, reduced to what we read from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFile:
    """One file of a scene: *path* as Stash spells it, *size* in bytes."""

    path: str
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneEntry:
    """What the catalogue keeps of a scene: no more than a listing tells."""

    id: int
    updated_at: str = ""
    files: tuple[SceneFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene(SceneEntry):
    """One scene in Stash's vocabulary; the first file is the primary one.

    Text is as Stash stores it, uncleaned; *date* may be partial (``2024`` or
    ``2024-05``, Stash 0.30+); *rating100* is 1 to 100 or None; *screenshot* is a
    URL on the configured base, never with a key in it.
    """

    title: str = ""
    details: str = ""
    date: str = ""
    rating100: int | None = None
    studio: str = ""
    director: str = ""
    code: str = ""
    performers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    organized: bool = False
    stash_ids: tuple[str, ...] = ()
    screenshot: str = ""
