"""Which of our plugins Stash has, and so how changes are told of.

Stash's own update button takes the hooks of an older release away and brings no others:
somebody has to notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import structlog

from stash2plex import __version__
from stash2plex.errors import ServiceUnavailable, Stash2PlexError
from stash2plex.health.breaker import CircuitBreaker, State
from stash2plex.plugin import HTTP_HOOKS, IN_PROCESS_HOOKS, PLUGINS, TASKS, Hooks
from stash2plex.stash.client import StashClient
from stash2plex.stash.plugins import InstalledPlugin, StashPlugins, found_among

log = structlog.get_logger()

_EVERY = 300.0  # seconds
# Until the first answer, and while something is wrong, seconds.
_AGAIN = 30.0
# At least between two looks, whoever asks, seconds.
_REST = 1.0
INSTALL = "stash2plex install-plugin --via-stash"
_COPY = "stash2plex install-plugin DIR"
_POLLED = "changes still arrive, but only when Stash is asked (stash.poll_interval)"
_NOT_POLLED = "and stash.poll_interval is 0: changes wait for the next comparison"
# What install-plugin sets, unseen, where somebody wants no hooks.
HOOKS_SETTING = "hooks"


@dataclass(frozen=True)
class Fault:
    """What is wrong with our plugins in Stash, and what mends it."""

    code: str
    message: str
    fix: str


def unheard(error: Stash2PlexError) -> Fault:
    """Return the fault of hooks inside a Stash that answers, but is not heard."""
    reason = error.reason if isinstance(error, ServiceUnavailable) else error
    return Fault(
        "stash_socket",
        f"Stash answers, but its log is not heard: {reason}",
        "if a proxy stands before Stash, switch on WebSocket support for it; or use"
        f" {INSTALL} --hooks http",
    )


@dataclass(frozen=True)
class OurPlugins:
    """Those of Stash's plugins that are ours; *wants_no_hooks* if somebody said so."""

    installed: tuple[InstalledPlugin, ...]
    wants_no_hooks: bool = False

    @classmethod
    def among(
        cls, installed: Sequence[InstalledPlugin], settings: Mapping[str, Any]
    ) -> OurPlugins:
        """Pick ours; *settings* are those of the plugin with the tasks."""
        ids = {one.id for one in PLUGINS}
        ours = tuple(one for one in installed if one.id in ids)
        return cls(ours, settings.get(HOOKS_SETTING) == Hooks.NONE)

    @cached_property
    def enabled(self) -> list[InstalledPlugin]:
        """Those that Stash runs."""
        return [one for one in self.installed if one.enabled]

    @cached_property
    def hooks(self) -> list[str]:
        """How changes are told of: ``in-process``, ``http``, or both."""
        return ["in-process"] * self.in_process + ["http"] * self.over_http

    @property
    def in_process(self) -> bool:
        """Whether Stash's log tells of changes."""
        return found_among(self.enabled, IN_PROCESS_HOOKS.id) is not None

    @property
    def over_http(self) -> bool:
        """Whether a process does; up to release 0.1 it was that of the tasks."""
        tasks = found_among(self.enabled, TASKS.id)
        has_own = found_among(self.enabled, HTTP_HOOKS.id) is not None
        return has_own or (tasks is not None and tasks.has_hooks)

    def faults(self, *, polls: bool) -> list[Fault]:
        """Return what is wrong; *polls* says whether Stash is asked now and then."""
        found = []
        if not self.hooks and not self.wants_no_hooks:
            found.append(self._hookless(polls=polls))
        if len(self.hooks) > 1:
            message = "Stash tells of each change twice, which makes saving slow"
            fix = f"{INSTALL} keeps one kind; of folders that were copied, {_COPY}"
            found.append(Fault("plugin_hooks_twice", message, fix))
        others = [one for one in self.enabled if one.version != __version__]
        if others:
            named = " and ".join(f"{one.id} {one.version}" for one in others)
            message = f"Stash has {named}, and this is stash2plex {__version__}"
            fix = (
                "update it in Stash: Settings > Plugins > Check for updates; or"
                f" {INSTALL}"
            )
            found.append(Fault("plugin_version", message, fix))
        return found

    def _hookless(self, *, polls: bool) -> Fault:
        instead = _POLLED if polls else _NOT_POLLED
        for one in self.installed:
            if one.has_hooks and not one.enabled:
                message = f"the plugin {one.id} is disabled in Stash; {instead}"
                fix = "enable it under Settings > Plugins"
                return Fault("plugin_hooks", message, fix)
        what = "hooks" if self.enabled else "plugins"
        return Fault(
            "plugin_hooks", f"Stash has none of our {what}; {instead}", INSTALL
        )


class PluginState:
    """Looks at Stash's plugins, now and then; until it did, *ours* is None."""

    def __init__(
        self, stash: StashClient, breaker: CircuitBreaker, *, polls: bool
    ) -> None:
        self._plugins = StashPlugins(stash)
        self._breaker = breaker
        self._polls = polls
        self._wanted = asyncio.Event()
        self.ours: OurPlugins | None = None

    @property
    def faults(self) -> list[Fault]:
        """What is wrong, as far as it is known."""
        return self.ours.faults(polls=self._polls) if self.ours else []

    def look_soon(self) -> None:
        """Look at once: somebody installed or tried something."""
        self._wanted.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._wanted.clear()
            if self._breaker.state is not State.OPEN:
                await self._look()
            is_well = self.ours is not None and not self.faults
            await asyncio.sleep(_REST)
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY if is_well else _AGAIN):
                    await self._wanted.wait()

    async def _look(self) -> None:
        try:
            installed = await self._plugins.installed()
            settings = await self._plugins.settings(TASKS.id)
        except Stash2PlexError as error:
            log.debug("plugins_unknown", error=str(error))
            return
        before, self.ours = self.ours, OurPlugins.among(installed, settings)
        if before != self.ours and self.ours.installed:
            for fault in self.faults:
                log.warning("plugin_fault_found", problem=fault.message, fix=fault.fix)
