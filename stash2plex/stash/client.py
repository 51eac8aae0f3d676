"""Stash over GraphQL: read scenes and pictures, change nothing.

Every failure leaves as one of our errors. The API key goes into a header, only when
there is one (Stash refuses any key it does not know), and never into a URL. Redirects
are refused: following one ends on the login page with status 200.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import structlog
from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport
from gql.transport.exceptions import (
    TransportError,
    TransportProtocolError,
    TransportQueryError,
    TransportServerError,
)

from stash2plex.config import StashSettings
from stash2plex.errors import (
    AccessDenied,
    AnswerTooLarge,
    OddAnswer,
    PictureFailed,
    PictureNotFound,
    PictureUnusable,
    SchemaMismatch,
    ServerFault,
    ServiceUnavailable,
    Stash2PlexError,
    UnsteadyListing,
)
from stash2plex.link import no_redirects
from stash2plex.measures import Watch, nobody, timed
from stash2plex.net.answers import BodyTooLarge, LimitedResponse
from stash2plex.net.failures import first_reason, reason
from stash2plex.net.oddities import Oddities
from stash2plex.paths import normal
from stash2plex.pause import pause_asked
from stash2plex.scene import Scene, SceneEntry, SceneFile
from stash2plex.stash import queries
from stash2plex.stash.answers import (
    entry_from,
    id_of,
    picture_of,
    scene_from,
    version_from,
)
from stash2plex.stash.queries import Dialect
from stash2plex.text import both_forms, name_key

log = structlog.get_logger()

_DENIED = frozenset({401, 403})
_NOT_MODIFIED = 304
_FIRST_ERROR = 400
_NOT_FOUND = 404
_REDIRECT = 300
_MAX_PICTURE = 32 * 1024 * 1024
_PICTURES_AT_ONCE = 4
# GraphQL's own words for a query that does not fit the schema.
_MISFIT = frozenset({"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"})
WRONG_URL = (
    "it answers something else than GraphQL (a web page?); is stash.url right, base"
    " path included?"
)
# Whole scenes of one file name that are read at once.
_NAMESAKES = 20
# Names that are looked for in one request.
_NAMES = 20
# Performers, studios, tags or groups in one page.
_PARTS = 1000
# A subscription's link that does not answer is dead, seconds.
_PING = 30.0
_RENEWAL = 600.0
# How long an end may take that nobody waits for, seconds.
_PARTING = 1.0
_PARTINGS = 3
# What is raised over a row that makes no sense.
_NO_SENSE = (AttributeError, KeyError, TypeError, ValueError, OverflowError)
_REPEATS = "a listing repeats its pages"
# Scene filters that find what has a performer, studio, tag or group.
_FILTERS = {"performer": "performers", "studio": "studios", "tag": "tags"}


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


@dataclass(frozen=True, slots=True)
class PictureAnswer:
    """What asking for a picture brought.

    *data* is None when Stash has no picture (a placeholder), and when *unchanged*:
    then it is what *etag* said before.
    """

    data: bytes | None
    etag: str
    unchanged: bool = False


def _path_like(value: str) -> dict[str, Any]:
    return {"path": {"modifier": "EQUALS", "value": value}}


def _spelled(text: str) -> str:
    """Return *text* for LIKE; each ``%`` of it would cost Stash much, ``_`` nothing."""
    return text.replace("%", "_")


def _any_of(
    patterns: Iterable[str], others: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a filter for one of *patterns* in any Unicode form, or for *others*."""
    found = dict(others or {})
    wanted = list(patterns)
    forms = (form for one in wanted for form in both_forms(one))
    for value in dict.fromkeys([*wanted, *forms]):
        found = _path_like(value) | ({"OR": found} if found else {})
    return found


class StashClient:
    """One Stash server."""

    def __init__(
        self,
        settings: StashSettings,
        session: AsyncClientSession,
        pictures: aiohttp.ClientSession,
        headers: dict[str, str],
        watch: Watch,
    ) -> None:
        self._watch = watch
        self._headers = headers
        self._transport = session.transport
        self._settings = settings
        self._session = session
        self._pictures = pictures
        self._dialect: Dialect | None = None
        self._has_answered = False
        self._separators: set[str] = set()
        self._ahead = 0.0
        # Scenes in a page: halved when one is larger than we read.
        self._page_size = settings.page_size
        self._oddities = Oddities("Stash", "scene")
        self._picture_turns = asyncio.Semaphore(_PICTURES_AT_ONCE)
        self.version: str | None = None

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, settings: StashSettings, watch: Watch = nobody
    ) -> AsyncIterator[StashClient]:
        """Hold HTTP sessions open for the length of the block; asks nothing yet.

        *watch* takes the time of each query.
        """
        headers = {"Accept": "application/json"}
        if key := settings.api_key.get_secret_value():
            headers["ApiKey"] = key
        checked: ssl.SSLContext | bool = settings.verify_tls
        transport = AIOHTTPTransport(
            f"{settings.url}/graphql",
            headers=headers,
            ssl=checked,
            client_session_args={
                "timeout": aiohttp.ClientTimeout(total=settings.timeout),
                "response_class": LimitedResponse,
            },
        )
        async with (
            Client(transport=transport, execute_timeout=None) as session,
            aiohttp.ClientSession(
                headers={**headers, "Accept": "image/*"},
                timeout=aiohttp.ClientTimeout(total=settings.timeout),
                connector=aiohttp.TCPConnector(ssl=checked),
            ) as pictures,
        ):
            yield cls(settings, session, pictures, headers, watch)

    async def probe(self) -> str:
        """Ask which version this is and what its schema offers; returns the version."""
        answer = await self.ask(queries.PROBE)
        if "scene" in answer and answer["scene"] is None:
            raise _misfit("it knows no scenes")
        try:
            fields = {field["name"] for field in answer["scene"]["fields"]}
        except (KeyError, TypeError):
            raise ServiceUnavailable("Stash", WRONG_URL) from None
        filters = (answer.get("filter") or {}).get("inputFields") or ()
        self._dialect = Dialect(
            has_groups="groups" in fields,
            has_files_filter=any(one["name"] == "files_filter" for one in filters),
        )
        self.version = version_from(answer)
        return self.version

    async def ping(self) -> str:
        """Ask whether the server is there and takes our key; returns its version."""
        if self._dialect is None:
            return await self.probe()
        answer = await self.ask(queries.VERSION)
        version = version_from(answer)
        if version != self.version:
            return await self.probe()
        return version

    async def prove(self) -> None:
        """Count the scenes; raises `ServiceUnavailable` if not even that works."""
        try:
            await self.ask(queries.COUNT)
        except ServerFault as error:
            raise ServiceUnavailable("Stash", f"reading failed: {error}") from None

    async def scenes(
        self, scene_ids: Sequence[int], *, pictures: bool = False
    ) -> dict[int, Scene | Stash2PlexError | None]:
        """Read scenes in one request: None is gone, an error concerns that one only.

        With *pictures*, also where those of performers and studios are.
        """
        if not scene_ids:
            return {}
        try:
            return await self._scenes(scene_ids, pictures=pictures)
        except SchemaMismatch:
            # Another release may have been started behind our back.
            await self.probe()
            return await self._scenes(scene_ids, pictures=pictures)
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
        dialect = await self._known_dialect()
        later = {"modifier": "GREATER_THAN", "value": since}
        scenes: dict[str, Any] = {"updated_at": later}
        if dialect.has_files_filter:
            scenes["OR"] = {"files_filter": {"updated_at": later}}
        if after:
            beyond = {"modifier": "GREATER_THAN", "value": after}
            scenes = {"id": beyond, "AND": scenes}
        return await self._find_page(scenes, after, queries.counted_entries())

    async def changed_parts(self, kind: str, since: str) -> dict[int, str]:
        """Return the performers, studios, tags or groups that changed since.

        By id, with when they did, as Stash writes it; "" as *since* means all.
        """
        dialect = await self._known_dialect()
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

    @property
    def server_time(self) -> float | None:
        """Return Stash's clock as of its last answer, in unix seconds."""
        headers = getattr(self._transport, "response_headers", None) or {}
        try:
            return parsedate_to_datetime(headers.get("Date", "")).timestamp()
        except ValueError:
            return None

    @property
    def ahead(self) -> float:
        """Return by how many seconds Stash's clock is ahead of ours; 0 if unknown."""
        return self._ahead

    async def scans(self, on_listening: Callable[[], None]) -> AsyncIterator[None]:
        """Yield whenever a scan was completed, until the link breaks.

        Raises `ServiceUnavailable` when it cannot be made, or broke.
        """
        told: asyncio.Queue[bool] = asyncio.Queue()
        following = asyncio.create_task(self._follow_scans(on_listening, told))
        following.add_done_callback(lambda _: told.put_nowait(False))
        try:
            while await told.get():
                yield
        finally:
            # Told to end, gql may wait for an answer that never comes: tell it again.
            for _ in range(_PARTINGS):
                following.cancel()
                await asyncio.wait({following}, timeout=_PARTING)
        if not following.cancelled() and (error := following.exception()):
            raise error

    async def _follow_scans(
        self, on_listening: Callable[[], None], told: asyncio.Queue[bool]
    ) -> None:
        try:
            # Renewed now and then: gql goes deaf over a frame that is no answer.
            async with (
                asyncio.timeout(_RENEWAL),
                # gql leaves one of its own open when it is cancelled as it connects.
                aiohttp.ClientSession(middlewares=(no_redirects,)) as web,
                Client(transport=self._scan_transport(web)) as session,
            ):
                on_listening()
                async for _ in session.subscribe(queries.SCANS):
                    told.put_nowait(True)
        except (TransportError, aiohttp.ClientError, OSError) as error:
            raise ServiceUnavailable("Stash", await self._reason(error)) from None
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
            raise ServiceUnavailable("Stash", WRONG_URL) from None
        raise ServiceUnavailable("Stash", "it ended the subscription")

    def _scan_transport(self, web: aiohttp.ClientSession) -> AIOHTTPWebsocketsTransport:
        return AIOHTTPWebsocketsTransport(
            f"{self._settings.url}/graphql",
            session=web,
            headers=self._headers,
            ssl=None if self._settings.verify_tls else False,
            websocket_close_timeout=_PARTING,
            close_timeout=_PARTING,
            connect_timeout=self._settings.timeout,
            ack_timeout=self._settings.timeout,
            ping_interval=_PING,
            pong_timeout=self._settings.timeout,
            subprotocols=[AIOHTTPWebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        )

    async def entries_at(self, path: str) -> list[SceneEntry]:
        """Return the scenes that have this file, in whatever form of Unicode.

        Stash compares with LIKE, so ``_`` and ``%`` of the path are wildcards there
        and case is ignored; the answer is compared again here.
        """
        found = await self._find(_any_of(self._native(_spelled(path))))
        wanted = normal(path)
        return [
            one for one in found if any(normal(f.path) == wanted for f in one.files)
        ]

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
        exact = _any_of(one for path in paths for one in self._native(_spelled(path)))
        names = self._native(f"%/{_spelled(name)}")
        named = _any_of(names, exact)
        found: list[SceneEntry] = [*await self._find_whole(named)]
        if len(found) < _NAMESAKES:
            return found
        if exact:
            found += await self._find_whole(exact)
        after = 0
        while True:
            beyond = {"modifier": "GREATER_THAN", "value": after}
            wanted = {"id": beyond, "AND": _any_of(names)}
            page = await self._find_page(wanted, after)
            found = [*page.entries, *found]
            if page.is_last:
                return found
            after = page.last

    async def _find_whole(self, scenes: dict[str, Any]) -> list[Scene]:
        dialect = await self._known_dialect()
        chosen = self._first_page() | {"per_page": _NAMESAKES}
        query = queries.whole_scenes(dialect)
        answer = await self.ask(query, filter=chosen, scenes=scenes)
        found = []
        for row in _rows(answer, "findScenes", "scenes"):
            scene = self._understood(row)
            if isinstance(scene, Scene):
                found.append(scene)
            else:
                self._oddities.name(scene.thing, str(scene))
        return found

    async def image_url(self, kind: str, entity_id: int) -> str:
        """Return where the picture of a performer or studio is, "" without one.

        Only this tells a picture from the one that stands for none.
        """
        answer = await self.ask(queries.image_of(kind), id=str(entity_id))
        found = answer.get("found")
        return picture_of(found, self._settings.url) if found else ""

    async def studios_or_groups(self, names: Iterable[str]) -> set[str]:
        """Return which of *names* a studio or a group has, whatever their case."""
        wanted = list(dict.fromkeys(names))
        dialect = await self._known_dialect()
        found: set[str] = set()
        for start in range(0, len(wanted), _NAMES):
            batch = wanted[start : start + _NAMES]
            query = queries.studios_and_groups_named(dialect, len(batch))
            variables = {f"n{n}": _spelled(name) for n, name in enumerate(batch)}
            answer = await self.ask(query, **variables)
            for number, name in enumerate(batch):
                rows = [
                    row
                    for alias in (f"s{number}", f"g{number}")
                    for row in _rows(answer, alias, "parts")
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
        """Walk the ids of the scenes that have a performer, studio, tag or group."""
        dialect = await self._known_dialect()
        name = _FILTERS.get(kind, dialect.group_filter)
        after = 0
        while True:
            page = await self._find_page(
                {
                    "id": {"modifier": "GREATER_THAN", "value": after},
                    name: {"modifier": "INCLUDES", "value": [str(entity_id)]},
                },
                after,
            )
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
        return f"{self._settings.url}{path}"

    async def picture(self, url: str, etag: str = "") -> PictureAnswer:
        """Fetch a picture's bytes, unless it still is the one that *etag* names."""
        headers = {"If-None-Match": etag} if etag else {}
        try:
            async with (
                self._picture_turns,
                self._pictures.get(
                    url, headers=headers, allow_redirects=False
                ) as answer,
            ):
                return await self._read_picture(answer, etag)
        except aiohttp.ClientConnectorError as error:
            raise ServiceUnavailable("Stash", await self._reason(error)) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            # Stash may be well, and only this picture not.
            raise PictureFailed(f"Stash: {await self._reason(error)}") from None

    async def _read_picture(
        self, answer: aiohttp.ClientResponse, etag: str
    ) -> PictureAnswer:
        if answer.status == _NOT_MODIFIED:
            return PictureAnswer(None, etag, unchanged=True)
        if answer.status in _DENIED or _REDIRECT <= answer.status < _FIRST_ERROR:
            raise _denied(answer.status)
        if answer.status == _NOT_FOUND:
            raise PictureNotFound("Stash has no such picture")
        if answer.status >= _FIRST_ERROR:
            raise PictureFailed(f"Stash answered HTTP {answer.status} for a picture")
        kind = answer.content_type
        if kind == "image/svg+xml" or answer.url.query.get("default") == "true":
            return PictureAnswer(None, "")
        if not kind.startswith("image/") and kind != "application/octet-stream":
            raise PictureFailed(f"Stash answered {kind} for a picture")
        data = await answer.content.read(_MAX_PICTURE + 1)
        while len(data) <= _MAX_PICTURE and (
            more := await answer.content.read(_MAX_PICTURE + 1 - len(data))
        ):
            data += more
        if len(data) > _MAX_PICTURE:
            raise PictureUnusable("the picture is larger than 32 MB")
        return PictureAnswer(data, answer.headers.get("ETag", ""))

    async def _scenes(
        self, scene_ids: Sequence[int], *, pictures: bool
    ) -> dict[int, Scene | Stash2PlexError | None]:
        dialect = await self._known_dialect()
        query = queries.scenes_by_id(dialect, len(scene_ids), pictures=pictures)
        variables = {f"i{number}": str(id) for number, id in enumerate(scene_ids)}
        data, failed = await self._ask_partly(query, variables)
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
                answers[scene_id] = self._understood(data[alias])
        return answers

    def _understood(self, found: Any) -> Scene | OddAnswer:
        try:
            scene = scene_from(found, self._settings.url)
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
        return (await self._find_page(scenes)).entries

    async def _find_page(
        self,
        scenes: dict[str, Any],
        after: int = 0,
        query: GraphQLRequest | None = None,
    ) -> Page:
        """Return the first page of what is found beyond the id *after*.

        Raises `UnsteadyListing` when it is not beyond.
        """
        answer, size = await self._ask_for_page(query or queries.entries(), scenes)
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
                page.entries.append(entry := entry_from(row))
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

    async def _known_dialect(self) -> Dialect:
        if self._dialect is None:
            await self.probe()
        return self._dialect or Dialect()

    async def ask(self, query: GraphQLRequest, **variables: Any) -> dict[str, Any]:
        """Return the answer to one of our documents; raises our errors."""
        data, failed = await self._ask_partly(query, variables)
        if failed:
            raise ServerFault("Stash", next(iter(failed.values())))
        return data

    async def _ask_partly(
        self, query: GraphQLRequest, variables: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the answer, and what went wrong by the top-level field it hit."""
        request = queries.Question(query, variables)
        try:
            with timed(self._watch):
                answer = await self._session.execute(
                    request, extra_args={"allow_redirects": False}
                )
        except TransportQueryError as error:
            return _sorted_out(error)
        except TransportServerError as error:
            if error.code == _FIRST_ERROR and error.__cause__:
                # Go's servers answer so where they expect TLS.
                told = await self._reason(error)
                if "https://" in told:
                    raise ServiceUnavailable("Stash", told) from None
            raise _refused(error) from None
        except TransportProtocolError:
            raise ServiceUnavailable("Stash", WRONG_URL) from None
        except (TransportError, aiohttp.ClientError, OSError) as error:
            if isinstance(error.__cause__, BodyTooLarge):
                raise AnswerTooLarge("Stash", str(error.__cause__)) from None
            raise ServiceUnavailable("Stash", await self._reason(error)) from None
        except (AssertionError, AttributeError, TypeError, ValueError):
            # JSON, but no answer of a GraphQL server; gql trusts what it gets.
            raise ServiceUnavailable("Stash", WRONG_URL) from None
        self._has_answered = True
        clock = self.server_time
        self._ahead = 0.0 if clock is None else clock - time.time()
        return _table(answer), {}

    async def _reason(self, error: BaseException) -> str:
        """Return why Stash could not be asked."""
        cause = error.__cause__ if isinstance(error, TransportError) else error
        cause = cause or error
        if self._has_answered:
            return reason(cause, self._settings.url, "stash")
        return await first_reason(cause, self._settings.url, "stash")


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


def _sorted_out(
    error: TransportQueryError,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Tell a query the schema refuses from fields that failed (HTTP 200)."""
    listed = error.errors if isinstance(error.errors, list) else []
    errors = [one for one in listed if isinstance(one, dict)]
    messages = [str(one.get("message", "")) for one in errors] or [str(error)]
    if any((one.get("extensions") or {}).get("code") in _MISFIT for one in errors):
        raise _misfit(messages[0]) from None
    failed: dict[str, str] = {
        str(one["path"][0]): str(one.get("message", ""))
        for one in errors
        if one.get("path")
    }
    if not error.data or not failed or len(failed) < len(messages):
        # Which field the rest is about is unknown, so no null can be trusted.
        raise ServerFault("Stash", messages[0]) from None
    return _table(error.data), failed


def _table(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ServiceUnavailable("Stash", WRONG_URL)
    return data


def _refused(error: TransportServerError) -> Stash2PlexError:
    status = error.code
    if status in _DENIED:
        return _denied(status)
    if status == 422:  # noqa: PLR2004 - a proxy may have eaten the JSON of it
        return _misfit("HTTP 422")
    answer = error.__cause__
    headers = getattr(answer, "headers", None) or {}
    pause = pause_asked(headers, time.time())
    return ServiceUnavailable("Stash", f"HTTP {status}", pause=pause)


def _misfit(reason: str) -> SchemaMismatch:
    return SchemaMismatch(
        "Stash",
        f"it does not understand our query ({reason}); is it older than v0.25, or newer"
        " than this release of stash2plex knows?",
    )


def _denied(status: int | None) -> AccessDenied:
    return AccessDenied(
        "Stash",
        f"Stash refused the API key: HTTP {status}; set stash.api_key to the key under"
        " Settings > Security, or to nothing if Stash has none",
    )
