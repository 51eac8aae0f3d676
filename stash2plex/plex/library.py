"""Plex, as far as we need it: libraries, their files, items and pictures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from urllib.parse import quote, urlencode
from xml.etree.ElementTree import Element

import structlog

from stash2plex.errors import (
    AccessDenied,
    AnswerTooLarge,
    LibraryNotFound,
    NotWorking,
    OddAnswer,
    RequestRejected,
    ServerFault,
    ServiceUnavailable,
    StaleCatalog,
    UnsteadyListing,
)
from stash2plex.net.oddities import Oddities
from stash2plex.plex.connection import NotFoundInPlex, PlexConnection
from stash2plex.plex.item import (
    Item,
    ItemEntry,
    MetadataProvider,
    Picture,
    Section,
    entry_from,
    item_from,
    number_in,
    rating_key_of,
    section_from,
)
from stash2plex.text import both_forms

log = structlog.get_logger()

PAGE_SIZE = 1000
_NO_SENSE = "its answer makes no sense; is plex.url right?"
# What the catalogue has no use for in a listing.
_TRIM = {
    "excludeElements": "Country,Director,Writer,Collection,Image",
    "excludeFields": "summary,tagline",
}
# What a picture is called where it is uploaded and listed, by its field.
_ELEMENTS = {"thumb": "poster", "art": "art"}


class Server:
    """Who answered: *machine* tells one installation's database from another's."""

    def __init__(self, machine: str, version: str) -> None:
        self.machine = machine
        self.version = version


class PlexLibrary:
    """The movie libraries of one Plex server."""

    def __init__(
        self,
        connection: PlexConnection,
        titles: Sequence[str],
        known: Mapping[str, int] | None = None,
    ) -> None:
        """Keep the libraries of these *titles*, or all without any.

        Those that are *known* by number are found after they were renamed, too.
        """
        self._connection = connection
        self.known = dict(known or {})
        self._renamed: dict[str, str] = {}
        # Items in a page: halved when one is larger than we read.
        self._page_size = PAGE_SIZE
        self._oddities = Oddities("Plex", "item")
        self.titles = tuple(titles)
        self.version = ""  # of the server, as of its last answer to `server`

    @property
    def clock(self) -> int:
        """Plex's clock as of its last answer, unix seconds; 0 if it does not tell."""
        return self._connection.clock

    async def server(self) -> Server:
        """Ask the server who it is, within five seconds; the token is checked too."""
        root = await self._connection.identity()
        machine = root.get("machineIdentifier")
        if not machine:
            raise ServiceUnavailable("Plex", "the answer is not a Plex server's")
        self.version = root.get("version", "")
        return Server(machine, self.version)

    async def prove(self) -> None:
        """Read which libraries there are, and count the items of one of ours.

        Raises `NotWorking` if that fails for all of ours, in whatever way: then no
        item can be written either.
        """
        failure: Exception | None = None
        try:
            for section in await self.sections():
                none = {"X-Plex-Container-Start": "0", "X-Plex-Container-Size": "0"}
                target = f"/library/sections/{section.id}/all?type=1"
                try:
                    await self._connection.get(target, headers=none)
                except (ServerFault, RequestRejected, StaleCatalog) as error:
                    failure = error
                else:
                    return
        except LibraryNotFound:
            return
        except (ServerFault, RequestRejected, StaleCatalog) as error:
            failure = error
        if failure:
            message = f"Plex is unavailable: reading failed: {failure}"
            raise NotWorking("Plex", message) from None

    async def every_section(self) -> list[Section]:
        """Return all libraries, of whatever kind."""
        root = await self._connection.get("/library/sections")
        rows = list(root.iter("Directory"))
        found: list[Section] = []
        for directory in rows:
            try:
                found.append(section_from(directory))
            except ValueError as error:
                self._oddities.name(
                    None, f"library {directory.get('title', '')!r}: {error}"
                )
        if rows and not found:
            raise ServiceUnavailable("Plex", _NO_SENSE)
        return found

    async def sections(self) -> list[Section]:
        """Return the movie libraries we are to keep, in Plex's order.

        Raises `LibraryNotFound` when none of the configured ones is there; one that
        is missing among others is only reported.
        """
        return self.chosen(await self.movie_sections())

    async def movie_sections(self) -> list[Section]:
        """Return all movie libraries, in Plex's order."""
        return [one for one in await self.every_section() if one.kind == "movie"]

    def chosen(self, movies: list[Section]) -> list[Section]:
        """Return those of *movies* that we are to keep; see `sections`."""
        if not self.titles:
            return movies
        renamed = self.renamed(movies)
        wanted = [
            one
            for one in movies
            if one.title in self.titles or one.title in renamed.values()
        ]
        missing = self.missing(wanted)
        if not wanted:
            have = ", ".join(repr(one.title) for one in movies) or "none"
            raise LibraryNotFound(
                f"plex.libraries: Plex has no movie library "
                f"{', '.join(map(repr, missing))}; it has {have}"
            )
        if missing:
            log.warning("libraries_missing", titles=missing)
        for former, title in renamed.items():
            if self._renamed.get(former) != title:
                log.warning("library_renamed", former=former, title=title)
        self._renamed = renamed
        ids = {one.title: one.id for one in wanted}
        self.known |= {
            title: ids[renamed.get(title, title)]
            for title in self.titles
            if renamed.get(title, title) in ids
        }
        return wanted

    def renamed(self, movies: Iterable[Section]) -> dict[str, str]:
        """Return how libraries of ours are called now that have another title."""
        titles = {one.id: one.title for one in movies}
        return {
            title: titles[self.known[title]]
            for title in self.titles
            if title not in titles.values() and self.known.get(title) in titles
        }

    async def is_owner(self) -> bool:
        """Whether the token is that of the server's owner.

        A shared user's reads, but ``/accounts`` is refused to it (HTTP 403).
        """
        try:
            await self._connection.get("/accounts")
        except AccessDenied:
            return False
        return True

    async def scan_folder(self, section_id: int, folder: str) -> None:
        """Have Plex look for new files in *folder*, as it sees it, and below."""
        query = urlencode({"path": folder}, quote_via=quote)
        await self._connection.request(
            f"/library/sections/{section_id}/refresh?{query}"
        )

    async def metadata_providers(self) -> list[MetadataProvider] | None:
        """Return the custom providers; None for a server that knows none (< 1.43)."""
        try:
            root = await self._connection.get("/media/providers/metadata")
        except NotFoundInPlex:
            return None
        return [
            MetadataProvider(
                identifier=one.get("identifier", ""),
                title=one.get("title", ""),
                root=one.get("uri", ""),
            )
            for one in root.iter("MetadataAgentProvider")
        ]

    def missing(self, sections: Iterable[Section]) -> list[str]:
        """Return the configured titles that are not among *sections*, sorted."""
        found = list(sections)
        titles = {one.title for one in found} | self.renamed(found).keys()
        return sorted(set(self.titles) - titles)

    async def entries(
        self, section_id: int, since: int | None = None, odd: set[int] | None = None
    ) -> AsyncIterator[tuple[list[ItemEntry], int]]:
        """Walk a library page by page; yields items and the total Plex reports.

        With *since* (unix seconds, Plex's clock) only items added or changed from
        then on, if Plex honours that; more are harmless. Items whose rows make no
        sense are left out; their rating keys are added to *odd*. Raises
        `UnsteadyListing` when pages come again before the end.
        """
        filters = (
            [{}] if since is None else [{"updatedAt>>": since}, {"addedAt>>": since}]
        )
        for chosen in filters:
            query = urlencode({"type": 1, "sort": "addedAt:asc", **_TRIM, **chosen})
            target = f"/library/sections/{section_id}/all?{query}"
            start = 0
            seen: set[str] = set()
            while True:
                root, size = await self._page(target, start)
                keys = [one.get("ratingKey", "") for one in root.iter("Video")]
                page = self._entries_in(root, section_id, odd)
                total = _total(root, len(keys))
                if keys and seen.issuperset(keys):
                    if len(seen) < total:
                        raise UnsteadyListing("Plex", "a listing repeats its pages")
                    break  # it pays no heed to where a page is to start
                seen.update(keys)
                yield page, total
                start += len(keys)
                # A total that is too low ends nothing as long as pages are full.
                if not keys or (start >= total and len(keys) < size):
                    break

    def _entries_in(
        self, root: Element, section_id: int, odd: set[int] | None = None
    ) -> list[ItemEntry]:
        """Read the rows of a listing; what makes no sense is left out and named."""
        found: list[ItemEntry] = []
        for video in root.iter("Video"):
            try:
                found.append(entry_from(video, section_id))
            except ValueError as error:
                key = _key_of(video)
                self._oddities.name(key, str(error))
                if key is not None and odd is not None:
                    odd.add(key)
        rows = list(root.iter("Video"))
        if rows and all(_key_of(one) is None for one in rows):
            raise ServiceUnavailable("Plex", _NO_SENSE)
        return found

    async def _page(self, target: str, start: int) -> tuple[Element, int]:
        """Return a page that is not too large, and how many items it may hold."""
        while True:
            size = self._page_size
            headers = {
                "X-Plex-Container-Start": str(start),
                "X-Plex-Container-Size": str(size),
            }
            try:
                return await self._connection.get(target, headers=headers), size
            except AnswerTooLarge:
                if size == 1:
                    raise
                self._page_size = max(1, size // 2)
                log.warning("pages_halved", service="Plex", items=self._page_size)

    async def entries_named(self, section_id: int, name: str) -> list[ItemEntry]:
        """Return items that may hold a file of this *name*; compare it yourself.

        Uses the ``file`` filter, which is not in Plex's documentation. A comma means
        "or" to it, so only the longest piece without one is asked for, in both forms
        of Unicode: Plex keeps what the disk said.
        """
        piece = max(name.split(","), key=len)
        if not piece.strip():
            return []
        pieces = ",".join(both_forms(piece))
        query = urlencode({"type": 1, "file": pieces}, quote_via=quote)
        root, _ = await self._page(f"/library/sections/{section_id}/all?{query}", 0)
        return self._entries_in(root, section_id)

    async def readable_items(self, rating_keys: Sequence[int]) -> dict[int, Item]:
        """Read items whole; those that are gone, or that Plex stumbles over, are not.

        One that cannot be read spoils a request for many, so they are read singly then.
        """
        try:
            return await self.items(rating_keys)
        except (ServerFault, RequestRejected):
            found: dict[int, Item] = {}
            for key in rating_keys:
                with suppress(ServerFault, RequestRejected):
                    found |= await self.items([key])
            return found

    async def items(self, rating_keys: Iterable[int]) -> dict[int, Item]:
        """Read items whole, in one request; those that are gone are left out.

        Raises `OddAnswer` if one of them makes no sense.
        """
        keys = ",".join(map(str, rating_keys))
        if not keys:
            return {}
        try:
            root = await self._connection.get(
                f"/library/metadata/{keys}?skipRefresh=1&includeGuids=0"
            )
        except NotFoundInPlex:
            # A proxy answers 404 too when the server behind it is away.
            await self.server()
            return {}
        found: dict[int, Item] = {}
        for video in root.iter("Video"):
            try:
                item = item_from(video, number_in(root, "librarySectionID"))
            except ValueError as error:
                key = _key_of(video)
                if key is None:
                    raise ServiceUnavailable("Plex", _NO_SENSE) from None
                raise OddAnswer("Plex", key, str(error)) from None
            found[item.rating_key] = item
        return found

    async def put(self, target: str) -> None:
        """Carry out a piece of an edit; see `stash2plex.plex.edits`."""
        await self._connection.put(target)

    async def clear_rating(self, rating_key: int) -> None:
        """Take back the owner's rating; an edit can set one but not clear it."""
        query = urlencode(
            {
                "key": rating_key,
                "identifier": "com.plexapp.plugins.library",
                "rating": -1,
            }
        )
        await self._connection.put(f"/:/rate?{query}")

    async def pictures(
        self, rating_key: int, field: str, *, background: bool = False
    ) -> list[Picture]:
        """Return what the item could show as *field* (``thumb`` or ``art``)."""
        root = await self._connection.get(
            f"/library/metadata/{rating_key}/{_ELEMENTS[field]}s", background=background
        )
        return [
            Picture(
                key=photo.get("ratingKey", ""), selected=photo.get("selected") == "1"
            )
            for photo in root.iter("Photo")
        ]

    async def upload(self, rating_key: int, field: str, picture: bytes) -> None:
        """Upload *picture*; Plex selects it unless the item has these bytes already."""
        await self._connection.post(
            f"/library/metadata/{rating_key}/{_ELEMENTS[field]}s", picture
        )

    async def select(self, rating_key: int, field: str, key: str) -> None:
        """Show the picture that Plex lists as *key*, which also locks the field."""
        query = urlencode({"url": key}, quote_via=quote, safe="")
        await self._connection.put(
            f"/library/metadata/{rating_key}/{_ELEMENTS[field]}?{query}"
        )

    async def drop_picture(self, rating_key: int, field: str) -> None:
        """Remove the picture that the item shows."""
        await self._connection.delete(f"/library/metadata/{rating_key}/{field}")


def _key_of(video: Element) -> int | None:
    """Return which item a row is about, None if it does not say."""
    with suppress(ValueError):
        return rating_key_of(video)
    return None


def _total(root: Element, rows: int) -> int:
    """Return how many rows a listing says to have, *rows* if it makes no sense."""
    with suppress(ValueError):
        return number_in(root, "totalSize", "size") or rows
    return rows
