"""Who may use the API: whoever sends the token, compared in constant time."""

from __future__ import annotations

import hmac

from aiohttp import hdrs, web

from stash2plex.errors import Unauthorized

_SCHEME = "Bearer "


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
            "send the daemon's token (server.token, or the content of data_dir/token)"
            " as a bearer token in the Authorization header"
        )
