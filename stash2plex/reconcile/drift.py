"""What others changed in Plex after we wrote it.

A listing gives reason to look closer: other text than ours, or a change that is not
our own. Only then is the item read, many in one request. Which pictures it shows is
asked at last, one list at a time, so that deliveries come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stash2plex.catalog.gaps import FoundGap
from stash2plex.errors import RequestRejected, ServerFault, StaleCatalog
from stash2plex.gap_kinds import GapKind
from stash2plex.plex.item import LISTED_FIELDS
from stash2plex.push.artwork import is_selected
from stash2plex.push.changes import PICTURE_NAMES, TEXT_NAMES, drifted, people_call

if TYPE_CHECKING:
    from stash2plex.catalog.items import ItemRow
    from stash2plex.config import SyncSettings
    from stash2plex.movie import Field
    from stash2plex.plex.item import Item
    from stash2plex.plex.library import PlexLibrary
    from stash2plex.push.ledger import Entry, Ledger
    from stash2plex.scene import SceneEntry

# Items read in one request.
_READ = 100


class Drift:
    """Collects items that seem to have changed, and finds those that did."""

    def __init__(
        self,
        plex: PlexLibrary,
        ledger: Ledger,
        machine: str,
        *,
        sync: SyncSettings,
        managed: frozenset[Field],
    ) -> None:
        self._plex = plex
        self._ledger = ledger
        self._machine = machine
        self._sync = sync
        self._managed = managed
        ours = {name for of, name in TEXT_NAMES.items() if of in managed}
        self._listed = [name for name in LISTED_FIELDS if name in ours]
        self._candidates: list[tuple[SceneEntry, Entry, int]] = []
        # Items whose text is as we left it, and the pictures of ours they may show.
        self._pictured: list[tuple[SceneEntry, Entry, Item, list[str]]] = []
        self._pictures = {name for of, name in PICTURE_NAMES.items() if of in managed}
        self._as_left: list[tuple[Entry, int]] = []
        self.unread: set[int] = set()  # scenes whose items could not be read

    def consider(self, scene: SceneEntry, row: ItemRow, entry: Entry) -> None:
        """Look closer at an item, if what the listing showed of it gives reason to."""
        shown = dict(zip(LISTED_FIELDS, row.listed, strict=False))
        differs = any(
            name in entry.text
            and shown.get(name, "") not in {entry.text[name], entry.shown.get(name)}
            for name in self._listed
        )
        if differs or not entry.is_ours(row.updated_at):
            self._candidates.append((scene, entry, row.updated_at))
        elif row.updated_at != entry.checked:
            self._as_left.append((entry, row.updated_at))

    async def gaps(self, *, last: bool = False) -> list[FoundGap]:
        """Read candidates once there are many, or all when these are the *last*."""
        found: list[FoundGap] = []
        while len(self._candidates) >= (1 if last else _READ):
            batch = self._candidates[:_READ]
            del self._candidates[:_READ]
            found += await self._look_at(batch)
        if last:
            for scene, entry, item, names in self._pictured:
                found += await self._look_at_pictures(scene, entry, item, names)
            self._pictured.clear()
        if self._as_left:
            await self._ledger.note_checked(self._as_left)
            self._as_left = []
        return found

    async def _look_at_pictures(
        self, scene: SceneEntry, entry: Entry, item: Item, names: list[str]
    ) -> list[FoundGap]:
        """Ask what an item shows; one that shows others' pictures has drifted."""
        others = []
        for name in names:
            try:
                listed = await self._plex.pictures(
                    item.rating_key, name, background=True
                )
            except (ServerFault, RequestRejected, StaleCatalog):
                self.unread.add(scene.id)
                return []
            shown = is_selected(listed, entry.pictures[name])
            if shown is False and self._sync.respect_locks and name in item.locked:
                # A person's choice is locked, and stays.
                await self._ledger.note_replaced(entry, name)
            elif not shown:  # a delivery finds out what nobody can tell
                others.append(people_call(name))
        if others:
            detail = f"item {item.rating_key}: others selected the {', '.join(others)}"
            return [gap_of(GapKind.DRIFT, scene, detail)]
        self._as_left.append((entry, item.updated_at))
        return []

    def _ours(self, entry: Entry, item: Item) -> list[str]:
        """Return the pictures that the item should show because we put them there."""
        if self._sync.mode == "fill":
            return []
        return [
            name
            for name, picture in entry.pictures.items()
            if picture.hash and name in self._pictures
        ]

    async def _look_at(
        self, batch: list[tuple[SceneEntry, Entry, int]]
    ) -> list[FoundGap]:
        found = []
        keys = [entry.rating_key for _, entry, _ in batch]
        items = await self._plex.readable_items(keys)
        for scene, entry, updated_at in batch:
            item = items.get(entry.rating_key)
            if item is None or item.is_trashed:
                self.unread.add(scene.id)  # gone, or not to be read at this moment
                continue
            if names := drifted(item, entry, self._sync, self._managed):
                told = ", ".join(people_call(name) for name in names)
                detail = f"item {entry.rating_key}: others changed {told}"
                found.append(gap_of(GapKind.DRIFT, scene, detail))
            elif ours := self._ours(entry, item):
                self._pictured.append((scene, entry, item, ours))
            else:
                self._as_left.append((entry, updated_at))
        return found


def gap_of(kind: GapKind, scene: SceneEntry, detail: str) -> FoundGap:
    """Return a gap of *scene*."""
    return FoundGap(kind, f"scene:{scene.id}", scene.files[0].path, detail)
