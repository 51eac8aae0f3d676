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
from dataclasses import dataclass, field, replace
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
from stash2plex.paths import normal
from stash2plex.scene import Scene, SceneEntry, SceneFile
from stash2plex.stash import queries
from stash2plex.stash.answers import entry_from, id_of, picture_of, scene_from
from stash2plex.stash.connection import WRONG_URL, StashConnection
from stash2plex.stash.dialect import Dialect
from stash2plex.stash.hook_lines import hook_lines
from stash2plex.stash.pictures import SVG, PictureAnswer, StashPictures
from stash2plex.stash.scans import scans
from stash2plex.text import both_forms, name_key

log = structlog.get_logger()

# Whole scenes of one file name that are read at once.
_NAMESAKES = 20
# Filters within each other: Stash's database takes some 28 of them.
_DEEPEST = 20
# Names that are looked for in one request.
_NAMES = 20
# Performers, studios, tags or groups in one page.
_PARTS = 1000
# What is raised over a row that makes no sense.
_NO_SENSE = (AttributeError, KeyError, TypeError, ValueError, OverflowError)
_REPEATS = "a listing repeats its pages"
_COMBINED = frozenset({"AND", "OR"})
UNREADABLE = (
    "Stash has a cover of this scene and cannot read it: is the folder of its blobs"
    " there, and is its storage type the one that they were written with?"
)


@dataclass(slots=True, kw_only=True)
class Page:
    """A page of a listing of scenes: so many *rows*, the *last* id of them.

    *odd* are the ids of rows that make no sense, and *count* how many scenes there are
    in all where that was asked for.
    """

    rows: int
    count: int
    last: int
    is_last: bool
    entries: list[SceneEntry] = field(default_factory=list)
    odd: set[int] = field(default_factory=set)


def _path_like(value: str) -> dict[str, Any]:
    return {"path": {"modifier": "EQUALS", "value": value}}


def _spelled(text: str) -> str:
    """Return *text* for LIKE; each ``%`` of it would cost Stash much, ``_`` nothing."""
    return text.replace("%", "_")


def _any_of(patterns: Iterable[str]) -> dict[str, Any]:
    """Return a filter for one of *patterns*, at most `_DEEPEST` of them."""
    found: dict[str, Any] = {}
    for value in patterns:
        found = _path_like(value) | ({"OR": found} if found else {})
    return found


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
        self._separators: set[str] = set()
        # Scenes in a page: halved when one is larger than we read.
        self._page_size = settings.page_size
        self._oddities = Oddities("Stash", "scene")
        self._pictures = StashPictures(self)
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
        after = 0
        while True:
            scenes: dict[str, Any] = {
                "id": {"modifier": "GREATER_THAN", "value": after}
            }
            if updated_since:
                later = {"modifier": "GREATER_THAN", "value": updated_since}
                scenes["AND"] = {"updated_at": later, "OR": {"created_at": later}}
            page = await self._find_page(scenes, after)
            if odd is not None:
                odd |= page.odd
            if page.entries:
                yield page.entries
            after = page.last
            if page.is_last:
                return

    async def changed_entries(self, since: str, after: int = 0) -> Page:
        """Return a page of the scenes that changed since, by id.

        A change of a file counts where Stash can tell (v0.30 on). *since* is compared
        by Stash as text, see `entries`.
        """
        later = {"modifier": "GREATER_THAN", "value": since}

        async def ask(dialect: Dialect) -> Page:
            scenes: dict[str, Any] = {"updated_at": later}
            if dialect.filters("files_filter"):
                scenes["OR"] = {"files_filter": {"updated_at": later}}
            if after:
                beyond = {"modifier": "GREATER_THAN", "value": after}
                scenes = {"id": beyond, "AND": scenes}
            query = queries.counted_entries(dialect)
            return await self._page_of(query, dialect, scenes, after)

        return await self.fitting(ask)

    async def changed_parts(self, kind: str, since: str) -> dict[int, str]:
        """Return the performers, studios, tags or groups that changed since.

        By id, with when they did, as Stash writes it; "" as *since* means all. None
        where this release does not list them.
        """
        return await self.fitting(lambda dialect: self._parts(dialect, kind, since))

    async def _parts(self, dialect: Dialect, kind: str, since: str) -> dict[int, str]:
        if not dialect.lists(kind):
            return {}
        query = queries.changed_parts(dialect.kind(kind))
        parts = {"updated_at": {"modifier": "GREATER_THAN", "value": since}}
        chosen = self._first_page() | {"per_page": _PARTS}
        found: dict[int, str] = {}
        while True:
            answer = await self.ask(query, filter=chosen, parts=parts)
            rows = _rows(answer, "found", "parts")
            page = {key: str(p.get("updated_at")) for p in rows if (key := id_of(p))}
            if rows and not page:
                raise ServiceUnavailable("Stash", WRONG_URL)
            if page and found.keys() >= page.keys():
                raise UnsteadyListing("Stash", _REPEATS)
            found |= page
            if len(rows) < _PARTS:
                return found
            chosen = chosen | {"page": chosen["page"] + 1}

    def scans(self, on_listening: Callable[[], None]) -> AsyncGenerator[None, None]:
        """Yield whenever a scan was completed; see `stash2plex.stash.scans`."""
        return scans(self, on_listening)

    def hook_lines(
        self, on_listening: Callable[[], None]
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Yield what our script in Stash says; see `stash2plex.stash.hook_lines`."""
        return hook_lines(self, on_listening)

    async def entries_at(self, path: str) -> list[SceneEntry]:
        """Return the scenes that have this file, in whatever form of Unicode.

        Stash compares with LIKE, so ``_`` and ``%`` of the path are wildcards there
        and case is ignored; the answer is compared again here.
        """
        found = await self._find(_any_of(self._patterns([path])))
        wanted = normal(path)
        return [
            one for one in found if any(normal(f.path) == wanted for f in one.files)
        ]

    def _patterns(self, paths: Iterable[str], *, below: str = "") -> list[str]:
        """Return what finds *paths*, in both Unicode forms and native separators.

        Or what ends in them, with ``%/`` as *below*.
        """
        native = [
            one for path in paths for one in self._native(f"{below}{_spelled(path)}")
        ]
        forms = (form for one in native for form in both_forms(one))
        return list(dict.fromkeys([*native, *forms]))

    def _native(self, pattern: str) -> list[str]:
        """Return a pattern for a path with the separators that this server uses.

        Both, as long as it showed no path.
        """
        return [pattern.replace("/", one) for one in sorted(self._separators or "/\\")]

    def _learn_separator(self, files: Iterable[SceneFile]) -> None:
        """Remember which separator Stash's disk has; Windows has the other one."""
        if len(self._separators) < len("/\\"):
            for file in files:
                self._separators |= {"/" if "/" in file.path else "\\"}

    async def scenes_of_file(
        self, name: str, paths: Iterable[str] = ()
    ) -> list[SceneEntry]:
        """Return the scenes with a file of this *name*, or at one of *paths*.

        One request, and whole scenes with where their pictures are; when many have the
        name, only what a listing tells of those, and more requests. More may be found
        than was asked for: LIKE again. Names are asked for in both Unicode forms, since
        Stash keeps what the disk said.
        """
        if not (await self.dialect()).filters("path"):
            return []
        exact = self._patterns(paths)
        named = self._patterns([name], below="%/")
        wanted = [*named, *exact]
        found: list[SceneEntry] = []
        for start in range(0, len(wanted), _DEEPEST):
            found += await self._find_whole(_any_of(wanted[start : start + _DEEPEST]))
        if len(found) < _NAMESAKES:
            return found
        for start in range(0, len(exact), _DEEPEST):
            found += await self._find_whole(_any_of(exact[start : start + _DEEPEST]))
        after = 0
        while True:
            beyond = {"modifier": "GREATER_THAN", "value": after}
            page = await self._find_page({"id": beyond, "AND": _any_of(named)}, after)
            found = [*page.entries, *found]
            if page.is_last:
                return found
            after = page.last

    async def _find_whole(self, scenes: dict[str, Any]) -> list[Scene]:
        return await self.fitting(lambda dialect: self._whole(dialect, scenes))

    async def _whole(self, dialect: Dialect, scenes: dict[str, Any]) -> list[Scene]:
        chosen = self._first_page() | {"per_page": _NAMESAKES}
        query = queries.whole_scenes(dialect)
        answer = await self.ask(query, filter=chosen, scenes=scenes)
        found = []
        for row in _rows(answer, "findScenes", "scenes"):
            scene = self._understood(row, dialect)
            if isinstance(scene, Scene):
                found.append(scene)
            else:
                self._oddities.name(scene.thing, str(scene))
        return found

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
        variables = {f"n{n}": _spelled(name) for n, name in enumerate(names)}
        answer = await self.ask(query, **variables)
        found: set[str] = set()
        for number, name in enumerate(names):
            rows = [
                row
                for kind in dialect.named
                for row in _rows(answer, f"{kind[0]}{number}", "parts")
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
        after = 0
        while True:

            async def ask(dialect: Dialect, after: int = after) -> Page:
                name = f"{dialect.kind(kind)}s"
                if not dialect.filters(name):
                    return Page(rows=0, count=0, last=after, is_last=True)
                wanted = {"modifier": "INCLUDES", "value": [str(entity_id)]}
                beyond = {"modifier": "GREATER_THAN", "value": after}
                query = queries.entries(dialect)
                scenes = {"id": beyond, name: wanted}
                return await self._page_of(query, dialect, scenes, after)

            page = await self.fitting(ask)
            if page.rows:
                yield sorted({*(one.id for one in page.entries), *page.odd})
            after = page.last
            if page.is_last:
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
            chosen = self._first_page() | {"per_page": 1}
            query = queries.entries(await self.dialect())
            answer = await self.ask(query, filter=chosen, scenes=wanted)
            for row in _rows(answer, "findScenes", "scenes"):
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
        except _NO_SENSE as error:
            if (key := id_of(found)) is None:
                raise ServiceUnavailable("Stash", WRONG_URL) from None
            return OddAnswer("Stash", key, _told(error))
        self._learn_separator(scene.files)
        return scene

    def _first_page(self) -> dict[str, Any]:
        return {
            "per_page": self._page_size,
            "page": 1,
            "sort": "id",
            "direction": "ASC",
        }

    async def _find(self, scenes: dict[str, Any]) -> list[SceneEntry]:
        """Return the first page of what a filter finds; nothing where there is none."""
        dialect = await self.dialect()
        if not all(dialect.filters(name) for name in scenes if name not in _COMBINED):
            return []
        return (await self._find_page(scenes)).entries

    async def _find_page(self, scenes: dict[str, Any], after: int = 0) -> Page:
        """Return the first page of what is found beyond the id *after*.

        Raises `UnsteadyListing` when it is not beyond.
        """

        async def ask(dialect: Dialect) -> Page:
            query = queries.entries(dialect)
            return await self._page_of(query, dialect, scenes, after)

        return await self.fitting(ask)

    async def _page_of(
        self,
        query: GraphQLRequest,
        dialect: Dialect,
        scenes: dict[str, Any],
        after: int,
    ) -> Page:
        answer, size = await self._ask_for_page(query, scenes)
        rows = _rows(answer, "findScenes", "scenes")
        ids = [key for row in rows if (key := id_of(row))]
        if rows and not ids:
            raise ServiceUnavailable("Stash", WRONG_URL)
        if ids and min(ids) <= after:
            raise UnsteadyListing("Stash", _REPEATS)
        count = answer["findScenes"].get("count")
        page = Page(
            rows=len(rows),
            count=count if isinstance(count, int) else 0,
            last=max(ids, default=after),
            is_last=len(rows) < size,
        )
        for row in rows:
            try:
                page.entries.append(entry := entry_from(row, dialect.unknown))
                self._learn_separator(entry.files)
            except _NO_SENSE as error:
                key = id_of(row)
                self._oddities.name(key, _told(error))
                page.odd |= {key} if key else set()
        return page

    async def _ask_for_page(
        self, query: GraphQLRequest, scenes: dict[str, Any]
    ) -> tuple[dict[str, Any], int]:
        """Return a first page that is not too large, and how many it may hold."""
        while True:
            size = self._page_size
            try:
                answer = await self.ask(query, filter=self._first_page(), scenes=scenes)
            except AnswerTooLarge:
                if size == 1:
                    raise
                self._page_size = max(1, size // 2)
                log.warning("pages_halved", service="Stash", scenes=self._page_size)
            else:
                return answer, size


def _rows(answer: dict[str, Any], *names: str) -> list[Any]:
    """Return the rows of a listing; what an answer has under *names*."""
    found: Any = answer
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, list):
        raise ServiceUnavailable("Stash", WRONG_URL)
    return found


def _told(error: Exception) -> str:
    """Say what makes no sense about a row."""
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
