"""Reading the body of an HTTP request as JSON."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import ClientError, hdrs, http_exceptions, web

from stash2plex.errors import InvalidRequest

# How long a body may take to arrive, seconds.
PATIENCE = 30.0


async def json_body(
    request: web.Request, *, optional: bool = False, patience: float | None = None
) -> Any:
    """Return the body of *request*; raises `InvalidRequest` if it is not JSON.

    One that is *optional* may be empty: that is None. It is waited for as long as
    *patience* says, in seconds, or `PATIENCE`.

    A body that is too large leaves as aiohttp's own error, which is a 413, and one that
    does not come to its end in time as a 408. A compressed one is a 415.
    """
    try:
        async with asyncio.timeout(patience or PATIENCE):
            body = await request.read()
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
            raise web.HTTPUnsupportedMediaType
        if optional and not body:
            return None
        found = json.loads(body)
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (
        ValueError,
        RecursionError,
        ClientError,
        ConnectionResetError,
        http_exceptions.HttpProcessingError,
        web.RequestPayloadError,
    ) as error:
        raise InvalidRequest("the body is not JSON") from error
    if found is None:
        raise InvalidRequest("the body must be a JSON object, not null")
    return found
