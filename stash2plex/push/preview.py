"""What a delivery would change, without changing it.

The same reading, gates, matching and plans as `stash2plex.push.delivery`; nothing is
written to Plex, and nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stash2plex.errors import Stash2PlexError
from stash2plex.gates import NO_METADATA, refusal, says_nothing
from stash2plex.paths import PathMap
from stash2plex.plex.edits import longest_text
from stash2plex.push.artwork import Artwork, PictureChange
from stash2plex.push.changes import lost_collections, plan
from stash2plex.push.emptied import may_clear
from stash2plex.push.learned import Learned
from stash2plex.push.ledger import Ledger
from stash2plex.translation import Translation, settings_digest

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog
    from stash2plex.catalog.matching import Match
    from stash2plex.config import Settings
    from stash2plex.plex.item import Item
    from stash2plex.plex.library import PlexLibrary
    from stash2plex.push.ledger import Entry
    from stash2plex.scene import Scene
    from stash2plex.stash.client import StashClient

_BATCH = 50


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field, by Plex's name: what it shows, and what it would show."""

    field: str
    before: str | tuple[str, ...]
    after: str | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What would happen to one item, or why nothing would happen to a scene.

    *respected* are fields left alone because a human locked them.
    """

    scene_id: int
    rating_key: int | None = None
    changes: tuple[FieldChange, ...] = ()
    respected: tuple[str, ...] = ()
    reason: str | None = None


class Preview:
    """Works out differences."""

    def __init__(
        self,
        settings: Settings,
        *,
        stash: StashClient,
        plex: PlexLibrary,
        catalog: Catalog,
        ledger: Ledger,
        learned: Learned,
    ) -> None:
        self._learned = learned
        self._settings = settings
        self._stash = stash
        self._plex = plex
        self._catalog = catalog
        self._ledger = ledger
        self._artwork = Artwork(
            stash,
            plex,
            settings.sync,
            settings.provider.poster,
            settings_digest(settings),
        )
        self._movie = Translation(settings)
        self._paths = PathMap(settings.path_rules)
        # What is written to nobody yet is what people want to see first.
        self._gates = settings.sync.model_copy(update={"enabled": True})

    async def of(self, scene_ids: Sequence[int]) -> list[Difference]:
        """Return what would happen to each of *scene_ids*; nothing for what is in step.

        Raises what Stash or Plex raise when they cannot be read.
        """
        found: list[Difference] = []
        for start in range(0, len(scene_ids), _BATCH):
            readings = await self._stash.scenes(scene_ids[start : start + _BATCH])
            found += await self.of_readings(readings)
        return found

    async def of_readings(
        self, readings: Mapping[int, Scene | Stash2PlexError | None]
    ) -> list[Difference]:
        """Return the same of scenes that were just read, by id."""
        found: list[Difference] = []
        scenes: list[Scene] = []
        delivered = await self._ledger.delivered_among(readings)
        for scene_id, reading in readings.items():
            if isinstance(reading, Stash2PlexError):
                found.append(Difference(scene_id=scene_id, reason=str(reading)))
            elif reading is None:
                found.append(Difference(scene_id=scene_id, reason="gone from Stash"))
            elif reason := refusal(
                reading, self._gates, was_delivered=scene_id in delivered
            ):
                found.append(Difference(scene_id=scene_id, reason=reason))
            else:
                scenes.append(reading)
        if not scenes:
            return found
        answers = await self._catalog.match(scenes)
        matched: list[tuple[Scene, Sequence[Match]]] = []
        for scene in scenes:
            answer = answers[scene.id]
            if isinstance(answer, Stash2PlexError):
                found.append(Difference(scene_id=scene.id, reason=str(answer)))
            else:
                matched.append((scene, answer))
        return found + await self._of_matched(matched)

    async def _of_matched(
        self, matched: Iterable[tuple[Scene, Sequence[Match]]]
    ) -> list[Difference]:
        pairs = [(scene, match) for scene, matches in matched for match in matches]
        keys = sorted({match.rating_key for _, match in pairs})
        if not keys:
            return []
        machine = await self._catalog.ensure_machine()
        items = await self._plex.readable_items(keys)
        await self._learned.about(machine, self._plex)
        matches = [(scene.id, match.rating_key, match.file) for scene, match in pairs]
        entries = await self._ledger.known(machine, matches, items)
        found = []
        for scene, match in pairs:
            item = items.get(match.rating_key)
            entry = entries.get((scene.id, match.rating_key))
            if item is None or item.is_trashed or not item.holds(match.file):
                reason = f"item {match.rating_key} changed, or cannot be read"
                found.append(Difference(scene_id=scene.id, reason=reason))
            elif says_nothing(scene) and not may_clear(
                scene, match, entry, self._paths, self._stash.ahead
            ):
                found.append(Difference(scene_id=scene.id, reason=NO_METADATA))
            elif difference := await self._of_item(scene, item, entry):
                found.append(difference)
        return found

    async def _of_item(
        self, scene: Scene, item: Item, entry: Entry | None
    ) -> Difference | None:
        movie = self._movie(scene)
        longest = longest_text(self._learned.line)
        sync = self._settings.sync
        lost = lost_collections(movie, item, entry, sync)
        ours = await self._stash.studios_or_groups(lost) if lost else ()
        planned = plan(movie, item, entry, sync, longest, named_by_us=ours)
        changes = [
            FieldChange(name, item.text.get(name, ""), value)
            for name, value in planned.edit.text.items()
        ]
        if planned.clears_rating:
            changes.append(FieldChange("userRating", item.text["userRating"], ""))
        changes += [
            FieldChange(name, item.tags.get(name, ()), edit.names)
            for name, edit in planned.edit.tags.items()
        ]
        pictures = await self._artwork.plan(scene, movie, item, entry)
        changes += [
            FieldChange(name, item.picture(name), _shown_then(change))
            for name, change in pictures.changes.items()
        ]
        respected = (*planned.respected, *pictures.respected)
        failed = pictures.error or pictures.fault
        if not changes and not respected and not failed:
            return None
        return Difference(
            scene_id=scene.id,
            rating_key=item.rating_key,
            changes=tuple(sorted(changes, key=lambda one: one.field)),
            respected=respected,
            reason=str(failed) if failed else None,
        )


def _shown_then(change: PictureChange) -> str:
    if change.shows_ours:
        return "the cover of the scene"
    return "the picture that was there before" if change.key else ""
