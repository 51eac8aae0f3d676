"""What Plex shows: the values that leave this room instead of XML elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from stash2plex.scene import MOST_SQLITE_HOLDS

# Plex's names: attributes of a Video element, and its child elements by edit name.
TEXT_FIELDS = (
    "title",
    "titleSort",
    "summary",
    "studio",
    "originallyAvailableAt",
    "userRating",
    "tagline",
    "contentRating",
)
# Those of them that a listing shows in any case.
LISTED_FIELDS = ("title", "studio", "originallyAvailableAt", "contentRating")
_TELLING = ("studio", "originallyAvailableAt", "summary")
_TELLING_TAGS = ("Genre", "Role")
TAG_ELEMENTS = {
    "genre": "Genre",
    "actor": "Role",
    "director": "Director",
    "collection": "Collection",
}
# So much of a value that makes no sense is quoted.
_QUOTED = 40


@dataclass(frozen=True, slots=True)
class ItemFile:
    """One file of an item: *path* as Plex spells it, *size* in bytes; 0 is empty."""

    path: str
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemEntry:
    """What a listing tells of an item, and all that the catalogue keeps.

    *updated_at* and *added_at* are in unix seconds of Plex's clock, 0 when unknown;
    *guid* tells which agent's what it is; *is_bare* says that it shows nothing but its
    file; *listed* has the text of `LISTED_FIELDS`. One that *is_trashed* has no file on
    the disk any more.
    """

    rating_key: int
    section_id: int
    updated_at: int = 0
    added_at: int = 0
    guid: str = ""
    files: tuple[ItemFile, ...] = ()
    is_bare: bool = False
    is_trashed: bool = False
    listed: tuple[str, ...] = ()

    def holds(self, path: str) -> bool:
        """Whether one of the item's files is exactly *path*."""
        return any(file.path == path for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item(ItemEntry):
    """One item, read whole.

    *text* and *tags* go by the names that edits use; *thumb* and *art* are paths, ""
    without a picture. They do not tell which: their number is *updated_at*.
    """

    text: Mapping[str, str]
    tags: Mapping[str, tuple[str, ...]]
    locked: frozenset[str]
    thumb: str = ""
    art: str = ""

    def picture(self, name: str) -> str:
        """Return *thumb* or *art* by name."""
        return self.thumb if name == "thumb" else self.art


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One library."""

    id: int
    title: str
    kind: str
    agent: str = ""
    locations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataProvider:
    """A metadata provider that is registered in Plex; *root* is its URL."""

    identifier: str
    title: str
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture that an item could show; *key* is the ``ratingKey`` of it.

    Uploads are ``upload://posters/<sha1>`` and ``upload://art/<sha1>``.
    """

    key: str
    selected: bool

    @property
    def digest(self) -> str:
        """The SHA-1 of the bytes that were uploaded; "" for another's picture."""
        is_upload = self.key.startswith("upload://")
        return self.key.rpartition("/")[2].lower() if is_upload else ""


def entry_from(video: Element, section_id: int) -> ItemEntry:
    """Read what a listing tells of one item; raises ValueError for what makes no sense.

    The message names the attribute.
    """
    return ItemEntry(
        **_common(video, section_id, number_in(video, "updatedAt", "addedAt"))
    )


def item_from(video: Element, section_id: int) -> Item:
    """Read one item from its full element; raises ValueError as `entry_from` does."""
    return Item(
        **_common(video, section_id, number_in(video, "updatedAt")),
        text={name: video.get(name, "") for name in TEXT_FIELDS},
        tags={
            name: tuple(tag.get("tag", "") for tag in video.findall(element))
            for name, element in TAG_ELEMENTS.items()
        },
        locked=frozenset(
            field.get("name", "")
            for field in video.findall("Field")
            if field.get("locked") == "1"
        ),
        thumb=video.get("thumb", ""),
        art=video.get("art", ""),
    )


def rating_key_of(video: Element) -> int:
    """Return which item an element is about; raises ValueError if that is not told."""
    if not (key := number_in(video, "ratingKey")):
        raise ValueError("it has no ratingKey")
    return key


def number_in(element: Element, *names: str) -> int:
    """Return the first of the attributes that is there, 0 for none.

    Raises ValueError for what SQLite could not hold.
    """
    for name in names:
        if text := element.get(name):
            try:
                number = int(text)
            except ValueError:
                number = -1
            if not 0 <= number <= MOST_SQLITE_HOLDS:
                raise ValueError(f"{name} is {text[:_QUOTED]!r}")
            return number
    return 0


def section_from(directory: Element) -> Section:
    """Read one library; raises ValueError for what makes no sense."""
    if not (key := number_in(directory, "key")):
        raise ValueError("it has no key")
    return Section(
        id=key,
        title=directory.get("title", ""),
        kind=directory.get("type", ""),
        agent=directory.get("agent", ""),
        locations=tuple(
            location.get("path", "") for location in directory.findall("Location")
        ),
    )


def _common(video: Element, section_id: int, updated_at: int) -> dict[str, Any]:
    return {
        "rating_key": rating_key_of(video),
        "section_id": number_in(video, "librarySectionID") or section_id,
        "updated_at": updated_at,
        "added_at": _number_or_none(video, "addedAt") or 0,
        "guid": video.get("guid", ""),
        "files": _files(video),
        "is_bare": _is_bare(video),
        "is_trashed": bool(video.get("deletedAt")),
        "listed": tuple(video.get(name, "") for name in LISTED_FIELDS),
    }


def _files(video: Element) -> tuple[ItemFile, ...]:
    return tuple(
        ItemFile(part.attrib["file"], _number_or_none(part, "size"))
        for part in video.iter("Part")
        if part.get("file")
    )


def _number_or_none(element: Element, name: str) -> int | None:
    """Return a number that is of little matter, None if it makes no sense."""
    try:
        return number_in(element, name)
    except ValueError:
        return None


def _is_bare(video: Element) -> bool:
    return not any(video.get(name) for name in _TELLING) and all(
        video.find(name) is None for name in _TELLING_TAGS
    )
