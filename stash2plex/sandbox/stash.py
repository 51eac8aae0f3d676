"""A pretend Stash: real GraphQL over made-up scenes, with Stash's own semantics.

LIKE for paths, text for times, a login page instead of a picture, plugins run as
processes while the user waits. Its attributes are its switches.
"""

from __future__ import annotations

import asyncio
import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any, Literal

from aiohttp import web
from graphql import GraphQLError

from stash2plex.sandbox.plugins import PluginResult, PluginRuns, PretendPlugin
from stash2plex.sandbox.schema import schema
from stash2plex.sandbox.server import Facts, LineBreaker
from stash2plex.sandbox.stash_costs import StashCosts
from stash2plex.sandbox.stash_filters import NIL, Filters
from stash2plex.sandbox.stash_log import StashLog
from stash2plex.sandbox.stash_web import COOKIE, StashWeb
from stash2plex.sandbox.subscriptions import Subscriptions

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
    is_tiny: bool = False  # too small for an oshash

    def hash_of(self, path: str) -> str:
        """Return the oshash of a file, made up from its path unless one was given."""
        if self.is_tiny:
            return ""
        return self.oshash or hashlib.sha256(path.encode()).hexdigest()[:16]

    @property
    def hashes(self) -> list[str]:
        """The oshashes of all files, the primary one's first."""
        return [one for path, _ in self.files if (one := self.hash_of(path))]


_Times = dict[tuple[str, int], datetime]


class PretendStash:
    """A server with scenes; edits through `edit` fire hooks as the UI's do."""

    def __init__(self, *, release: str = "v0.30.1", base_path: str = "") -> None:
        self.version = release
        self.schema = schema(release)
        self.url = ""
        self.api_key = ""  # what is configured in Stash; "": no authentication
        self.wants_login = False  # a login is set, and no key
        # Where Stash says that it is, with a path perhaps; "": where it was asked.
        self.external_host = ""
        self.state: Literal["OK", "SETUP", "NEEDS_MIGRATION"] = "OK"
        self.locked_itself = False  # it was asked from a public address, without login
        self.zone: tzinfo = UTC
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.scenes: dict[int, PretendScene] = {}
        self.names: dict[str, dict[int, str]] = {kind: {} for kind in _ENTITIES}
        # Of entities: when each was changed last, and made.
        self.changed_at, self.made_at = _Times(), _Times()
        self.parents: dict[int, int] = {}  # of studios
        self.portraits: dict[tuple[str, int], bytes] = {}  # performers and studios
        self.plugin_settings: dict[str, dict[str, Any]] = {}
        self.other_plugins: dict[str, bool] = {}  # by id, and whether enabled
        self.plugins: dict[str, PretendPlugin] = {}  # those it has the folders of
        self.package_sources: list[dict[str, Any]] = [
            {
                "name": "Community (stable)",
                "url": "https://x",
                "local_path": "community",
            }
        ]
        # Installs a plugin as Stash does, given its id and source; returns its folder
        # and version.
        self.installer: Callable[[str, str], Awaitable[tuple[Path, str]]] | None = None
        self.package_jobs: dict[str, asyncio.Task[None]] = {}
        self.jobs: dict[str, dict[str, str]] = {}  # what runs and waits, by number
        # Where it was started, if plugins are below it and their paths relative.
        self.started_in: Path | None = None
        self.log = StashLog()
        self.plugin_runs, self.facts = PluginRuns(self.log), Facts()

        # Faults.
        # The message of every question about its library, and of those about folders.
        self.fails_reading = self.fails_listing_folders = ""
        self.lost_blobs = False  # the folder of its pictures is not mounted
        self.damaged: set[int] = set()  # scenes whose covers it cannot read
        self.status: int | None = None
        self.retry_after = ""  # a header of such answers
        self.line = LineBreaker()
        self.hangs = self.repeats_pages = False
        self.garbles: str | None = None
        self.failing: dict[int, str] = {}  # scene id -> message of a resolver error
        # Fields that make no sense, by scene id; a listing that always starts anew.
        self.odd: dict[int, dict[str, Any]] = {}
        self.picture_status: int | None = None
        self.hanging_picture: int | None = None  # scene id
        self.picture_type: str | None = None
        self.latency = 0.0
        self.date: str | None = None  # what its clock says in headers

        # What was asked of it.
        self.asked = self.picture_requests = self.picture_bytes = 0
        self.failed_questions = 0  # each is dozens of lines in its log
        self.operations: Counter[str] = Counter()
        self.documents: set[str] = set()
        self.costs = StashCosts()

        self.subscriptions = Subscriptions(self.facts, self.log)
        self._ids: list[int] = []
        self._filters = Filters(self.parents)
        # Whether a listing without an order is refused: nobody may rely on one.
        self.demands_order = True
        self.web = StashWeb(self, base_path)

    def become(self, release: str, *, without: tuple[str, ...] = ()) -> None:
        """Be another release from now on, perhaps *without* fields (`Scene.title`)."""
        self.version = release
        self.schema = schema(release, without=without)

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
        self.made_at.setdefault((kind, key), self.changed_at[kind, key])

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
        """Make one tag or performer of two; their scenes stay untouched.

        Measured: a tag that others were merged into keeps its time of change.
        """
        for scene in self.scenes.values():
            held = getattr(scene, f"{kind}s")
            merged = [destination if one == source else one for one in held]
            setattr(scene, f"{kind}s", list(dict.fromkeys(merged)))
        del self.names[kind][source]
        if kind != "tag":
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

    def assign_file(self, path: str, scene_id: int) -> None:
        """Give a file of one scene to another; nothing tells of it, times neither."""
        for scene in self.scenes.values():
            for file in scene.files:
                if file[0] == path and scene.id != scene_id:
                    scene.files = [one for one in scene.files if one != file]
                    self.scenes[scene_id].files.append(file)
                    return

    def begin_import(self) -> str:
        """Begin a job that imports; it is told of, and in the queue until it ends."""
        number = str(len(self.jobs) + len(self.package_jobs) + 1)
        job = {"id": number, "status": "RUNNING", "description": "Importing..."}
        self.jobs[number] = job
        self.subscriptions.tell_job("ADD", job)
        return number

    def end_import(self, number: str, order: Sequence[int] | None = None) -> None:
        """End it; a full one numbers all scenes anew, in this *order* of old ids.

        Measured: times stay as they are in the file, and no hook tells of it.
        """
        if order is not None:
            before, self.scenes = self.scenes, {}
            for key, old in enumerate(order, 1):
                self.scenes[key] = before[old]
                self.scenes[key].id = key
            self._ids = sorted(self.scenes)
        job = self.jobs.pop(number) | {"status": "FINISHED"}
        self.subscriptions.tell_job("REMOVE", job)

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
            "oshash": next(iter(scene.hashes), ""),
            "path": path,
        }
        await self.fire("Scene.Destroy.Post", scene_id, given)

    async def fire(
        self, kind: str, entity_id: int, given: Any, fields: list[str] | None = None
    ) -> None:
        """Run each plugin for a hook, one after the other, and wait, as Stash does."""
        hook: dict[str, Any] = {"id": entity_id, "type": kind, "input": given}
        if fields:
            hook["inputFields"] = fields
        for plugin_id, plugin in list(self.plugins.items()):
            if plugin.enabled and kind in plugin.triggers:
                await self.run_plugin(plugin_id, {"hookContext": hook})

    def put_plugin(self, folder: Path, source: str | None = None) -> PretendPlugin:
        """Have a plugin from now on, copied or installed from an index at *source*."""
        plugin = PretendPlugin(folder, source=source)
        self.plugins[plugin.id] = plugin
        return plugin

    async def run_plugin(self, plugin_id: str, args: Mapping[str, Any]) -> PluginResult:
        """Run a plugin with *args*, and keep what it logged."""
        plugin = self.plugins[plugin_id]
        message = {"server_connection": self.connection(plugin.folder), "args": args}
        return await self.plugin_runs.run(
            plugin, message, folder=self.started_in, release=self.version
        )

    @property
    def plugin_log(self) -> list[str]:
        """What plugins wrote, as they wrote it."""
        return self.plugin_runs.said

    def connection(self, plugin: Path | None = None) -> dict[str, Any]:
        """Return what Stash tells a plugin in a folder about itself."""
        port = int(self.url.rpartition(":")[2].partition("/")[0] or 9999)
        shown = plugin or ""
        if plugin is not None and self.started_in is not None:
            shown = plugin.relative_to(self.started_in)
        return {
            "Scheme": "http",
            "Host": "0.0.0.0",  # noqa: S104 - the bind address, as Stash sends it
            "Port": port,
            "SessionCookie": {"Name": "session", "Value": COOKIE, "Quoted": False},
            "Dir": "/root/.stash",
            "PluginDir": str(shown),
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

    # --- what its answers are made of --------------------------------------------

    @property
    def app(self) -> web.Application:
        """What serves it."""
        return self.web.app

    @property
    def reading_error(self) -> str:
        """Return what every question about its library answers, "" if it can tell."""
        if self.state != "OK":
            return NIL
        return self.fails_reading

    def may_read(self) -> None:
        """Raise what goes wrong with its database, if anything does."""
        if self.reading_error:
            raise GraphQLError(self.reading_error)

    def find(self, wanted: Mapping[str, Any], limit: int) -> list[PretendScene]:
        """Return scenes by id that pass a filter, at most *limit*."""
        passes = self._filters.compiled(
            {k: v for k, v in wanted.items() if k != "id"}
            if self.repeats_pages
            else wanted
        )
        found: list[PretendScene] = []
        for key in self._ids[self._first_beyond(wanted) :]:
            if len(found) >= limit:
                break
            if passes(self.scenes[key]):
                found.append(self.scenes[key])
        return found

    def _first_beyond(self, wanted: Mapping[str, Any]) -> int:
        """Return where the scenes start that a filter by id can find at all."""
        beyond = wanted.get("id")
        if (
            not beyond
            or beyond["modifier"] != "GREATER_THAN"
            or wanted.get("OR")
            or self.repeats_pages
        ):
            return 0
        return bisect_right(self._ids, beyond["value"])

    def with_odd(self, answer: Any) -> Any:
        """Put what makes no sense in the place of what a schema would allow."""
        if not self.odd:
            return answer
        if isinstance(answer, list):
            return [self.with_odd(one) for one in answer]
        if not isinstance(answer, dict):
            return answer
        shown = {name: self.with_odd(value) for name, value in answer.items()}
        if "files" in shown and str(shown.get("id", "")).isdecimal():
            wrong = self.odd.get(int(shown["id"]), {})
            shown |= {name: value for name, value in wrong.items() if name in shown}
        return shown
