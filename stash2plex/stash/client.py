"""What Stash is asked about its library: scenes, listings, changes, pictures.

Nothing of it is changed. Every failure leaves as one of our errors.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import replace
from typing import Any

import aiohttp
import structlog
from gql import GraphQLRequest
from gql.client import AsyncClientSession

from stash2plex.config import StashSettings
from stash2plex.errors import (
    AnswerTooLarge,
    OddAnswer,
    PictureUnreadable,
    PictureUnusable,
    ServerFault,
    ServiceUnavailable,
    Stash2PlexError,
    UnsteadyListing,
)
from stash2plex.measures import Watch
from stash2plex.net.oddities import Oddities
from stash2plex.scene import Scene, SceneEntry
from stash2plex.stash import queries
from stash2plex.stash.answers import NO_SENSE, entry_from, id_of, picture_of, scene_from
from stash2plex.stash.connection import WRONG_URL, StashConnection
from stash2plex.stash.dialect import Dialect
from stash2plex.stash.files import StashFiles, spelled
from stash2plex.stash.hook_lines import hook_lines
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
from stash2plex.stash.pictures import SVG, PictureAnswer, StashPictures
from stash2plex.stash.scans import StashEvent, scans
from stash2plex.text import name_key

log = structlog.get_logger()

# Names that are looked for in one request.
_NAMES = 20
# Ids alone cost so little that more of them make a page, and folders.
_IDS = 1000
_REPEATS = "a listing repeats its pages"
UNREADABLE = (
    "Stash has a cover of this scene and cannot read it: is the folder of its blobs"
    " there, and is its storage type the one that they were written with?"
)


class StashClient(StashConnection):
    """One Stash server, and its library."""

    def __init__(
        self,
        settings: StashSettings,
        session: AsyncClientSession,
        pictures: aiohttp.ClientSession,
        headers: Mapping[str, str],
        watch: Watch,
    ) -> None:
        super().__init__(settings, session, pictures, headers, watch)
        # Scenes in a page: halved when one is larger than we read.
        self._page_size = settings.page_size
        self._oddities = Oddities("Stash", "scene")
        self._pictures = StashPictures(self)
        self._files = StashFiles(self)
        # The ETag of what is shown of a scene without a cover, once it was seen.
        self._placeholder: str | None = None
        # Told of the cover of a scene whether it could be read.
        self.on_cover: Callable[[int, bool], None] = lambda _, __: None

    async def scenes(
        self, scene_ids: Sequence[int], *, pictures: bool = False
    ) -> dict[int, Scene | Stash2PlexError | None]:
        """Read scenes in one request: None is gone, an error concerns that one only.

        With *pictures*, also where those of performers and studios are.
        """
        if not scene_ids:
            return {}
        try:
            return await self.fitting(
                lambda dialect: self._scenes(dialect, scene_ids, pictures=pictures)
            )
        except AnswerTooLarge as error:
            if len(scene_ids) == 1:
                return {scene_ids[0]: error}
            half = len(scene_ids) // 2
            first = await self.scenes(scene_ids[:half], pictures=pictures)
            return first | await self.scenes(scene_ids[half:], pictures=pictures)

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

    def scans(
        self, on_listening: Callable[[], None]
    ) -> AsyncGenerator[StashEvent, None]:
        """Yield when a scan or an import is over; see `stash2plex.stash.scans`."""
        return scans(self, on_listening)

    def hook_lines(
        self, on_listening: Callable[[], None]
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Yield what our script in Stash says; see `stash2plex.stash.hook_lines`."""
        return hook_lines(self, on_listening)

    async def entries_at(self, path: str) -> list[SceneEntry]:
        """Return the scenes that have this file, in whatever form of Unicode."""
        return await self._files.scenes_at(path)

    async def scenes_of_file(
        self, name: str, paths: Iterable[str] = ()
    ) -> list[SceneEntry]:
        """Return the scenes with a file of this *name*, or at one of *paths*.

        Whole scenes with where their pictures are, but for a name that many have; see
        `StashFiles.scenes_named`.
        """
        return await self._files.scenes_named(name, paths)

    async def scenes_with(self, files: Sequence[HashedFile]) -> list[SceneEntry]:
        """Return the scenes that have *files*."""
        return await self._files.scenes_with(files)

    async def scenes_hashed(
        self, hashes: Sequence[str], *, whole: bool
    ) -> list[SceneEntry]:
        """Return the first scene of each oshash, in one request.

        The *whole* of them with where their pictures are, or what a listing tells.
        """

        async def ask(dialect: Dialect) -> list[SceneEntry]:
            query = queries.scenes_by_hash(dialect, len(hashes), whole=whole)
            given = {f"h{number}": one for number, one in enumerate(hashes)}
            answer = await self.ask(query, **given)
            found = [
                self._shown(row, dialect, whole=whole) for row in answer.values() if row
            ]
            return list({one.id: one for one in found if one}.values())

        return await self.fitting(ask)

    async def whole_scenes(self, scenes: dict[str, Any], most: int) -> list[SceneEntry]:
        """Return what a filter finds, at most so many, with where all pictures are."""

        async def ask(dialect: Dialect) -> list[SceneEntry]:
            chosen = self.first_page() | {"per_page": most}
            query = queries.whole_scenes(dialect)
            answer = await self.ask(query, filter=chosen, scenes=scenes)
            rows = rows_of(answer, "findScenes", "scenes")
            found = (self._shown(row, dialect, whole=True) for row in rows)
            return [one for one in found if one]

        return await self.fitting(ask)

    def _shown(self, row: Any, dialect: Dialect, *, whole: bool) -> SceneEntry | None:
        """Return what a row says, None if that makes no sense."""
        if whole:
            scene = self._understood(row, dialect)
            if isinstance(scene, Scene):
                return scene
            self._oddities.name(scene.thing, str(scene))
            return None
        try:
            entry = entry_from(row, dialect.unknown)
        except NO_SENSE as error:
            self._oddities.name(id_of(row), _told(error))
            return None
        self._files.learn_separator(entry.files)
        return entry

    async def image_url(self, kind: str, entity_id: int) -> str:
        """Return where the picture of a performer or studio is, "" without one.

        Only this tells a picture from the one that stands for none.
        """

        async def ask(dialect: Dialect) -> str:
            name = kind.capitalize()
            if not (
                dialect.has(f"Query.find{name}") and dialect.has(f"{name}.image_path")
            ):
                return ""
            answer = await self.ask(queries.image_of(kind), id=str(entity_id))
            found = answer.get("found")
            return picture_of(found, self.settings.url) if found else ""

        return await self.fitting(ask)

    async def lacks_cover(self, scene_id: int) -> bool | None:
        """Whether a scene has no cover; None where this release cannot tell.

        Asked by a filter, which knows better than the picture: Stash shows the same
        placeholder for a cover that it cannot read.
        """

        async def ask(dialect: Dialect) -> bool | None:
            if not dialect.filters("is_missing"):
                return None
            wanted = {
                "id": {"modifier": "EQUALS", "value": scene_id},
                "is_missing": "cover",
            }
            answer = await self.ask(queries.COUNT, scenes=wanted)
            return bool((answer.get("findScenes") or {}).get("count"))

        return await self.fitting(ask)

    async def studios_or_groups(self, names: Iterable[str]) -> set[str]:
        """Return which of *names* a studio or a group has, whatever their case."""
        wanted = list(dict.fromkeys(names))
        found: set[str] = set()
        for start in range(0, len(wanted), _NAMES):
            batch = wanted[start : start + _NAMES]
            found |= await self.fitting(lambda dialect: self._named(dialect, batch))  # noqa: B023 - awaited at once
        return found

    async def _named(self, dialect: Dialect, names: Sequence[str]) -> set[str]:
        if not dialect.named:
            return set()
        query = queries.studios_and_groups_named(dialect, len(names))
        variables = {f"n{n}": spelled(name) for n, name in enumerate(names)}
        answer = await self.ask(query, **variables)
        found: set[str] = set()
        for number, name in enumerate(names):
            rows = [
                row
                for kind in dialect.named
                for row in rows_of(answer, f"{kind[0]}{number}", "parts")
            ]
            keys = {name_key(str(row.get("name"))) for row in rows if row}
            found |= {name} if name_key(name) in keys else set()
        return found

    async def entries_hashed(self, oshash: str) -> list[SceneEntry]:
        """Return the scenes that have a file with this oshash (16 hex digits)."""
        return await self._find({"oshash": {"modifier": "EQUALS", "value": oshash}})

    async def entries_known_as(self, stash_id: str) -> list[SceneEntry]:
        """Return the scenes that some stash-box calls *stash_id*."""
        wanted = {"modifier": "EQUALS", "stash_id": stash_id}
        return await self._find({"stash_id_endpoint": wanted})

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

    async def entries_present(self, scene_ids: Sequence[int]) -> set[int]:
        """Return which of *scene_ids* Stash has; an error of one counts as there."""
        readings = await self.scenes(scene_ids)
        return {key for key, reading in readings.items() if reading is not None}

    def url_of(self, path: str) -> str:
        """Return the URL of *path* on this server; it carries no key."""
        return f"{self.settings.url}{path}"

    async def picture(self, url: str, etag: str = "") -> PictureAnswer:
        """Fetch a picture's bytes, unless it still is the one that *etag* names."""
        return await self._pictures.fetch(url, etag)

    async def cover(
        self, scene_id: int, etag: str = "", *, notes: bool = True
    ) -> PictureAnswer:
        """Fetch the cover of a scene, as `picture` does.

        Raises `PictureUnreadable` for one that Stash has, and cannot show. `on_cover`
        is told, if that is to be noted.
        """
        answer = await self.picture(self.url_of(f"/scene/{scene_id}/screenshot"), etag)
        if answer.data is not None or answer.unchanged:
            if notes:
                self.on_cover(scene_id, True)
            return answer
        lacks = await self.lacks_cover(scene_id)
        if lacks is not False:
            self._placeholder = answer.svg if lacks else self._placeholder
            return replace(answer, is_certain=lacks is not None)
        if answer.svg and await self._is_a_picture(answer.svg):
            raise PictureUnusable(f"the cover in Stash: {SVG}", etag=answer.svg)
        if notes:
            self.on_cover(scene_id, False)
        raise PictureUnreadable(UNREADABLE)

    async def _is_a_picture(self, svg: str) -> bool:
        """Whether an SVG file is certainly not what is shown for no cover."""
        if await self._known_placeholder() in {None, svg}:
            return False
        self._placeholder = None  # it may be that of another release
        return await self._known_placeholder() not in {None, svg}

    async def _known_placeholder(self) -> str | None:
        """Return the ETag of what is shown for no cover, None if no scene lacks one.

        Nobody can tell it from a cover that is an SVG file then.
        """
        if self._placeholder is None:
            wanted = {"is_missing": "cover"}
            chosen = self.first_page() | {"per_page": 1}
            query = queries.entries(await self.dialect())
            answer = await self.ask(query, filter=chosen, scenes=wanted)
            for row in rows_of(answer, "findScenes", "scenes"):
                found = await self.picture(
                    self.url_of(f"/scene/{row['id']}/screenshot")
                )
                self._placeholder = found.svg or None
        return self._placeholder

    async def _scenes(
        self, dialect: Dialect, scene_ids: Sequence[int], *, pictures: bool
    ) -> dict[int, Scene | Stash2PlexError | None]:
        query = queries.scenes_by_id(dialect, len(scene_ids), pictures=pictures)
        variables = {f"i{number}": str(id) for number, id in enumerate(scene_ids)}
        data, failed = await self.ask_partly(query, variables)
        answers: dict[int, Scene | Stash2PlexError | None] = {}
        for number, scene_id in enumerate(scene_ids):
            alias = f"s{number}"
            if alias in failed:
                answers[scene_id] = ServerFault("Stash", failed[alias])
            elif alias not in data:
                raise ServiceUnavailable("Stash", WRONG_URL)
            elif data[alias] is None:
                answers[scene_id] = None
            else:
                answers[scene_id] = self._understood(data[alias], dialect)
        return answers

    def _understood(self, found: Any, dialect: Dialect) -> Scene | OddAnswer:
        try:
            scene = scene_from(found, self.settings.url, dialect.unknown)
        except NO_SENSE as error:
            if (key := id_of(found)) is None:
                raise ServiceUnavailable("Stash", WRONG_URL) from None
            return OddAnswer("Stash", key, _told(error))
        self._files.learn_separator(scene.files)
        return scene

    def first_page(self) -> dict[str, Any]:
        """Return what a first page of scenes is, by id."""
        return {
            "per_page": self._page_size,
            "page": 1,
            "sort": "id",
            "direction": "ASC",
        }

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

    def page_from(self, found: Any, dialect: Dialect, size: int, after: int) -> Page:
        """Return what a page of scenes beyond the id *after* says.

        Raises `UnsteadyListing` when it is not beyond.
        """
        rows = rows_of(found, "scenes")
        ids = sorted(key for row in rows if (key := id_of(row)))
        _refuse_repeated(rows, ids, after)
        page = Page(last=max(ids, default=after), is_last=len(rows) < size)
        for row in rows:
            entry = self._shown(row, dialect, whole=False)
            if entry is not None:
                page.entries.append(entry)
            elif key := id_of(row):
                page.odd.add(key)
        return page

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


def _refuse_repeated(rows: Sequence[Any], ids: Sequence[int], after: int) -> None:
    """Raise an error about rows that are no scenes, or not beyond the id *after*."""
    if rows and not ids:
        raise ServiceUnavailable("Stash", WRONG_URL)
    if ids and ids[0] <= after:
        raise UnsteadyListing("Stash", _REPEATS)


def _told(error: Exception) -> str:
    """Say what makes no sense about a row."""
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
