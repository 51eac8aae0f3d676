"""Changing one item of Plex: text and tags in one PUT, then its pictures.

The only place that writes to Plex. What it learns about the server's health it tells
the breaker; pictures are too flaky to tell anything.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from stash2plex.errors import (
    PictureFailed,
    ServerFault,
    ServiceUnavailable,
    Stash2PlexError,
)
from stash2plex.health.breaker import CircuitBreaker, State
from stash2plex.movie import Field
from stash2plex.plex.edits import Edit
from stash2plex.push.changes import TAG_NAMES, TEXT_NAMES, Plan, plan
from stash2plex.push.ledger import Entry, WrittenPicture

if TYPE_CHECKING:
    from stash2plex.catalog.matching import Match
    from stash2plex.config import SyncSettings
    from stash2plex.health.pace import Pace
    from stash2plex.movie import Movie
    from stash2plex.plex.item import Item
    from stash2plex.plex.library import PlexLibrary
    from stash2plex.plex.notifications import OwnWrites
    from stash2plex.push.artwork import Artwork, PicturePlan
    from stash2plex.push.ledger import Ledger
    from stash2plex.scene import Scene

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
    """What happened to one item; *entry* is what the ledger should remember."""

    item: Item
    entry: Entry
    plan: Plan
    pictures: PicturePlan
    requests: int = 0
    seconds: float = 0.0
    error: PictureFailed | ServiceUnavailable | None = None
    # By field: the upload's name in Plex, and what to remember of it.
    uploaded: dict[str, tuple[str, WrittenPicture]] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)

    @property
    def changed(self) -> list[str]:
        """The fields that were changed, by Plex's names, sorted."""
        return sorted({*self.plan.changed, *self.uploaded, *self.dropped})

    @property
    def respected(self) -> list[str]:
        """The fields left alone because a human locked them."""
        return [*self.plan.respected, *self.pictures.respected]


class ItemWriter:
    """Writes what differs, and nothing else."""

    def __init__(
        self,
        *,
        plex: PlexLibrary,
        artwork: Artwork,
        sync: SyncSettings,
        pace: Pace,
        breaker: CircuitBreaker,
        ledger: Ledger,
        own: OwnWrites,
        digest: str,
    ) -> None:
        """Write by *sync*; *digest* names all settings that decide what is written."""
        self._own = own
        self._digest = digest
        self._plex = plex
        self._ledger = ledger
        self._artwork = artwork
        self._sync = sync
        self._pace = pace
        self._breaker = breaker

    async def write(self, target: Target) -> Written:
        """Make an item show its movie; pictures uploaded still want `verify`.

        Raises what Plex raises about the edit; a picture that fails, in Stash or on
        its way, is told in the result.
        """
        item, entry = target.item, target.entry
        pictures = await self._artwork.plan(target.scene, target.movie, item, entry)
        planned = plan(target.movie, item, entry, self._sync)
        locks = planned.edit.locks
        if self._sync.lock:
            locks |= set(pictures.uploads) - item.locked
        planned.edit = Edit(text=planned.edit.text, tags=planned.edit.tags, locks=locks)
        own = planned.locked | locks | pictures.adopted
        own |= pictures.uploads.keys() & item.locked
        written = Written(
            item,
            Entry(
                machine=target.machine,
                rating_key=item.rating_key,
                file=target.match.file,
                scene_id=target.scene.id,
                confidence=target.match.confidence,
                scene_updated_at=target.scene.updated_at,
                settings=self._digest,
                text=planned.text,
                tags=planned.tags,
                locked=frozenset(own),
                pictures=dict(pictures.kept),
            ),
            planned,
            pictures,
            error=pictures.error,
        )
        log.debug(
            "item_planned",
            scene=target.scene.id,
            item=item.rating_key,
            changes=planned.changed,
            locks=sorted(locks),
            uploads=sorted(pictures.uploads),
            drops=list(pictures.drops),
            respected=written.respected,
        )
        since = until = item.updated_at
        if planned.writes or pictures.uploads or pictures.drops:
            async with self._pace.write():
                self._breaker.refuse_while_open()
                started, since = time.monotonic(), self._plex.clock
                self._own.note(item.rating_key)
                await self._send(written, entry)
                await self._send_pictures(written)
                written.seconds = time.monotonic() - started
                until = self._plex.clock
        else:
            self._breaker.succeed()
        written.entry = replace(written.entry, written_from=since, written_until=until)
        return written

    async def verify(self, written: Sequence[Written]) -> None:
        """Make sure that what was uploaded is what Plex shows, many items at once."""
        try:
            shown = await self._plex.items(sorted({w.item.rating_key for w in written}))
        except Stash2PlexError as error:
            for one in written:
                one.error = PictureFailed(f"cannot be verified: {error}")
            return
        for one in written:
            pictures = dict(one.entry.pictures)
            item = shown.get(one.item.rating_key)
            for name, (upload, remembered) in one.uploaded.items():
                try:
                    shown_as = await self._selected(one.item, item, name, upload)
                except Stash2PlexError as error:
                    one.error = PictureFailed(f"{name}: {error}")
                else:
                    pictures[name] = replace(remembered, shown=shown_as)
            one.entry = replace(one.entry, pictures=pictures)

    async def _send(self, written: Written, before: Entry | None) -> None:
        """Send text and tags, usually in one PUT."""
        item, planned = written.item, written.plan
        rating = planned.edit.text.get(_RATING, "")
        if self._sync.mode == "merge" or rating or _COLLECTION in planned.edit.tags:
            # If the answer is lost, what we add here would be taken for a human's.
            await self._ledger.intend(written.entry, before, rating)
        started = time.monotonic()
        try:
            if planned.edit:
                written.requests += await self._plex.edit(item, planned.edit)
            if planned.clears_rating:
                await self._plex.clear_rating(item.rating_key)
                written.requests += 1
        except ServiceUnavailable as error:
            if self._breaker.state is not State.OPEN:
                self._breaker.fail(error)
            raise
        except ServerFault:
            self._breaker.stumble(item.rating_key)
            raise
        if written.requests:
            log.debug("item_edited", item=item.rating_key, requests=written.requests)
            self._pace.observe((time.monotonic() - started) / written.requests)
            self._breaker.succeed()

    async def _send_pictures(self, written: Written) -> None:
        rating_key = written.item.rating_key
        for name, (data, remembered) in written.pictures.uploads.items():
            written.requests += 1
            try:
                upload = await self._plex.upload(rating_key, name, data)
                written.uploaded[name] = (upload, remembered)
                log.debug(
                    "picture_uploaded", item=rating_key, field=name, size=len(data)
                )
            except Stash2PlexError as error:
                written.error = PictureFailed(f"{name}: {error}")
        # The bytes are not needed any more, and there may be many of them.
        written.pictures.uploads.clear()
        for name in written.pictures.drops:
            written.requests += 1
            try:
                await self._plex.drop_picture(rating_key, name)
            except Stash2PlexError as error:
                written.error = PictureFailed(f"{name}: {error}")
            else:
                written.dropped.append(name)
                pictures = {**written.entry.pictures, name: WrittenPicture(hash="")}
                written.entry = replace(written.entry, pictures=pictures)

    async def _selected(
        self, before: Item, item: Item | None, name: str, upload: str
    ) -> str:
        """Return what the item shows as *name* once our picture is the one shown."""
        if item is None:
            raise PictureFailed("the item is gone from Plex")
        shown = item.picture(name)
        if shown and shown != before.picture(name):
            return shown
        # The same picture may have been there before, unselected.
        if not await self._plex.select(item.rating_key, name, upload):
            raise PictureFailed("Plex does not list the upload")
        again = await self._plex.items([item.rating_key])
        return again[item.rating_key].picture(name) if again else ""
