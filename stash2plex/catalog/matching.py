"""Which items of Plex a scene owns; look-ups in the catalogue, no server asked.

By mapped path first: every file of the scene, every item that holds one. When no path
matches, items that Plex bound to the scene, because our provider or a person said so;
then by file name and size, then by a file name that is unique on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import structlog

from stash2plex.catalog.items import PlexFile
from stash2plex.catalog.scenes import StashFile
from stash2plex.catalog.spelling import belongs
from stash2plex.catalog.store import CatalogStore
from stash2plex.config import MatchSettings
from stash2plex.errors import (
    AmbiguousMatch,
    ItemNotFound,
    Stash2PlexError,
    UnmappedPath,
)
from stash2plex.paths import PathMap, file_name
from stash2plex.scene import SceneEntry, SceneFile
from stash2plex.text import name_key

log = structlog.get_logger()


class Confidence(StrEnum):
    """How sure a match is."""

    HIGH = "high"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Match:
    """An item that belongs to a scene, and the file of Plex that says so."""

    rating_key: int
    file: str
    how: str
    confidence: Confidence


# A scene's items, or why it has none, or why nobody can tell.
Answer = tuple[Match, ...] | Stash2PlexError


class Matcher:
    """Looks scenes up; they must be in the catalogue themselves."""

    def __init__(
        self, store: CatalogStore, settings: MatchSettings, paths: PathMap
    ) -> None:
        self._store = store
        self._settings = settings
        self._paths = paths

    async def match(
        self,
        scenes: Sequence[SceneEntry],
        contested: dict[int, tuple[str, str]] | None = None,
    ) -> dict[int, Answer]:
        """Return each scene's items, or why it has none, by scene id.

        An item that other scenes claim too is left out; `rivals` knows them. If its
        scene has others, nothing tells of it but *contested*: a file, and why.
        """
        contested = {} if contested is None else contested
        keys = {
            scene.id: [self._paths.key_of_stash(file.path) for file in scene.files]
            for scene in scenes
        }
        wanted = {key for own in keys.values() for key in own if key is not None}
        found: dict[str, list[PlexFile]] = {}
        for file in await self._store.files_by_key(wanted):
            found.setdefault(file.key, []).append(file)
        rating_keys = {file.rating_key for files in found.values() for file in files}
        claims = await self._store.claims(rating_keys)
        others = await self._of_others(found, claims)
        bound = await self._store.files_bound_to(scene.id for scene in scenes)
        paths = [file.path for scene in scenes for file in scene.files]
        namesakes = await self._store.names_among(paths)
        answers: dict[int, Answer] = {}
        for scene in scenes:
            by_path: dict[int, PlexFile] = {}
            for key in sorted(key for key in keys[scene.id] if key is not None):
                for file in found.get(key, []):
                    if scene.id not in others.get(file, ()):
                        by_path.setdefault(file.rating_key, file)
            if by_path:
                answers[scene.id] = self._owned(scene.id, by_path, claims, contested)
            elif scene.id in bound and (
                by_guid := await self._bound(scene.id, bound[scene.id])
            ):
                answers[scene.id] = by_guid
            elif self._settings.fallback == "basename" and any(
                name_key(file_name(file.path)) in namesakes for file in scene.files
            ):
                answers[scene.id] = await self._by_name(scene)
            else:
                answers[scene.id] = self._nothing(scene)
        return answers

    async def _of_others(
        self, found: dict[str, list[PlexFile]], claims: dict[int, list[int]]
    ) -> dict[PlexFile, set[int]]:
        """Return scenes that have another file than it seems, by the file of Plex.

        The disk has both; their claims are taken back.
        """
        double = [
            key for key, files in found.items() if len({f.path for f in files}) > 1
        ]
        others: dict[PlexFile, set[int]] = {}
        if not double:
            return others
        in_stash: dict[str, list[StashFile]] = {}
        for theirs in await self._store.scene_files_by_key(double):
            in_stash.setdefault(theirs.key or "", []).append(theirs)
        owners: dict[int, set[int]] = {}
        for key in double:
            stash_files = in_stash.get(key, [])
            for file in found[key]:
                of_file = {
                    theirs.scene_id
                    for theirs in stash_files
                    if belongs(
                        file.path,
                        theirs.path,
                        likes_of_one=[one.path for one in found[key]],
                        likes_of_other=[one.path for one in stash_files],
                    )
                }
                others[file] = {one.scene_id for one in stash_files} - of_file
                of_item = owners.setdefault(file.rating_key, set())
                of_item |= of_file | await self._claiming_otherwise(file)
        for rating_key, of_item in owners.items():
            claims[rating_key] = sorted(of_item & {*claims.get(rating_key, ())})
        return others

    async def _claiming_otherwise(self, file: PlexFile) -> set[int]:
        """Return the scenes that claim an item by another file than this one."""
        files = await self._store.files_of_item(file.rating_key)
        keys = {one.key for one in files if one.key != file.key}
        return {one.scene_id for one in await self._store.scene_files_by_key(keys)}

    async def rivals(self, scenes: Sequence[SceneEntry]) -> set[int]:
        """Return the other scenes that claim an item of one of *scenes* by path."""
        own = {
            key
            for scene in scenes
            for file in scene.files
            if (key := self._paths.key_of_stash(file.path)) is not None
        }
        files = await self._store.files_by_key(own)
        claims = await self._store.claims({file.rating_key for file in files})
        ids = {scene.id for scene in scenes}
        return {one for claiming in claims.values() for one in claiming} - ids

    def _owned(
        self,
        scene_id: int,
        files: dict[int, PlexFile],
        claims: dict[int, list[int]],
        contested: dict[int, tuple[str, str]],
    ) -> Answer:
        """Sort out the items that other scenes claim too."""
        owned: list[Match] = []
        problem: AmbiguousMatch | None = None
        left_out: dict[int, tuple[str, str]] = {}
        for rating_key, file in files.items():
            rivals = [one for one in claims.get(rating_key, []) if one != scene_id]
            if rivals and (self._settings.strict or min(rivals) < scene_id):
                others = ", ".join(map(str, rivals))
                why = f"item {rating_key} also belongs to scene {others}"
                problem = AmbiguousMatch(why, [rating_key])
                if self._settings.strict:
                    left_out[rating_key] = (file.path, why)
                log.warning(
                    "item_contested", item=rating_key, scene=scene_id, rivals=rivals
                )
            else:
                owned.append(Match(rating_key, file.path, "path", Confidence.HIGH))
        if owned:
            contested |= left_out
        return tuple(owned) or problem or ()

    async def _bound(
        self, scene_id: int, files: Sequence[PlexFile]
    ) -> tuple[Match, ...]:
        """Return the items that Plex bound to a scene and no other has by path."""
        claims = await self._store.claims(file.rating_key for file in files)
        return tuple(
            Match(file.rating_key, file.path, "guid", Confidence.HIGH)
            for file in files
            if all(one == scene_id for one in claims.get(file.rating_key, ()))
        )

    async def _by_name(self, scene: SceneEntry) -> Answer:
        matches: dict[int, Match] = {}
        problem: AmbiguousMatch | None = None
        for file in scene.files:
            try:
                match = await self._one_by_name(scene.id, file)
            except AmbiguousMatch as error:
                problem = error
                continue
            if match:
                matches.setdefault(match.rating_key, match)
        return tuple(matches.values()) or problem or self._nothing(scene)

    async def _one_by_name(self, scene_id: int, file: SceneFile) -> Match | None:
        candidates = await self._unclaimed(scene_id, file)
        sized = [one for one in candidates if file.size and one.size == file.size]
        if sized:
            how, confidence = "name and size", Confidence.HIGH
        else:
            how, confidence = "name", Confidence.LOW
            sized = [one for one in candidates if not (file.size and one.size)]
        if not sized:
            return None
        items = sorted({one.rating_key for one in sized})
        rivals = await self._rivals(scene_id, file, confidence)
        if len(items) > 1 and self._settings.strict:
            listed = ", ".join(map(str, items))
            raise AmbiguousMatch(f"items {listed} all have a file of this {how}", items)
        if rivals and (self._settings.strict or min(rivals) < scene_id):
            listed = ", ".join(map(str, rivals))
            raise AmbiguousMatch(
                f"item {items[0]} may as well belong to scene {listed} by {how}",
                items[:1],
            )
        chosen = next(one for one in sized if one.rating_key == items[0])
        return Match(chosen.rating_key, chosen.path, how, confidence)

    async def _unclaimed(self, scene_id: int, file: SceneFile) -> list[PlexFile]:
        """Return files of the same name in items that no other scene has otherwise.

        That is by path, or because Plex bound the item to it.
        """
        candidates = await self._store.files_named(file.path)
        keys = {one.rating_key for one in candidates}
        claims = await self._store.claims(keys)
        bound = await self._store.scenes_bound(keys)
        return [
            one
            for one in candidates
            if all(claim == scene_id for claim in claims.get(one.rating_key, []))
            and bound.get(one.rating_key, scene_id) == scene_id
        ]

    async def _rivals(
        self, scene_id: int, file: SceneFile, confidence: Confidence
    ) -> list[int]:
        """Return other scenes for which the same name would speak as much."""
        namesakes = [
            one
            for one in await self._store.scene_files_named(file.path)
            if one.scene_id != scene_id
        ]
        if confidence is Confidence.HIGH:
            namesakes = [one for one in namesakes if one.size == file.size]
            at_home = {
                one.key
                for one in await self._store.files_by_key(
                    one.key for one in namesakes if one.key
                )
            }
            namesakes = [one for one in namesakes if one.key not in at_home]
        return sorted({one.scene_id for one in namesakes})

    def _nothing(self, scene: SceneEntry) -> ItemNotFound:
        path = scene.files[0].path
        mapped = [self._paths.key_of_stash(file.path) for file in scene.files]
        if self._paths.has_rules and not any(mapped):
            return UnmappedPath(f"no path rule maps {path!r}, nor is its name in Plex")
        return ItemNotFound(f"Plex has no item with the file {mapped[0] or path!r}")
