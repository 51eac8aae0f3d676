"""Telling systemd how the daemon is, as sd_notify(3) describes it.

The container's entry point listens in the same way. Without ``NOTIFY_SOCKET`` in the
environment, as on a terminal, nothing is told to anybody.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

from stash2plex.visible import visible

_MICROSECOND = 1e-6


class Systemd:
    """The service manager that started us, if one did."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # A name in the abstract namespace.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._interval = 0.0
        self._text, self._note = "Takes hooks", ""
        watched = environment.get("WATCHDOG_PID", "") in {"", str(os.getpid())}
        period = environment.get("WATCHDOG_USEC", "")
        if watched and period.isdecimal():
            self._interval = int(period) * _MICROSECOND / 2

    def ready(self) -> None:
        """Say that hooks are taken, at the start or after a reload, and how."""
        self._tell(f"READY=1\n{self._status_line()}")

    def status(self, text: str) -> None:
        """Say how it goes, in a few words for ``systemctl status``."""
        self._text = text
        self._tell(self._status_line())

    def note(self, text: str) -> None:
        """Add *text* to all that is said of how it goes; "" takes it back."""
        self._note = text

    def _status_line(self) -> str:
        told = "; ".join(filter(None, (self._text, self._note)))
        return f"STATUS={visible(told)}"

    def reloading(self) -> None:
        """Say that the configuration is read again."""
        now = time.clock_gettime(time.CLOCK_MONOTONIC)
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={int(now / _MICROSECOND)}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._tell("STOPPING=1")

    async def keep_alive(self) -> None:
        """Say again and again that the event loop turns, until cancelled.

        systemd starts a daemon anew that has fallen silent.
        """
        while self._interval:
            self._tell("WATCHDOG=1")
            await asyncio.sleep(self._interval)

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        # A datagram that systemd does not take is no reason to fail.
        with (
            suppress(OSError),
            socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
            ) as to,
        ):
            to.setblocking(False)
            to.sendto(state.encode("utf-8", "backslashreplace"), self._address)
