"""Stash's socket: being told of something as it happens, over graphql-transport-ws.

On a socket of aiohttp's, and one for each subscription: gql parses every frame whole,
and goes deaf over one that is no answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING

import aiohttp
from gql import GraphQLRequest

from stash2plex.errors import ServiceUnavailable, Stash2PlexError
from stash2plex.link import Redirected, no_redirects
from stash2plex.stash.connection import DENIED, WRONG_URL

if TYPE_CHECKING:
    from stash2plex.stash.connection import StashConnection

_PROTOCOL = "graphql-transport-ws"
_HEARTBEAT = 30.0  # seconds; a link that does not answer is dead
# A second of a busy log can be many megabytes.
_LARGEST = 64 * 1024 * 1024
# How long an end may take that nobody waits for, seconds.
_PARTING = 1.0
_SMALL = 4096


async def subscription(
    stash: StashConnection,
    wanted: Sequence[GraphQLRequest],
    on_listening: Callable[[], None],
) -> AsyncGenerator[str, None]:
    """Yield each frame that may hold an answer to what is *wanted*.

    Until the link breaks, or one of them comes to an end. Raises `ServiceUnavailable`
    or `AccessDenied` when it cannot be asked, or ended.
    """
    settings = stash.settings
    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=settings.timeout, sock_read=settings.timeout
    )
    try:
        async with (
            aiohttp.ClientSession(
                headers=stash.headers, timeout=timeout, middlewares=(no_redirects,)
            ) as session,
            session.ws_connect(
                f"{settings.url}/graphql",
                protocols=[_PROTOCOL],
                heartbeat=_HEARTBEAT,
                max_msg_size=_LARGEST,
                ssl=settings.verify_tls,
                timeout=aiohttp.ClientWSTimeout(ws_close=_PARTING),
            ) as socket,
        ):
            async with asyncio.timeout(settings.timeout):
                await _begin(socket, wanted)
            on_listening()
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                frame: str = message.data
                if len(frame) < _SMALL:
                    await _minded(stash, socket, frame)
                yield frame
    except aiohttp.WSServerHandshakeError as error:
        raise _refused(stash, error) from None
    except Redirected as error:
        raise stash.redirected(error.location) from None
    except (aiohttp.ClientError, OSError) as error:
        raise stash.contact.broken("Stash", error, await stash.reason(error)) from None
    raise ServiceUnavailable("Stash", "it ended the subscription")


async def _begin(
    socket: aiohttp.ClientWebSocketResponse, wanted: Sequence[GraphQLRequest]
) -> None:
    await socket.send_json({"type": "connection_init", "payload": {}})
    while True:
        message = await socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ServiceUnavailable("Stash", "it ended the subscription")
        if _kind_of(message.data)[0] == "connection_ack":
            break
    for number, query in enumerate(wanted, 1):
        asked = {"id": str(number), "type": "subscribe", "payload": query.payload}
        await socket.send_json(asked)


async def _minded(
    stash: StashConnection, socket: aiohttp.ClientWebSocketResponse, frame: str
) -> None:
    """Answer what has to be answered; raises when the subscription is over."""
    kind, payload = _kind_of(frame)
    if kind == "ping":
        await socket.send_json({"type": "pong"})
    elif kind == "error":
        raise ServiceUnavailable(
            "Stash", f"no subscription: {stash.quoted(str(payload))}"
        )
    elif kind == "complete":
        raise ServiceUnavailable("Stash", "it ended the subscription")


def _kind_of(frame: str) -> tuple[object, object]:
    try:
        found = json.loads(frame)
        return found["type"], found.get("payload")
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise ServiceUnavailable("Stash", WRONG_URL) from None


def _refused(
    stash: StashConnection, error: aiohttp.WSServerHandshakeError
) -> Stash2PlexError:
    """Tell a refusal from something between that knows no sockets."""
    if error.status in DENIED:
        return stash.denied(error.status)
    message = f"no WebSocket gets through: HTTP {error.status}"
    return ServiceUnavailable("Stash", message)
