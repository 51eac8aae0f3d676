"""The pretend Plex as a client of metadata providers, in PMS's order and as strictly.

Registration, the match of a new file, its metadata by the last part of the guid, then
images and extras by the answer's own key, then the pictures' bytes. Whatever a real
server would stumble over is a complaint.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

_PREFIX = "tv.plex.agents.custom."
# PMS gives up after about so many seconds.
_PATIENCE = 90
_HEADERS = {
    "Accept": "application/json",
    "User-Agent": "PlexMediaServer/1.43.1 pretend",
    "X-Plex-Client-Identifier": "pretend-machine",
    "X-Plex-Language": "en-US",
    "X-Plex-Country": "US",
}
_PAGE = "X-Plex-Container-Size=50&X-Plex-Container-Start=0"
_TYPES: Mapping[str, type] = {
    "ratingKey": str,
    "key": str,
    "guid": str,
    "type": str,
    "title": str,
    "titleSort": str,
    "originallyAvailableAt": str,
    "year": int,
    "summary": str,
    "tagline": str,
    "studio": str,
    "contentRating": str,
    "isAdult": bool,
    "duration": int,
    "thumb": str,
    "art": str,
    "score": int,
    "Image": list,
    "Genre": list,
    "Guid": list,
    "Role": list,
    "Director": list,
    "Studio": list,
    "Collection": list,
    "Rating": list,
}
_NEEDED = ("ratingKey", "key", "guid", "type", "title")
_IMAGE_TYPES = {"coverPoster", "background", "backgroundSquare", "clearLogo"}


# What PMS takes for a match, and what for a sure one (reported).
_OFFERED, _SURE = 86, 100


class ProviderRefused(Exception):
    """The provider cannot be registered, as PMS would say."""


@dataclass(slots=True)
class RegisteredProvider:
    """A provider as PMS keeps it: *root* is what the user typed."""

    id: int
    root: str
    identifier: str
    title: str
    match_key: str
    metadata_key: str


@dataclass(slots=True)
class Answer:
    """One answer of a provider."""

    status: int
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def found(self) -> list[dict[str, Any]]:
        """The objects in the container, of whatever kind."""
        container = self.document.get("MediaContainer", {})
        return container.get("Metadata", container.get("Image", []))  # type: ignore[no-any-return]


class ProviderClient:
    """Asks providers, and keeps what is wrong with their answers."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """End the connections."""
        if self._session:
            await self._session.close()

    async def register(self, root: str, number: int) -> RegisteredProvider:
        """Read a provider's root; raises `ProviderRefused`."""
        answer = await self._ask("GET", f"{root}?includePreferences=1")
        try:
            said = answer.document["MediaProvider"]
            features = {one["type"]: one["key"] for one in said["Feature"]}
            found = RegisteredProvider(
                id=number,
                root=root,
                identifier=said["identifier"],
                title=said["title"],
                match_key=features["match"],
                metadata_key=features["metadata"],
            )
            kinds = [one["type"] for one in said["Types"]]
            schemes = {two["scheme"] for one in said["Types"] for two in one["Scheme"]}
        except (KeyError, TypeError) as error:
            raise ProviderRefused(f"the root lacks {error}") from error
        if kinds != [1]:
            raise ProviderRefused(f"Unsupported metadata types {kinds}")
        if not found.identifier.startswith(_PREFIX) or schemes != {found.identifier}:
            raise ProviderRefused(f"invalid identifier {found.identifier!r}")
        return found

    async def match(
        self, provider: RegisteredProvider, hints: Mapping[str, Any]
    ) -> Answer:
        """Ask what a file is."""
        answer = await self._ask("POST", provider.root + provider.match_key, hints)
        self._check(answer, "match")
        least = _OFFERED if hints.get("manual") else _SURE
        self.complaints += [
            f"match: a score of {one.get('score')} is no match"
            for one in answer.found
            if one.get("score", 0) < least
        ]
        return answer

    async def metadata(self, provider: RegisteredProvider, guid: str) -> Answer:
        """Ask for an item by the last part of its guid."""
        if "/movie/" not in guid:
            self.complaints.append(f"{guid} names no type: PMS asks nothing")
            return Answer(0)
        key = urlsplit(guid).path.rpartition("/")[2]
        answer = await self._ask("GET", f"{provider.root}{provider.metadata_key}/{key}")
        self._check(answer, f"metadata {key}")
        return answer

    async def more(self, provider: RegisteredProvider, key: str) -> list[Answer]:
        """Ask for images and extras, whose paths PMS takes from the answer's key."""
        answers = [
            await self._ask("GET", f"{provider.root}{key}/images"),
            await self._ask("GET", f"{provider.root}{key}/extras?updating=1&{_PAGE}"),
        ]
        for answer in answers:
            if answer.status != 200:  # noqa: PLR2004
                self.complaints.append(f"HTTP {answer.status} below {key}")
        self._check_images(answers[0].found)
        return answers

    async def picture(self, url: str) -> bytes | None:
        """Download a picture as PMS does: its size first, no redirects."""
        session = self._connected()
        async with session.head(url, allow_redirects=False) as head:
            size = head.headers.get("Content-Length")
        async with session.get(url, allow_redirects=False) as answer:
            if answer.status != 200:  # noqa: PLR2004
                return None
            data = await answer.read()
            if not answer.content_type.startswith("image/"):
                self.complaints.append(f"{url} is {answer.content_type}")
            if size != str(len(data)):
                self.complaints.append(f"HEAD {url} says {size}, it is {len(data)}")
            return data

    async def _ask(
        self, method: str, url: str, body: Mapping[str, Any] | None = None
    ) -> Answer:
        self.asked.append((method, url))
        async with self._connected().request(
            method, url, json=body, allow_redirects=False
        ) as answer:
            text = await answer.text()
            try:
                document = json.loads(text)
            except ValueError:
                self.complaints.append(f"{url}: 'syntax error' at 1:1")
                return Answer(answer.status)
            if answer.content_type != "application/json":
                self.complaints.append(f"{url} is {answer.content_type}")
            return Answer(answer.status, document)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=_HEADERS, timeout=aiohttp.ClientTimeout(total=_PATIENCE)
            )
        return self._session

    def _check(self, answer: Answer, what: str) -> None:
        """Complain of whatever PMS's reader stumbles over."""
        for document in answer.found:
            for name in _NEEDED:
                if name not in document:
                    self.complaints.append(f"{what}: no {name}")
            for name, value in document.items():
                kind = _TYPES.get(name)
                if kind is None or type(value) is not kind:
                    self.complaints.append(f"{what}: {name} is {value!r}")
            self.complaints += [f"{what}: {one}" for one in _empty(document)]
            if document.get("type") != "movie":
                self.complaints.append(f"{what}: type is {document.get('type')!r}")
            self._check_images(document.get("Image", []))

    def _check_images(self, images: Iterable[Mapping[str, Any]]) -> None:
        for one in images:
            if one["type"] not in _IMAGE_TYPES or not urlsplit(one["url"]).netloc:
                self.complaints.append(f"image {one}")


def _empty(value: Any, path: str = "") -> list[str]:
    """Return where there is null or nothing."""
    if value is None or value in ("", [], {}):
        return [f"{path} is empty"]
    if isinstance(value, dict):
        return [o for key, one in value.items() for o in _empty(one, f"{path}.{key}")]
    if isinstance(value, list):
        return [o for one in value for o in _empty(one, f"{path}[]")]
    return []
