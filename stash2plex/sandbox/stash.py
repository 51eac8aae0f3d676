"""A pretend Stash: real GraphQL over made-up scenes, with Stash's own semantics.

LIKE for paths, text for times, a login page instead of a picture, plugins run as
processes while the user waits. Its attributes are its switches.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import sys
import zlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

from aiohttp import web
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    execute,
    parse,
    validate,
)

from stash2plex.sandbox.schema import schema
from stash2plex.sandbox.server import Facts, LineBreaker
from stash2plex.sandbox.subscriptions import Subscriptions

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PLUGIN_ID = "stash2plexd"
_COOKIE = "pretend-session"
_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAA"
    "SUVORK5CYII="
)
_PLACEHOLDER = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
_INDEX = "<!DOCTYPE html><html><body>Stash</body></html>"
_ENTITIES = ("performer", "studio", "tag", "group")
# What Stash sends for every field of an edit that the user did not touch.
_INPUT_FIELDS = tuple(
    """
    clientMutationId id title code details director url urls date rating100 o_counter
    organized studio_id gallery_ids performer_ids movies groups tag_ids cover_image
    stash_ids resume_time play_duration play_count primary_file_id
    """.split()
)


@dataclass(slots=True)
class PretendScene:
    """One scene; entities by id, files as (path, size)."""

    id: int
    files: list[tuple[str, int]]
    updated_at: datetime
    created_at: datetime
    files_updated_at: datetime
    title: str = ""
    code: str = ""
    details: str = ""
    director: str = ""
    date: str = ""
    rating100: int | None = None
    organized: bool = False
    studio: int | None = None
    performers: list[int] = field(default_factory=list)
    tags: list[int] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    stash_ids: list[str] = field(default_factory=list)
    cover: bytes | None = None
    duration: float = 60.0
    oshash: str = ""


class PretendStash:
    """A server with scenes; edits through `edit` fire hooks as the UI's do."""

    def __init__(self, *, has_groups: bool = True, base_path: str = "") -> None:
        self.version = "v0.30.1" if has_groups else "v0.25.1"
        self.url = ""
        self.api_key = ""  # what is configured in Stash; "": no authentication
        self.zone: tzinfo = UTC
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.scenes: dict[int, PretendScene] = {}
        self.names: dict[str, dict[int, str]] = {kind: {} for kind in _ENTITIES}
        self.changed_at: dict[tuple[str, int], datetime] = {}  # of entities
        self.parents: dict[int, int] = {}  # of studios
        self.portraits: dict[tuple[str, int], bytes] = {}  # performers and studios
        self.plugin_settings: dict[str, dict[str, Any]] = {}
        self.plugins: dict[str, bool] = {}  # other plugins, and whether enabled
        self.plugin_enabled = True
        self.package_sources: list[dict[str, Any]] = [
            {
                "name": "Community (stable)",
                "url": "https://x",
                "local_path": "community",
            }
        ]
        # Installs a plugin as Stash does, given its id and source; returns the shim.
        self.installer: Callable[[str, str], Awaitable[Path]] | None = None
        self.installed_from: str | None = None  # the index; None is a copied folder
        self.package_jobs: dict[str, asyncio.Task[Path]] = {}
        self.plugin: Path | None = None  # the shim, run for every hook
        self.plugin_log: list[str] = []
        self.facts = Facts()

        # Faults.
        self.fails_reading = ""  # the message of every question about scenes
        self.status: int | None = None
        self.retry_after = ""  # a header of such answers
        self.line = LineBreaker()
        self.hangs = False
        self.garbles: str | None = None
        self.failing: dict[int, str] = {}  # scene id -> message of a resolver error
        # Fields that make no sense, by scene id; a listing that always starts anew.
        self.odd: dict[int, dict[str, Any]] = {}
        self.repeats_pages = False
        self.picture_status: int | None = None
        self.hanging_picture: int | None = None  # scene id
        self.picture_type: str | None = None
        self.latency = 0.0
        self.date: str | None = None  # what its clock says in headers

        # What was asked of it.
        self.asked = 0
        self.operations: Counter[str] = Counter()
        self.picture_requests = 0
        self.picture_bytes = 0
        self.documents: set[str] = set()

        self.subscriptions = Subscriptions(self.facts)
        self.schema = schema(has_groups=has_groups)
        self._read_documents: dict[
            tuple[int, str], tuple[DocumentNode, list[GraphQLError]]
        ] = {}
        self._base_path = base_path
        self._ids: list[int] = []
        self.app = web.Application(
            middlewares=[self._guard], client_max_size=64 * 1024 * 1024
        )
        self.app.on_shutdown.append(self.subscriptions.hang_up)
        self.app.add_routes(
            [
                web.post(f"{base_path}/graphql", self._graphql),
                web.get(f"{base_path}/graphql", self.subscriptions.answer),
                web.get(f"{base_path}/scene/{{id}}/screenshot", self._screenshot),
                web.get(
                    f"{base_path}/{{kind:performer|studio}}/{{id}}/image",
                    self._portrait,
                ),
                web.route("*", "/{tail:.*}", self._index),
            ]
        )

    # --- making and changing scenes ------------------------------------------

    def add(
        self,
        path: str | None,
        *more: str,
        scene_id: int | None = None,
        size: int = 1000,
        **fields: Any,
    ) -> PretendScene:
        """Add a scene without a hook; names of entities instead of ids are fine."""
        key = scene_id or (self._ids[-1] + 1 if self._ids else 1)
        files = [(one, size) for one in (path, *more) if one is not None]
        now = self._now()
        scene = PretendScene(
            id=key, files=files, updated_at=now, created_at=now, files_updated_at=now
        )
        self.scenes[key] = scene
        self._ids.insert(bisect_right(self._ids, key), key)
        self.change(key, **fields)
        return scene

    def change(self, scene_id: int, **fields: Any) -> None:
        """Change a scene as something that fires no hook would."""
        scene = self.scenes[scene_id]
        for name, value in fields.items():
            setattr(scene, name, self._ids_for(name, value))
        scene.updated_at = self._now()

    def remove(self, scene_id: int) -> PretendScene:
        """Delete a scene without a hook."""
        self._ids.remove(scene_id)
        return self.scenes.pop(scene_id)

    def entity(self, kind: str, name: str) -> int:
        """Return the id of a performer, studio, tag or group; made if needed."""
        known = self.names[kind]
        for key, other in known.items():
            if other == name:
                return key
        key = max(known, default=0) + 1
        self.rename(kind, key, name)
        return key

    def rename(self, kind: str, key: int, name: str) -> None:
        """Give a performer, studio, tag or group a name; its scenes stay untouched."""
        self.names[kind][key] = name
        self.changed_at[kind, key] = self._now()

    def remove_entity(self, kind: str, key: int) -> None:
        """Delete a performer, studio, tag or group; its scenes stay untouched."""
        del self.names[kind][key]
        self.changed_at.pop((kind, key), None)
        for scene in self.scenes.values():
            if kind == "studio":
                scene.studio = None if scene.studio == key else scene.studio
            else:
                held = getattr(scene, f"{kind}s")
                setattr(scene, f"{kind}s", [one for one in held if one != key])

    def merge_entities(self, kind: str, source: int, destination: int) -> None:
        """Make one tag or performer of two; their scenes stay untouched."""
        for scene in self.scenes.values():
            held = getattr(scene, f"{kind}s")
            merged = [destination if one == source else one for one in held]
            setattr(scene, f"{kind}s", list(dict.fromkeys(merged)))
        del self.names[kind][source]
        self.changed_at[kind, destination] = self._now()

    def merge_scenes(self, source: int, destination: int) -> None:
        """Make one scene of two: the files move, and no hook is fired."""
        self.scenes[destination].files += self.remove(source).files
        self.change(destination)

    def move_file(self, scene_id: int, path: str) -> None:
        """Move a scene's first file; only the file knows."""
        scene = self.scenes[scene_id]
        scene.files[0] = (path, scene.files[0][1])
        scene.files_updated_at = self._now()

    def rename_folder(self, before: str, after: str) -> None:
        """Rename a folder; nothing but the paths tells."""
        for scene in self.scenes.values():
            scene.files = [
                (after + path.removeprefix(before), size)
                if path.startswith(f"{before}/")
                else (path, size)
                for path, size in scene.files
            ]

    async def edit(self, scene_id: int, **fields: Any) -> None:
        """Edit a scene as a user does: stored, then hooks, then the answer."""
        self.change(scene_id, **fields)
        given = dict.fromkeys(_INPUT_FIELDS) | {"id": str(scene_id)}
        await self.fire("Scene.Update.Post", scene_id, given, ["id", *fields])

    async def destroy(self, scene_id: int) -> None:
        """Delete a scene as a user does."""
        scene = self.remove(scene_id)
        path = scene.files[0][0] if scene.files else ""
        given = {
            "id": str(scene_id),
            "delete_file": None,
            "delete_generated": True,
            "checksum": "",
            "oshash": _oshash(path),
            "path": path,
        }
        await self.fire("Scene.Destroy.Post", scene_id, given)

    async def fire(
        self, kind: str, entity_id: int, given: Any, fields: list[str] | None = None
    ) -> None:
        """Run the plugin for one hook and wait for it, as Stash does."""
        hook: dict[str, Any] = {"id": entity_id, "type": kind, "input": given}
        if fields:
            hook["inputFields"] = fields
        await self.run_plugin({"hookContext": hook})

    async def run_plugin(self, args: Mapping[str, Any]) -> Any:
        """Run the plugin with *args*; returns what it printed, keeps what it logged."""
        if self.plugin is None:
            return None
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(self.plugin),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        message = {"server_connection": self.connection(), "args": args}
        try:
            out, err = await process.communicate(json.dumps(message).encode())
        except asyncio.CancelledError:  # Stash kills it when nobody waits any more
            process.kill()
            await process.wait()
            raise
        self.plugin_log += err.decode("utf-8", "replace").splitlines()
        return json.loads(out) if out else None

    def connection(self) -> dict[str, Any]:
        """Return what Stash tells a plugin about itself."""
        port = int(self.url.rpartition(":")[2].partition("/")[0] or 9999)
        return {
            "Scheme": "http",
            "Host": "0.0.0.0",  # noqa: S104 - the bind address, as Stash sends it
            "Port": port,
            "SessionCookie": {"Name": "session", "Value": _COOKIE, "Quoted": False},
            "Dir": "/root/.stash",
            "PluginDir": str(self.plugin.parent) if self.plugin else "",
        }

    def _now(self) -> datetime:
        moment = self.clock().replace(microsecond=0).astimezone(self.zone)
        # Fixed: what was written stays, whatever Stash's zone is later.
        return moment.astimezone(timezone(moment.utcoffset() or timedelta()))

    def _ids_for(self, name: str, value: Any) -> Any:
        if name == "studio" and isinstance(value, str):
            return self.entity("studio", value) if value else None
        if name in {"performers", "tags", "groups"}:
            kind = name.removesuffix("s")
            return [
                self.entity(kind, one) if isinstance(one, str) else one for one in value
            ]
        return value

    # --- answering -----------------------------------------------------------

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        self.asked += 1
        self.facts.changed()
        try:
            return await self._answer(request, handler)
        finally:
            self.facts.changed()

    async def _answer(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        if self.hangs:
            await asyncio.Event().wait()
        if self.latency:
            await asyncio.sleep(self.latency)
        fault = await self.line.broken(request) or self._fault()
        if fault is not None:
            return fault
        if "X-Forwarded-For" in request.headers:
            return web.Response(status=403, text="tripwire")
        key = request.headers.get("ApiKey")
        if key is not None and key != self.api_key:
            return web.Response(status=401)
        logged_in = key or request.cookies.get("session") == _COOKIE
        if self.api_key and not logged_in:
            if request.path.endswith("/graphql"):
                return web.Response(status=401)
            raise web.HTTPFound(f"/login?returnURL={request.path}")
        return await handler(request)

    def _fault(self) -> web.Response | None:
        if self.status is not None:
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.Response(status=self.status, headers=headers)
        if self.garbles is not None:
            return web.Response(text=self.garbles, content_type="text/html")
        return None

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(text=_INDEX, content_type="text/html")

    async def _graphql(self, request: web.Request) -> web.Response:
        body = await request.json()
        document = body["query"]
        self.documents.add(document)
        parsed, errors = self._read_document(document)
        if errors:
            extensions = {"code": "GRAPHQL_VALIDATION_FAILED"}
            listed = [
                {"message": one.message, "extensions": extensions} for one in errors
            ]
            accepts_json = "application/json" in request.headers.get("Accept", "")
            return web.json_response(
                {"errors": listed, "data": None}, status=422 if accepts_json else 400
            )
        match = re.search(r"(?:query|mutation)\s+(\w+)", document)
        self.operations[match[1] if match else "anonymous"] += 1
        result = execute(
            self.schema,
            parsed,
            _Root(self, request),
            variable_values=body.get("variables"),
        )
        if not isinstance(result, ExecutionResult):  # of a mutation; no query waits
            result = await result
        answer = web.json_response(self._with_odd(result.formatted))
        if self.date is not None:
            answer.headers["Date"] = self.date
        return answer

    def _with_odd(self, answer: Any) -> Any:
        """Put what makes no sense in the place of what a schema would allow."""
        if not self.odd:
            return answer
        if isinstance(answer, list):
            return [self._with_odd(one) for one in answer]
        if not isinstance(answer, dict):
            return answer
        shown = {name: self._with_odd(value) for name, value in answer.items()}
        if "files" in shown and str(shown.get("id", "")).isdecimal():
            wrong = self.odd.get(int(shown["id"]), {})
            shown |= {name: value for name, value in wrong.items() if name in shown}
        return shown

    def _read_document(self, text: str) -> tuple[DocumentNode, list[GraphQLError]]:
        """Parse and validate a document, once; Stash keeps them too."""
        key = (id(self.schema), text)
        if key not in self._read_documents:
            parsed = parse(text)
            self._read_documents[key] = parsed, validate(self.schema, parsed)
        return self._read_documents[key]

    async def _screenshot(self, request: web.Request) -> web.Response:
        self.picture_requests += 1
        if self.picture_status is not None:
            return web.Response(status=self.picture_status)
        if request.match_info["id"] == str(self.hanging_picture):
            await asyncio.Event().wait()
        scene = self.scenes.get(int(request.match_info["id"]))
        if scene is None:
            raise web.HTTPNotFound
        if scene.cover is None:
            return web.Response(body=_PLACEHOLDER, content_type="image/svg+xml")
        return self._picture(request, scene.cover)

    async def _portrait(self, request: web.Request) -> web.Response:
        self.picture_requests += 1
        key = int(request.match_info["id"])
        kind = request.match_info["kind"]
        if key not in self.names[kind]:
            raise web.HTTPNotFound
        data = self.portraits.get((kind, key))
        if data is None:  # the placeholder of a performer is a real picture
            return web.Response(body=_PIXEL, content_type="image/png")
        return self._picture(request, data)

    def _picture(self, request: web.Request, data: bytes) -> web.Response:
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        etag = f'"{digest}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        self.picture_bytes += len(data)
        kind = self.picture_type or "image/jpeg"
        return web.Response(body=data, content_type=kind, headers={"ETag": etag})

    def may_read(self) -> None:
        """Raise what goes wrong with its database, if anything does."""
        if self.fails_reading:
            raise GraphQLError(self.fails_reading)

    # --- looking up ------------------------------------------------------------

    def time_text(self, moment: datetime) -> str:
        """Write a time as Stash stores it: RFC 3339, in the zone of the day."""
        return moment.isoformat().replace("+00:00", "Z")

    def find(self, wanted: Mapping[str, Any], limit: int) -> Iterable[PretendScene]:
        """Return scenes by id that pass a filter, at most *limit*."""
        after = 0
        if (criterion := wanted.get("id")) and not self.repeats_pages:
            after = criterion["value"]
        start = bisect_right(self._ids, after)
        found: list[PretendScene] = []
        for key in self._ids[start:]:
            if len(found) >= limit:
                break
            if self._passes(self.scenes[key], wanted):
                found.append(self.scenes[key])
        return found

    def _passes(self, scene: PretendScene, wanted: Mapping[str, Any]) -> bool:
        if (other := wanted.get("OR")) and self._passes(scene, other):
            return True
        if (also := wanted.get("AND")) and not self._passes(scene, also):
            return False
        return self._has_file(scene, wanted) and self._has_entities(scene, wanted)

    def _has_file(self, scene: PretendScene, wanted: Mapping[str, Any]) -> bool:
        if hashed := wanted.get("oshash"):
            own = scene.oshash or (_oshash(scene.files[0][0]) if scene.files else "")
            if not _like(hashed["value"]).fullmatch(own):
                return False
        if path := wanted.get("path"):
            pattern = _like(path["value"])
            if not any(pattern.fullmatch(one) for one, _ in scene.files):
                return False
        files = (wanted.get("files_filter") or {}).get("updated_at")
        return (
            self.is_after(scene.updated_at, wanted.get("updated_at"))
            and self.is_after(scene.created_at, wanted.get("created_at"))
            and self.is_after(scene.files_updated_at, files)
        )

    def is_after(self, moment: datetime, criterion: Mapping[str, Any] | None) -> bool:
        """Compare text against text, whatever zones the two were written in."""
        return not criterion or self.time_text(moment) > criterion["value"]

    def _has_entities(self, scene: PretendScene, wanted: Mapping[str, Any]) -> bool:
        for name in ("performers", "tags", "groups", "movies"):
            if criterion := wanted.get(name):
                own = getattr(scene, "groups" if name == "movies" else name)
                if not set(map(int, criterion["value"])) & set(own):
                    return False
        if known := wanted.get("stash_id_endpoint"):
            ids = {one.casefold() for one in scene.stash_ids}
            if known["stash_id"].casefold() not in ids:
                return False
        studios = wanted.get("studios")
        return not studios or str(scene.studio) in studios["value"]


class _Root:
    """The resolvers, by field name."""

    def __init__(self, stash: PretendStash, request: web.Request) -> None:
        self._stash = stash
        # Stash builds URLs from the host it was asked by.
        self._base = f"http://{request.host}{stash._base_path}"

    def version(self, _info: Any) -> dict[str, str]:
        return {"version": self._stash.version, "hash": "pretend", "build_time": ""}

    def configuration(self, _info: Any) -> dict[str, Any]:
        def plugins(_info: Any, include: list[str] | None = None) -> dict[str, Any]:
            known = self._stash.plugin_settings
            return {
                key: value for key, value in known.items() if key in (include or known)
            }

        return {"plugins": plugins, "general": self._general()}

    def _general(self) -> dict[str, Any]:
        return {"pluginPackageSources": self._stash.package_sources}

    async def sceneUpdate(self, _info: Any, input: dict[str, Any]) -> dict[str, Any]:
        scene_id = int(input.pop("id"))
        if scene_id not in self._stash.scenes:
            raise GraphQLError(f"scene with id {scene_id} not found")
        await self._stash.edit(scene_id, **input)
        return self._shown(self._stash.scenes[scene_id])

    def configureGeneral(self, _info: Any, input: dict[str, Any]) -> dict[str, Any]:
        self._stash.package_sources = input["pluginPackageSources"]
        return self._general()

    def configurePlugin(
        self, _info: Any, plugin_id: str, input: dict[str, Any]
    ) -> dict[str, Any]:
        self._stash.plugin_settings[plugin_id] = input  # the whole map
        return input

    def setPluginsEnabled(self, _info: Any, enabledMap: dict[str, bool]) -> bool:
        self._stash.plugin_enabled = enabledMap.get(
            PLUGIN_ID, self._stash.plugin_enabled
        )
        return True

    def installPackages(
        self, _info: Any, type: str, packages: list[dict[str, str]]
    ) -> str:
        number = str(len(self._stash.package_jobs) + 1)
        (package,) = packages

        async def install() -> Path:
            assert self._stash.installer  # noqa: S101
            shim = await self._stash.installer(package["id"], package["sourceURL"])
            self._stash.plugin = shim
            self._stash.installed_from = package["sourceURL"]
            return shim

        self._stash.package_jobs[number] = asyncio.create_task(install())
        return number

    def installedPackages(self, _info: Any, type: str) -> list[dict[str, str]]:
        source = self._stash.installed_from
        return [{"package_id": PLUGIN_ID, "sourceURL": source}] if source else []

    def findJob(self, _info: Any, input: dict[str, str]) -> dict[str, str] | None:
        job = self._stash.package_jobs.get(input["id"])
        if job is None:
            return None
        # What went wrong with a package is in Stash's log only.
        return {"id": input["id"], "status": "FINISHED" if job.done() else "RUNNING"}

    def plugins(self, _info: Any) -> list[dict[str, Any]]:
        known = dict(self._stash.plugins)
        if self._stash.plugin is not None:
            known[PLUGIN_ID] = self._stash.plugin_enabled
        return [
            {"id": key, "name": key, "version": "0.1.0", "enabled": enabled}
            for key, enabled in known.items()
        ]

    def findScene(self, _info: Any, id: str | None = None, **_: Any) -> Any:
        self._stash.may_read()
        scene = self._stash.scenes.get(int(id or 0))
        if scene is not None and scene.id in self._stash.failing:
            raise GraphQLError(self._stash.failing[scene.id])
        return self._shown(scene) if scene else None

    async def runPluginOperation(
        self, _info: Any, plugin_id: str, args: dict[str, Any] | None = None
    ) -> Any:
        if plugin_id != PLUGIN_ID or self._stash.plugin is None:
            raise GraphQLError(
                "Internal system error. Error <runtime error: invalid memory address"
                " or nil pointer dereference>"
            )
        printed = await self._stash.run_plugin(args or {})
        if printed.get("error"):
            raise GraphQLError(printed["error"])
        return printed["output"]

    def findPerformer(self, _info: Any, id: str) -> Any:
        return self._with_image("performer", int(id))

    def findStudio(self, _info: Any, id: str) -> Any:
        return self._with_image("studio", int(id))

    def _with_image(self, kind: str, key: int) -> dict[str, Any] | None:
        if key not in self._stash.names[kind]:
            return None
        return {"image_path": self._image_path(kind, key)}

    def findScenes(
        self,
        _info: Any,
        scene_filter: dict[str, Any] | None = None,
        filter: dict[str, Any] | None = None,
        ids: list[str] | None = None,
    ) -> dict[str, Any]:
        self._stash.may_read()
        if ids is not None:
            missing = [one for one in ids if int(one) not in self._stash.scenes]
            if missing:
                raise GraphQLError(f"scene with id {missing[0]} not found")
        chosen = filter or {}
        if chosen.get("sort") != "id":
            raise GraphQLError("the pretend Stash needs sort: id")
        wanted = scene_filter or {}
        found = self._stash.find(wanted, chosen.get("per_page", 25))

        def count(_info: Any) -> int:
            return len(list(self._stash.find(wanted, sys.maxsize)))

        return {"count": count, "scenes": [self._shown(one) for one in found]}

    def findPerformers(self, _info: Any, **given: Any) -> Any:
        return self._entities("performer", given)

    def findStudios(self, _info: Any, **given: Any) -> Any:
        return self._entities("studio", given)

    def findTags(self, _info: Any, **given: Any) -> Any:
        return self._entities("tag", given)

    def findGroups(self, _info: Any, **given: Any) -> Any:
        return self._entities("group", given)

    def findMovies(self, _info: Any, **given: Any) -> Any:
        answer = self._entities("group", {"group_filter": given.get("movie_filter")})
        return {"count": answer["count"], "movies": answer["groups"]}

    def _entities(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        stash = self._stash
        wanted = given.get(f"{kind}_filter") or {}
        changed = stash.changed_at
        keys = [
            key
            for key in sorted(stash.names[kind])
            if stash.is_after(changed[kind, key], wanted.get("updated_at"))
            if not (named := wanted.get("name"))
            or _like(named["value"]).fullmatch(stash.names[kind][key])
        ]
        chosen = given.get("filter") or {}
        size, page = chosen.get("per_page", 25), chosen.get("page", 1)
        page = 1 if stash.repeats_pages else page
        shown = [
            {
                "id": key,
                "name": stash.names[kind][key],
                "updated_at": stash.time_text(changed[kind, key]),
            }
            for key in keys[(page - 1) * size : page * size]
        ]
        return {"count": len(keys), f"{kind}s": shown}

    def _shown(self, scene: PretendScene) -> dict[str, Any]:
        names = self._stash.names
        moment = self._stash.time_text(scene.updated_at)
        stamp = int(scene.updated_at.timestamp())
        groups = [{"id": key, "name": names["group"][key]} for key in scene.groups]
        return {
            "id": scene.id,
            "title": scene.title or None,
            "code": scene.code or None,
            "details": scene.details or None,
            "director": scene.director or None,
            "date": scene.date or None,
            "rating100": scene.rating100,
            "organized": scene.organized,
            "created_at": self._stash.time_text(scene.created_at),
            "updated_at": moment,
            "files": [
                {
                    "id": number,
                    "path": path,
                    "basename": path.rpartition("/")[2],
                    "size": size,
                    "duration": scene.duration,
                    "updated_at": self._stash.time_text(scene.files_updated_at),
                }
                for number, (path, size) in enumerate(scene.files)
            ],
            "paths": {
                "screenshot": f"{self._base}/scene/{scene.id}/screenshot?t={stamp}"
            },
            "studio": self._shown_studio(scene.studio),
            "tags": [{"id": key, "name": names["tag"][key]} for key in scene.tags],
            "performers": [
                {
                    "id": key,
                    "name": names["performer"][key],
                    "image_path": self._image_path("performer", key),
                }
                for key in scene.performers
            ],
            "stash_ids": [
                {"endpoint": "https://stashdb.org/graphql", "stash_id": one}
                for one in scene.stash_ids
            ],
            "groups": [{"group": one, "scene_index": None} for one in groups],
            "movies": [{"movie": one, "scene_index": None} for one in groups],
        }

    def _shown_studio(self, key: int | None) -> dict[str, Any] | None:
        if key is None:
            return None
        return {
            "id": key,
            "name": self._stash.names["studio"][key],
            "image_path": self._image_path("studio", key),
            "parent_studio": self._shown_studio(self._stash.parents.get(key)),
        }

    def _image_path(self, kind: str, key: int) -> str:
        data = self._stash.portraits.get((kind, key))
        # It moves with every change of its owner; here, with the picture.
        query = f"t={zlib.crc32(data)}" if data else "t=1&default=true"
        return f"{self._base}/{kind}/{key}/image?{query}"


def _like(value: str) -> re.Pattern[str]:
    """SQL's LIKE: _ and % are wildcards, ASCII letters match in either case."""
    parts = {"_": ".", "%": ".*"}
    pattern = "".join(parts.get(char, re.escape(char)) for char in value)
    return re.compile(pattern, re.IGNORECASE | re.ASCII | re.DOTALL)


def _oshash(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[:16]
