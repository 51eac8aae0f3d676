"""Which of our plugins Stash has, and so how changes are told of.

Stash's own update button takes the hooks of an older release away and brings no others:
somebody has to notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import structlog

from stash2plex import __version__
from stash2plex.errors import Stash2PlexError
from stash2plex.health.breaker import CircuitBreaker, State
from stash2plex.plugin import HTTP_HOOKS, IN_PROCESS_HOOKS, TASKS
from stash2plex.stash.client import StashClient
from stash2plex.stash.plugins import InstalledPlugin, StashPlugins, found_among
from stash2plex.stash.subscription import NoSocket

log = structlog.get_logger()

_EVERY = 3600.0  # seconds
# Until the first answer, and while something is wrong, seconds.
_AGAIN = 30.0
INSTALL = "stash2plex install-plugin --via-stash"
POLLED = "changes are found by asking Stash instead, a minute later"

_OVER_HTTP = f"{INSTALL} --hooks http"


@dataclass(frozen=True)
class Fault:
    """What is wrong with our plugins in Stash, and what mends it."""

    code: str
    message: str
    fix: str


def unheard(error: NoSocket) -> Fault:
    """Return the fault of hooks inside Stash that nothing gets through to hear."""
    return Fault("stash_socket", str(error), f"that, or {_OVER_HTTP}")


@dataclass(frozen=True)
class OurPlugins:
    """Those of Stash's plugins that are ours; disabled ones are not there."""

    installed: tuple[InstalledPlugin, ...]

    @classmethod
    def among(cls, installed: Sequence[InstalledPlugin]) -> OurPlugins:
        """Pick ours."""
        ids = {TASKS.id, IN_PROCESS_HOOKS.id, HTTP_HOOKS.id}
        return cls(tuple(one for one in installed if one.id in ids and one.enabled))

    @cached_property
    def hooks(self) -> list[str]:
        """How changes are told of: ``in-process``, ``http``, or both."""
        return ["in-process"] * self.in_process + ["http"] * self.over_http

    @property
    def in_process(self) -> bool:
        """Whether Stash's log tells of changes."""
        return found_among(self.installed, IN_PROCESS_HOOKS.id) is not None

    @property
    def over_http(self) -> bool:
        """Whether a process does; up to release 0.1 it was that of the tasks."""
        tasks = found_among(self.installed, TASKS.id)
        has_own = found_among(self.installed, HTTP_HOOKS.id) is not None
        return has_own or (tasks is not None and tasks.has_hooks)

    @property
    def faults(self) -> list[Fault]:
        """What is wrong."""
        found = []
        if not self.hooks:
            what = "hooks of ours" if self.installed else "plugins of ours"
            message = f"Stash has no {what}; {POLLED}"
            found.append(Fault("plugin_hooks", message, INSTALL))
        if len(self.hooks) > 1:
            message = "Stash tells of each change twice, which makes saving slow"
            fix = f"{INSTALL} keeps one kind of hooks"
            found.append(Fault("plugin_hooks_twice", message, fix))
        others = [one for one in self.installed if one.version != __version__]
        if others:
            named = " and ".join(f"{one.id} {one.version}" for one in others)
            message = f"Stash has {named}, and this is stash2plex {__version__}"
            fix = (
                "update it in Stash: Settings > Plugins > Check for updates; or"
                f" {INSTALL}"
            )
            found.append(Fault("plugin_version", message, fix))
        return found


class PluginState:
    """Looks at Stash's plugins at the start and every hour; before, *ours* is None."""

    def __init__(self, stash: StashClient, breaker: CircuitBreaker) -> None:
        self._plugins = StashPlugins(stash)
        self._breaker = breaker
        self._wanted = asyncio.Event()
        self.ours: OurPlugins | None = None

    def look_soon(self) -> None:
        """Look at once: somebody installed or tried something."""
        self._wanted.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._wanted.clear()
            if self._breaker.state is not State.OPEN:
                await self._look()
            is_well = self.ours is not None and not self.ours.faults
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY if is_well else _AGAIN):
                    await self._wanted.wait()

    async def _look(self) -> None:
        try:
            self.note(await self._plugins.installed())
        except Stash2PlexError as error:
            log.debug("plugins_unknown", error=str(error))

    def note(self, installed: Sequence[InstalledPlugin]) -> None:
        """Take what Stash was just seen to have."""
        before, self.ours = self.ours, OurPlugins.among(installed)
        if before != self.ours:
            for fault in self.ours.faults if self.ours.installed else ():
                log.warning("plugin_fault_found", problem=fault.message, fix=fault.fix)
