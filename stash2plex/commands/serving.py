"""Commands that run the daemon: in earnest, or between pretend servers."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from rich.console import Console

from stash2plex import reload
from stash2plex.commands.shared import WELL, demand_plex_token, settings_of
from stash2plex.config import Settings
from stash2plex.errors import Stash2PlexError
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

    # What is kept is nobody else's business.
    os.umask(0o077)
    secrets = Secrets()
    settings = read()
    adopt(settings)
    try:
        service = Systemd(os.environ)
        asyncio.run(
            reload.run(settings, secrets, load=read, adopt=adopt, service=service)
        )
    except* Stash2PlexError as group:
        error = group.exceptions[0]
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        raise error from None
    return WELL


def demo(options: argparse.Namespace) -> int:
    """Show the daemon at work between a pretend Stash and a pretend Plex."""
    # Imported here: only the demo needs the pretend servers.
    from stash2plex.sandbox.demo import run_demo  # noqa: PLC0415

    configure("error", "auto", Secrets(), stream=sys.stderr)
    console = Console(highlight=False)
    once = options.once or not sys.stdout.isatty()
    return asyncio.run(
        run_demo(console, port=options.port, scenes=options.scenes, once=once)
    )
