"""A Stash scene, reduced to what we read from it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

_RATING_KEY = re.compile(r"scene-([1-9]\d{0,18})")
# The largest number that SQLite holds: an id beyond it is none.
MOST_SQLITE_HOLDS = 2**63 - 1


def rating_key_of(scene_id: int) -> str:
    """Return what a scene is called in our guids and URLs.

    Never a bare number, which could be one of Plex's own.
    """
    return f"scene-{scene_id}"


def scene_of_rating_key(key: str) -> int | None:
    """Return the scene that *key* names; None for anything else."""
    match = _RATING_KEY.fullmatch(key)
    scene_id = int(match[1]) if match and match[1].isascii() else None
    return scene_id if scene_id and scene_id <= MOST_SQLITE_HOLDS else None


def guid_of(scene_id: int, identifier: str) -> str:
    """Return the guid of a scene; without the ``/movie/`` Plex never asks again."""
    return f"{identifier}://movie/{rating_key_of(scene_id)}"


def scene_of_guid(guid: str, identifier: str) -> int | None:
    """Return the scene that *guid* names, if it is one of ours."""
    start = f"{identifier}://movie/"
    key = guid.removeprefix(start).partition("?")[0]
    return scene_of_rating_key(key) if guid.startswith(start) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFile:
    """One file of a scene: *path* as Stash spells it, *size* in bytes.

    *duration* is in seconds.
    """

    path: str
    size: int | None = None
    duration: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Performer:
    """Who takes part; *image* is a URL on the configured base, "" without a picture.

    Pictures are only read for who serves them; see `StashClient.scenes`.
    """

    name: str
    id: int = 0
    image: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StashId:
    """What a stash-box calls a scene; *endpoint* is the URL of that stash-box."""

    endpoint: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneEntry:
    """What the catalogue keeps of a scene: no more than a listing tells.

    Times are as Stash writes them.
    """

    id: int
    updated_at: str = ""
    created_at: str = ""
    title: str = ""
    date: str = ""
    files: tuple[SceneFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene(SceneEntry):
    """One scene in Stash's vocabulary; the first file is the primary one.

    Text is as Stash stores it, uncleaned; *date* may be partial (``2024`` or
    ``2024-05``, Stash 0.30+); *rating100* is 1 to 100 or None. *screenshot* and
    *studio_image* are URLs on the configured base, never with a key in them;
    *studio_image* and *parent_studio* are read with the other pictures only. *unknown*
    are the attributes that this Stash does not tell.
    """

    details: str = ""
    rating100: int | None = None
    studio: str = ""
    studio_id: int = 0
    studio_image: str = ""
    parent_studio: str = ""
    director: str = ""
    code: str = ""
    performers: tuple[Performer, ...] = ()
    tags: tuple[str, ...] = ()
    tag_ids: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()
    group_ids: tuple[int, ...] = ()
    organized: bool = False
    stash_ids: tuple[StashId, ...] = ()
    screenshot: str = ""
    unknown: frozenset[str] = frozenset()

    @property
    def digest(self) -> str:
        """Name all that a delivery uses of it, but for its files and its picture."""
        told = [
            *(self.title, self.details, self.date, self.rating100, self.studio),
            *(self.director, self.code, self.organized),
            sorted(one.name for one in self.performers),
            *(sorted(self.tags), sorted(self.groups)),
            sorted((one.endpoint, one.id) for one in self.stash_ids),
        ]
        canonical = json.dumps(told, ensure_ascii=False)
        encoded = canonical.encode(errors="surrogatepass")
        return hashlib.sha256(encoded).hexdigest()[:16]

    @property
    def parts(self) -> set[tuple[str, int]]:
        """The performers, studio, tags and groups, as kind and id."""
        return {
            *(("performer", one.id) for one in self.performers),
            *(("studio", one) for one in (self.studio_id,) if one),
            *(("tag", one) for one in self.tag_ids),
            *(("group", one) for one in self.group_ids),
        }
