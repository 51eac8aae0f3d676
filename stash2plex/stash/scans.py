"""Hearing from Stash that it completed a scan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import aiohttp
from gql import Client
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport
from gql.transport.exceptions import TransportError

from stash2plex.errors import ServiceUnavailable, Stash2PlexError
from stash2plex.link import no_redirects
from stash2plex.stash import queries
from stash2plex.stash.connection import DENIED, FIRST_ERROR, REDIRECT, WRONG_URL

if TYPE_CHECKING:
    from stash2plex.stash.connection import StashConnection

# A subscription's link that does not answer is dead, seconds.
_PING = 30.0
_RENEWAL = 600.0
# How long an end may take that nobody waits for, seconds.
_PARTING = 1.0
_PARTINGS = 3


async def scans(
    stash: StashConnection, on_listening: Callable[[], None]
) -> AsyncIterator[None]:
    """Yield whenever a scan was completed, until the link breaks.

    Raises `ServiceUnavailable` when it cannot be made, or broke.
    """
    told: asyncio.Queue[bool] = asyncio.Queue()
    following = asyncio.create_task(_follow(stash, on_listening, told))
    following.add_done_callback(lambda _: told.put_nowait(False))
    try:
        while await told.get():
            yield
    finally:
        # Told to end, gql may wait for an answer that never comes: tell it again.
        for _ in range(_PARTINGS):
            following.cancel()
            await asyncio.wait({following}, timeout=_PARTING)
    if not following.cancelled() and (error := following.exception()):
        raise error


async def _follow(
    stash: StashConnection, on_listening: Callable[[], None], told: asyncio.Queue[bool]
) -> None:
    try:
        # Renewed now and then: gql goes deaf over a frame that is no answer.
        async with (
            asyncio.timeout(_RENEWAL),
            # gql leaves one of its own open when it is cancelled as it connects.
            aiohttp.ClientSession(middlewares=(no_redirects,)) as web,
            Client(transport=_transport(stash, web)) as session,
        ):
            on_listening()
            async for _ in session.subscribe(queries.SCANS):
                told.put_nowait(True)
    except (TransportError, aiohttp.ClientError, OSError) as error:
        raise await _refused(stash, error) from None
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
        raise ServiceUnavailable("Stash", WRONG_URL) from None
    raise ServiceUnavailable("Stash", "it ended the subscription")


async def _refused(stash: StashConnection, error: Exception) -> Stash2PlexError:
    """Tell a refusal from a broken connection."""
    for one in (error, error.__cause__):
        if isinstance(one, aiohttp.WSServerHandshakeError) and (
            one.status in DENIED or REDIRECT <= one.status < FIRST_ERROR
        ):
            return stash.denied(one.status)
    return ServiceUnavailable("Stash", await stash.reason(error))


def _transport(
    stash: StashConnection, web: aiohttp.ClientSession
) -> AIOHTTPWebsocketsTransport:
    settings = stash.settings
    return AIOHTTPWebsocketsTransport(
        f"{settings.url}/graphql",
        session=web,
        headers=dict(stash.headers),
        ssl=None if settings.verify_tls else False,
        websocket_close_timeout=_PARTING,
        close_timeout=_PARTING,
        connect_timeout=settings.timeout,
        ack_timeout=settings.timeout,
        ping_interval=_PING,
        pong_timeout=settings.timeout,
        subprotocols=[AIOHTTPWebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
    )
