"""Commands that run the daemon: in earnest, or between pretend servers."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from stash2plex import reload
from stash2plex.commands.shared import WELL, demand_plex_token, settings_of
from stash2plex.config import Settings
from stash2plex.errors import AddressInUse, Stash2PlexError
from stash2plex.logs import Secrets, configure
from stash2plex.systemd import Systemd


def run(options: argparse.Namespace) -> int:
    """Run the daemon in the foreground."""

    def read() -> Settings:
        settings = settings_of(options)
        demand_plex_token(settings)
        return settings

    def adopt(settings: Settings) -> None:
        for secret in settings.secrets():
            secrets.add(secret)
        secrets.hides_paths = settings.log.obfuscate_paths
        configure(settings.log.level, settings.log.format, secrets)

    secrets = Secrets()
    settings = read()
    adopt(settings)
    service = Systemd(os.environ)
    # So that a watchdog's SIGABRT leaves the stacks of all threads.
    faulthandler.enable()
    with _first_error_alone():
        work = reload.run(settings, secrets, load=read, adopt=adopt, service=service)
        asyncio.run(reload.leaving(work))
    return WELL


def demo(options: argparse.Namespace) -> int:
    """Show the daemon at work between a pretend Stash and a pretend Plex."""
    # Imported here: only the demo needs the pretend servers.
    from stash2plex.sandbox.alone import run_servers  # noqa: PLC0415
    from stash2plex.sandbox.demo import run_demo  # noqa: PLC0415

    configure("error", "auto", Secrets(), stream=sys.stderr)
    console = Console(highlight=False)
    once = options.once or not sys.stdout.isatty()
    # A closed terminal, or a supervisor, is to leave nothing behind either.
    # Like Ctrl-C, which asyncio turns into an end in good order; whoever starts it in
    # the background may have Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    scenes = options.scenes
    try:
        with _first_error_alone():
            if options.servers:
                return asyncio.run(run_servers(console, scenes=scenes))
            return asyncio.run(
                run_demo(console, port=options.port, scenes=scenes, once=once)
            )
    except AddressInUse:
        raise AddressInUse(
            f"something else listens on port {options.port}; name another with --port"
        ) from None
    except KeyboardInterrupt:  # as it was told how to end it
        return WELL


@contextmanager
def _first_error_alone() -> Iterator[None]:
    """Raise the first error of our own that the parts of the daemon raise together.

    A bug among them is shown whole. Not with ``except*``: Python 3.11.2, that of Debian
    12, wraps what is raised in there anew.
    """
    try:
        yield
    except ExceptionGroup as group:
        _, bugs = group.split(Stash2PlexError)
        if bugs is not None:
            raise
        error: Exception = group
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        raise error from None
