"""Changing one item of Plex: text and tags, usually in one PUT, then its pictures.

The only place that writes to Plex. What it learns about the server's health it tells
the breaker; pictures are too flaky to tell anything. What was written to a batch is
read back in one request: that tells that nobody else had a hand in it, and that what
was to be removed is gone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from stash2plex.errors import (
    EditRefused,
    PictureFailed,
    RequestRejected,
    ServerFault,
    ServiceUnavailable,
    StartingUp,
    Stash2PlexError,
)
from stash2plex.health.breaker import CircuitBreaker, State
from stash2plex.movie import Field
from stash2plex.plex.edits import Edit, longest_text
from stash2plex.push.changes import (
    SORT_TITLE,
    TAG_NAMES,
    TEXT_NAMES,
    Plan,
    lost_collections,
    people_call,
    plan,
    respelled,
)
from stash2plex.push.editor import Edited, Editor
from stash2plex.push.ledger import UNSURE, Entry, WrittenTags
from stash2plex.push.picture_writer import PictureWriter
from stash2plex.push.removals import Removals

if TYPE_CHECKING:
    from stash2plex.catalog.matching import Match
    from stash2plex.config import SyncSettings
    from stash2plex.health.pace import Pace
    from stash2plex.movie import Movie
    from stash2plex.plex.item import Item
    from stash2plex.plex.library import PlexLibrary
    from stash2plex.plex.notifications import OwnWrites
    from stash2plex.push.artwork import Artwork, PicturePlan
    from stash2plex.push.learned import Learned
    from stash2plex.push.ledger import Ledger
    from stash2plex.scene import Scene
    from stash2plex.stash.client import StashClient

log = structlog.get_logger()

# Other lists are made exact, whoever added to them.
_COLLECTION = TAG_NAMES[Field.COLLECTIONS]
_RATING = TEXT_NAMES[Field.RATING]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One item and what it should show."""

    scene: Scene
    movie: Movie
    match: Match
    item: Item
    entry: Entry | None
    machine: str


@dataclass(slots=True)
class Written:
    """What happened to one item; *entry* is what the ledger should remember.

    *before* is what it remembered until now. *requests* were made to change something;
    *pictures_changed* are fields by Plex's names.

    *fault* says what is wrong with the cover in Stash, which no other try mends.
    """

    item: Item
    entry: Entry
    plan: Plan
    pictures: PicturePlan
    before: Entry | None = None
    edited: Edited = field(default_factory=Edited)
    requests: int = 0
    seconds: float = 0.0
    errors: list[Stash2PlexError] = field(default_factory=list)
    fault: PictureFailed | None = None
    pictures_changed: list[str] = field(default_factory=list)

    def fail(self, error: Stash2PlexError) -> None:
        """Note that something did not happen: the next delivery looks at all of it.

        Tags that were ours, or were to be, stay so until it is known what became of
        them.
        """
        self.errors.append(error)
        known = self.before.tags if self.before else {}
        tags = {
            name: WrittenTags(
                ours=tuple(
                    dict.fromkeys(
                        (
                            *known.get(name, WrittenTags()).ours,
                            *self.plan.tags.get(name, WrittenTags()).ours,
                        )
                    )
                ),
                left=self.entry.tags.get(name, WrittenTags()).left,
            )
            for name in self.plan.edit.tags
        }
        self.entry = replace(
            self.entry,
            scene_updated_at="",
            checked=UNSURE,
            tags={**self.entry.tags, **tags},
        )

    def note_forms(self, item: Item) -> None:
        """Note what Plex shows in a form of its own, whatever it is sent."""
        if self.entry.written_from <= item.updated_at <= self.entry.written_until:
            unlike = {_RATING, SORT_TITLE, *self.edited.rejected}
            unlike |= self.edited.shortened.keys()
            forms = {
                name: form
                for name, value in self.plan.edit.text.items()
                if value and name not in unlike
                if (form := item.text.get(name, ""))
                # What is as it was before was not taken, and is still to do.
                and form not in {value, self.item.text.get(name, "")}
            }
            self.entry = replace(self.entry, shown={**self.entry.shown, **forms})
        tags = {}
        for name, edit in self.plan.edit.tags.items():
            if written := self.entry.tags.get(name):
                shown = item.tags.get(name, ())
                kept = respelled((*edit.names, *(written.kept or ())), shown)
                tags[name] = replace(written, kept=tuple(dict.fromkeys(kept)))
        self.entry = replace(self.entry, tags={**self.entry.tags, **tags})

    @property
    def changed(self) -> list[str]:
        """The fields that were changed, by Plex's names, sorted."""
        changed = {*self.plan.changed, *self.pictures_changed}
        return sorted(changed - self.edited.rejected.keys())

    @property
    def respected(self) -> list[str]:
        """The fields left alone because a human locked them."""
        return [*self.plan.respected, *self.pictures.respected]


class ItemWriter:
    """Writes what differs, and nothing else."""

    def __init__(
        self,
        *,
        stash: StashClient,
        plex: PlexLibrary,
        artwork: Artwork,
        sync: SyncSettings,
        pace: Pace,
        breaker: CircuitBreaker,
        ledger: Ledger,
        learned: Learned,
        own: OwnWrites,
        digest: str,
    ) -> None:
        """Write by *sync*; *digest* names all settings that decide what is written."""
        self._own = own
        self._digest = digest
        self._stash = stash
        self._plex = plex
        self._ledger = ledger
        self._learned = learned
        self._editor = Editor(plex, learned)
        self._removals = Removals(self._editor, plex, learned)
        self._pictures = PictureWriter(plex, learned)
        self._artwork = artwork
        self._sync = sync
        self._pace = pace
        self._breaker = breaker

    async def write(self, target: Target) -> Written:
        """Make an item show its movie; what was written still wants `read_back`.

        Raises what Plex raises about the edit; what a server refused of it, and a
        picture that fails, in Stash or on its way, is told in the result.
        """
        item, entry = target.item, target.entry
        pictures = await self._artwork.plan(target.scene, target.movie, item, entry)
        lost = lost_collections(target.movie, item, entry, self._sync)
        planned = plan(
            target.movie,
            item,
            entry,
            self._sync,
            longest_text(self._learned.line),
            named_by_us=await self._stash.studios_or_groups(lost) if lost else (),
        )
        shown = {name for name, one in pictures.changes.items() if one.shows_ours}
        locks = planned.edit.locks
        if self._sync.lock:
            locks |= shown - item.locked
        planned.edit = Edit(text=planned.edit.text, tags=planned.edit.tags, locks=locks)
        own = planned.locked | locks | pictures.adopted | (shown & item.locked)
        own -= set(pictures.respected)
        written = Written(
            item,
            Entry(
                machine=target.machine,
                rating_key=item.rating_key,
                file=target.match.file,
                scene_id=target.scene.id,
                confidence=target.match.confidence,
                scene_updated_at=target.scene.updated_at,
                scene_created_at=target.scene.created_at,
                scene_changed_at=target.scene.updated_at,
                scene_digest=target.scene.digest,
                settings=self._digest,
                text=planned.text,
                shown=_kept_forms(planned, entry),
                tags=planned.tags,
                locked=frozenset(own),
                pictures=pictures.kept | pictures.intended,
                # Nothing was written: it is as it was read, pictures included.
                checked=item.updated_at,
            ),
            planned,
            pictures,
            before=entry,
            fault=pictures.fault,
        )
        if pictures.error:
            written.fail(pictures.error)
        log.debug(
            "item_planned",
            scene=target.scene.id,
            item=item.rating_key,
            changes=planned.changed,
            locks=sorted(locks),
            pictures=sorted(pictures.changes),
            respected=written.respected,
        )
        if planned.cut:
            log.warning(
                "text_cut",
                scene=target.scene.id,
                item=item.rating_key,
                fields=[people_call(name) for name in planned.cut],
                longest=self._learned.line,
            )
        if planned.writes or pictures.changes:
            async with self._pace.write():
                self._breaker.refuse_while_open()
                started, since = time.monotonic(), self._plex.clock
                self._own.note(item.rating_key)
                await self._send(written, entry)
                await self._send_pictures(written)
                written.seconds = time.monotonic() - started
                written.entry = replace(
                    written.entry,
                    checked=UNSURE if written.errors else 0,
                    written_from=since,
                    written_until=self._plex.clock,
                )
        else:
            self._breaker.succeed()
        return written

    async def read_back(self, written: Sequence[Written]) -> None:
        """Read what was written, many items at once, and see what became of it."""
        if not written:
            return
        try:
            found = await self._plex.items(sorted({w.item.rating_key for w in written}))
        except Stash2PlexError as error:
            for one in written:
                if self._removals.concern(one.plan.edit, one.edited):
                    one.fail(error)
            return
        for one in written:
            if item := found.get(one.item.rating_key):
                await self._note(one, item)

    async def _note(self, one: Written, item: Item) -> None:
        """Note how an item is after our write, and try again what did not happen."""
        entry = one.entry
        ours = item.locked.intersection(one.pictures_changed)
        entry = replace(entry, locked=entry.locked | ours)
        if not one.errors and (
            not entry.written_until
            or entry.written_from <= item.updated_at <= entry.written_until
        ):
            entry = replace(entry, checked=item.updated_at)
        one.entry = entry
        try:
            again, now = await self._removals.see(item, one.plan.edit, one.edited)
            one.note_forms(now or item)
            if again:
                one.requests += again
                one.entry = replace(
                    one.entry,
                    checked=UNSURE if one.errors else 0,
                    written_until=self._plex.clock,
                )
        except Stash2PlexError as error:
            one.fail(error)

    async def _send(self, written: Written, before: Entry | None) -> None:
        """Send text and tags, usually in one PUT."""
        item, planned = written.item, written.plan
        rating = planned.edit.text.get(_RATING, "")
        intended = {
            name: one.remembered
            for name, one in written.pictures.changes.items()
            if one.shows_ours
        }
        if (
            self._sync.mode == "merge"
            or rating
            or intended
            or _COLLECTION in planned.edit.tags
        ):
            # If the answer is lost, what we add here would be taken for a human's.
            await self._ledger.intend(written.entry, before, rating, intended)
        started = time.monotonic()
        try:
            if planned.edit:
                written.edited = await self._editor.edit(item, planned.edit)
                written.requests += written.edited.requests
            if planned.clears_rating:
                written.requests += 1
                await self._clear_rating(written)
        except ServiceUnavailable as error:
            if self._breaker.state is not State.OPEN:
                self._breaker.fail(error)
            raise
        except ServerFault as error:
            self._breaker.stumble(item.rating_key, error)
            raise
        if written.requests:
            log.debug("item_edited", item=item.rating_key, requests=written.requests)
            self._pace.observe((time.monotonic() - started) / written.requests)
        if written.edited.taken:
            self._breaker.succeed()
        self._note_edited(written, before)

    async def _clear_rating(self, written: Written) -> None:
        """Take back our rating, which no edit can."""
        try:
            await self._plex.clear_rating(written.item.rating_key)
        except RequestRejected as error:
            written.edited.rejected[_RATING] = error
        else:
            written.edited.taken += 1

    def _note_edited(self, written: Written, before: Entry | None) -> None:
        """Remember what was written as it was, and not what was refused."""
        edited, entry = written.edited, written.entry
        if edited.shortened:
            entry = replace(entry, text={**entry.text, **edited.shortened})
        written.entry = entry
        if not edited.rejected:
            return
        for error in _refusals(edited):
            written.fail(error)
        written.entry = replace(
            written.entry,
            text=_without(entry.text, before.text if before else {}, edited),
            locked=entry.locked - (edited.rejected.keys() - written.item.locked),
        )

    async def _send_pictures(self, written: Written) -> None:
        rating_key = written.item.rating_key
        for name, change in written.pictures.changes.items():
            try:
                written.requests += await self._pictures.change(
                    rating_key, name, change
                )
            except StartingUp as error:
                # No fault of the picture: nothing can be written now.
                self._breaker.fail(error)
                written.fail(error)
            except Stash2PlexError as error:
                written.requests += 1
                written.fail(PictureFailed(f"{people_call(name)}: {error}"))
            else:
                written.pictures_changed.append(name)
                locked = {name} if change.key else set()  # a selection locks
                written.entry = replace(
                    written.entry,
                    pictures={**written.entry.pictures, name: change.remembered},
                    locked=written.entry.locked | locked,
                )
        # The bytes are not needed any more, and there may be many of them.
        written.pictures.changes.clear()


def _kept_forms(planned: Plan, before: Entry | None) -> dict[str, str]:
    """Return what Plex shows in a form of its own, of what is not written again."""
    if before is None:
        return {}
    return {
        name: form
        for name, form in before.shown.items()
        if name not in planned.edit.text and name in planned.text
    }


def _refusals(edited: Edited) -> Iterator[Stash2PlexError]:
    """Say which fields were refused, each for itself unless nothing was taken."""
    if edited.taken:
        for name, error in edited.rejected.items():
            msg = f"{people_call(name)}: {error}"
            yield RequestRejected(msg, status=error.status)
        return
    names = ", ".join(people_call(name) for name in edited.rejected)
    yield EditRefused(f"{names}: {next(iter(edited.rejected.values()))}")


def _without(
    wrote: Mapping[str, str], before: Mapping[str, str], edited: Edited
) -> dict[str, str]:
    """Return what was written, but what was there before where that was refused."""
    kept = {name: value for name, value in before.items() if name in edited.rejected}
    return {k: v for k, v in wrote.items() if k not in edited.rejected} | kept
