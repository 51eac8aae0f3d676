"""What to change about an item: Stash wants, we wrote, Plex has; pure.

`plan` is the whole policy of a delivery: modes, locks, what is cleared and what is
left alone. Dry runs show its result, deliveries carry it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stash2plex.movie import Field, Movie, sort_title_of
from stash2plex.plex.edits import Edit, TagEdit, longest_text
from stash2plex.push.ledger import Entry, WrittenTags
from stash2plex.text import fitted, is_cut_of, name_key

if TYPE_CHECKING:
    from stash2plex.config import SyncSettings
    from stash2plex.plex.item import Item

TEXT_NAMES = {
    Field.TITLE: "title",
    Field.SUMMARY: "summary",
    Field.STUDIO: "studio",
    Field.DATE: "originallyAvailableAt",
    Field.RATING: "userRating",
    Field.TAGLINE: "tagline",
    Field.CONTENT_RATING: "contentRating",
}
TAG_NAMES = {
    Field.PERFORMERS: "actor",
    Field.TAGS: "genre",
    Field.DIRECTOR: "director",
    Field.COLLECTIONS: "collection",
}
SORT_TITLE = "titleSort"
PICTURE_NAMES = {Field.POSTER: "thumb", Field.BACKGROUND: "art"}

_PEOPLE_CALL = {
    name: of.value.replace("_", " ")
    for of, name in (TEXT_NAMES | TAG_NAMES | PICTURE_NAMES).items()
} | {SORT_TITLE: "sort title"}
# Plex keeps ratings as binary fractions.
_SAME_RATING = 0.05


@dataclass(slots=True, kw_only=True)
class Plan:
    """What a delivery does to one item, and what the ledger remembers of it.

    *respected* are fields left alone because a human locked them; *clears_rating*
    needs a request of its own; *cut* are texts too long for this server.
    """

    edit: Edit
    clears_rating: bool = False
    text: dict[str, str] = field(default_factory=dict)
    tags: dict[str, WrittenTags] = field(default_factory=dict)
    locked: frozenset[str] = frozenset()
    respected: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()

    @property
    def changed(self) -> list[str]:
        """The fields whose value changes, by Plex's names, sorted."""
        names = {*self.edit.text, *self.edit.tags}
        if self.clears_rating:
            names.add(TEXT_NAMES[Field.RATING])
        return sorted(names)

    @property
    def writes(self) -> bool:
        """Whether Plex is asked to change anything."""
        return bool(self.edit) or self.clears_rating


def people_call(name: str) -> str:
    """Return what people call a field of Plex: ``thumb`` is the poster."""
    return _PEOPLE_CALL.get(name, name)


def plan(
    movie: Movie,
    item: Item,
    entry: Entry | None,
    sync: SyncSettings,
    longest: int = longest_text(),
    *,
    named_by_us: Iterable[str] = (),
) -> Plan:
    """Work out how to make *item* show *movie*, given what we wrote before.

    *named_by_us* are collections that can only be ours, see `lost_collections`.
    *longest* is the most bytes that a text may have once it is percent-encoded.
    """
    planner = _Planner(item, entry, sync, longest, named_by_us=_keys(named_by_us))
    for of, name in TEXT_NAMES.items():
        if of in movie.managed:
            planner.text(of, name, _wanted_text(movie, of))
        else:
            planner.carry_text(name)
    planner.sort_title(movie.sort_title)
    for of, name in TAG_NAMES.items():
        if of in movie.managed:
            planner.tags(of, name, _wanted_tags(movie, of))
        else:
            planner.carry_tags(name)
    return planner.plan()


def lost_collections(
    movie: Movie, item: Item, entry: Entry | None, sync: SyncSettings
) -> list[str]:
    """Return collections that may be ours though nothing says so, e.g. of old studios.

    After the database was lost, our lock is all that is left of us; those that are
    named as a studio or group of Stash are ours then.
    """
    name = TAG_NAMES[Field.COLLECTIONS]
    is_lost = entry is None and name in item.locked and sync.mode != "fill"
    if not is_lost or Field.COLLECTIONS not in movie.managed:
        return []
    wanted = _keys(movie.collections)
    return [tag for tag in item.tags.get(name, ()) if name_key(tag) not in wanted]


def drifted(
    item: Item, entry: Entry, sync: SyncSettings, managed: frozenset[Field]
) -> list[str]:
    """Return what shows something else than we left there, by Plex's names.

    What others may change (see the modes and `SyncSettings.respect_locks`) is no drift.
    """
    if sync.mode == "fill":
        return []
    found = []
    for of, name in TEXT_NAMES.items():
        wrote = entry.text.get(name)
        shown = item.text.get(name, "")
        as_written = wrote is None or _same(of, wrote, shown)
        if of in managed and not as_written and entry.shown.get(name) != shown:
            found.append(name)
    for of, name in TAG_NAMES.items():
        if of in managed and (tags := entry.tags.get(name)) is not None:
            shared = of is Field.COLLECTIONS or sync.mode == "merge"
            if not _are_as_left(item.tags.get(name, ()), tags, shared=shared):
                found.append(name)
    return [
        name
        for name in found
        if not (
            sync.respect_locks and locked_by_human(item, entry, name, as_left=False)
        )
    ]


def locked_by_human(
    item: Item, entry: Entry | None, name: str, *, as_left: bool
) -> bool:
    """Whether somebody else locked a field, or changed it since we did.

    *as_left* says whether Plex still shows what we left there.
    """
    ours = entry is not None and name in entry.locked and as_left
    return name in item.locked and not ours


def respelled(
    names: Iterable[str], shown: Iterable[str], kept: Iterable[str] = ()
) -> list[str]:
    """Return those of *names* that are *shown* in another spelling, but for *kept*."""
    as_told = {*shown, *kept}
    keys = _keys(shown)
    return [tag for tag in names if tag not in as_told and name_key(tag) in keys]


class _Planner:
    """Collects the plan field by field."""

    def __init__(
        self,
        item: Item,
        entry: Entry | None,
        sync: SyncSettings,
        longest: int,
        *,
        named_by_us: set[str],
    ) -> None:
        self._named_by_us = named_by_us
        self._longest = longest
        self._cut: list[str] = []
        self._item = item
        self._entry = entry
        self._sync = sync
        self._text: dict[str, str] = {}
        self._tags: dict[str, TagEdit] = {}
        self._locks: set[str] = set()
        self._own: set[str] = set()
        self._wrote_text: dict[str, str] = {}
        self._wrote_tags: dict[str, WrittenTags] = {}
        self._respected: list[str] = []
        self._clears_rating = False

    def plan(self) -> Plan:
        kept = self._entry.locked & self._item.locked if self._entry else frozenset()
        return Plan(
            edit=Edit(text=self._text, tags=self._tags, locks=frozenset(self._locks)),
            clears_rating=self._clears_rating,
            text=self._wrote_text,
            tags=self._wrote_tags,
            locked=frozenset(self._own | self._locks | (kept - {*self._respected})),
            respected=tuple(self._respected),
            cut=tuple(self._cut),
        )

    def text(self, of: Field, name: str, wanted: str) -> None:
        shown = self._item.text.get(name, "")
        wanted = self._fitting(name, wanted, shown)
        before = self._entry.text.get(name) if self._entry else None
        # Plex may have a form of its own for what it was told.
        is_form = self._entry is not None and self._entry.shown.get(name) == shown
        same = _same(of, wanted, shown) or (is_form and wanted == before)
        as_left = before is not None and (is_form or _same(of, before, shown))
        if of is Field.RATING and self._entry and shown:
            meant = self._entry.meant_ratings
            as_left = as_left or any(_same(of, one, shown) for one in meant)
        if not same and self._respects(name, as_left=as_left):
            self.carry_text(name)
        elif not wanted:
            self._empty_text(of, name, shown, as_left=as_left)
        elif self._sync.mode == "fill" and shown:
            self.carry_text(name)
        else:
            if not same:
                self._text[name] = wanted
            if of is not Field.RATING or not same or as_left or self._adopts(name):
                # A rating that was there before us stays a human's.
                self._wrote_text[name] = wanted
            self._lock(name)

    def sort_title(self, wanted: str) -> None:
        """Have the sort title follow a title that is written, unless it is a person's.

        Plex shows none where it is the title, and keeps that when the title changes.
        """
        title = TEXT_NAMES[Field.TITLE]
        shown = self._item.text.get(SORT_TITLE, "")
        ours = self._entry.text.get(SORT_TITLE) if self._entry else None
        former = self._item.text.get(title, "")
        is_follower = shown in {"", ours, former, sort_title_of(former)}
        if (
            title not in self._text
            or not is_follower
            or self._respects(SORT_TITLE, as_left=shown == ours)
        ):
            self.carry_text(SORT_TITLE)
            return
        if shown != wanted:
            self._text[SORT_TITLE] = wanted
        self._wrote_text[SORT_TITLE] = wanted
        self._lock(SORT_TITLE)

    def _fitting(self, name: str, wanted: str, shown: str) -> str:
        """Return as much of a text as one request can carry.

        What Plex shows already, whole or as it was cut before, needs none.
        """
        fitting = fitted(wanted, self._longest)
        if wanted in {fitting, shown}:
            return wanted
        self._cut.append(name)
        longer = len(shown) >= len(fitting) and is_cut_of(shown, wanted)
        return shown if longer else fitting

    def carry_text(self, name: str) -> None:
        """Leave a field alone, and remember what we wrote there once."""
        if self._entry and name in self._entry.text:
            self._wrote_text[name] = self._entry.text[name]

    def tags(self, of: Field, name: str, wanted: tuple[str, ...]) -> None:
        shown = self._item.tags.get(name, ())
        before = self._entry.tags.get(name) if self._entry else None
        before = before or WrittenTags()
        keeps_others = of is Field.COLLECTIONS or self._sync.mode == "merge"
        ours = _keys(before.ours)
        if of is Field.COLLECTIONS:
            ours |= self._named_by_us
        # A spelling that Plex did not take when it was told is left as it is.
        other = {
            name_key(tag)
            for tag in respelled(wanted, shown, before.kept or ())
            if not keeps_others or name_key(tag) in ours
        }
        same = _keys(wanted) == _keys(shown) and not other
        as_left = _are_as_left(shown, before, shared=False)
        # After the database was lost our lock stands where all is ours by name.
        lost = of is Field.COLLECTIONS and self._named_by_us
        is_ours = bool(lost) and _keys(shown) <= ours | _keys(wanted)
        if not same and not is_ours and self._respects(name, as_left=as_left):
            self.carry_tags(name)
            return
        if self._sync.mode == "fill" and (shown or not wanted):
            self.carry_tags(name)
            return
        removed = tuple(
            tag
            for tag in shown
            if name_key(tag) not in _keys(wanted)
            and (not keeps_others or name_key(tag) in ours)
        )
        names = _complete(wanted, shown, removed, other)
        if same and self._adopts(name):
            ours = _keys(wanted)
        added = (_keys(wanted) - _keys(shown)) | other
        if added or removed:
            self._tags[name] = TagEdit(
                names,
                removed,
                tuple(tag for tag in names if name_key(tag) in added),
                tuple(tag for tag in shown if name_key(tag) in other),
            )
        if wanted or removed:
            self._lock(name)
        self._wrote_tags[name] = WrittenTags(
            ours=tuple(tag for tag in wanted if name_key(tag) in added | ours),
            left=names,
            kept=tuple(tag for tag in wanted if tag in (before.kept or ())),
        )

    def carry_tags(self, name: str) -> None:
        """Leave a list alone, and remember what we put there once."""
        if self._entry and name in self._entry.tags:
            self._wrote_tags[name] = self._entry.tags[name]

    def _empty_text(self, of: Field, name: str, shown: str, *, as_left: bool) -> None:
        """Stash has nothing here; a rating goes only if it was ours."""
        if self._sync.mode == "fill":
            return
        if of is not Field.RATING:
            self._wrote_text[name] = ""  # what others put there later is theirs to lose
            if shown:
                self._text[name] = ""
                self._lock(name)
        elif shown and as_left:
            self._clears_rating = True  # else it is a human's, and no more ours

    def _respects(self, name: str, *, as_left: bool) -> bool:
        if self._sync.respect_locks and locked_by_human(
            self._item, self._entry, name, as_left=as_left
        ):
            self._respected.append(name)
            return True
        return False

    def _adopts(self, name: str) -> bool:
        """Whether a field that shows what we want is ours, though nothing says so.

        After the database was lost our locks are all that is left of us.
        """
        return self._entry is None and name in self._item.locked

    def _lock(self, name: str) -> None:
        if name in self._item.locked:
            self._own.add(name)
        elif self._sync.lock:
            self._locks.add(name)


def _wanted_text(movie: Movie, of: Field) -> str:
    match of:
        case Field.DATE:
            return movie.released
        case Field.RATING:
            return "" if movie.rating is None else f"{movie.rating:g}"
        case _:
            return str(getattr(movie, of))


def _wanted_tags(movie: Movie, of: Field) -> tuple[str, ...]:
    match of:
        case Field.PERFORMERS:
            return movie.actors
        case Field.TAGS:
            return movie.genres
        case Field.DIRECTOR:
            return movie.directors
        case _:
            return movie.collections


def _same(of: Field, wanted: str, shown: str) -> bool:
    if of is not Field.RATING or not wanted or not shown:
        return wanted == shown
    return abs(float(wanted) - float(shown)) < _SAME_RATING


def _keys(names: Iterable[str]) -> set[str]:
    return {name_key(name) for name in names}


def _are_as_left(shown: tuple[str, ...], tags: WrittenTags, *, shared: bool) -> bool:
    """Whether a list shows what we left there; what is ours if it is *shared*."""
    known = tags.ours if shared else tags.left
    keys, there = _keys(known), _keys(shown)
    if keys != there and not (shared and keys < there):
        return False
    return tags.kept is None or not respelled(known, shown, tags.kept)


def _complete(
    wanted: tuple[str, ...],
    shown: tuple[str, ...],
    removed: tuple[str, ...],
    other: set[str],
) -> tuple[str, ...]:
    """Return the whole list wanted: our order, Plex's spelling where it has one.

    Unless it has another than it should: *other*, by key.
    """
    spelled = {key: tag for tag in shown if (key := name_key(tag)) not in other}
    names = [spelled.get(name_key(tag), tag) for tag in wanted]
    others = [
        tag
        for tag in shown
        if tag not in removed and name_key(tag) not in _keys(wanted)
    ]
    return tuple(names + others)
