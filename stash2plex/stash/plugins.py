"""Stash's plugins: which there are, what is set for them, and getting ours in.

The only place that changes anything in Stash, and never anything of its library.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from gql import GraphQLRequest, gql

from stash2plex.errors import RequestRejected, ServiceUnavailable, Stash2PlexError
from stash2plex.stash.client import StashClient
from stash2plex.stash.connection import WRONG_URL
from stash2plex.text import shortened

_INSTALLED = gql(
    "query Stash2PlexPlugins { plugins { id enabled version hooks { name } } }"
)
_SETTINGS = gql(
    "query Stash2PlexPluginSettings($ids: [ID!])"
    " { configuration { plugins(include: $ids) } }"
)
_OPERATION = gql(
    "mutation Stash2PlexOperation($id: ID!, $args: Map)"
    " { output: runPluginOperation(plugin_id: $id, args: $args) }"
)
_SOURCES = gql(
    "query Stash2PlexSources { configuration"
    " { general { pluginPackageSources { name url local_path } } } }"
)
_PACKAGES = gql(
    "query Stash2PlexPackages"
    " { installedPackages(type: Plugin) { package_id version sourceURL } }"
)
_SET_SOURCES = gql(
    "mutation Stash2PlexSetSources($sources: [PackageSourceInput!])"
    " { configureGeneral(input: {pluginPackageSources: $sources})"
    " { pluginPackageSources { url } } }"
)
_INSTALL = gql(
    "mutation Stash2PlexInstall($packages: [PackageSpecInput!]!)"
    " { job: installPackages(type: Plugin, packages: $packages) }"
)
_UNINSTALL = gql(
    "mutation Stash2PlexUninstall($packages: [PackageSpecInput!]!)"
    " { job: uninstallPackages(type: Plugin, packages: $packages) }"
)
_RELOAD = gql("mutation Stash2PlexReload { reloadPlugins }")
_JOB = gql(
    "query Stash2PlexJob($id: ID!) { job: findJob(input: {id: $id}) { status } }"
)
_ENABLE = gql(
    "mutation Stash2PlexEnable($enabled: BoolMap!)"
    " { setPluginsEnabled(enabledMap: $enabled) }"
)
_CONFIGURE = gql(
    "mutation Stash2PlexConfigure($id: ID!, $settings: Map!)"
    " { configurePlugin(plugin_id: $id, input: $settings) }"
)
_GOES_ON = frozenset({"READY", "RUNNING", "STOPPING"})
_ASKED_EVERY = 0.5
# An index and a zip, behind whatever other jobs Stash has, seconds.
_PATIENCE = 120.0
# How long a line may take from Stash's log to us, seconds; one is usual.
HEARD_WITHIN = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPlugin:
    """A plugin that Stash has found."""

    id: str
    enabled: bool
    version: str
    has_hooks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What Stash installed from the index at *source*."""

    source: str
    version: str


class StashBusy(RequestRejected):
    """Stash comes to what it was asked for after its other jobs."""


class StashPlugins:
    """The plugins of one Stash."""

    def __init__(self, stash: StashClient) -> None:
        self._stash = stash

    async def installed(self) -> list[InstalledPlugin]:
        """Return the plugins that Stash has found."""
        answer = await self._stash.ask(_INSTALLED)
        try:
            return [
                InstalledPlugin(
                    id=str(one["id"]),
                    enabled=bool(one["enabled"]),
                    version=str(one["version"] or ""),
                    has_hooks=bool(one["hooks"]),
                )
                for one in answer["plugins"] or ()
            ]
        except (KeyError, TypeError):
            raise ServiceUnavailable("Stash", WRONG_URL) from None

    async def settings(self, plugin_id: str) -> dict[str, Any]:
        """Return what is set for a plugin; nothing is an empty table."""
        answer = await self._stash.ask(_SETTINGS, ids=[plugin_id])
        try:
            found = answer["configuration"]["plugins"] or {}
            return dict(found.get(plugin_id) or {})
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ServiceUnavailable("Stash", WRONG_URL) from None

    async def merge_settings(self, plugin_id: str, more: Mapping[str, Any]) -> None:
        """Set some settings of a plugin; ``configurePlugin`` replaces the whole map."""
        await self.set_settings(plugin_id, await self.settings(plugin_id) | dict(more))

    async def set_settings(self, plugin_id: str, settings: Mapping[str, Any]) -> None:
        """Set all settings of a plugin, and take away those that are not here."""
        await self._stash.ask(_CONFIGURE, id=plugin_id, settings=dict(settings))

    async def run(self, plugin_id: str, args: Mapping[str, Any]) -> Any:
        """Run an operation of a plugin, which answers at once; returns its output.

        What the plugin says is wrong is a `ServerFault`.
        """
        answer = await self._stash.ask(_OPERATION, id=plugin_id, args=dict(args))
        return answer.get("output")

    async def packages(self) -> dict[str, Package]:
        """Return what Stash installed from an index, by plugin.

        Plugins whose folders were copied are not among them.
        """
        answer = await self._stash.ask(_PACKAGES)
        try:
            return {
                str(one["package_id"]): Package(
                    source=str(one["sourceURL"]), version=str(one["version"] or "")
                )
                for one in answer["installedPackages"]
            }
        except (KeyError, TypeError):
            raise ServiceUnavailable("Stash", WRONG_URL) from None

    async def sources(self) -> list[dict[str, Any]]:
        """Return the package sources that Stash knows: name, url, local_path."""
        answer = await self._stash.ask(_SOURCES)
        try:
            known = answer["configuration"]["general"]["pluginPackageSources"]
            return [dict(one) for one in known]
        except (KeyError, TypeError):
            raise ServiceUnavailable("Stash", WRONG_URL) from None

    async def add_source(self, name: str, url: str) -> None:
        """Have Stash know a package source; an older one of this name gives way.

        A source of this URL stays as it is, whatever it is called: its name says
        where what came from it lies.
        """
        known = await self.sources()
        if all(one["url"] != url for one in known):
            kept = [one for one in known if one["name"] != name]
            source = {"name": name, "url": url, "local_path": name}
            await self.set_sources([*kept, source])

    async def set_sources(self, sources: Sequence[Mapping[str, Any]]) -> None:
        """Set the package sources that Stash knows."""
        await self._stash.ask(_SET_SOURCES, sources=[dict(one) for one in sources])

    async def install(self, plugin_id: str, source: str, version: str) -> None:
        """Install a plugin from a source that Stash knows, or update it; wait for it.

        Stash ends such a job well whatever came of it. Raises `RequestRejected` when
        afterwards it has not the *version* that the source offers.
        """
        await self._package_job(_INSTALL, plugin_id, source)
        found = (await self.packages()).get(plugin_id)
        there = found_among(await self.installed(), plugin_id) is not None
        if found is None or not there:
            raise RequestRejected(
                f"Stash could not install {plugin_id} from {source}: does its machine"
                " or container reach that address, and may it write into its plugins"
                " folder? Its log (Settings > Logs) tells more"
            )
        if found.version != version:
            raise RequestRejected(
                f"Stash did not install {plugin_id} {version}, but still has"
                f" {found.version}: may it write into its plugins folder? Its log"
                " (Settings > Logs) tells more"
            )

    async def uninstall(self, plugin_id: str, source: str) -> None:
        """Take away a plugin that came from a source; wait for it.

        Raises `RequestRejected` when it is still there.
        """
        await self._package_job(_UNINSTALL, plugin_id, source)
        if found_among(await self.installed(), plugin_id) is not None:
            raise RequestRejected(
                f"Stash could not take away {plugin_id}: may it write into its plugins"
                " folder? Its log (Settings > Logs) tells more"
            )

    async def reload(self) -> None:
        """Have Stash look into its plugins folder again."""
        await self._stash.ask(_RELOAD)

    async def _package_job(
        self, mutation: GraphQLRequest, plugin_id: str, source: str
    ) -> None:
        packages = [{"id": plugin_id, "sourceURL": source}]
        answer = await self._stash.ask(mutation, packages=packages)
        try:
            async with asyncio.timeout(_PATIENCE):
                while await self._goes_on(answer["job"]):  # noqa: ASYNC110 - Stash's
                    await asyncio.sleep(_ASKED_EVERY)
        except TimeoutError:
            raise StashBusy(
                "Stash is busy with other jobs, and comes to the plugin after them (see"
                " Settings > Tasks); run this again then"
            ) from None

    async def _goes_on(self, job: Any) -> bool:
        """Whether a job of Stash is not over; those long over are not known."""
        found = (await self._stash.ask(_JOB, id=job)).get("job") or {}
        return found.get("status") in _GOES_ON

    async def enable(self, plugin_id: str, *, enabled: bool = True) -> None:
        """Enable a plugin, or disable it."""
        await self._stash.ask(_ENABLE, enabled={plugin_id: enabled})

    async def ping(self, plugin_id: str) -> None:
        """Have a plugin tell the daemon of nothing.

        Raises `RequestRejected` when its answer is none of the daemon's, and
        `ServerFault` with what the plugin says is wrong.
        """
        answer = await self.run(plugin_id, {"mode": "ping"})
        if not isinstance(answer, dict) or answer.get("outcome") != "ignored":
            said = "nothing" if answer in (None, "") else shortened(repr(answer))
            raise RequestRejected(f"Stash ran {plugin_id}, and it said {said}")

    async def heard(self, plugin_id: str) -> float | None:
        """Have the script of hooks tell of nothing; returns after how long we heard.

        None when we did not. Raises the errors of `subscription`, and
        `ServiceUnavailable` when Stash's log could not even be listened to.
        """
        nonce = secrets.token_hex(8)
        running: list[asyncio.Task[Any]] = []
        started = time.monotonic()

        def start() -> None:
            work = self.run(plugin_id, {"nonce": nonce})
            running.append(asyncio.create_task(work))

        try:
            async with (
                asyncio.timeout(HEARD_WITHIN),
                aclosing(self._stash.hook_lines(start)) as told,
            ):
                async for lines in told:
                    if any(line.get("nonce") == nonce for line in lines):
                        return time.monotonic() - started
        except TimeoutError:
            pass
        finally:
            for task in running:
                task.cancel()
            outcomes = await asyncio.gather(*running, return_exceptions=True)
        for error in outcomes:
            if isinstance(error, Stash2PlexError):
                raise error
        if not running:
            why = f"no WebSocket gets through: no answer within {HEARD_WITHIN:.0f} s"
            raise ServiceUnavailable("Stash", why)
        return None


def python_remedy(error: str) -> str | None:
    """Return what to do about a plugin that Stash could not run; None if it could."""
    setting = "Settings > System > Python executable path in Stash"
    if "error running plugin" in error:
        return (
            "Stash finds no Python: install Python 3.9 or newer where Stash runs (its"
            f" official image has one), or name it under {setting}"
        )
    if any(sign in error for sign in ("exit status", "needs 3.9", "and it said")):
        return f"name Python 3.9 or newer under {setting}; see Stash's log as well"
    return None


def found_among(
    plugins: Sequence[InstalledPlugin], plugin_id: str
) -> InstalledPlugin | None:
    """Return the plugin of this id."""
    return next((one for one in plugins if one.id == plugin_id), None)
