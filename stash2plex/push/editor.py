"""Carrying out an edit, whatever the server refuses of it.

A server that refuses a request may find it too long, or one field of it wrong. So what
was refused is sent in smaller pieces, at last field by field: nothing in one field
holds up the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stash2plex.errors import RequestRejected
from stash2plex.plex.edits import Edit, Piece, Style, encoded_size, longest_text, pieces
from stash2plex.text import fitted

if TYPE_CHECKING:
    from stash2plex.plex.item import ItemEntry
    from stash2plex.plex.library import PlexLibrary
    from stash2plex.push.learned import Learned

# How servers and proxies say that a request line is too long, or of no use.
_REFUSED = frozenset({400, 414})


@dataclass(slots=True)
class Edited:
    """What became of an edit: how many requests it took, and what was refused.

    *rejected* goes by Plex's field names; *chunked* are lists that were not sent
    whole, and *shortened* text that had to be cut further than was planned.
    """

    requests: int = 0
    taken: int = 0
    rejected: dict[str, RequestRejected] = field(default_factory=dict)
    chunked: set[str] = field(default_factory=set)
    shortened: dict[str, str] = field(default_factory=dict)


class Editor:
    """Sends edits to one server."""

    def __init__(self, plex: PlexLibrary, learned: Learned) -> None:
        self._plex = plex
        self._learned = learned

    async def edit(
        self, item: ItemEntry, edit: Edit, style: Style | None = None
    ) -> Edited:
        """Carry out *edit* as far as the server lets us; raises Plex's other errors."""
        result = Edited()
        await self._send(item, edit, style, result)
        return result

    async def _send(
        self, item: ItemEntry, edit: Edit, style: Style | None, result: Edited
    ) -> None:
        planned = pieces(
            item.section_id, item.rating_key, edit, style or self._learned.style
        )
        for piece in planned:
            # What is not the complete list is right only where a list adds.
            result.chunked |= {
                name
                for name in piece.adds
                if piece.edit.tags[name].names != edit.tags[name].names
            }
            await self._send_piece(item, piece, style, result)

    async def _send_piece(
        self, item: ItemEntry, piece: Piece, style: Style | None, result: Edited
    ) -> None:
        result.requests += 1
        length = len(piece.target)
        try:
            await self._plex.put(piece.target)
        except RequestRejected as error:
            fields = piece.edit.fields
            if error.status not in _REFUSED:
                raise
            too_long = await self._learned.refused(length)
            if too_long and (shorter := self._cut(piece.edit, result)):
                await self._send(item, shorter, style, result)
            elif len(fields) > 1:
                for name in fields:
                    await self._send(item, piece.edit.of(name), style, result)
            else:
                result.rejected[fields[0]] = error
        else:
            result.taken += 1
            await self._learned.took(length)

    def _cut(self, edit: Edit, result: Edited) -> Edit | None:
        """Return *edit* with its texts cut to what is left to us, None if they fit."""
        limit = longest_text(self._learned.line)
        shortened = {
            name: fitted(value, limit)
            for name, value in edit.text.items()
            if encoded_size(value) > limit
        }
        if not shortened:
            return None
        result.shortened |= shortened
        return replace(edit, text={**edit.text, **shortened})
