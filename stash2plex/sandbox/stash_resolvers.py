"""What Stash's GraphQL fields answer, for one question."""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLResolveInfo,
    SelectionSetNode,
)

from stash2plex.sandbox.stash_files import file_rows, file_test, folder_rows, rows_of
from stash2plex.sandbox.stash_filters import (
    NIL,
    STASH_BOX,
    is_moment,
    like,
    time_text,
)
from stash2plex.sandbox.stash_log import entries

if TYPE_CHECKING:
    from stash2plex.sandbox.plugins import PretendPlugin
    from stash2plex.sandbox.stash import PretendScene, PretendStash

_WIDEST = 2**63
_STAMP = 1795825220  # of what nobody changed
# What `sort` takes; of the real list, what is of use here.
_SORTS: Mapping[str, Any] = {
    "id": lambda scene: scene.id,
    "path": lambda scene: scene.files[0][0] if scene.files else "",
    "created_at": lambda scene: time_text(scene.created_at),
    "updated_at": lambda scene: time_text(scene.updated_at),
    "date": lambda scene: scene.date,
    "rating": lambda scene: scene.rating100 or 0,
}


class Root:
    """The resolvers, by field name."""

    def __init__(self, stash: PretendStash, base: str) -> None:
        """Answer for *stash*, whose URLs begin with *base*."""
        self._stash = stash
        self._base = base

    def version(self, _info: Any) -> dict[str, str]:
        return {"version": self._stash.version, "hash": "pretend", "build_time": ""}

    def systemStatus(self, _info: Any) -> dict[str, Any]:
        waits = self._stash.state == "NEEDS_MIGRATION"
        return {
            "status": self._stash.state,
            "databaseSchema": 72 if waits else 75,
            "appSchema": 75,
            "os": "linux",
        }

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
        for key, enabled in enabledMap.items():
            if key in self._stash.plugins:
                self._stash.plugins[key].enabled = enabled
            if key in self._stash.other_plugins:
                self._stash.other_plugins[key] = enabled
        return True

    def reloadPlugins(self, _info: Any) -> bool:
        for key, plugin in list(self._stash.plugins.items()):
            if not (plugin.folder / f"{key}.yml").exists():
                del self._stash.plugins[key]
        return True

    def installPackages(
        self, _info: Any, type: str, packages: list[dict[str, str]]
    ) -> str:
        return self._job(self._install(one["id"], one["sourceURL"]) for one in packages)

    updatePackages = installPackages  # which is what it does

    def uninstallPackages(
        self, _info: Any, type: str, packages: list[dict[str, str]]
    ) -> str:
        return self._job(
            self._uninstall(one["id"], one["sourceURL"]) for one in packages
        )

    def _job(self, steps: Iterable[Awaitable[None]]) -> str:
        """Start a job of several steps; what goes wrong with one is only logged."""

        async def work() -> None:
            for step in steps:
                try:
                    await step
                except Exception as error:
                    self._stash.log.write("error", f"Error with package: {error}")

        number = str(len(self._stash.package_jobs) + 1)
        self._stash.package_jobs[number] = asyncio.create_task(work())
        return number

    async def _install(self, key: str, source: str) -> None:
        assert self._stash.installer  # noqa: S101
        folder, version = await self._stash.installer(key, source)
        enabled = key not in self._stash.plugins or self._stash.plugins[key].enabled
        plugin = self._stash.put_plugin(folder, source)
        plugin.package_version, plugin.enabled = version, enabled

    async def _uninstall(self, key: str, source: str) -> None:
        found = self._stash.plugins.get(key)
        if found is None or source not in self._sources_of(found):
            raise LookupError(f"{key} is not installed from {source}")
        del self._stash.plugins[key]

    def _sources_of(self, plugin: PretendPlugin) -> list[str]:
        """Return the sources whose folder a plugin is in: Stash knows it by that."""
        known = self._stash.package_sources
        if plugin.source is None:
            return []
        return [
            one["url"]
            for one in known
            if one["local_path"] == plugin.local_path or one["url"] == plugin.source
        ]

    def installedPackages(self, _info: Any, type: str) -> list[dict[str, Any]]:
        return [
            {
                "package_id": key,
                "sourceURL": one.source,
                "version": one.package_version,
            }
            for key, one in self._stash.plugins.items()
            if self._sources_of(one)
        ]

    def findJob(self, _info: Any, input: dict[str, str]) -> dict[str, str] | None:
        job = self._stash.package_jobs.get(input["id"])
        if job is None:
            return None
        status = "FINISHED" if job.done() else "RUNNING"
        return {"id": input["id"], "status": status, "description": "Packages..."}

    def plugins(self, _info: Any) -> list[dict[str, Any]] | None:
        others = [
            {
                "id": key,
                "name": key,
                "version": "0.1.0",
                "enabled": enabled,
                "hooks": None,
            }
            for key, enabled in self._stash.other_plugins.items()
        ]
        ours = [
            {
                "id": key,
                "name": one.value("name"),
                "version": one.value("version"),
                "enabled": one.enabled,
                "hooks": [{"name": "Forward"}] if one.triggers else None,
            }
            for key, one in self._stash.plugins.items()
        ]
        return others + ours or None  # not an empty list

    def logs(self, _info: Any) -> list[dict[str, Any]]:
        return entries(list(self._stash.log.page), {"level", "message"})

    def findScene(self, _info: Any, id: str | None = None, **_: Any) -> Any:
        self._stash.may_read()
        self._stash.costs.note_scene()
        scene = self._stash.scenes.get(_number(id) if id is not None else 0)
        if scene is not None and scene.id in self._stash.failing:
            raise GraphQLError(self._stash.failing[scene.id])
        return self._shown(scene) if scene else None

    def findSceneByHash(self, _info: Any, input: dict[str, str]) -> Any:
        stash = self._stash
        stash.may_read()
        stash.costs.note_scene_by_hash()
        wanted = input.get("oshash")
        having = (one for one in stash.find({}, sys.maxsize) if wanted in one.hashes)
        found = next(having, None)
        return self._shown(found) if found and wanted else None

    def findFiles(
        self,
        _info: Any,
        file_filter: dict[str, Any] | None = None,
        filter: dict[str, Any] | None = None,
        ids: list[str] | None = None,
    ) -> dict[str, Any]:
        stash = self._stash
        stash.may_read()
        wanted = file_filter or {}
        passes = file_test(wanted)
        found = [row for row in file_rows(stash) if passes(row)]
        shown = _part_of(found, filter)
        stash.costs.note_files(wanted, rows=len(shown), library=len(stash.scenes))
        return {"count": len(found), "files": shown}

    def findFolders(
        self,
        _info: Any,
        folder_filter: dict[str, Any] | None = None,
        filter: dict[str, Any] | None = None,
        ids: list[str] | None = None,
    ) -> dict[str, Any]:
        self._stash.may_read()
        if self._stash.fails_listing_folders:
            raise GraphQLError(self._stash.fails_listing_folders)
        found = folder_rows(self._stash)
        shown = _part_of(found, filter)
        self._stash.costs.note_folders(len(shown))
        return {"count": len(found), "folders": shown}

    def jobQueue(self, _info: Any) -> list[dict[str, str]] | None:
        return list(self._stash.jobs.values()) or None  # not an empty list

    async def runPluginOperation(
        self, _info: Any, plugin_id: str, args: dict[str, Any] | None = None
    ) -> Any:
        if plugin_id not in self._stash.plugins:
            raise GraphQLError(NIL)
        printed = await self._stash.run_plugin(plugin_id, args or {})
        if printed.error is not None:  # an empty text is an error too
            raise GraphQLError(printed.error)
        return printed.output

    def findPerformer(self, _info: Any, id: str) -> Any:
        return self._with_image("performer", int(id))

    def findStudio(self, _info: Any, id: str) -> Any:
        return self._with_image("studio", int(id))

    def _with_image(self, kind: str, key: int) -> dict[str, Any] | None:
        self._stash.may_read()
        if key not in self._stash.names[kind]:
            return None
        return {"image_path": self._image_path(kind, key)}

    def findScenes(
        self,
        info: GraphQLResolveInfo[Any],
        scene_filter: dict[str, Any] | None = None,
        filter: dict[str, Any] | None = None,
        ids: list[str] | None = None,
    ) -> dict[str, Any]:
        stash = self._stash
        stash.may_read()
        if ids:
            found = [stash.scenes.get(_number(one, "converting ids: ")) for one in ids]
            if None in found:
                missing = ids[found.index(None)]
                raise GraphQLError(f"scene with id {missing} not found")
            if len(set(ids)) < len(ids):
                twice = next(one for one in ids if ids.count(one) > 1)
                raise GraphQLError(f"validating ids: duplicate id found: {twice}")
            shown = [self._shown(one) for one in found if one]
            return {"count": len(shown), "scenes": shown}
        wanted, chosen = scene_filter or {}, filter or {}
        sort = chosen.get("sort") or ""
        if stash.demands_order and sort != "id":
            raise GraphQLError("the pretend Stash needs sort: id")
        if sort and sort not in _SORTS:
            raise GraphQLError(f"invalid sort: {sort}")
        size, page = _page(chosen)
        last = page * size
        descending = chosen.get("direction") == "DESC"
        if sort in {"", "id"} and not descending:
            listed = list(stash.find(wanted, last))
        else:
            listed = list(stash.find(wanted, sys.maxsize))
            listed.sort(key=lambda one: one.id)
            listed.sort(key=_SORTS[sort or "id"], reverse=descending)
        page = 1 if stash.repeats_pages else page

        def count(_info: Any) -> int:
            return len(list(stash.find(wanted, sys.maxsize)))

        part = listed[(page - 1) * size : page * size]
        self._trace(len(part))
        asked = _asked_fields(info)
        stash.costs.note_scenes(
            wanted,
            asked,
            rows=len(part),
            counted="count" in asked,
            library=len(stash.scenes),
        )
        return {"count": count, "scenes": [self._shown(one) for one in part]}

    def _trace(self, scenes: int) -> None:
        """Log the SQL of a listing, as Stash traces it."""
        log = self._stash.log
        if log.is_read:
            log.write("trace", "SQL [1.2ms]: SELECT id FROM scenes WHERE id > ? [1]")
            for _ in range(scenes if log.sql_bytes else 0):
                log.write("trace", "SQL [61us]: SELECT ".ljust(log.sql_bytes, "x"))

    def findPerformers(self, _info: Any, **given: Any) -> Any:
        return self._entities("performer", given)

    def findStudios(self, _info: Any, **given: Any) -> Any:
        return self._entities("studio", given)

    def findTags(self, _info: Any, **given: Any) -> Any:
        return self._entities("tag", given)

    def findGroups(self, _info: Any, **given: Any) -> Any:
        return self._entities("group", given)

    def findMovies(self, _info: Any, **given: Any) -> Any:
        given["group_filter"] = given.get("movie_filter")
        answer = self._entities("group", given)
        return {"count": answer["count"], "movies": answer["groups"]}

    def _entities(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        stash = self._stash
        stash.may_read()
        wanted = given.get(f"{kind}_filter") or {}
        changed = stash.changed_at
        chosen = given.get("filter") or {}
        keys = [
            key
            for key in sorted(
                stash.names[kind], reverse=chosen.get("direction") == "DESC"
            )
            if is_moment(changed[kind, key], wanted.get("updated_at"))
            if not (named := wanted.get("name"))
            or like(named["value"]).fullmatch(stash.names[kind][key])
        ]
        size, page = _page(chosen)
        page = 1 if stash.repeats_pages else page
        shown = [
            {
                "id": key,
                "name": stash.names[kind][key],
                "created_at": time_text(stash.made_at[kind, key]),
                "updated_at": time_text(changed[kind, key]),
            }
            for key in keys[(page - 1) * size : page * size]
        ]
        stash.costs.note_parts(len(shown))
        return {"count": len(keys), f"{kind}s": shown}

    def _shown(self, scene: PretendScene) -> dict[str, Any]:
        names = self._stash.names
        moment = time_text(scene.updated_at)
        stamp = int(scene.updated_at.timestamp())
        groups = [{"id": key, "name": names["group"][key]} for key in scene.groups]
        return {
            "id": scene.id,
            "title": scene.title,
            "code": scene.code,
            "details": scene.details,
            "director": scene.director,
            "date": scene.date or None,
            "rating100": scene.rating100,
            "organized": scene.organized,
            "created_at": time_text(scene.created_at),
            "updated_at": moment,
            "files": rows_of(scene),
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
                {"endpoint": STASH_BOX, "stash_id": one} for one in scene.stash_ids
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
        query = f"t={zlib.crc32(data)}" if data else f"t={_STAMP}&default=true"
        return f"{self._base}/{kind}/{key}/image?{query}"


def _asked_fields(info: GraphQLResolveInfo[Any]) -> set[str]:
    """Return the names of the fields asked for of a listing and of each of its rows."""
    found: set[str] = set()

    def look(selected: SelectionSetNode | None, depth: int) -> None:
        for one in selected.selections if selected else ():
            if isinstance(one, FieldNode):
                found.add(one.name.value)
                if depth:
                    look(one.selection_set, depth - 1)
            elif isinstance(one, FragmentSpreadNode):
                look(info.fragments[one.name.value].selection_set, depth)

    for node in info.field_nodes:
        look(node.selection_set, 1)
    return found


def _number(text: str, doing: str = "") -> int:
    """Read an id as Go does."""
    try:
        number = int(text)
    except ValueError:
        msg = f'{doing}strconv.Atoi: parsing "{text}": invalid syntax'
        raise GraphQLError(msg) from None
    if not -_WIDEST <= number < _WIDEST:
        msg = f'{doing}strconv.Atoi: parsing "{text}": value out of range'
        raise GraphQLError(msg)
    return number


def _part_of(
    rows: list[dict[str, Any]], chosen: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Return the rows on the page that was asked for."""
    size, page = _page(chosen or {})
    return rows[(page - 1) * size : page * size]


def _page(chosen: Mapping[str, Any]) -> tuple[int, int]:
    """Return the size and the number of a page; a negative size means all."""
    size = chosen.get("per_page")
    size = 25 if size is None else size
    return sys.maxsize if size < 0 else size, max(1, chosen.get("page") or 1)
