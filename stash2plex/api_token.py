"""The API's token: configured, or made once and kept in the data directory."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from stash2plex.config import ServerSettings
from stash2plex.errors import DataDirUnusable
from stash2plex.secret_file import read_secret

_OWNER_ONLY = 0o600


def token_file(settings: ServerSettings) -> Path:
    """Return where a token that we made is kept."""
    return settings.data_dir / "token"


def token_of(settings: ServerSettings) -> str | None:
    """Return the token, or None when none is configured and none was made yet."""
    configured = settings.token.get_secret_value()
    if configured:
        return configured
    try:
        return read_secret(token_file(settings)) or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DataDirUnusable(f"{token_file(settings)}: {error}") from error


def make_token(settings: ServerSettings) -> str:
    """Make a token and keep it, readable by nobody else; returns it."""
    token = secrets.token_urlsafe(32)
    path = token_file(settings)
    try:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
    except OSError as error:
        raise DataDirUnusable(f"{path}: {error.strerror}") from error
    return token
