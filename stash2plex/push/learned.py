"""What we learned of one Plex server and version, since nobody documents it.

How long a request line may be, how removed tags are written, whether a list of tags
replaces the old one, and whether uploads are shown by themselves. Another server or
version is learned anew.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import structlog

from stash2plex.db.database import Database
from stash2plex.errors import StoreUnavailable
from stash2plex.plex.edits import LONGEST, PACKED, Removal, Style

if TYPE_CHECKING:
    from stash2plex.plex.library import PlexLibrary

log = structlog.get_logger()

# The fact in the store.
LEARNED = "plex_learned"
# So many fresh uploads are proven by a list, and then one of so many.
_PROVEN, _ONE_OF = 20, 50


@dataclass(slots=True, kw_only=True)
class Knowledge:
    """What is known of *server*, which names its machine and version.

    *line* is the most bytes of a target that we send, *taken* the most that the server
    took, *uploads* counts fresh uploads; *misses* those of them that were not shown.
    """

    server: str = ""
    line: int = LONGEST
    taken: int = 0
    removal: Removal = Removal.ESCAPED
    replaces: bool = False
    uploads: int = 0
    misses: int = 0


def knowledge_from(stored: str | None) -> Knowledge:
    """Read what was learned; nothing of what is not understood."""
    try:
        found = json.loads(stored or "{}")
        known = {one.name for one in fields(Knowledge)}
        learned = Knowledge(**{k: v for k, v in found.items() if k in known})
        learned.removal = Removal(learned.removal)
    except (AttributeError, TypeError, ValueError):
        return Knowledge()
    return learned


class Learned:
    """Keeps what is known of the server that is written to.

    *longest* is ``plex.max_request_line``: a number is kept to, and nothing is learned
    of it then.
    """

    def __init__(self, database: Database, longest: int | None) -> None:
        self._database = database
        self._longest = longest
        self._known = Knowledge()
        self._loaded = False

    async def about(self, machine: str, plex: PlexLibrary) -> None:
        """Be about this server from now on; asks for its version if need be."""
        if not self._loaded:
            self._known = knowledge_from(await self._database.fact(LEARNED))
            self._loaded = True
        if not plex.version:
            await plex.server()
        server = f"{machine} {plex.version}"
        if self._known.server != server:
            self._known = Knowledge(server=server)

    @property
    def line(self) -> int:
        """The most bytes of one target."""
        return self._longest or self._known.line

    @property
    def style(self) -> Style:
        """How edits are written for this server."""
        return Style(
            packed=min(PACKED, self.line),
            removal=self._known.removal,
            replaces=self._known.replaces,
        )

    async def took(self, length: int) -> None:
        """Note that a target of this length was taken."""
        if length > max(PACKED, self._known.taken):
            self._known.taken = length
            await self._save()

    async def refused(self, length: int) -> bool:
        """Note that a target of this length was refused; whether to send a shorter one.

        Others of the same length that are under way meanwhile cost nothing more.
        """
        known = self._known
        if self._longest is not None or length <= max(PACKED, known.taken):
            return False
        if length <= known.line:
            while length <= known.line:  # until it would not be sent any more
                known.line = max(PACKED, known.line // 2)
            log.warning("request_line_halved", bytes=known.line)
            await self._save()
        return True

    async def removes_by(self, form: Removal) -> None:
        """Note which form removed a tag where the other had not."""
        self._known.removal = form
        log.info("removal_form_learned", form=form.value)
        await self._save()

    async def replaces(self) -> None:
        """Note that a list of tags takes the place of the one before."""
        self._known.replaces = True
        log.info("tag_lists_replace", server=self._known.server)
        await self._save()

    def wants_proof(self) -> bool:
        """Whether the next fresh upload is to be proven by a list; counts it."""
        known = self._known
        known.uploads += 1
        return (
            known.misses > 0 or known.uploads <= _PROVEN or known.uploads % _ONE_OF == 0
        )

    async def note_proof(self, *, missed: bool) -> None:
        """Note how a proof of a fresh upload ended; one miss makes all be proven."""
        if missed:
            self._known.misses += 1
            log.warning("upload_not_shown", misses=self._known.misses)
        if missed or self._known.uploads <= _PROVEN:
            await self._save()

    async def _save(self) -> None:
        """Keep it; what cannot be kept is learned again."""
        try:
            await self._database.set_fact(LEARNED, json.dumps(asdict(self._known)))
        except StoreUnavailable as error:
            log.warning("store_unavailable", error=str(error))
