"""``stash2plex install-plugin``: into a folder, or all the way through Stash itself."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from rich.prompt import Confirm, Prompt

from stash2plex import plugin
from stash2plex.commands.asking import ask, demand_token
from stash2plex.commands.shared import WELL, settings_of
from stash2plex.config import Settings, checked_url
from stash2plex.errors import ConfigError, RequestRejected, Stash2PlexError
from stash2plex.hosts import is_loopback
from stash2plex.plugin import PLUGIN_ID
from stash2plex.plugin_source import INDEX, SOURCE_NAME
from stash2plex.stash.client import StashClient
from stash2plex.stash.plugins import StashPlugins, found_among

# What deploy/compose.yaml calls the daemon, and so what its network does.
_SERVICE = "stash2plex"


def install_plugin(options: argparse.Namespace) -> int:
    """Put the Stash plugin into a folder, or have Stash install it."""
    if options.via_stash == bool(options.folder):
        raise ConfigError(
            "name Stash's plugins folder, or give --via-stash and have Stash install it"
        )
    if options.via_stash:
        _via_stash(settings_of(options), options)
        return WELL
    folder = plugin.install(options.folder)
    print(f"The plugin is in {folder}.")
    print("In Stash: Settings > Plugins > Reload plugins, then set there")
    print("  Daemon URL    where this daemon listens, as seen from Stash's machine or")
    print("                container, such as http://192.168.1.5:9898")
    print("  Daemon token  server.token, or the content of 'token' in server.data_dir")
    return WELL


def _via_stash(settings: Settings, options: argparse.Namespace) -> None:
    """Add the source, install, set, and try it; asks before it changes anything.

    Raises `DaemonUnreachable` unless the daemon runs: Stash gets the plugin from it.
    """
    token = demand_token(settings.server)
    ask(settings.server, "GET", "/api/v1/queue?limit=1")  # raises unless it runs
    asks = sys.stdin.isatty() and sys.stdout.isatty()
    url = options.daemon_url or _own_url(settings)
    if asks and not options.daemon_url:
        url = Prompt.ask("This daemon's URL, as Stash reaches it", default=url)
    try:
        url = checked_url(url.strip())
    except ValueError as error:
        raise ConfigError(f"--daemon-url {url!r}: {error}") from None
    source = f"{url}/plugin/{INDEX}"
    print(f"In Stash at {settings.stash.url} this will")
    print(f"  add the plugin source {source}")
    print(f"  install the plugin {PLUGIN_ID} from it, or update it, and enable it")
    print("  set its Daemon URL and Daemon token; nothing else of Stash is changed")
    if not options.yes and not (asks and Confirm.ask("Go on?", default=True)):
        raise ConfigError("nothing was changed; --yes goes on without asking")
    asyncio.run(_install(settings, url, source, token))
    print("Done: Stash runs the plugin, and the plugin reaches the daemon.")


async def _install(settings: Settings, url: str, source: str, token: str) -> None:
    async with StashClient.connect(settings.stash) as stash:
        await stash.probe()
        stash.refuse_if_too_old()
        plugins = StashPlugins(stash)
        await _refuse_a_second(plugins, source)
        async with _put_back_on_failure(plugins):
            await plugins.add_source(SOURCE_NAME, source)
            await plugins.install(PLUGIN_ID, source)
            found = found_among(await plugins.installed(), PLUGIN_ID)
            if found is not None and not found.enabled:
                await plugins.enable(PLUGIN_ID)
            given = {"daemonUrl": url, "daemonToken": token}
            await plugins.merge_settings(PLUGIN_ID, given)
            answer = await plugins.run(PLUGIN_ID, {"mode": "ping"})
            if not isinstance(answer, dict) or answer.get("outcome") != "ignored":
                raise RequestRejected(f"the plugin was tried, but answered {answer!r}")


@asynccontextmanager
async def _put_back_on_failure(plugins: StashPlugins) -> AsyncIterator[None]:
    """Leave sources and settings that may work as they were, if these do not."""
    worked = found_among(await plugins.installed(), PLUGIN_ID) is not None
    sources, settings = await plugins.sources(), await plugins.settings(PLUGIN_ID)
    try:
        yield
    except Stash2PlexError as error:
        if worked:
            with suppress(Stash2PlexError):
                await plugins.set_sources(sources)
                await plugins.set_settings(PLUGIN_ID, settings)
                error.args = (
                    f"{error}; the former source and settings are as they were",
                )
        raise


async def _refuse_a_second(plugins: StashPlugins, source: str) -> None:
    """Raise `RequestRejected` when Stash would have the plugin in two folders.

    It runs the one that it finds first, so an update would seem to do nothing.
    """
    if found_among(await plugins.installed(), PLUGIN_ID) is None:
        return
    origin = await plugins.package_source(PLUGIN_ID)
    if origin is None:
        raise RequestRejected(
            f"nothing was changed: Stash has the plugin in a folder {PLUGIN_ID} that"
            " was copied there, and would get a second one; delete that folder, click"
            " Settings > Plugins > Reload plugins in Stash, and run this again"
        )
    for known in await plugins.sources():
        if known["url"] == origin != source and known["name"] != SOURCE_NAME:
            raise RequestRejected(
                f"nothing was changed: Stash has the plugin from its source"
                f" {known['name']!r}, {origin}, and would get a second one; uninstall"
                " it under Settings > Plugins, and run this again"
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
