"""Seeing that tags went that were removed, and that all came that were added.

Servers differ in how they read the names to remove, and perhaps in whether a list adds
or replaces. So what was sent is compared with what the item shows afterwards; what did
not happen is tried once more the other way, and that way is remembered if it worked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stash2plex.errors import RequestRejected
from stash2plex.plex.edits import Edit, Style, TagEdit
from stash2plex.push.changes import people_call
from stash2plex.text import name_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stash2plex.plex.item import Item
    from stash2plex.plex.library import PlexLibrary
    from stash2plex.push.editor import Edited, Editor
    from stash2plex.push.learned import Learned


class Removals:
    """Tries again what did not happen to lists of tags."""

    def __init__(self, editor: Editor, plex: PlexLibrary, learned: Learned) -> None:
        self._editor = editor
        self._plex = plex
        self._learned = learned

    @staticmethod
    def concern(edit: Edit, edited: Edited) -> bool:
        """Whether anything about *edit* has to be seen before it counts as done."""
        return bool(edited.chunked) or any(one.removed for one in edit.tags.values())

    async def see(
        self, item: Item, edit: Edit, edited: Edited
    ) -> tuple[int, Item | None]:
        """Compare *item*, read after *edit*, with it.

        Returns how many requests that took, and the item as it is at last, None if it
        is gone. Raises `RequestRejected` for what happens in neither way.
        """
        tags = {
            name: one for name, one in edit.tags.items() if name not in edited.rejected
        }
        left = {name: _still(item, name, one.removed) for name, one in tags.items()}
        lost = {
            name: one
            for name, one in tags.items()
            if self._lost(item, name, one, edited)
        }
        requests = 0
        now: Item | None = item
        if any(left.values()):
            more, now = await self._remove_otherwise(item, left)
            requests += more
        if lost:
            more, now = await self._add_whole(item, lost)
            requests += more
        if now and (old := self._not_respelled(now, tags)):
            more, now = await self._respell_otherwise(now, old)
            requests += more
        return requests, now

    def _not_respelled(
        self, item: Item, tags: Mapping[str, TagEdit]
    ) -> dict[str, TagEdit]:
        """Return what has its old spelling, perhaps since its removal was misread."""
        form = self._learned.style.removal
        found = {}
        for name, one in tags.items():
            shown = item.tags.get(name, ())
            old = tuple(
                tag
                for tag in one.respelled
                if tag in shown and form.write(tag) != form.other.write(tag)
            )
            if old:
                keys = {name_key(tag) for tag in old}
                new = tuple(tag for tag in one.added if name_key(tag) in keys)
                found[name] = TagEdit(one.names, (), new, old)
        return found

    async def _respell_otherwise(
        self, item: Item, old: Mapping[str, TagEdit]
    ) -> tuple[int, Item | None]:
        style = self._learned.style
        form = style.removal.other
        edited = await self._editor.edit(
            item, Edit(tags=old), replace(style, removal=form)
        )
        found = (await self._plex.items([item.rating_key])).get(item.rating_key)
        if found and any(
            set(one.respelled).isdisjoint(found.tags.get(name, ()))
            for name, one in old.items()
        ):
            await self._learned.removes_by(form)
        return edited.requests, found

    async def _remove_otherwise(
        self, item: Item, left: Mapping[str, tuple[str, ...]]
    ) -> tuple[int, Item | None]:
        style = self._learned.style
        form = style.removal.other
        again = {name: TagEdit((), names) for name, names in left.items() if names}
        edited = await self._editor.edit(
            item, Edit(tags=again), replace(style, removal=form)
        )
        found = (await self._plex.items([item.rating_key])).get(item.rating_key)
        if found is None:
            return edited.requests, None
        kept = {name: _still(found, name, one.removed) for name, one in again.items()}
        if any(kept.values()):
            raise RequestRejected(f"Plex does not remove {_told(kept)}")
        if any(
            form.write(tag) != style.removal.write(tag)
            for one in again.values()
            for tag in one.removed
        ):  # else it went for another reason
            await self._learned.removes_by(form)
        return edited.requests, found

    async def _add_whole(
        self, item: Item, lost: Mapping[str, TagEdit]
    ) -> tuple[int, Item | None]:
        style: Style = replace(self._learned.style, replaces=True)
        edited = await self._editor.edit(item, Edit(tags=lost), style)
        found = (await self._plex.items([item.rating_key])).get(item.rating_key)
        if found is None:
            return edited.requests, None
        missing = {
            name: tuple(tag for tag in one.names if not _still(found, name, (tag,)))
            for name, one in lost.items()
        }
        if any(missing.values()):
            raise RequestRejected(f"Plex does not keep {_told(missing)}")
        await self._learned.replaces()
        return edited.requests, found

    @staticmethod
    def _lost(item: Item, name: str, edit: TagEdit, edited: Edited) -> bool:
        """Whether a list that went in several requests did not arrive whole."""
        return name in edited.chunked and any(
            not _still(item, name, (tag,)) for tag in edit.names
        )


def _still(item: Item, name: str, tags: Iterable[str]) -> tuple[str, ...]:
    """Return those of *tags* that the item shows."""
    shown = {name_key(tag) for tag in item.tags.get(name, ())}
    return tuple(tag for tag in tags if name_key(tag) in shown)


def _told(tags: Mapping[str, tuple[str, ...]]) -> str:
    return "; ".join(
        f"{people_call(name)}: {', '.join(map(repr, names))}"
        for name, names in tags.items()
        if names
    )
