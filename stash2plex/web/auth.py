"""The API's token: made once, kept in the data directory, compared in constant time."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from aiohttp import hdrs, web

from stash2plex.config import ServerSettings
from stash2plex.errors import DataDirUnusable, Unauthorized

_SCHEME = "Bearer "
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
        return token_file(settings).read_text(encoding="ascii").strip() or None
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


def check_token(request: web.Request, token: str) -> None:
    """Raise `Unauthorized` unless *request* carries *token*."""
    sent = request.headers.get(hdrs.AUTHORIZATION, "")
    given = sent[len(_SCHEME) :] if sent.startswith(_SCHEME) else ""
    # surrogateescape: a header may hold bytes that are no text.
    same = hmac.compare_digest(
        given.encode("utf-8", "surrogateescape"), token.encode("utf-8")
    )
    if not same:
        raise Unauthorized(
            "send the header 'Authorization: Bearer …' with the daemon's token"
            " (server.token, or data_dir/token)"
        )
