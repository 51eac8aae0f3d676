"""Reading the body of an HTTP request as JSON."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import ClientError, http_exceptions, web

from stash2plex.errors import InvalidRequest


async def json_body(request: web.Request, *, optional: bool = False) -> Any:
    """Return the body of *request*; raises `InvalidRequest` if it is not JSON.

    One that is *optional* may be empty: that is None.

    A body that is too large leaves as aiohttp's own error, which is a 413.
    """
    try:
        body = await request.read()
        return json.loads(body) if body or not optional else None
    except (
        ValueError,
        RecursionError,
        ClientError,
        http_exceptions.HttpProcessingError,
        web.RequestPayloadError,
    ) as error:
        raise InvalidRequest("the body is not JSON") from error
