"""Every item that could be a scene's, and why those that are not have lost.

For people only: `stash2plex.catalog.matching` decides, and its answer is told here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stash2plex.catalog.items import PlexFile
from stash2plex.catalog.matching import Answer
from stash2plex.catalog.store import CatalogStore
from stash2plex.config import MatchSettings
from stash2plex.errors import Stash2PlexError
from stash2plex.paths import PathMap
from stash2plex.scene import SceneEntry

# How much each way of finding an item says, of a hundred.
_SCORES = {"path": 100, "guid": 90, "name and size": 80, "name": 50}
# More of the same name tell nobody anything.
_MOST = 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item, the file of it that speaks for it, and *how* it does.

    *reason* says why it was not chosen, None if it was.
    """

    rating_key: int
    file: str
    size: int | None
    how: str
    score: int
    reason: str | None

    @property
    def chosen(self) -> bool:
        return self.reason is None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What speaks against items: others' claims, and the *best* score among them."""

    scene: SceneEntry
    answer: Answer
    fallback: str
    claims: Mapping[int, Sequence[int]]
    bound: Mapping[int, int]
    best: int

    def against(self, file: PlexFile, how: str) -> Iterator[str]:
        """Say why the item of *file* is not the scene's, the weightiest first."""
        key, scene = file.rating_key, self.scene
        if others := [one for one in self.claims.get(key, ()) if one != scene.id]:
            yield f"scene {', '.join(map(str, others))} has its path"
        if self.bound.get(key, scene.id) != scene.id:
            yield f"Plex has bound it to scene {self.bound[key]}"
        if _SCORES[how] < self.best:
            yield "another item says more"
        if how.startswith("name") and self.fallback == "none":
            yield 'match.fallback is "none"'
        if how == "name" and file.size and any(one.size for one in scene.files):
            yield "the file has another size"
        if isinstance(self.answer, Stash2PlexError):
            yield str(self.answer)
        yield "another item says as much and comes first"


async def candidates(
    scene: SceneEntry,
    answer: Answer,
    store: CatalogStore,
    paths: PathMap,
    settings: MatchSettings,
) -> list[Candidate]:
    """Return what could be the item of *scene*, the best first.

    *answer* is what the matching said of it.
    """
    found = await _found(scene, store, paths)
    facts = _Facts(
        scene=scene,
        answer=answer,
        fallback=settings.fallback,
        claims=await store.claims(found),
        bound=await store.scenes_bound(found),
        best=max((_SCORES[how] for _, how in found.values()), default=0),
    )
    chosen: dict[int, str] = {}
    if not isinstance(answer, Stash2PlexError):
        chosen = {one.rating_key: one.how for one in answer}
    listed = []
    for rating_key, (file, seemed) in found.items():
        how = chosen.get(rating_key, seemed)
        reason = None
        if rating_key not in chosen:
            reason = next(facts.against(file, how))
        listed.append(
            Candidate(rating_key, file.path, file.size, how, _SCORES[how], reason)
        )
    listed.sort(key=lambda one: (not one.chosen, -one.score, one.rating_key))
    return listed[:_MOST]


async def _found(
    scene: SceneEntry, store: CatalogStore, paths: PathMap
) -> dict[int, tuple[PlexFile, str]]:
    """Return the items with the file that says most for each, and how."""
    keys = [paths.key_of_stash(file.path) for file in scene.files]
    found: dict[int, tuple[PlexFile, str]] = {}
    for one in await store.files_by_key(key for key in keys if key is not None):
        found.setdefault(one.rating_key, (one, "path"))
    for one in (await store.files_bound_to([scene.id])).get(scene.id, []):
        found.setdefault(one.rating_key, (one, "guid"))
    for file in scene.files:
        namesakes = await store.files_named(file.path)
        for one in sorted(namesakes, key=lambda one: one.size != file.size):
            sized = bool(file.size) and one.size == file.size
            how = "name and size" if sized else "name"
            found.setdefault(one.rating_key, (one, how))
    return found
