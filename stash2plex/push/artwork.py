"""Pictures on their way to Plex: bytes, only when they changed.

What a picture was made from is remembered by hash, so neither an edit of the scene
nor a restart uploads anything again: Plex keeps every upload on its disk for ever.
What Plex shows is known from its list of candidates alone, and that is read only
where a picture is to change or somebody else changed the item since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stash2plex.errors import (
    PictureFailed,
    PictureUnreadable,
    PictureUnusable,
    ServiceUnavailable,
    Stash2PlexError,
)
from stash2plex.movie import Field, Movie
from stash2plex.pictures import (
    JUDGE,
    NotAPicture,
    Shape,
    bytes_hash,
    picture_hash,
    shaped_aside,
)
from stash2plex.push.changes import PICTURE_NAMES, people_call
from stash2plex.push.ledger import Entry, WrittenPicture
from stash2plex.stash.answers import parsed_time
from stash2plex.stash.pictures import PictureAnswer

if TYPE_CHECKING:
    from stash2plex.config import SyncSettings
    from stash2plex.plex.item import Item, Picture
    from stash2plex.plex.library import PlexLibrary
    from stash2plex.scene import Scene
    from stash2plex.stash.client import StashClient


# How old a scene's last change must have been to be the last, seconds; a little more
# than Stash's resolution and the clocks of one household differ by.
_SETTLING = 5.0
_NONE = WrittenPicture(hash="")


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureChange:
    """A change of one picture, and what to remember once it is made.

    *data* is uploaded; else the candidate *key* is selected; without either what is
    shown is dropped.
    """

    remembered: WrittenPicture
    data: bytes = b""
    key: str = ""

    @property
    def shows_ours(self) -> bool:
        """Whether a picture of ours is shown then."""
        return bool(self.remembered.hash)


@dataclass(slots=True, kw_only=True)
class PicturePlan:
    """What to do about the pictures of one item, by Plex's field names.

    *kept* is what the ledger goes on remembering as long as nothing is changed;
    *adopted* are ours although the ledger did not know; *respected* are a human's.
    *error* is worth another try, *fault* is not: it is shown until the cover changes,
    or can be read again.
    """

    kept: dict[str, WrittenPicture] = field(default_factory=dict)
    changes: dict[str, PictureChange] = field(default_factory=dict)
    respected: list[str] = field(default_factory=list)
    adopted: set[str] = field(default_factory=set)
    error: PictureFailed | ServiceUnavailable | None = None
    fault: PictureFailed | None = None

    @property
    def intended(self) -> dict[str, WrittenPicture]:
        """What to remember of the changes until it is known that they were made."""
        return {
            name: self.kept.get(name, _NONE).intending(one.remembered)
            for name, one in self.changes.items()
            if one.shows_ours
        }


class Artwork:
    """Decides about pictures, and fetches those that may have changed."""

    def __init__(
        self,
        stash: StashClient,
        plex: PlexLibrary,
        sync: SyncSettings,
        poster: Shape,
        digest: str,
    ) -> None:
        """Decide by *sync* and *poster*; *digest* names all settings that count."""
        self._digest = digest
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
        """Work out the pictures of *item*.

        Costs Stash two requests at most, and Plex a list for each picture that may
        change or that somebody else may have changed. What fails is told in the plan's
        *error*, and tried again with the job: text does not wait for pictures.
        """
        plan = PicturePlan()
        source = _Source(self._stash, scene.id)
        pictures = {
            of: _Picture(
                name,
                plex=self._plex,
                source=source,
                shape=self._shapes[of],
                item=item,
                entry=entry,
            )
            for of, name in PICTURE_NAMES.items()
        }
        plan.kept |= {
            one.name: one.before for one in pictures.values() if one.before is not None
        }
        wanted = [
            one
            for of, one in pictures.items()
            if of in movie.managed and not (self._sync.mode == "fill" and one.is_shown)
        ]
        source.etag = _known_etag(wanted)
        for one in wanted:
            try:
                if one.is_settled(scene, self._digest):
                    await self._check(plan, one)
                    one.refuse_unusable()
                else:
                    await self._update(plan, one)
            except (PictureUnreadable, PictureUnusable) as error:
                self._note_fault(plan, one, error)
            except (PictureFailed, ServiceUnavailable) as error:
                plan.error = error
        return plan

    def _note_fault(
        self,
        plan: PicturePlan,
        one: _Picture,
        error: PictureUnreadable | PictureUnusable,
    ) -> None:
        """Leave what is shown, and remember what of Stash is of no use."""
        plan.fault = error
        etag = error.etag if isinstance(error, PictureUnusable) else ""
        if isinstance(error, PictureUnusable) and not etag:
            plan.error = error  # it would be fetched again and again
        before = plan.kept.get(one.name, _NONE)
        unusable = _judged(etag) if etag else ""
        plan.kept[one.name] = replace(before, fault=str(error), unusable=unusable)

    async def _check(self, plan: PicturePlan, one: _Picture) -> None:
        """See that a picture that did not change in Stash is still shown."""
        if one.is_untouched or not one.has_ours:
            return
        if not one.remembered.hash:  # what we set out to show is not wanted any more
            await self._take_back(plan, one)
            return
        as_left = await one.shows_last()
        plan.kept[one.name] = one.remembered
        if as_left:
            return
        if self._respects(one) and not await one.lock_is_ours():
            plan.respected.append(one.name)
            plan.kept[one.name] = _NONE  # nothing of ours is shown there any more
            return
        # Others selected another one since.
        if candidate := await one.candidate(one.remembered.upload):
            plan.changes[one.name] = PictureChange(
                remembered=await one.remembering(one.remembered), key=candidate.key
            )
        else:
            await self._show(plan, one, await one.fetch(again=True))

    async def _update(self, plan: PicturePlan, one: _Picture) -> None:
        """Show the picture that Stash has now."""
        answer = await one.fetch()
        if answer.unchanged and one.is_unusable(answer.etag):
            await self._check(plan, one)
            one.refuse_unusable()
        one.forgive(plan)
        if answer.is_known_to_be_none:
            await self._take_back(plan, one)
        elif answer.data is None:
            await self._check(plan, one)
        elif one.remembered.hash == one.hash_of(answer.data):
            one.remembered = replace(one.remembered, etag=answer.etag)
            plan.kept[one.name] = one.remembered
            await self._check(plan, one)
        else:
            await self._show(plan, one, answer)

    async def _take_back(self, plan: PicturePlan, one: _Picture) -> None:
        """Stash has no picture: show what was there before ours."""
        if not one.has_ours:
            plan.kept.setdefault(one.name, _NONE)
        elif not await one.shows_ours():
            plan.kept[one.name] = _NONE
        elif former := await one.former():
            remembered = replace(_NONE, previous=former.key)
            plan.changes[one.name] = PictureChange(
                remembered=remembered, key=former.key
            )
        else:
            plan.changes[one.name] = PictureChange(remembered=_NONE)

    async def _show(
        self, plan: PicturePlan, one: _Picture, answer: PictureAnswer
    ) -> None:
        if answer.data is None:
            return  # it went this moment; the next delivery knows
        try:
            data = await shaped_aside(answer.data, one.shape)
        except NotAPicture as error:
            msg = f"the cover in Stash: {error}"
            raise PictureUnusable(msg, etag=answer.etag) from error
        digest = bytes_hash(data)
        remembered = WrittenPicture(one.hash_of(answer.data), answer.etag, digest)
        candidate = await one.candidate(digest)
        if candidate and candidate.selected:
            plan.adopted.add(one.name)
            plan.kept[one.name] = replace(remembered, previous=one.remembered.previous)
        elif self._respects(one) and not await one.lock_is_ours():
            plan.respected.append(one.name)
            plan.kept[one.name] = _NONE
        else:
            remembered = await one.remembering(remembered)
            plan.changes[one.name] = (
                PictureChange(remembered=remembered, key=candidate.key)
                if candidate
                else PictureChange(remembered=remembered, data=data)
            )

    def _respects(self, one: _Picture) -> bool:
        return self._sync.respect_locks and one.is_locked


def is_selected(listed: Sequence[Picture], written: WrittenPicture) -> bool | None:
    """Whether what we uploaded is what Plex shows; None if nobody can tell.

    An earlier release did not remember the bytes that it uploaded.
    """
    uploads = [one for one in listed if one.digest]
    if written.ours:
        return any(one.selected and one.digest in written.ours for one in uploads)
    if len(uploads) == 1:
        return uploads[0].selected
    return None if any(one.selected for one in uploads) else False


class _Picture:
    """One picture of one item: what is known of it, and what can be asked."""

    def __init__(
        self,
        name: str,
        *,
        plex: PlexLibrary,
        source: _Source,
        shape: Shape,
        item: Item,
        entry: Entry | None,
    ) -> None:
        self._plex = plex
        self._source = source
        self._item = item
        self._entry = entry
        self.name = name
        self.shape = shape
        self.before = entry.pictures.get(name) if entry else None
        self.remembered = self.before or _NONE
        # Whether a picture of ours may be shown.
        self.has_ours = bool(self.remembered.hash or self.remembered.intended)
        self.is_shown = item.picture(name) != ""
        self.is_locked = name in item.locked
        # Whether nobody but us changed the item since we did.
        self.is_untouched = entry is not None and entry.is_ours(item.updated_at)
        self._listed: Sequence[Picture] | None = None

    def hash_of(self, source: bytes) -> str:
        return picture_hash(source, self.shape)

    def is_settled(self, scene: Scene, digest: str) -> bool:
        """Whether nothing can have changed in Stash; a new cover changes the time.

        Nor in the settings that *digest* names. Where nothing of ours is shown, what
        others did to the item may be reason to show something.

        That time is in whole seconds: one that was young when we looked may stand for
        a later change too.
        """
        changed = parsed_time(scene.updated_at)
        entry = self._entry
        return (
            self.before is not None
            and entry is not None
            and changed is not None
            and entry.scene_id == scene.id
            and entry.settings in {"", digest}
            and (self.has_ours or self.is_untouched)
            and not self.before.is_owed
            # Another release may be able to make something of it.
            and bool(self.before.unusable) == bool(_etag_judged(self.before.unusable))
            and entry.scene_updated_at == scene.updated_at
            and entry.delivered_at - changed.timestamp() > _SETTLING
            and (not self.before.hash or self.before.hash.endswith(f":{self.shape}"))
        )

    async def fetch(self, *, again: bool = False) -> PictureAnswer:
        """Return what Stash has; bytes for sure if *again*."""
        return await self._source.fetch(again=again)

    def is_unusable(self, etag: str) -> bool:
        """Whether nothing could be made of what Stash calls *etag*."""
        return bool(etag) and _judged(etag) == self.remembered.unusable

    def forgive(self, plan: PicturePlan) -> None:
        """Forget why nothing could be made of what Stash had before."""
        if self.remembered.fault:
            self.remembered = replace(self.remembered, fault="", unusable="")
            plan.kept[self.name] = self.remembered

    def refuse_unusable(self) -> None:
        """Raise `PictureUnusable` again if Stash still has what is of no use."""
        if etag := _etag_judged(self.remembered.unusable):
            raise PictureUnusable(self.remembered.fault, etag=etag)

    async def listed(self) -> Sequence[Picture]:
        """Return what Plex could show, asked for once."""
        if self._listed is None:
            try:
                self._listed = await self._plex.pictures(
                    self._item.rating_key, self.name
                )
            except ServiceUnavailable:
                raise
            except Stash2PlexError as error:
                what = people_call(self.name)
                raise PictureFailed(f"{what}: cannot be listed: {error}") from error
        return self._listed

    async def candidate(self, digest: str) -> Picture | None:
        """Return the upload of these bytes, if Plex has it."""
        listed = await self.listed()
        return next((one for one in listed if digest and one.digest == digest), None)

    async def shows_last(self) -> bool:
        """Whether Plex shows what we uploaded last; learns what that was."""
        if self.is_untouched:
            return True
        if not self.remembered.hash:
            return False
        last = replace(self.remembered, intended="")
        shown = is_selected(await self.listed(), last)
        if shown is None:
            # An earlier release did not remember it: what it was made of tells.
            answer = await self.fetch(again=True)
            if answer.data is None:
                return False
            if self.hash_of(answer.data) != self.remembered.hash:
                return False
            upload = bytes_hash(await shaped_aside(answer.data, self.shape))
            last = replace(last, upload=upload)
            shown = is_selected(await self.listed(), last)
            self.remembered = replace(self.remembered, upload=upload)
        if shown:
            self.remembered = last
        return bool(shown)

    async def shows_ours(self) -> bool:
        """Whether Plex shows what we uploaded last, or set out to show since."""
        if await self.shows_last():
            return True
        return bool(is_selected(await self.listed(), self.remembered))

    async def lock_is_ours(self) -> bool:
        """Whether we, and nobody since, locked the picture."""
        if self._entry is None:
            return False
        if self.is_untouched and self.has_ours:
            return True
        if self.name not in self._entry.locked:
            return False
        if self.is_untouched or self.has_ours:
            return await self.shows_ours()
        # Ours was taken back: the lock stayed, and what was there before is shown.
        selected = next((one for one in await self.listed() if one.selected), None)
        return selected is None or selected.key == self.remembered.previous

    async def former(self) -> Picture | None:
        """Return what was selected before ours, if Plex still has it."""
        key = self.remembered.previous
        return next(
            (one for one in await self.listed() if key and one.key == key), None
        )

    async def remembering(self, ours: WrittenPicture) -> WrittenPicture:
        """Return *ours* with what it takes the place of, unless that is ours too."""
        selected = next((one for one in await self.listed() if one.selected), None)
        known = self.remembered.ours | ours.ours
        if selected is None or selected.digest in known:
            return replace(ours, previous=self.remembered.previous)
        if selected.digest and self.has_ours and not self.remembered.ours:
            # An earlier release did not remember what it uploaded: most likely this.
            return replace(ours, previous=self.remembered.previous)
        if self.has_ours and self.is_untouched:
            return replace(ours, previous=self.remembered.previous)
        return replace(ours, previous=selected.key)


def _judged(etag: str) -> str:
    """Name a picture that nothing can be made of, and who says so."""
    return f"{JUDGE} {etag}"


def _etag_judged(unusable: str) -> str:
    """Return the ETag of a picture that we would say the same of again."""
    judge, _, etag = unusable.partition(" ")
    return etag if judge == JUDGE else ""


def _known_etag(wanted: Sequence[_Picture]) -> str:
    """Return the ETag of the source, if all pictures of it were made from that one.

    Or if nothing could be made of it.
    """
    of_no_use = {_etag_judged(one.remembered.unusable) for one in wanted}
    if len(of_no_use) == 1 and (etag := of_no_use.pop()):
        return etag
    tags = {one.remembered.etag for one in wanted}
    shaped = all(one.remembered.hash.endswith(f":{one.shape}") for one in wanted)
    return tags.pop() if len(tags) == 1 and shaped else ""


class _Source:
    """A scene's cover, fetched once however many pictures are made of it."""

    def __init__(self, stash: StashClient, scene_id: int) -> None:
        self._stash = stash
        self._scene_id = scene_id
        self.etag = ""  # what is known of it
        self._answer: PictureAnswer | PictureFailed | None = None

    async def fetch(self, *, again: bool = False) -> PictureAnswer:
        known = self._answer
        if known is None or (
            again and isinstance(known, PictureAnswer) and known.unchanged
        ):
            etag = "" if again else self.etag
            try:
                known = await self._stash.cover(self._scene_id, etag)
            except PictureFailed as error:
                known = error
            self._answer = known
        if isinstance(known, PictureFailed):
            raise known
        return known
