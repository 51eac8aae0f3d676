"""What Stash lists of its library, page by page, and what changed in it."""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Callable,
    Iterable,
    Sequence,
)
from typing import Any

import structlog
from gql import GraphQLRequest

from stash2plex.errors import (
    AnswerTooLarge,
    OddAnswer,
    ServiceUnavailable,
    UnsteadyListing,
)
from stash2plex.net.oddities import Oddities
from stash2plex.scene import Scene, SceneEntry, SceneFile
from stash2plex.stash import queries
from stash2plex.stash.answers import NO_SENSE, entry_from, id_of, scene_from
from stash2plex.stash.connection import WRONG_URL, Sessions, StashConnection
from stash2plex.stash.dialect import Dialect
from stash2plex.stash.look import (
    PARTS,
    HashedFile,
    Look,
    Page,
    PartTimes,
    changed,
    files_from,
    look,
    parts_from,
    rows_of,
)

log = structlog.get_logger()

# Ids alone cost so little that more of them make a page, and folders.
_IDS = 1000
_REPEATS = "a listing repeats its pages"


class StashListings(StashConnection):
    """One Stash server, and the listings of its library."""

    def __init__(self, sessions: Sessions) -> None:
        super().__init__(sessions)
        # Scenes in a page: halved when one is larger than we read.
        self._page_size = sessions.settings.page_size
        self._oddities = Oddities("Stash", "scene")
        # What its paths are separated by: Windows has another one.
        self.separators: set[str] = set()

    async def entries(
        self, *, updated_since: str | None = None, odd: set[int] | None = None
    ) -> AsyncIterator[list[SceneEntry]]:
        """Walk all scenes by id, page by page; steady while people edit.

        Those whose rows make no sense are left out; their ids are added to *odd*.
        Raises `UnsteadyListing` when ids do not advance.

        Those that were changed or made after *updated_since*, which Stash compares as
        text, in whatever zone it writes; pass a bound early enough and compare parsed
        times yourself.
        """
        scenes: dict[str, Any] = {}
        if updated_since:
            later = {"modifier": "GREATER_THAN", "value": updated_since}
            scenes = {"updated_at": later, "OR": {"created_at": later}}
        async for page in self.pages(scenes):
            if odd is not None:
                odd |= page.odd
            if page.entries:
                yield page.entries

    async def pages(self, scenes: dict[str, Any]) -> AsyncIterator[Page]:
        """Walk what a filter finds by id, page by page.

        Raises `UnsteadyListing` when ids do not advance.
        """
        after = 0
        while True:
            beyond = {"id": {"modifier": "GREATER_THAN", "value": after}}
            wanted = beyond | ({"AND": scenes} if scenes else {})
            page = await self._find_page(wanted, after)
            yield page
            after = page.last
            if page.is_last:
                return

    async def look(self, since: str, *, counted: bool, paths: bool = False) -> Look:
        """Return what changed since, in one request; see `stash2plex.stash.look`."""

        async def ask(dialect: Dialect) -> Look:
            while True:
                try:
                    return await look(
                        self, dialect, since, counted=counted, paths=paths
                    )
                except AnswerTooLarge as error:
                    self._halve_pages(error)

        return await self.fitting(ask)

    async def changed_entries(self, since: str, after: int = 0) -> Page:
        """Return a page of the scenes that changed since, by id.

        *since* is compared by Stash as text, see `entries`.
        """
        later = {"modifier": "GREATER_THAN", "value": since}
        beyond = {"modifier": "GREATER_THAN", "value": after}
        return await self._find_page({"id": beyond, "updated_at": later}, after)

    async def changed_files(self, since: str) -> list[HashedFile]:
        """Return all files of scenes that changed since; see `changed_entries`.

        None where this release does not find files (before v0.29).
        """

        async def ask(dialect: Dialect) -> list[HashedFile]:
            if not dialect.finds_files:
                return []
            query, names = queries.files(dialect), ("findFiles", "files")
            rows = self._all_rows(query, self._page_size, *names, files=changed(since))
            return [one async for page in rows for one in files_from({"files": page})]

        return await self.fitting(ask)

    async def changed_parts(self, kind: str, since: str) -> dict[int, PartTimes]:
        """Return the performers, studios, tags or groups that changed since, by id.

        "" as *since* means all. None where this release does not list them.
        """

        async def ask(dialect: Dialect) -> dict[int, PartTimes]:
            if not dialect.lists(kind):
                return {}
            query = queries.changed_parts(dialect, dialect.kind(kind))
            parts = {"updated_at": {"modifier": "GREATER_THAN", "value": since}}
            rows = self._all_rows(query, PARTS, "found", "parts", parts=parts)
            found: dict[int, PartTimes] = {}
            async for page in rows:
                found |= parts_from({"parts": page})
            return found

        return await self.fitting(ask)

    async def folders(self) -> set[str] | None:
        """Return the paths of all folders; None where they are not listed (v0.29)."""

        async def ask(dialect: Dialect) -> set[str] | None:
            if not dialect.lists_folders:
                return None
            rows = self._all_rows(queries.FOLDERS, _IDS, "findFolders", "folders")
            return {
                str(one.get("path")).rstrip("/\\")
                async for page in rows
                for one in page
                if isinstance(one, dict)
            }

        return await self.fitting(ask)

    async def scenes_of(self, kind: str, entity_id: int) -> AsyncIterator[list[int]]:
        """Walk the ids of the scenes that have a performer, studio, tag or group.

        None where this release cannot find them.
        """

        def having(dialect: Dialect) -> dict[str, Any] | None:
            name = f"{dialect.kind(kind)}s"
            wanted = {"modifier": "INCLUDES", "value": [str(entity_id)]}
            return {name: wanted} if dialect.filters(name) else None

        async for page in self.ids(having):
            yield page

    async def ids(
        self, wanted: Callable[[Dialect], dict[str, Any] | None] = lambda _: {}
    ) -> AsyncIterator[list[int]]:
        """Walk the ids of all scenes, or of those that a filter finds; see `entries`.

        None where that filter is None. Nothing else of them is asked for, which costs
        Stash a tenth.
        """
        after = 0
        chosen = self.first_page() | {"per_page": _IDS}
        while True:

            async def ask(dialect: Dialect, after: int = after) -> list[Any]:
                if (scenes := wanted(dialect)) is None:
                    return []
                beyond = {"id": {"modifier": "GREATER_THAN", "value": after}}
                answer = await self.ask(
                    queries.SCENE_IDS, filter=chosen, scenes=beyond | scenes
                )
                return rows_of(answer, "findScenes", "scenes")

            rows = await self.fitting(ask)
            page = sorted(key for row in rows if (key := id_of(row)))
            _refuse_repeated(rows, page, after)
            if page:
                yield page
                after = page[-1]
            if len(rows) < _IDS:
                return

    def first_page(self) -> dict[str, Any]:
        """Return what a first page of scenes is, by id."""
        return {
            "per_page": self._page_size,
            "page": 1,
            "sort": "id",
            "direction": "ASC",
        }

    def page_from(self, found: Any, dialect: Dialect, size: int, after: int) -> Page:
        """Return what a page of scenes beyond the id *after* says.

        Raises `UnsteadyListing` when it is not beyond.
        """
        rows = rows_of(found, "scenes")
        ids = sorted(key for row in rows if (key := id_of(row)))
        _refuse_repeated(rows, ids, after)
        page = Page(last=max(ids, default=after), is_last=len(rows) < size)
        for row in rows:
            entry = self.shown(row, dialect, whole=False)
            if entry is not None:
                page.entries.append(entry)
            elif key := id_of(row):
                page.odd.add(key)
        return page

    async def _all_rows(
        self, query: GraphQLRequest, size: int, *names: str, **given: Any
    ) -> AsyncIterator[list[Any]]:
        """Walk a listing by the numbers of its pages; what is under *names* are rows.

        Raises `UnsteadyListing` when a page shows nothing new.
        """
        chosen = self.first_page() | {"per_page": size}
        seen: set[int] = set()
        while True:
            answer = await self.ask(query, filter=chosen, **given)
            rows = rows_of(answer, *names)
            new = {hash(str(row)) for row in rows}
            if new and seen >= new:
                raise UnsteadyListing("Stash", _REPEATS)
            seen |= new
            yield rows
            if len(rows) < size:
                return
            chosen = chosen | {"page": chosen["page"] + 1}

    def shown(self, row: Any, dialect: Dialect, *, whole: bool) -> SceneEntry | None:
        """Return what a row says, None if that makes no sense."""
        if whole:
            scene = self.understood(row, dialect)
            if isinstance(scene, Scene):
                return scene
            self._oddities.name(scene.thing, str(scene))
            return None
        try:
            entry = entry_from(row, dialect.unknown)
        except NO_SENSE as error:
            self._oddities.name(id_of(row), _told(error))
            return None
        self._learn_separator(entry.files)
        return entry

    def understood(self, found: Any, dialect: Dialect) -> Scene | OddAnswer:
        try:
            scene = scene_from(found, self.settings.url, dialect.unknown)
        except NO_SENSE as error:
            if (key := id_of(found)) is None:
                raise ServiceUnavailable("Stash", WRONG_URL) from None
            return OddAnswer("Stash", key, _told(error))
        self._learn_separator(scene.files)
        return scene

    async def _find(self, scenes: dict[str, Any]) -> list[SceneEntry]:
        """Return the first page of what a filter finds; nothing where there is none."""
        dialect = await self.dialect()
        if not all(dialect.filters(name) for name in scenes):
            return []
        return (await self._find_page(scenes)).entries

    async def _find_page(self, scenes: dict[str, Any], after: int = 0) -> Page:
        """Return the first page of what is found beyond the id *after*.

        Raises `UnsteadyListing` when it is not beyond.
        """

        async def ask(dialect: Dialect) -> Page:
            answer, size = await self._ask_for_page(queries.entries(dialect), scenes)
            return self.page_from(answer.get("findScenes"), dialect, size, after)

        return await self.fitting(ask)

    async def _ask_for_page(
        self, query: GraphQLRequest, scenes: dict[str, Any]
    ) -> tuple[dict[str, Any], int]:
        """Return a first page that is not too large, and how many it may hold."""
        while True:
            size = self._page_size
            try:
                answer = await self.ask(query, filter=self.first_page(), scenes=scenes)
            except AnswerTooLarge as error:
                self._halve_pages(error)
            else:
                return answer, size

    def _halve_pages(self, error: AnswerTooLarge) -> None:
        """Ask for smaller pages; raises *error* when they are the smallest."""
        if self._page_size == 1:
            raise error
        self._page_size = max(1, self._page_size // 2)
        log.warning("pages_halved", service="Stash", scenes=self._page_size)

    def _learn_separator(self, files: Iterable[SceneFile]) -> None:
        if len(self.separators) < len("/\\"):
            for file in files:
                self.separators |= {"/" if "/" in file.path else "\\"}


def _refuse_repeated(rows: Sequence[Any], ids: Sequence[int], after: int) -> None:
    """Raise an error about rows that are no scenes, or not beyond the id *after*."""
    if rows and not ids:
        raise ServiceUnavailable("Stash", WRONG_URL)
    if ids and ids[0] <= after:
        raise UnsteadyListing("Stash", _REPEATS)


def _told(error: Exception) -> str:
    """Say what makes no sense about a row."""
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
