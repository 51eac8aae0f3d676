"""Items of the pretend Plex: what they hold, and the XML that shows them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as Xml

from aiohttp import web

TEXT = (
    "title",
    "titleSort",
    "summary",
    "studio",
    "originallyAvailableAt",
    "year",
    "userRating",
    "tagline",
    "contentRating",
)
TAGS = {
    "genre": "Genre",
    "actor": "Role",
    "director": "Director",
    "collection": "Collection",
}
PICTURES = ("thumb", "art")
# How many tags of a kind a listing shows; the rest only the item itself does.
_LISTED = {"genre": 2, "actor": 3, "director": 2, "collection": 2}
# What an upload, and a picture of an agent, is named by.
_FOLDERS = {"thumb": "posters", "art": "art"}


@dataclass(slots=True)
class PretendItem:
    """One movie. *agent* is what a metadata refresh puts into unlocked fields.

    *uploads* and *provided* are pictures by ``thumb`` or ``art``: uploads by the
    ``ratingKey`` of their candidate, and the bytes that an agent offers. *selected*
    is the candidate that is shown, if one was ever chosen.
    """

    rating_key: int
    section: int
    files: list[tuple[str, int]]
    guid: str = ""
    text: dict[str, str] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    agent: dict[str, str] = field(default_factory=dict)
    uploads: dict[str, dict[str, bytes]] = field(default_factory=dict)
    selected: dict[str, str] = field(default_factory=dict)
    provided: dict[str, bytes] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)  # actor -> URL of a picture
    added_at: int = 0
    updated_at: int = 0
    deleted_at: int = 0  # when its file went missing; 0 if it is there
    writes: int = 0

    def candidates(self, name: str) -> dict[str, bytes]:
        """Return what could be shown as *name*: ``ratingKey`` -> bytes."""
        found = dict(self.uploads.get(name, {}))
        if data := self.provided.get(name):
            found[f"metadata://{_FOLDERS[name]}/pretend_{_sha1(data)}"] = data
        return found

    def shown(self, name: str) -> str:
        """Return the ``ratingKey`` of the candidate that is shown, "" for none."""
        candidates = self.candidates(name)
        if (chosen := self.selected.get(name, "")) in candidates:
            return chosen
        agents = [key for key in candidates if key.startswith("metadata://")]
        return agents[-1] if agents else ""

    def picture(self, name: str) -> bytes | None:
        """Return the bytes shown as ``thumb`` or ``art``."""
        return self.candidates(name).get(self.shown(name))

    def upload(self, name: str, data: bytes) -> tuple[str, bool]:
        """Add a candidate; returns its ``ratingKey``, and whether it is fresh."""
        key = f"upload://{_FOLDERS[name]}/{_sha1(data)}"
        uploads = self.uploads.setdefault(name, {})
        fresh = key not in uploads
        uploads[key] = data
        return key, fresh

    def choose(self, name: str, data: bytes) -> str:
        """Show *data* and lock it, as when a person uploads a picture in the UI."""
        key, _ = self.upload(name, data)
        self.selected[name] = key
        self.locked.add(name)
        return key


def merged(present: list[str], wanted: list[str]) -> list[str]:
    """Add tags; names that differ only in case are one tag, in the older spelling."""
    found = {one.lower(): one for one in present}
    for one in wanted:
        found.setdefault(one.lower(), one)
    return list(found.values())


def take(item: PretendItem, document: dict[str, Any]) -> None:
    """Take a provider's document over: text replaced, tags only ever added."""
    for name in ("title", "titleSort", "summary", "studio", "tagline"):
        if name in document and name not in item.locked:
            item.text[name] = document[name]
    for name in ("contentRating", "originallyAvailableAt"):
        if name in document and name not in item.locked:
            item.text[name] = document[name]
    if "year" in document and "year" not in item.locked:
        item.text["year"] = str(document["year"])
    for name, element in TAGS.items():
        if name not in item.locked:
            names = [one["tag"] for one in document.get(element, [])]
            item.tags[name] = merged(item.tags.get(name, []), names)
    item.people = {
        one["tag"]: one["thumb"] for one in document.get("Role", []) if "thumb" in one
    }


def sort_form(title: str) -> str:
    """Return what Plex sorts a title by: without an article at its start."""
    first, _, rest = title.partition(" ")
    return rest if rest and first.lower() in {"the", "a", "an"} else title


def join(items: Iterable[PretendItem]) -> list[PretendItem]:
    """Put items of an equal guid into the one of the lowest key; returns the others."""
    kept: dict[tuple[int, str], PretendItem] = {}
    gone = []
    for item in sorted(items, key=lambda one: one.rating_key):
        first = kept.setdefault((item.section, item.guid), item)
        if first is not item:
            first.files += item.files
            gone.append(item)
    return gone


def container(*children: Xml.Element, **attributes: str) -> web.Response:
    """Return an answer with *children*."""
    root = Xml.Element("MediaContainer", attributes, size=str(len(children)))
    root.extend(children)
    # No charset, as some PMS answers: the client must know that it is UTF-8.
    return web.Response(body=Xml.tostring(root, "utf-8"), content_type="text/xml")


def video(item: PretendItem, *, whole: bool) -> Xml.Element:
    """Return an item as a listing shows it, or *whole*."""
    key = item.rating_key
    found = Xml.Element(
        "Video",
        type="movie",
        ratingKey=str(key),
        key=f"/library/metadata/{key}",
        librarySectionID=str(item.section),
        guid=item.guid,
        addedAt=str(item.added_at),
        updatedAt=str(item.updated_at),
    )
    if item.deleted_at:
        found.set("deletedAt", str(item.deleted_at))
    for name in TEXT:
        if value := item.text.get(name):  # empty attributes are left out
            found.set(name, value)
    if item.text.get("titleSort") == item.text.get("title"):
        found.attrib.pop("titleSort", None)
    for name in PICTURES:
        if item.shown(name):
            found.set(name, f"/library/metadata/{key}/{name}/{item.updated_at}")
    found.extend(_media(item))
    for name, element in TAGS.items():
        tags = item.tags.get(name, [])
        for tag in tags if whole else tags[: _LISTED[name]]:
            Xml.SubElement(found, element, {"tag": tag})
    for name in sorted(item.locked) if whole else ():
        Xml.SubElement(found, "Field", name=name, locked="1")
    return found


def _media(item: PretendItem) -> Iterable[Xml.Element]:
    for path, size in item.files:
        media = Xml.Element("Media", id=str(item.rating_key))
        Xml.SubElement(
            media, "Part", id=str(item.rating_key), file=path, size=str(size)
        )
        yield media


def photos(item: PretendItem, name: str) -> Iterable[Xml.Element]:
    """Return the candidates for ``thumb`` or ``art`` as ``…/posters`` lists them."""
    shown = item.shown(name)
    for key in item.candidates(name):
        photo = Xml.Element("Photo", ratingKey=key, key=key, thumb=key)
        if key == shown:
            photo.set("selected", "1")
        yield photo


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
