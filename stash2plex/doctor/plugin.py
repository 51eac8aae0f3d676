"""The plugins in Stash: there, enabled, and able to tell the daemon of changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from stash2plex.api_token import token_of
from stash2plex.config import Settings
from stash2plex.db.database import DATABASE, read_fact
from stash2plex.db.last_time import LAST_HOOK
from stash2plex.doctor.finding import Finding
from stash2plex.errors import DataDirUnusable, ServiceUnavailable, Stash2PlexError
from stash2plex.health.plugin_state import INSTALL, OurPlugins, unheard
from stash2plex.hosts import HERE, is_loopback, without_login
from stash2plex.older_plugin import OLDER_PLUGIN
from stash2plex.plugin import HTTP_HOOKS, IN_PROCESS_HOOKS, PLUGIN_ID, TASKS
from stash2plex.stash.client import StashClient
from stash2plex.stash.plugins import (
    HEARD_WITHIN,
    InstalledPlugin,
    StashPlugins,
    found_among,
    python_remedy,
)


async def examine(
    stash: StashClient, settings: Settings, *, runs: bool
) -> list[Finding]:
    """Look at Stash's plugins; *runs* says whether the daemon does."""
    try:
        plugins = StashPlugins(stash)
        installed = await plugins.installed()
        given = await plugins.settings(PLUGIN_ID)
    except Stash2PlexError as error:
        return [Finding("plugin", "warn", str(error), "look at Stash's log")]
    ours = OurPlugins.among(installed, given)
    polls = settings.stash.poll_interval > 0
    findings = [_installed(found_among(installed, PLUGIN_ID))]
    if findings[0].level == "ok":
        findings += await asyncio.to_thread(_settings, given, settings)
        if runs:
            is_ours = all(one.code != "plugin_token" for one in findings)
            findings.append(await _reaches(plugins, settings, given, ours=is_ours))
    faults = ours.faults(polls=polls)
    findings += [Finding(one.code, "warn", one.message, one.fix) for one in faults]
    if ours.hooks:
        findings.append(await _hooks(plugins, settings, ours, runs=runs))
    older = found_among(installed, OLDER_PLUGIN)
    if older is not None and older.enabled:
        message = f"the plugin {OLDER_PLUGIN} is enabled too: both write to Plex"
        fix = "disable it under Settings > Plugins in Stash"
        findings.append(Finding("plugin_older", "warn", message, fix))
    return findings


def polling(settings: Settings) -> Finding | None:
    """Say that what no hook tells of is not looked for, if so."""
    if settings.stash.poll_interval:
        return None
    message = (
        "stash.poll_interval is 0: what no hook tells of, or what was lost on the way,"
        " waits for the next comparison"
    )
    return Finding("poll", "warn", message, "set stash.poll_interval = 60")


def _installed(plugin: InstalledPlugin | None) -> Finding:
    code = "plugin"
    if plugin is None:
        fix = f"{INSTALL}, with the daemon running"
        message = f"Stash does not have the plugin {PLUGIN_ID}: no tasks and no page"
        return Finding(code, "warn", message, fix)
    if not plugin.enabled:
        message = f"the plugin {PLUGIN_ID} is disabled in Stash: no tasks and no page"
        return Finding(code, "warn", message, "enable it under Settings > Plugins")
    return Finding(code, "ok", f"Stash has the plugin {PLUGIN_ID} {plugin.version}")


def _settings(given: Mapping[str, Any], settings: Settings) -> list[Finding]:
    """Compare what is set in Stash with what is set here."""
    found = []
    own = f"http://{HERE}:{settings.server.port}"
    url = str(given.get("daemonUrl") or "")
    shown = without_login(url)
    try:
        host = urlsplit(url).hostname
    except ValueError:
        fix = f"set Daemon URL to {own}, as Stash's machine or container reaches it"
        message = f"the plugin's Daemon URL is no URL: {shown}"
        return [Finding("plugin_url", "warn", message, fix)]
    stash_is_elsewhere = not is_loopback(urlsplit(settings.stash.url).hostname)
    fix = f"set Daemon URL to {own}, as Stash's machine or container reaches it"
    if stash_is_elsewhere and (not url or is_loopback(host)):
        message = (
            f"the plugin's Daemon URL is {shown or 'empty'}, which means Stash's own"
            " machine or container"
        )
        found.append(Finding("plugin_url", "warn", message, fix))
    token = str(given.get("daemonToken") or "").strip()
    try:
        ours = token_of(settings.server)
    except DataDirUnusable:
        ours = None  # another user's; told elsewhere
    if ours is not None and token != ours:
        state = "is not the daemon's" if token else "is empty"
        fix = "copy server.token, or the content of data_dir/token, to Daemon token"
        message = f"the plugin's Daemon token {state}: tasks and page are refused"
        found.append(Finding("plugin_token", "fail", message, fix))
    return found


async def _reaches(
    plugins: StashPlugins, settings: Settings, given: Mapping[str, Any], *, ours: bool
) -> Finding:
    """Have the plugin ask the daemon something, from where Stash runs; nothing is said.

    With a token that is not *ours* it can only be another daemon that answers.
    """
    code = "plugin_reaches"
    try:
        await plugins.ping(PLUGIN_ID)
    except Stash2PlexError as error:
        fix = python_remedy(str(error)) or (
            "see Settings > Plugins in Stash; Daemon URL is"
            f" http://{HERE}:{settings.server.port} as Stash's machine or container"
            " reaches it"
        )
        return Finding(code, "fail", str(error), fix)
    if not ours:
        where = without_login(str(given.get("daemonUrl")))
        message = f"the plugin reaches another daemon, at {where}"
        fix = (
            f"{INSTALL} makes it ask this one; restart the daemon first if server.token"
            " has changed"
        )
        return Finding(code, "fail", message, fix)
    return Finding(code, "ok", "the plugin reaches the daemon")


def _own_token(own: Mapping[str, Any], settings: Settings) -> Finding | None:
    """Say that hooks over HTTP have a token of their own, of another daemon."""
    token = str(own.get("daemonToken") or "").strip()
    try:
        if not token or token == token_of(settings.server):
            return None
    except DataDirUnusable:
        return None
    message = (
        f"the Daemon token that {HTTP_HOOKS.id} has of its own is not the daemon's"
    )
    fix = (
        f"empty both settings of {HTTP_HOOKS.name}; it then uses those of {TASKS.name}"
    )
    return Finding("plugin_token", "fail", message, fix)


async def _hooks(
    plugins: StashPlugins, settings: Settings, ours: OurPlugins, *, runs: bool
) -> Finding:
    """Have each kind of hooks tell of nothing, and see whether that arrives."""
    code, file = "plugin_hooks", settings.server.data_dir / DATABASE
    told: list[Finding | str] = []
    if ours.in_process:
        told.append(await _heard(plugins))
    if found_among(ours.enabled, HTTP_HOOKS.id) and runs:
        told.append(await _posted(plugins, settings))
    for one in told:
        if isinstance(one, Finding):
            return one
    if moment := await asyncio.to_thread(read_fact, file, LAST_HOOK):
        told.append(f"the last change was told of at {moment}")
    if not told:
        fix = "edit a scene in Stash; if none comes, look at Settings > Logs there"
        return Finding(code, "warn", "no hook has come yet", fix)
    kinds = " and ".join(ours.hooks)
    return Finding(code, "ok", f"hooks: {kinds}; {', '.join(map(str, told))}")


async def _heard(plugins: StashPlugins) -> Finding | str:
    """Have the script in Stash tell of nothing; returns what came of it."""
    code = "plugin_hooks"
    try:
        seconds = await plugins.heard(IN_PROCESS_HOOKS.id)
    except ServiceUnavailable as error:
        fault = unheard(error)
        return Finding(fault.code, "warn", fault.message, fault.fix)
    except Stash2PlexError as error:
        return Finding(code, "warn", str(error), "look at Stash's log")
    if seconds is None:
        message = f"a hook inside Stash was not heard within {HEARD_WITHIN:.0f} s"
        return Finding(code, "warn", message, f"restart Stash; or {INSTALL}")
    return f"a hook inside Stash was heard after {seconds:.1f} s"


async def _posted(plugins: StashPlugins, settings: Settings) -> Finding | str:
    """Have the plugin of HTTP hooks tell of nothing; returns what came of it."""
    try:
        own = await plugins.settings(HTTP_HOOKS.id)
        if problem := await asyncio.to_thread(_own_token, own, settings):
            return problem
        await plugins.ping(HTTP_HOOKS.id)
    except Stash2PlexError as error:
        fix = python_remedy(str(error)) or "see Settings > Plugins in Stash"
        return Finding("plugin_hooks", "fail", str(error), fix)
    return "a hook over HTTP arrived"
