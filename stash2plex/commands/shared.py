"""What the commands have in common."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from stash2plex.config import Settings
from stash2plex.config_file import CONFIG_VARIABLE, load
from stash2plex.errors import ConfigError
from stash2plex.visible import visible, visible_json

# Exit statuses.
WELL, FAILED, MISUSED = 0, 1, 2


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the configuration that *options* name; raises `ConfigError`."""
    return load(named_file(options), os.environ)


def named_file(options: argparse.Namespace) -> Path | None:
    """Return the configuration file that is named, None for the usual one."""
    named = options.config or os.environ.get(CONFIG_VARIABLE, "").strip()
    return Path(named) if named else None


def print_json(document: object) -> None:
    """Print a document; with escapes where the terminal cannot show every letter."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    everything = encoding.lower().replace("-", "").startswith("utf")
    print(visible_json(json.dumps(document, ensure_ascii=not everything)))


def say(text: str, *, error: bool = False) -> None:
    """Print a line that may hold names of files and the like; errors go apart."""
    print(visible(text), file=sys.stderr if error else sys.stdout)


def demand_plex_token(settings: Settings) -> None:
    """Raise `ConfigError` unless there is a token of Plex."""
    if not settings.plex.token.get_secret_value():
        raise ConfigError(
            "plex.token is not set: put the X-Plex-Token of the server's owner into the"
            " configuration file, STASH2PLEX_PLEX__TOKEN, or a file named by"
            " STASH2PLEX_PLEX__TOKEN_FILE"
        )
