"""``stash2plex install-plugin``: into a folder, or all the way through Stash itself."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from rich.prompt import Confirm, Prompt

from stash2plex import __version__, plugin
from stash2plex.commands.asking import ask, demand_token
from stash2plex.commands.shared import WELL, say, settings_of
from stash2plex.config import Settings, checked_url
from stash2plex.errors import (
    ConfigError,
    RequestRejected,
    ServiceUnavailable,
    Stash2PlexError,
)
from stash2plex.health.plugin_state import HOOKS_SETTING, unheard
from stash2plex.hosts import is_loopback
from stash2plex.plugin import (
    HOOK_PLUGINS,
    IN_PROCESS_HOOKS,
    PLUGIN_ID,
    PLUGINS,
    TASKS,
    Hooks,
    Plugin,
)
from stash2plex.plugin_source import INDEX, SOURCE_NAME, index_text, versions_in
from stash2plex.stash.client import StashClient
from stash2plex.stash.plugins import (
    HEARD_WITHIN,
    StashBusy,
    StashPlugins,
    found_among,
    python_remedy,
)

# What deploy/compose.yaml calls the daemon, and so what its network does.
_SERVICE = "stash2plex"


def install_plugin(options: argparse.Namespace) -> int:
    """Put the Stash plugins into a folder, or have Stash install them."""
    if options.via_stash == bool(options.folder):
        raise ConfigError(
            "name Stash's plugins folder, or give --via-stash and have Stash install"
            " them"
        )
    if options.remove and options.hooks:
        raise ConfigError("--remove takes all of our plugins away; --hooks keeps some")
    hooks = Hooks(options.hooks or Hooks.IN_PROCESS)
    if options.via_stash:
        _via_stash(settings_of(options), options, hooks)
    elif options.remove:
        _removed_from(options.folder)
    else:
        _copied_into(options.folder, hooks)
    return WELL


def _copied_into(plugins: Path, hooks: Hooks) -> None:
    folders = plugin.install(plugins, hooks)
    say("The plugins are in")
    for folder in folders:
        say(f"  {folder}")
    say("In Stash: Settings > Plugins > Reload plugins, then set there")
    say("  Daemon URL    where this daemon listens, as seen from Stash's machine or")
    say("                container, such as http://192.168.1.5:9898")
    say("  Daemon token  server.token, or the content of 'token' in server.data_dir")


def _removed_from(plugins: Path) -> None:
    gone = plugin.remove(plugins, [*PLUGINS])
    for folder in gone:
        say(f"Gone: {folder}")
    if gone:
        say("In Stash: Settings > Plugins > Reload plugins")
    else:
        say(f"None of our plugins was copied into {plugins}.")
    plugin.refuse_others(plugins)


# --- through Stash ------------------------------------------------------------------


def _via_stash(settings: Settings, options: argparse.Namespace, hooks: Hooks) -> None:
    """Add the source, install, set, and try it; asks before it changes anything.

    Raises `DaemonUnreachable` unless the daemon runs: Stash gets the plugins from it.
    """
    asks = sys.stdin.isatty() and sys.stdout.isatty()
    if options.remove:
        say(f"In Stash at {settings.stash.url} this will")
        say("  take away our plugins, their settings and their source")
        _demand_yes(options, asks=asks)
        asyncio.run(_remove(settings))
        return
    token = demand_token(settings.server)
    _demand_same_release(settings)
    url = options.daemon_url or _own_url(settings)
    if asks and not options.daemon_url:
        url = Prompt.ask("This daemon's URL, as Stash reaches it", default=url)
    try:
        url = checked_url(url.strip())
    except ValueError as error:
        raise ConfigError(f"--daemon-url {url!r}: {error}") from None
    belong = plugin.wanted(hooks)
    say(f"In Stash at {settings.stash.url} this will")
    say(f"  add the plugin source {_source_at(url)}")
    for one in belong:
        say(f"  install the plugin {one.id} from it, or update it, and enable it")
    say("  remove our other kind of hooks, if it is there")
    say("  set Daemon URL and Daemon token; nothing else of Stash is changed")
    _demand_yes(options, asks=asks)
    offered = versions_in(index_text())
    asyncio.run(_install(settings, hooks, url=url, token=token, offered=offered))
    say("Done: the plugins work, and the daemon hears of changes.")


def _source_at(url: str) -> str:
    return f"{url}/plugin/{INDEX}"


def _demand_yes(options: argparse.Namespace, *, asks: bool) -> None:
    if not options.yes and not (asks and Confirm.ask("Go on?", default=True)):
        raise ConfigError("nothing was changed; --yes goes on without asking")


def _demand_same_release(settings: Settings) -> None:
    """Raise `RequestRejected` if the daemon offers plugins that are unknown here."""
    status = ask(settings.server, "GET", "/api/v1/status")  # raises unless it runs
    if status.get("version") != __version__:
        raise RequestRejected(
            f"the daemon that runs is stash2plex {status.get('version')}, and this is"
            f" {__version__}: restart the daemon first"
        )


async def _install(
    settings: Settings,
    hooks: Hooks,
    *,
    url: str,
    token: str,
    offered: Mapping[str, str],
) -> None:
    source = _source_at(url)
    belong = plugin.wanted(hooks)
    async with StashClient.connect(settings.stash) as stash:
        await stash.probe()
        stash.refuse_if_too_old()
        plugins = StashPlugins(stash)
        await _refuse_copies(plugins, belong)
        for one in belong:
            await _refuse_a_second(plugins, one.id, source)
        async with _put_back_on_failure(plugins, source):
            await plugins.add_source(SOURCE_NAME, source)
            given = {"daemonUrl": url, "daemonToken": token, HOOKS_SETTING: hooks.value}
            await plugins.merge_settings(PLUGIN_ID, given)
            # What tells of changes now is taken away only after the other was heard.
            for one in sorted(belong, key=lambda one: one is TASKS):
                await _install_one(plugins, one, source, offered[one.id])
        for other in HOOK_PLUGINS.values():
            if other not in belong:
                await _take_away(plugins, other.id)
        await _say_what_is_there(plugins)


async def _install_one(
    plugins: StashPlugins, which: Plugin, source: str, version: str
) -> None:
    """Install, enable and try a plugin; hooks that are new and do not work go again."""
    was_there = found_among(await plugins.installed(), which.id) is not None
    await plugins.install(which.id, source, version)
    found = found_among(await plugins.installed(), which.id)
    if found is not None and not found.enabled:
        await plugins.enable(which.id)
    try:
        await _try(plugins, which)
    except Stash2PlexError:
        if which is not TASKS and not was_there:
            with suppress(Stash2PlexError):
                await _take_away(plugins, which.id)
        raise


async def _try(plugins: StashPlugins, which: Plugin) -> None:
    """Have a plugin tell of nothing; raises `RequestRejected` with what to do."""
    try:
        if which is not IN_PROCESS_HOOKS:
            await plugins.ping(which.id)
            return
        seconds = await plugins.heard(which.id)
    except ServiceUnavailable as error:
        fault = unheard(error)
        raise RequestRejected(f"{fault.message}; {fault.fix}") from None
    except Stash2PlexError as error:
        remedy = python_remedy(str(error))
        raise RequestRejected(f"{error}; {remedy}" if remedy else str(error)) from None
    if seconds is None:
        raise RequestRejected(
            f"Stash runs {which.id}, but nothing of it was heard within"
            f" {HEARD_WITHIN:.0f} s; restart Stash, and run this again"
        )


async def _remove(settings: Settings) -> None:
    async with StashClient.connect(settings.stash) as stash:
        await stash.probe()
        plugins = StashPlugins(stash)
        for one in PLUGINS:
            await _take_away(plugins, one.id)
            if await plugins.settings(one.id):
                await plugins.set_settings(one.id, {})
        known = await plugins.sources()
        kept = [one for one in known if one["name"] != SOURCE_NAME]
        if kept != known:
            await plugins.set_sources(kept)
        await _say_what_is_there(plugins)


async def _take_away(plugins: StashPlugins, plugin_id: str) -> None:
    """Uninstall a plugin; a folder that somebody copied is left, and disabled."""
    found = found_among(await plugins.installed(), plugin_id)
    if found is None:
        return
    package = (await plugins.packages()).get(plugin_id)
    if package is not None:
        # Stash finds it by the folder of a source that it knows.
        known = await plugins.sources()
        urls = [one["url"] for one in known if one["local_path"] == SOURCE_NAME]
        is_known = any(one["url"] == package.source for one in known)
        url = urls[0] if urls and not is_known else package.source
        await plugins.uninstall(plugin_id, url)
    elif found.enabled:
        await plugins.enable(plugin_id, enabled=False)
        say(
            f"Disabled: {plugin_id}, whose folder somebody copied there; delete that"
            " folder when you like"
        )


async def _say_what_is_there(plugins: StashPlugins) -> None:
    packages = await plugins.packages()
    ours = {one.id for one in PLUGINS}
    there = [one for one in await plugins.installed() if one.id in ours]
    if not there:
        say("Stash has none of our plugins now.")
        return
    say("Stash has now")
    for one in there:
        package = packages.get(one.id)
        version = package.version if package else f"{one.version}, a copied folder"
        say(f"  {one.id} {version}{'' if one.enabled else ', disabled'}")


@asynccontextmanager
async def _put_back_on_failure(
    plugins: StashPlugins, source: str
) -> AsyncIterator[None]:
    """Leave a source and settings that may work as they were, if the new ones do not.

    But not where Stash has, or will have, the plugin from the new *source*.
    """
    had = found_among(await plugins.installed(), PLUGIN_ID) is not None
    sources, settings = await plugins.sources(), await plugins.settings(PLUGIN_ID)
    try:
        yield
    except Stash2PlexError as error:
        with suppress(Stash2PlexError):
            package = (await plugins.packages()).get(PLUGIN_ID)
            is_new = package is not None and package.source == source
            if had and not is_new and not isinstance(error, StashBusy):
                await plugins.set_sources(sources)
                await plugins.set_settings(PLUGIN_ID, settings)
                error.args = (
                    f"{error}; the former source and settings are as they were",
                )
            await _say_what_is_there(plugins)
        raise


async def _refuse_copies(plugins: StashPlugins, belong: Sequence[Plugin]) -> None:
    """Raise `RequestRejected` when Stash has some of *belong* from copied folders."""
    installed, packages = await plugins.installed(), await plugins.packages()
    copied = [
        one.id
        for one in belong
        if found_among(installed, one.id) and one.id not in packages
    ]
    if copied:
        raise RequestRejected(
            f"nothing was changed: Stash has {' and '.join(copied)} from folders that"
            " were copied there, and would get a second one of each. Either copy new"
            " ones over them (stash2plex install-plugin DIR), or delete the folders,"
            " click Settings > Plugins > Reload plugins in Stash, and run this again"
        )


async def _refuse_a_second(plugins: StashPlugins, plugin_id: str, source: str) -> None:
    """Raise `RequestRejected` when Stash would have a plugin from two sources.

    It runs the one that it finds first, so an update would seem to do nothing.
    """
    package = (await plugins.packages()).get(plugin_id)
    if package is None:
        return
    for known in await plugins.sources():
        is_its = known["url"] == package.source != source
        if is_its and known["name"] != SOURCE_NAME:
            raise RequestRejected(
                f"nothing was changed: Stash has the plugin from its source"
                f" {known['name']!r}, {package.source}, and would get a second one;"
                " uninstall it under Settings > Plugins, and run this again"
            )


def _own_url(settings: Settings) -> str:
    """Return where Stash most likely reaches this machine.

    In a container that is the name that others on its network know it by: its address
    is another one after the next start.
    """
    port = settings.server.port
    if _means_us(_SERVICE):
        return f"http://{_SERVICE}:{port}"
    host = urlsplit(settings.stash.url).hostname or ""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as towards:
            towards.connect((host, 9))  # sends nothing; only chooses an address
            address = towards.getsockname()[0]
    except OSError:
        address = "127.0.0.1"
    return f"http://{address}:{port}"


def _means_us(name: str) -> bool:
    """Whether a name is that of this machine's address, on a network with others."""
    try:
        address = socket.gethostbyname(name)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.bind((address, 0))  # fails at another machine's address
    except OSError:
        return False
    return not is_loopback(address)
