"""Pictures on their way to Plex: bytes, only when they changed.

What a picture was made from is remembered by hash, so neither an edit of the scene
nor a restart uploads anything again: Plex keeps every upload on its disk for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stash2plex.errors import PictureFailed, ServiceUnavailable, Stash2PlexError
from stash2plex.movie import Field, Movie
from stash2plex.pictures import NotAPicture, Shape, picture_hash, shaped_aside
from stash2plex.push.changes import PICTURE_NAMES, locked_by_human
from stash2plex.push.ledger import Entry, WrittenPicture
from stash2plex.stash.answers import parsed_time

if TYPE_CHECKING:
    from stash2plex.config import SyncSettings
    from stash2plex.plex.item import Item
    from stash2plex.plex.library import PlexLibrary
    from stash2plex.scene import Scene
    from stash2plex.stash.client import PictureAnswer, StashClient


# How old a scene's last change must have been to be the last, seconds; a little more
# than Stash's resolution and the clocks of one household differ by.
_SETTLING = 5.0


@dataclass(slots=True, kw_only=True)
class PicturePlan:
    """What to do about the pictures of one item, by Plex's field names.

    *kept* is what the ledger goes on remembering; *uploads* are bytes in their final
    shape with what to remember once they arrived; *drops* are to be removed; *adopted*
    are ours although the ledger had forgotten.
    """

    kept: dict[str, WrittenPicture] = field(default_factory=dict)
    uploads: dict[str, tuple[bytes, WrittenPicture]] = field(default_factory=dict)
    drops: list[str] = field(default_factory=list)
    respected: list[str] = field(default_factory=list)
    adopted: set[str] = field(default_factory=set)
    error: PictureFailed | ServiceUnavailable | None = None


class Artwork:
    """Decides about pictures, and fetches those that may have changed."""

    def __init__(
        self, stash: StashClient, plex: PlexLibrary, sync: SyncSettings, poster: Shape
    ) -> None:
        self._stash = stash
        self._plex = plex
        self._sync = sync
        self._shapes: Mapping[Field, Shape] = {
            Field.POSTER: poster,
            Field.BACKGROUND: "wide",
        }

    async def plan(
        self, scene: Scene, movie: Movie, item: Item, entry: Entry | None
    ) -> PicturePlan:
        """Work out the pictures of *item*; one request to Stash at most.

        What fails is told in the plan's *error*, and tried again with the job: text
        does not wait for pictures.
        """
        plan = PicturePlan()
        written = entry.pictures if entry else {}
        source = _Source(self._stash, self._known_etag(entry))
        for of, name in PICTURE_NAMES.items():
            before = written.get(name)
            if of not in movie.managed or self._settled(of, before, scene, entry):
                _keep(plan, name, before)
            elif not self._lost(name, item, entry) and self._leaves(
                of, name, item, entry
            ):
                _keep(plan, name, before)
                if name in item.locked and self._sync.respect_locks:
                    plan.respected.append(name)
            else:
                try:
                    url = movie.poster if of is Field.POSTER else movie.background
                    answer = await source.fetch(url) if url else None
                    await self._plan_one(plan, of, item, entry, answer)
                except (PictureFailed, ServiceUnavailable) as error:
                    plan.error = error
                    _keep(plan, name, before)
        return plan

    def _known_etag(self, entry: Entry | None) -> str:
        """Return the ETag of the source, if every picture was made from that one."""
        if entry is None:
            return ""
        tags = {one.etag for one in entry.pictures.values()}
        shapes = all(
            name in entry.pictures
            and entry.pictures[name].hash.endswith(f":{self._shapes[of]}")
            for of, name in PICTURE_NAMES.items()
        )
        return tags.pop() if len(tags) == 1 and shapes else ""

    def _settled(
        self,
        of: Field,
        before: WrittenPicture | None,
        scene: Scene,
        entry: Entry | None,
    ) -> bool:
        """Whether nothing can have changed; a new cover changes the scene's time.

        That time is in whole seconds: one that was young when we looked may stand for
        a later change too.
        """
        changed = parsed_time(scene.updated_at)
        return (
            before is not None
            and entry is not None
            and changed is not None
            and entry.scene_id == scene.id
            and entry.scene_updated_at == scene.updated_at
            and entry.delivered_at - changed.timestamp() > _SETTLING
            and (not before.hash or before.hash.endswith(f":{self._shapes[of]}"))
        )

    def _lost(self, name: str, item: Item, entry: Entry | None) -> bool:
        """Whether a picture may be ours though nothing says so but its lock.

        That is all that is left after the database was lost.
        """
        if entry is not None and (name in entry.pictures or name in entry.locked):
            return False
        shown = item.picture(name) != "" and name in item.locked
        return shown and self._sync.mode != "fill"

    def _leaves(self, of: Field, name: str, item: Item, entry: Entry | None) -> bool:
        shown = item.picture(name)
        if self._sync.mode == "fill" and shown:
            return True
        if not self._sync.respect_locks:
            return False
        before = entry.pictures.get(name) if entry else None
        as_left = before is not None and before.shown == shown
        return locked_by_human(item, entry, name, as_left=as_left)

    async def _plan_one(
        self,
        plan: PicturePlan,
        of: Field,
        item: Item,
        entry: Entry | None,
        answer: PictureAnswer | None,
    ) -> None:
        """Decide about one picture, given what Stash answered."""
        name = PICTURE_NAMES[of]
        before = entry.pictures.get(name) if entry else None
        if answer and answer.unchanged:
            _keep(plan, name, before)
        elif answer is None or answer.data is None:
            if before and before.hash and before.shown == item.picture(name) != "":
                plan.drops.append(name)
                plan.kept[name] = before  # until it is gone
            else:
                plan.kept[name] = WrittenPicture(hash="")
        else:
            shape = self._shapes[of]
            wanted = picture_hash(answer.data, shape)
            if before and before.hash == wanted:
                plan.kept[name] = WrittenPicture(wanted, answer.etag, before.shown)
                return
            try:
                data = await shaped_aside(answer.data, shape)
            except NotAPicture as error:
                raise PictureFailed(f"the cover in Stash: {error}") from error
            remembered = WrittenPicture(wanted, answer.etag)
            if not self._lost(name, item, entry):
                plan.uploads[name] = (data, remembered)
            elif await self._shows(item, name, data):
                plan.adopted.add(name)
                plan.kept[name] = replace(remembered, shown=item.picture(name))
            elif self._sync.respect_locks:
                plan.respected.append(name)
                plan.kept[name] = WrittenPicture(hash="")
            else:
                plan.uploads[name] = (data, remembered)

    async def _shows(self, item: Item, name: str, data: bytes) -> bool:
        try:
            return await self._plex.shows(item.rating_key, name, data)
        except ServiceUnavailable:
            raise
        except Stash2PlexError as error:
            raise PictureFailed(f"{name} cannot be looked at: {error}") from error


class _Source:
    """A scene's cover, fetched once however many pictures are made of it."""

    def __init__(self, stash: StashClient, etag: str) -> None:
        self._stash = stash
        self._etag = etag
        self._answers: dict[str, PictureAnswer] = {}

    async def fetch(self, url: str) -> PictureAnswer:
        if url not in self._answers:
            self._answers[url] = await self._stash.picture(url, self._etag)
        return self._answers[url]


def _keep(plan: PicturePlan, name: str, before: WrittenPicture | None) -> None:
    if before is not None:
        plan.kept[name] = before
