"""Both libraries compared: every gap, from the catalogue and the ledger.

The catalogue is walked in small steps, so that nothing waits for it and little of it is
in memory. Plex is asked only about items that seem to have changed since we wrote them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING

from stash2plex.catalog.gaps import FoundGap
from stash2plex.catalog.lost import why_lost
from stash2plex.catalog.matching import Match
from stash2plex.errors import (
    AmbiguousMatch,
    ItemNotFound,
    Stash2PlexError,
    UnmappedPath,
)
from stash2plex.gap_kinds import GapKind
from stash2plex.gates import gates_digest
from stash2plex.movie import Field
from stash2plex.paths import Mapped, PathMap
from stash2plex.push.changes import TAG_NAMES, TEXT_NAMES
from stash2plex.push.ledger import Entry, Ledger, entry_for
from stash2plex.reconcile.drift import Drift, gap_of
from stash2plex.translation import Translation, settings_digest

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog
    from stash2plex.catalog.items import ItemRow
    from stash2plex.config import Settings
    from stash2plex.plex.library import PlexLibrary
    from stash2plex.scene import SceneEntry

_TELLING_TEXT = {Field.STUDIO, Field.DATE}
_TELLING_TAGS = {Field.TAGS, Field.PERFORMERS}
# Scenes, and items, looked at in one step.
_SCENES, _ITEMS = 200, 2000


class Comparison:
    """Finds gaps."""

    def __init__(
        self, settings: Settings, catalog: Catalog, ledger: Ledger, plex: PlexLibrary
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._ledger = ledger
        self._plex = plex
        self._paths = PathMap(settings.path_rules)
        self._managed = Translation(settings).managed
        self._digest = settings_digest(settings)
        self.unread: set[int] = set()  # scenes whose drift nobody could tell, lately

    async def gaps(
        self, scene_ids: Sequence[int] | None = None, since: int = 0
    ) -> AsyncIterator[tuple[list[FoundGap], int]]:
        """Yield gaps, and how many scenes were looked at, step by step.

        Of *scene_ids*, and of items that changed *since* (unix seconds, Plex's clock).
        Without, of everything, and what others changed in Plex too.
        """
        machine = await self._catalog.ensure_machine()
        drift = None if scene_ids is not None else self._drift(machine)
        self.unread = drift.unread if drift else set()
        contested: dict[int, tuple[str, str]] = {}
        async for entries in self._steps(scene_ids):
            found = await self._of_scenes(entries, machine, drift, contested)
            if drift:
                found += await drift.gaps()
            yield found, len(entries)
        if drift:
            yield await drift.gaps(last=True), 0
        yield (
            [
                FoundGap(GapKind.AMBIGUOUS, f"item:{key}", path, why)
                for key, (path, why) in contested.items()
            ],
            0,
        )
        after: int | None = 0
        while after is not None:
            orphans, after = await self._catalog.store.orphans(
                after=after, limit=_ITEMS, since=since
            )
            claimed = await self._claimed_by_name([path for _, path, _ in orphans])
            left = [one for one in orphans if one[0] not in claimed]
            files = {path: size for _, path, size in left}
            why = await why_lost(self._catalog.store, self._paths, files)
            yield [self._orphan(key, path, why.get(path)) for key, path, _ in left], 0

    def _drift(self, machine: str) -> Drift:
        return Drift(
            self._plex,
            self._ledger,
            machine,
            sync=self._settings.sync,
            managed=self._managed,
        )

    async def _steps(
        self, scene_ids: Sequence[int] | None
    ) -> AsyncIterator[list[SceneEntry]]:
        """Walk the scenes that take part, as far as that is known."""
        by = gates_digest(self._settings.sync)
        store = self._catalog.store
        after, start = 0, 0
        while True:
            if scene_ids is None:
                rows = await store.entries(after=after, limit=_SCENES)
            else:
                chosen = scene_ids[start : start + _SCENES]
                rows = await store.entries(ids=chosen, limit=_SCENES)
                start += _SCENES
            if rows:
                after = rows[-1][0].id
            yield [
                scene
                for scene, kept_out in rows
                if scene.files and kept_out != f"{scene.updated_at} {by}"
            ]
            done = not rows if scene_ids is None else start >= len(scene_ids)
            if done:
                return

    async def _of_scenes(
        self,
        scenes: Sequence[SceneEntry],
        machine: str,
        drift: Drift | None,
        contested: dict[int, tuple[str, str]],
    ) -> list[FoundGap]:
        if not scenes:
            return []
        answers = await self._catalog.compared(scenes, contested)
        matched = {
            scene.id: answer
            for scene in scenes
            if not isinstance(answer := answers[scene.id], Stash2PlexError)
        }
        keys = {match.rating_key for matches in matched.values() for match in matches}
        rows = await self._catalog.store.item_rows(keys)
        written = await self._ledger.entries(machine, keys)
        found = []
        for scene in scenes:
            answer = answers[scene.id]
            gap = (
                self._unmatched(scene, answer)
                if isinstance(answer, Stash2PlexError)
                else self._outdated(scene, answer, rows, written, drift)
            )
            if gap:
                found.append(gap)
        return found

    def _unmatched(self, scene: SceneEntry, error: Stash2PlexError) -> FoundGap | None:
        match error:
            case AmbiguousMatch():
                kind = GapKind.AMBIGUOUS
            case UnmappedPath():
                kind = GapKind.UNMAPPED
            case ItemNotFound():
                kind = GapKind.MISSING_IN_PLEX
                if not self._settings.reconcile.missing:
                    return None
            case _:
                return None
        if self._settings.match.not_found == "skip" and kind != GapKind.AMBIGUOUS:
            return None
        return gap_of(kind, scene, str(error))

    def _outdated(
        self,
        scene: SceneEntry,
        matches: Iterable[Match],
        rows: dict[int, ItemRow],
        written: dict[int, list[Entry]],
        drift: Drift | None,
    ) -> FoundGap | None:
        """Return what is wrong with the items of a scene, the worst if several."""
        stale = None
        for match in matches:
            row = rows.get(match.rating_key)
            if row is None:
                continue  # gone this moment
            entry = entry_for(written.get(match.rating_key, ()), match.file, scene.id)
            item = f"item {match.rating_key}"
            if not (entry and entry.delivered_at and entry.scene_id == scene.id):
                if row.is_bare:
                    return gap_of(GapKind.EMPTY, scene, f"{item} shows nothing yet")
                stale = f"{item} was never written"
            elif row.is_bare and self._wrote_more(entry):
                return gap_of(GapKind.EMPTY, scene, f"{item} shows nothing any more")
            elif entry.settings not in {"", self._digest}:
                stale = f"{item} was written with other settings"
            elif entry.scene_updated_at != scene.updated_at:
                stale = (
                    f"{item} was last written before the scene was last changed"
                    if entry.scene_updated_at
                    else f"{item} may show what the scene was before"
                )
            elif drift:
                drift.consider(scene, row, entry)
        return gap_of(GapKind.STALE, scene, stale) if stale else None

    def _orphan(self, rating_key: int, path: str, why: str | None) -> FoundGap:
        kind, detail = GapKind.MISSING_IN_STASH, why or "no scene has this file"
        if self._paths.has_rules and not why:
            twin = self._paths.to_stash(path)
            if not isinstance(twin, Mapped):
                kind, detail = GapKind.UNMAPPED, twin.reason
        return FoundGap(kind, f"item:{rating_key}", path, detail)

    def _wrote_more(self, entry: Entry) -> bool:
        """Whether we wrote anything that a listing would show beside the title.

        A human may have emptied and locked that, if such are respected; then only the
        item itself tells.
        """
        if self._settings.sync.respect_locks:
            return False
        text = any(
            entry.text.get(TEXT_NAMES[of]) for of in _TELLING_TEXT & self._managed
        )
        tags = (entry.tags.get(TAG_NAMES[of]) for of in _TELLING_TAGS & self._managed)
        return text or any(one is not None and one.left for one in tags)

    async def _claimed_by_name(self, paths: Sequence[str]) -> set[int]:
        """Return items that scenes have by another thing than path or guid.

        Or may have: then it is their gap, not the item's.
        """
        twins = await self._catalog.store.namesakes(paths)
        if not twins:
            return set()
        claimed: set[int] = set()
        rows = await self._catalog.store.entries(ids=twins, limit=len(twins))
        scenes = [scene for scene, _ in rows if scene.files]
        for answer in (await self._catalog.compared(scenes)).values():
            if isinstance(answer, AmbiguousMatch):
                claimed |= answer.items
            elif not isinstance(answer, Stash2PlexError):
                claimed |= {match.rating_key for match in answer}
        return claimed
