"""Running the daemon with the settings of the moment: SIGHUP reads them anew.

What is valid takes the place of what was: the parts are taken down in good order and
built again, which hands every job in hand back to the queue; requests are answered all
the while. What is invalid is reported, and the running settings stay.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import structlog
from pydantic import BaseModel

from stash2plex import daemon
from stash2plex.config import Settings
from stash2plex.errors import ConfigError
from stash2plex.logs import Secrets
from stash2plex.systemd import Systemd

log = structlog.get_logger()

# Who is already bound to an address and a folder keeps them.
_NEEDS_RESTART = "server"
# How long the end may take, seconds: it has ten.
_PATIENCE, _LAST_WORDS = 9.0, 0.5


async def run(
    settings: Settings,
    secrets: Secrets,
    *,
    load: Callable[[], Settings],
    adopt: Callable[[Settings], None],
    service: Systemd,
) -> None:
    """Run the daemon until SIGTERM or SIGINT, or until a part fails.

    *load* reads the settings and raises `ConfigError`; *adopt* is told of new ones
    before they take effect, and *service* of how it goes.
    """
    stopping, ending = asyncio.Event(), asyncio.Event()
    reading: set[asyncio.Task[None]] = set()
    current = settings

    async def read() -> None:
        nonlocal current
        service.reloading()
        try:
            found = await asyncio.to_thread(load)
        except ConfigError as error:
            log.error("configuration_invalid", error=str(error))  # noqa: TRY400
            service.note(
                f"with the former configuration, since the file is wrong: {error}"
            )
            service.ready()
            return
        service.note("")
        found, told = _kept(found, current)
        if changed := differences(current, found):
            log.info("configuration_changed", keys=changed)
            current = found
            stopping.set()
            return
        if not told:
            log.info("configuration_unchanged")
        service.ready()

    def hang_up() -> None:
        task = asyncio.create_task(read())
        reading.add(task)
        task.add_done_callback(reading.discard)

    def end() -> None:
        leave_in_any_case()
        service.stopping()
        ending.set()
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    async with daemon.ground(settings.server, secrets, service.status) as base:
        alive = asyncio.create_task(service.keep_alive())
        former = AsyncExitStack()
        try:
            while True:
                running = current
                former = await daemon.work(
                    base,
                    running,
                    secrets,
                    stopping=stopping,
                    on_ready=service.ready,
                    former=former,
                )
                if ending.is_set() or current is running:
                    log.info("daemon_stopping")
                    return
                stopping.clear()
                adopt(current)
        finally:
            alive.cancel()
            await former.aclose()


async def leaving(work: Coroutine[Any, Any, None]) -> None:
    """Do *work*; when it fails, end the process whatever a thread waits for."""
    try:
        await work
    except BaseException:
        leave_in_any_case(1)
        raise


def leave_in_any_case(status: int = 0) -> None:
    """End the process with *status* unless it ends by itself: a thread may hang.

    What is on disk is sound at any moment, and supervisors wait no longer than this.
    """

    def tell() -> None:
        log.warning("daemon_left", seconds=_PATIENCE)
        sys.stdout.flush()

    def leave() -> None:
        # Whoever reads the log may hang as well.
        telling = threading.Thread(target=tell, daemon=True)
        telling.start()
        telling.join(_LAST_WORDS)
        os._exit(status)

    timer = threading.Timer(_PATIENCE, leave)
    timer.daemon = True
    timer.start()


def differences(before: BaseModel, after: BaseModel) -> list[str]:
    """Return the keys whose values differ, such as ``plex.url``; no values."""
    old, new = _flat(before), _flat(after)
    return sorted(
        key for key in old.keys() | new.keys() if old.get(key) != new.get(key)
    )


def _kept(found: Settings, current: Settings) -> tuple[Settings, bool]:
    """Return *found* with what only a restart can change as it is.

    And whether there is any of that, which is told.
    """
    kept = current.server.model_copy(
        update={"allowed_hosts": found.server.allowed_hosts}
    )
    changed = differences(kept, found.server)
    if changed:
        keys = [f"{_NEEDS_RESTART}.{key}" for key in changed]
        log.warning("configuration_needs_restart", keys=keys)
    return found.model_copy(update={_NEEDS_RESTART: kept}), bool(changed)


def _flat(model: BaseModel, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found
