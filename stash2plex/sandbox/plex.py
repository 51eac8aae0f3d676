"""A pretend Plex Media Server: the XML that PMS speaks, with its awkward ways.

Listings are partial, an edit without ``id`` changes everything, control characters
come back as broken XML, pictures go by their SHA-1. How sure each habit is stands in
`stash2plex.sandbox.habits`; what nobody could verify is a switch there, and the tests
run it both ways.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import date, timedelta
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as Xml

from aiohttp import hdrs, web

from stash2plex.sandbox.agent import (
    ProviderClient,
    ProviderRefused,
    RegisteredProvider,
)
from stash2plex.sandbox.faults import PlexFaults
from stash2plex.sandbox.frames import new_film, scan_ended, timeline, timeline_frame
from stash2plex.sandbox.habits import Habits
from stash2plex.sandbox.items import (
    PICTURES,
    TAGS,
    TEXT,
    PretendItem,
    container,
    join,
    merged,
    photos,
    sort_form,
    take,
    video,
)
from stash2plex.sandbox.server import Facts

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_KINDS = {"posters": "thumb", "arts": "art", "poster": "thumb", "art": "art"}
_INDEXED_TAG = re.compile(r"(\w+)\[(\d*)\]\.tag\.tag(-?)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF")
_HIGHEST_RATING = 10
_PAGE_START, _PAGE_SIZE = "X-Plex-Container-Start", "X-Plex-Container-Size"
_STARTING = "Plex Media Server is still starting up. Please retry in a moment."


class PretendPlex(PlexFaults):
    """A server with movie libraries; its attributes are its switches."""

    url = ""
    clock: Callable[[], float] = staticmethod(time.time)

    def __init__(self, token: str = "pretend-plex-token") -> None:  # noqa: S107
        super().__init__()
        self.token = token
        self.machine = "pretend-machine"
        self.version = "1.43.1.10611"
        self.sections: dict[int, str] = {1: "Scenes"}
        self.kinds: dict[int, str] = {}  # of sections that are not of movies
        self.locations: dict[int, list[str]] = {}
        self.items: dict[int, PretendItem] = {}
        self.providers: dict[str, RegisteredProvider] = {}
        self.agents: dict[int, str] = {}  # section -> identifier of its provider
        self.groups: dict[int, tuple[str, str]] = {}  # id -> title, identifier
        self.provider_client = ProviderClient()
        self.facts = Facts()

        self.habits = Habits()
        self._spellings: dict[tuple[str, str], str] = {}  # as it saw tags first

        # What was asked of it.
        self.requests: list[tuple[str, str]] = []
        self.refused: Counter[int] = Counter()
        self.redundant_edits = 0  # that changed nothing
        self.refreshed_on_read = 0
        self.clients: set[str] = set()
        self.in_flight = self.most_in_flight = 0
        self._writing, self._next_key = asyncio.Lock(), 1

        self.app = web.Application(
            middlewares=[self._guard], client_max_size=64 * 1024 * 1024
        )
        self.sockets: set[web.WebSocketResponse] = set()
        self.told: set[asyncio.Task[None]] = set()
        self.on_disk: list[str] = []  # files that a scan finds
        self.scans: list[str] = []  # folders that were asked for; "" for a library
        self.tells = True  # whether it says what happens on its notification socket
        self.app.on_response_prepare.append(self._sign)
        self.app.on_shutdown.append(self._hang_up)
        self.app.on_cleanup.append(self._end)
        self.app.add_routes(self._routes())

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/:/websockets/notifications", self._socket),
            web.get("/media/providers/metadata", self._list_providers),
            web.post("/media/providers/metadata", self._add_provider),
            web.get("/media/providers/metadata/group", self._list_groups),
            web.post("/media/providers/metadata/group", self._add_group),
            web.put("/library/sections/{section}", self._set_agent),
            web.get("/library/sections/{section}/refresh", self._scan_folder),
            web.get("/library/metadata/{keys}/matches", self._search),
            web.put("/library/metadata/{keys}/match", self._bind),
            web.get("/", self._root),
            web.get("/identity", self._identity),
            web.get("/accounts", self._accounts),
            web.get("/activities", self._activities),
            web.put("/:/prefs", self._set_preference),
            web.get("/library", self._root),
            web.get("/library/sections", self._sections),
            web.get("/library/sections/{section}/all", self._list),
            web.put("/library/sections/{section}/all", self._edit),
            web.get("/library/metadata/{keys}", self._metadata),
            web.put("/library/metadata/{keys}/refresh", self._refresh),
            web.get("/library/metadata/{key}/{kind:posters|arts}", self._pictures),
            web.post("/library/metadata/{key}/{kind:posters|arts}", self._upload),
            web.put("/library/metadata/{key}/{kind:poster|art}", self._select),
            web.delete("/library/metadata/{key}/{kind:thumb|art}", self._drop),
            web.put("/:/rate", self._rate),
        ]

    def add(
        self,
        path: str,
        *more: str,
        rating_key: int | None = None,
        section: int = 1,
        size: int = 1000,
        **text: str,
    ) -> PretendItem:
        """Add an item with one file or more, titled after the first as a scan does."""
        key = rating_key or self._next_key
        self._next_key = max(self._next_key, key) + 1
        stem = re.split(r"[/\\]", path)[-1].rpartition(".")[0]
        now = int(self.clock())
        self.items[key] = PretendItem(
            rating_key=key,
            section=section,
            guid=f"tv.plex.agents.none://{key}",
            files=[(one, size) for one in (path, *more)],
            text={"title": stem, "titleSort": sort_form(stem), **text},
            agent={"title": stem, "titleSort": sort_form(stem)},
            added_at=now,
            updated_at=now,
        )
        self.facts.changed()
        self._tell_item(key, state=0, metadataState="created")
        if self.habits.frames_of_new_film and self.sockets and self.tells:
            self.tell(*new_film(key, section))
        return self.items[key]

    def remove(self, rating_key: int) -> None:
        """Take an item out, as emptying the trash does."""
        del self.items[rating_key]
        self.facts.changed()
        if self.habits.deletion_has_no_type:
            self._tell_item(rating_key, kind=-1, state=5)
        else:
            self._tell_item(rating_key, state=9, metadataState="deleted")

    def trash(self, *rating_keys: int) -> None:
        """Scan and miss the files of items, which stay listed as trash."""
        for key in rating_keys:
            self.items[key].deleted_at = int(self.clock())
            self._touched(self.items[key])
        if self.tells:
            self.tell_scan_ended()

    def restore(self, *rating_keys: int) -> None:
        """Scan and find the files of trashed items again."""
        for key in rating_keys:
            self.items[key].deleted_at = 0
            self._touched(self.items[key])
        if self.tells:
            self.tell_scan_ended()

    def rename(self, rating_key: int, path: str) -> PretendItem:
        """Find a file under another name: a new item, without locks and edits."""
        if self.habits.renamed_keeps_key:
            item = self.items[rating_key]
            item.files = [(path, item.files[0][1]), *item.files[1:]]
            self._touched(item)
            return item
        item = self.items[rating_key]
        self.remove(rating_key)
        return self.add(path, section=item.section, size=item.files[0][1])

    def touch(self, rating_key: int) -> None:
        """Save an item's row, as an edit in the UI or a nightly refresh does."""
        self._touched(self.items[rating_key])

    def choose(self, rating_key: int, name: str, data: bytes) -> None:
        """Upload and select a picture, as a person does in the UI."""
        self.items[rating_key].choose(name, data)
        self._touched(self.items[rating_key])

    def join_equal_guids(self) -> None:
        """Join items of an equal guid, as a scan does."""
        for item in join(self.items.values()):
            self.remove(item.rating_key)
            kept = next(o for o in self.items.values() if o.guid == item.guid)
            self._touched(kept)

    def count(self, method: str | None = None) -> int:
        """Return how many requests came in, of one *method* or of all."""
        return sum(method in {None, one} for one, _ in self.requests)

    # --- who may ask, and what goes wrong ------------------------------------

    async def _sign(self, _: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Plex-Protocol"] = "1.0"
        response.headers["Date"] = formatdate(self.clock(), usegmt=True)

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        self.requests.append((request.method, request.raw_path))
        self.clients.add(request.headers.get("X-Plex-Client-Identifier", ""))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.facts.changed()
        try:
            answer = await self._answer(request, handler)
        except web.HTTPException as error:
            self.refused[error.status] += 1
            if (error.text or "").startswith(f"{error.status}: "):
                error.text = error.reason
            raise
        finally:
            self.in_flight -= 1
            self.facts.changed()
        return answer

    async def _answer(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        if self.hangs:
            await asyncio.Event().wait()
        if self.latency:
            await asyncio.sleep(self.latency)
        if (broken := await self.line.broken(request)) is not None:
            return broken
        fault = self._failing_once(request) or self._fault(request)
        if fault is not None:
            self.refused[fault.status] += 1
            return fault
        if request.method == hdrs.METH_GET:
            return await self._read(request, handler)
        async with self._writing:  # PMS has one writer
            return await handler(request)

    def _failing_once(self, request: web.Request) -> web.Response | None:
        for one in self.fails_once:
            if request.method == one[0] and request.path.endswith(one[1]):
                self.fails_once.remove(one)
                return _refusal(one[2])
        return None

    def _fault(self, request: web.Request) -> web.Response | None:
        """Return what goes wrong with a request, None if nothing does."""
        if self.status is not None:
            return _refusal(self.status, self.retry_after)
        if self.is_starting and not self.habits.starts_with_400:
            return _refusal(503)
        # Nothing is how a real one answers an edit that it carried out.
        if self.garbles is not None and (self.garbles or request.method == "GET"):
            return web.Response(body=self.garbles, content_type="text/xml")
        if request.path != "/identity" or not _is_known(request.host):
            self._check_token(request)
        longest = self.habits.longest_target
        if longest is not None and len(request.raw_path) > longest:
            return _error_page(self.habits.long_target_status, "Bad Request")
        if self.is_starting and request.method != hdrs.METH_GET:
            return _error_page(400, _STARTING)
        return None

    async def _read(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        for start, status in self.read_status_of.items():
            if request.path.startswith(start):
                return _refusal(status)
        return await handler(request)

    def _check_token(self, request: web.Request) -> None:
        if "X-Plex-Token" in request.query:
            raise web.HTTPBadRequest(text="a token in a URL ends up in logs")
        if request.headers.get("X-Plex-Token") != self.token:
            raise web.HTTPUnauthorized
        if self.shared_token and request.method != hdrs.METH_GET:
            raise web.HTTPForbidden

    # --- reading ---------------------------------------------------------------

    async def _root(self, _: web.Request) -> web.Response:
        return container(
            machineIdentifier=self.machine,
            version=self.version,
            friendlyName="Pretend Plex",
        )

    async def _identity(self, _: web.Request) -> web.Response:
        return container(
            machineIdentifier=self.machine, version=self.version, claimed="1"
        )

    async def _accounts(self, _: web.Request) -> web.Response:
        if self.shared_token:
            raise web.HTTPForbidden
        return container(Xml.Element("Account", id="1", name="owner"))

    async def _activities(self, _: web.Request) -> web.Response:
        return container(
            Xml.Element("Activity", type="butler", title="Butler", progress="-1")
        )

    async def _set_preference(self, _: web.Request) -> web.Response:
        return web.Response()  # whatever its name is

    async def _sections(self, _: web.Request) -> web.Response:
        directories = []
        for key, title in self.sections.items():
            agent = self.agents.get(key, "tv.plex.agents.none")
            kind = self.kinds.get(key, "movie")
            directory = Xml.Element(
                "Directory",
                key=str(key),
                type=kind,
                title=title,
                agent=agent,
                hidden=str(key % 3),
            )
            for path in self.locations.get(key, []):
                Xml.SubElement(directory, "Location", id="1", path=path)
            directories.append(directory)
        directories.append(
            Xml.Element("Directory", key="99", type="artist", title="Music")
        )
        return container(*directories)

    async def _list(self, request: web.Request) -> web.Response:
        section = self._section(request)
        query = request.query
        if "file" in query and "type" not in query:
            raise web.HTTPInternalServerError
        found = [one for one in self.items.values() if one.section == section]
        if "file" in query:
            # A comma means "or", even when it is encoded.
            pieces = query["file"].split(",") if not self.ignores_file_filter else []
            found = [
                one
                for one in found
                if any(piece in path for piece in pieces for path, _ in one.files)
            ]
        for name, attribute in (("addedAt", "added_at"), ("updatedAt", "updated_at")):
            if since := query.get(f"{name}>>"):
                found = [one for one in found if getattr(one, attribute) > int(since)]
        found.sort(key=lambda one: (one.added_at, one.rating_key))
        headers = request.headers
        if (_PAGE_START in headers) != (_PAGE_SIZE in headers):
            raise web.HTTPBadRequest(text=f"{_PAGE_START} and {_PAGE_SIZE} are a pair")
        start = 0 if self.repeats_pages else int(headers.get(_PAGE_START, 0))
        size = int(headers.get(_PAGE_SIZE, len(found)))
        page = found[start : start + size]
        return container(
            *(self._shown(one, whole=False) for one in page),
            totalSize=str(len(found) + self.total_offset),
            offset=str(start),
            librarySectionID=str(section),
        )

    async def _metadata(self, request: web.Request) -> web.Response:
        keys = [int(key) for key in request.match_info["keys"].split(",")]
        if self.unreadable.intersection(keys):
            raise web.HTTPInternalServerError
        found = [self.items[key] for key in keys if key in self.items]
        if not found:
            raise web.HTTPNotFound
        if request.query.get("skipRefresh") != "1":
            self.refreshed_on_read += len(found)
        return container(*(self._shown(one, whole=True) for one in found))

    def _shown(self, item: PretendItem, *, whole: bool) -> Xml.Element:
        element = video(item, whole=whole)
        element.attrib.update(self.odd.get(item.rating_key, {}))
        return element

    # --- editing ---------------------------------------------------------------

    async def _edit(self, request: web.Request) -> web.Response:
        section = self._section(request)
        query = request.query
        if query.get("type") != "1":
            raise web.HTTPInternalServerError
        if "id" in query:
            items = [self._item(key) for key in query["id"].split(",")]
        else:  # as the real one: everything
            items = [one for one in self.items.values() if one.section == section]
        for item in items:
            self._may_write(item)
        if self.refuses_removals and "tag.tag-" in request.query_string:
            raise web.HTTPBadRequest
        for item in items:
            before = (dict(item.text), _copied(item.tags), set(item.locked))
            self._change(item, list(query.items()))
            self.redundant_edits += before == (item.text, item.tags, item.locked)
        if self.loses_answers:
            self.loses_answers -= 1
            return _refusal(web.HTTPBadGateway.status_code)
        return web.Response()

    def _change(self, item: PretendItem, parameters: Iterable[tuple[str, str]]) -> None:
        lists: dict[str, list[tuple[int, str]]] = {}
        removed: dict[str, list[str]] = {}
        values: dict[str, str] = {}
        for name, value in parameters:
            if name.endswith(".value"):
                values[name.removesuffix(".value")] = value
            elif tag := _INDEXED_TAG.fullmatch(name):
                if tag[3]:
                    names = value.split(",")
                    if self.habits.decodes_removed_twice:
                        names = [unquote(one) for one in names]
                    removed[tag[1]] = names
                else:
                    lists.setdefault(tag[1], []).append((int(tag[2]), value))
        self._check_values(values)
        self._set_text(item, values)
        for name, indexed in lists.items():
            wanted = [self._spelled(name, value) for _, value in sorted(indexed)]
            present = [] if self.habits.replaces_tags else item.tags.get(name, [])
            item.tags[name] = merged(present, wanted)
        for name, names in removed.items() if not self.keeps_tags else ():
            gone = {one.lower() for one in names}
            item.tags[name] = [
                one for one in item.tags.get(name, []) if one.lower() not in gone
            ]
        _lock(item, parameters)
        self._written(item)

    def _set_text(self, item: PretendItem, values: dict[str, str]) -> None:
        for name, value in values.items():
            item.text[name] = f"{float(value):.1f}" if name == "userRating" else value
            if name == "originallyAvailableAt" and value:
                if self.habits.shows_day_before:
                    day = date.fromisoformat(value) - timedelta(days=1)
                    item.text[name] = day.isoformat()
                item.text["year"] = value[:4]

    def _spelled(self, kind: str, tag: str) -> str:
        first = self._spellings.setdefault((kind, tag.lower()), tag)
        return first if self.habits.keeps_first_spelling else tag

    async def _refresh(self, request: web.Request) -> web.Response:
        """Let the agent overwrite what is not locked."""
        item = self._item(request.match_info["keys"])
        if item.section in self.agents:
            await self.refresh(item)
            return web.Response()
        for name in TEXT:
            if name not in item.locked and name != "userRating":
                item.text[name] = item.agent.get(name, "")
        for name in TAGS:
            if name not in item.locked and name != "collection":
                item.tags[name] = []
        self._select_provided(item)
        self._written(item)
        return web.Response()

    def _select_provided(self, item: PretendItem) -> None:
        """Show the agent's pictures where no lock says otherwise."""
        if self.habits.refresh_selects:
            for name in item.provided.keys() - item.locked:
                item.selected.pop(name, None)

    async def _rate(self, request: web.Request) -> web.Response:
        item = self._item(request.query["key"])
        self._may_write(item)
        if self.refuses_ratings:
            raise web.HTTPBadRequest
        rating = float(request.query["rating"])
        item.text["userRating"] = "" if rating < 0 else f"{rating:.1f}"
        self._written(item)
        return web.Response()

    # --- metadata providers ----------------------------------------------------

    async def use_provider(self, root: str, *sections: int) -> RegisteredProvider:
        """Register a provider and let *sections* (all if none) use it."""
        found = await self.provider_client.register(root, len(self.providers) + 1)
        self.providers[found.identifier] = found
        for section in sections or self.sections:
            self.agents[section] = found.identifier
        return found

    async def scan(
        self, *paths: str, section: int = 1, size: int = 1000
    ) -> list[PretendItem]:
        """Find new files: an item each, which its library's provider then describes."""
        items = [self.add(path, section=section, size=size) for path in paths]
        for item in items:
            provider = self.providers[self.agents[section]]
            answer = await self.provider_client.match(provider, self._hints(item))
            if answer.found:
                item.guid = answer.found[0]["guid"]
                await self.refresh(item)
            else:
                item.guid = f"local://{item.rating_key}"
            self.facts.changed()
        return items

    async def refresh(self, item: PretendItem) -> bool:
        """Read an item's metadata anew; False when its provider had none."""
        provider = self.providers[self.agents[item.section]]
        client = self.provider_client
        if not item.guid.startswith(f"{provider.identifier}://"):
            # As PMS does for what nobody matched: by its own number.
            guid = f"{provider.identifier}://movie/{item.rating_key}"
            await client.metadata(provider, guid)
            return False
        answer = await client.metadata(provider, item.guid)
        if not answer.found:
            return False
        document = answer.found[0]
        await client.more(provider, document["key"])
        take(item, document)
        for name in PICTURES:
            if name in document and name not in item.locked:
                data = await client.picture(document[name])
                if data is not None:
                    item.provided[name] = data
        self._select_provided(item)
        self._written(item)
        return True

    def _hints(self, item: PretendItem, **more: object) -> dict[str, object]:
        path = item.files[0][0]
        if not self.filename_is_absolute:
            for folder in self.locations.get(item.section, []):
                if path.startswith(f"{folder}/"):
                    path = path[len(folder) + 1 :]
                    break
            if self.filename_starts_with_slash:
                path = f"/{path}"
        hints: dict[str, object] = {"type": 1, "title": item.text["title"]}
        return hints | {"filename": path} | more

    async def _end(self, _: web.Application) -> None:
        await self.provider_client.close()

    async def _list_providers(self, _: web.Request) -> web.Response:
        return container(
            *(
                Xml.Element(
                    "MetadataAgentProvider",
                    id=str(one.id),
                    identifier=one.identifier,
                    title=one.title,
                    uri=one.root,
                )
                for one in self.providers.values()
            )
        )

    async def _add_provider(self, request: web.Request) -> web.Response:
        try:
            found = await self.provider_client.register(
                request.query["uri"], len(self.providers) + 1
            )
        except ProviderRefused as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        if found.identifier in self.providers:
            raise web.HTTPConflict
        self.providers[found.identifier] = found
        return await self._list_providers(request)

    async def _list_groups(self, _: web.Request) -> web.Response:
        return container(
            *(
                Xml.Element(
                    "MetadataAgentProviderGroup",
                    id=str(key),
                    title=title,
                    primaryIdentifier=identifier,
                )
                for key, (title, identifier) in self.groups.items()
            )
        )

    async def _add_group(self, request: web.Request) -> web.Response:
        query = request.query
        if query["primaryIdentifier"] not in self.providers:
            raise web.HTTPBadRequest
        key = len(self.groups) + 1
        self.groups[key] = (query["title"], query["primaryIdentifier"])
        return await self._list_groups(request)

    async def _set_agent(self, request: web.Request) -> web.Response:
        section = self._section(request)
        if "agent" not in request.query:
            raise web.HTTPBadRequest(text="'agent' is missing")
        _, identifier = self.groups[int(request.query["metadataAgentProviderGroupId"])]
        self.agents[section] = identifier
        return web.Response()

    async def _search(self, request: web.Request) -> web.Response:
        """Fix Match: ask the provider for what it may be."""
        item = self._item(request.match_info["keys"])
        provider = self.providers[self.agents[item.section]]
        typed = {k: v for k, v in request.query.items() if k in {"title", "year"}}
        hints = self._hints(item, manual=1, **typed)
        answer = await self.provider_client.match(provider, hints)
        results = []
        for one in answer.found:
            result = Xml.Element(
                "SearchResult",
                guid=one["guid"],
                name=one["title"],
                score=str(one.get("score", 0)),
            )
            if "year" in one:
                result.set("year", str(one["year"]))
            results.append(result)
        return container(*results)

    async def _bind(self, request: web.Request) -> web.Response:
        item = self._item(request.match_info["keys"])
        item.guid = request.query["guid"]
        await self.refresh(item)
        return web.Response()

    # --- pictures --------------------------------------------------------------

    async def _pictures(self, request: web.Request) -> web.Response:
        item = self._item(request.match_info["key"])
        kind = request.match_info["kind"]
        name = _KINDS[kind]
        if (before := self.before_list) is not None:
            self.before_list = None
            await before()
        if self.lists_lag and item.uploads.get(name):
            self.lists_lag -= 1
            return container()
        return container(*photos(item, name))

    async def _upload(self, request: web.Request) -> web.Response:
        item = self._item(request.match_info["key"])
        self._may_write(item)
        if self.picture_status is not None:
            self.refused[self.picture_status] += 1
            return _refusal(self.picture_status)
        data = await request.read()
        limit = self.habits.largest_upload
        if not data.startswith(_PICTURES) or (limit and len(data) > limit):
            raise web.HTTPInternalServerError
        name = _KINDS[request.match_info["kind"]]
        key, fresh = item.upload(name, data)
        habits = self.habits
        if habits.upload_locks:
            item.locked.add(name)
        if habits.upload_selects_fresh if fresh else habits.upload_selects_known:
            item.selected[name] = key
        self._written(item)
        if self.loses_uploads:
            self.loses_uploads -= 1
            return _refusal(web.HTTPBadGateway.status_code)
        return web.Response()

    async def _select(self, request: web.Request) -> web.Response:
        item = self._item(request.match_info["key"])
        self._may_write(item)
        name = _KINDS[request.match_info["kind"]]
        key = request.query["url"]
        if key not in item.candidates(name):
            raise web.HTTPNotFound
        item.selected[name] = key
        item.locked.add(name)
        self._written(item)
        if self.unread_after_select:
            self.fails_once.append(("GET", f"/metadata/{item.rating_key}", 500))
        return web.Response(text=f"/library/metadata/{item.rating_key}/{name}")

    async def _drop(self, request: web.Request) -> web.Response:
        item = self._item(request.match_info["key"])
        self._may_write(item)
        name = request.match_info["kind"]
        item.selected.pop(name, None)
        self._written(item)
        return web.Response()

    # --- notifications ---------------------------------------------------------

    def tell(self, *frames: str) -> None:
        """Say something on the notification socket, one frame after another."""
        for socket in list(self.sockets):
            task = asyncio.create_task(_send_all(socket, frames))
            self.told.add(task)
            task.add_done_callback(self.told.discard)

    def tell_scan_ended(self) -> None:
        """Say that a library was scanned to the end."""
        self.tell(scan_ended())

    def _tell_item(self, key: int, *, kind: int = 1, **state: Any) -> None:
        if self.sockets and self.tells:
            self.tell(timeline_frame(timeline(key, kind=kind, **state)))

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.add(socket)
        self.facts.changed()
        try:
            async for _ in socket:
                pass
        finally:
            self.sockets.discard(socket)
        return socket

    async def _scan_folder(self, request: web.Request) -> web.Response:
        section = self._section(request)
        folder = request.query.get("path", "")
        self.scans.append(folder)
        for path in [one for one in self.on_disk if one.startswith(folder)]:
            self.on_disk.remove(path)
            self.add(path, section=section)
        if self.habits.joins_equal_guids:
            self.join_equal_guids()
        self.tell_scan_ended()
        return web.Response()

    async def _hang_up(self, _: web.Application) -> None:
        for socket in list(self.sockets):
            await socket.close()

    # --- small things ------------------------------------------------------------

    def _section(self, request: web.Request) -> int:
        section = int(request.match_info["section"])
        if section not in self.sections:
            raise web.HTTPNotFound
        return section

    def _item(self, key: str) -> PretendItem:
        try:
            return self.items[int(key)]
        except (KeyError, ValueError):
            raise web.HTTPNotFound from None

    def _may_write(self, item: PretendItem) -> None:
        if status := self.status_of.get(item.rating_key):
            raise _HTTP_ERRORS[status]

    def _check_values(self, values: dict[str, str]) -> None:
        if values.get("title") == "" or self.refused_field in values:
            raise web.HTTPBadRequest
        date = values.get("originallyAvailableAt")
        if date and not _DATE.fullmatch(date):
            raise web.HTTPBadRequest
        rating = values.get("userRating")
        if rating is not None and not 0 <= float(rating or -1) <= _HIGHEST_RATING:
            raise web.HTTPBadRequest

    def _written(self, item: PretendItem) -> None:
        item.writes += 1
        self._touched(item)

    def _touched(self, item: PretendItem) -> None:
        item.updated_at = int(self.clock())
        self.facts.changed()
        self._tell_item(item.rating_key, state=5)


_HTTP_ERRORS: dict[int, type[web.HTTPError]] = {
    400: web.HTTPBadRequest,
    401: web.HTTPUnauthorized,
    404: web.HTTPNotFound,
    409: web.HTTPConflict,
    500: web.HTTPInternalServerError,
    503: web.HTTPServiceUnavailable,
}


def _copied(tags: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: list(names) for name, names in tags.items()}


def _lock(item: PretendItem, parameters: Iterable[tuple[str, str]]) -> None:
    for name, value in parameters:
        if name.endswith(".locked"):
            change = item.locked.add if value == "1" else item.locked.discard
            change(name.removesuffix(".locked"))


async def _send_all(socket: web.WebSocketResponse, frames: Iterable[str]) -> None:
    for frame in frames:
        await socket.send_str(frame)


def _is_known(host: str) -> bool:
    """Whether PMS takes a name that a client called it by for its own."""
    name = host.rpartition(":")[0] or host
    return name == "localhost" or name.strip("[]").replace(".", "").isdecimal()


def _error_page(status: int, text: str) -> web.Response:
    """Return a refusal as PMS words it: a small HTML page."""
    page = (
        f"<html><head><title>{text}</title></head>"
        f"<body><h1>{status} {text}</h1></body></html>"
    )
    return web.Response(status=status, text=page, content_type="text/html")


def _refusal(status: int, retry_after: str = "") -> web.Response:
    title = "Maintenance" if status == web.HTTPServiceUnavailable.status_code else ""
    body = f'<Response code="{status}" title="{title}" status="refused"/>'
    headers = {"Retry-After": retry_after} if retry_after else {}
    return web.Response(
        status=status, text=body, content_type="text/xml", headers=headers
    )
