"""Requests to one Plex server, and errors of our own for what goes wrong.

One aiohttp session. Targets leave byte for byte, the token goes into a header, no
proxy and no redirect is followed, every request has a deadline that includes its body,
and nothing of a URL gets into an error.
"""

from __future__ import annotations

import asyncio
import io
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import mktime_tz, parsedate_tz
from http import HTTPStatus
from xml.etree.ElementTree import Element

import aiohttp
from aiohttp import hdrs
from yarl import URL

from stash2plex import __version__
from stash2plex.config import PlexSettings
from stash2plex.errors import (
    AccessDenied,
    AnswerTooLarge,
    RequestRejected,
    ServerFault,
    ServiceUnavailable,
    StaleCatalog,
    StartingUp,
    Stash2PlexError,
)
from stash2plex.logs import Secrets
from stash2plex.measures import Watch, nobody, timed
from stash2plex.net.answers import BodyTooLarge, error_text, pieces
from stash2plex.net.contact import NOBODY
from stash2plex.net.failures import first_reason, reason
from stash2plex.pause import pause_asked
from stash2plex.plex.xml import parse

# Answers that say nothing about the request itself: try the same thing again later.
_UNAVAILABLE = frozenset({408, 429, 502, 503, 504})
_DENIED = frozenset({401, 403})
_SUCCESS = range(200, 300)
_REDIRECT = range(300, 400)
_NOT_FOUND = 404
_STARTING = 503
_FAULT = 500
# How PMS words that it cannot take writes yet (measured: with HTTP 400).
_STARTING_UP = re.compile(
    r"\b(?:is|still|currently) starting up|startup maintenance", re.IGNORECASE
)
# How servers word that they expect TLS.
_WANTS_TLS = re.compile(r"HTTPS (?:server|port)", re.IGNORECASE)
_PROBE_TIMEOUT = 5.0


class NotFoundInPlex(StaleCatalog):
    """HTTP 404: nothing has this rating key any more."""


class PlexConnection:
    """One Plex server: authenticated requests, so many at once as is configured."""

    def __init__(
        self, settings: PlexSettings, session: aiohttp.ClientSession, watch: Watch
    ) -> None:
        self._watch = watch
        self._settings = settings
        self._session = session
        self._turns = asyncio.Semaphore(settings.concurrency)
        self._background = asyncio.Lock()
        self._has_answered = False
        self._secrets = Secrets([settings.token.get_secret_value()])
        self.contact = NOBODY
        self.clock = 0  # Plex's, as of its last answer, unix seconds

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: PlexSettings, client_identifier: str, watch: Watch = nobody
    ) -> AsyncIterator[PlexConnection]:
        """Hold connections open for the length of the block.

        *client_identifier* is what Plex lists among its devices; it must stay the
        same for the life of an installation; *watch* takes the time of each request.
        """
        headers = {
            "X-Plex-Token": settings.token.get_secret_value(),
            "X-Plex-Client-Identifier": client_identifier,
            "X-Plex-Product": "stash2plex",
            "X-Plex-Version": __version__,
            "X-Plex-Device-Name": "stash2plex",
            "User-Agent": f"stash2plex/{__version__}",
        }
        async with aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=0, ssl=settings.verify_tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Every request has a deadline of its own.
            timeout=aiohttp.ClientTimeout(total=None),
        ) as session:
            yield cls(settings, session, watch)

    async def get(
        self,
        target: str,
        *,
        headers: dict[str, str] | None = None,
        background: bool = False,
    ) -> Element:
        """Return the answer's root element; raises our errors, `NotFoundInPlex` too.

        One request in the *background* is under way at a time, whatever the others do.
        """
        if background:
            async with self._background:
                return await self.get(target, headers=headers)
        async with self._turns:
            root = await self._send(hdrs.METH_GET, target, headers=headers)
        if root is None:
            raise ServiceUnavailable("Plex", "its answer is empty")
        return root

    async def identity(self) -> Element:
        """Return what the server says of itself, within five seconds.

        The root, not ``/identity``: it needs the token, so it also tells whether that
        is accepted. Requests that hang do not hold it up.
        """
        seconds = min(_PROBE_TIMEOUT, self._settings.timeout)
        root = await self._send(hdrs.METH_GET, "/", seconds=seconds)
        if root is None:
            raise ServiceUnavailable("Plex", "its answer is empty")
        return root

    async def request(self, target: str) -> None:
        """Send a GET whose answer says nothing: it starts something."""
        async with self._turns:
            await self._send(hdrs.METH_GET, target)

    async def put(self, target: str) -> None:
        """Send a PUT without a body."""
        async with self._turns:
            await self._send(hdrs.METH_PUT, target)

    async def post(self, target: str, body: bytes) -> None:
        """Send a POST with *body* as it is; it is never repeated."""
        async with self._turns:
            await self._send(hdrs.METH_POST, target, body=body)

    async def delete(self, target: str) -> None:
        """Send a DELETE."""
        async with self._turns:
            await self._send(hdrs.METH_DELETE, target)

    async def _send(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        seconds: float | None = None,
    ) -> Element | None:
        """Send one request and read its answer, both before the deadline.

        aiohttp repeats what is idempotent, once, over a connection that was closed.
        """
        try:
            with timed(self._watch):
                async with (
                    asyncio.timeout(seconds or self._settings.timeout),
                    self._session.request(
                        method,
                        URL(f"{self._settings.url}{target}", encoded=True),
                        # A stream is not written to the socket in one go.
                        data=None if body is None else io.BytesIO(body),
                        headers=headers,
                        allow_redirects=False,
                    ) as answer,
                ):
                    return await self._read(answer)
        except BodyTooLarge as error:
            raise AnswerTooLarge("Plex", str(error)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self.contact.broken(
                "Plex", error, await self._reason(error)
            ) from None

    async def _reason(self, error: BaseException) -> str:
        if self._has_answered:
            return reason(error, self._settings.url, "plex")
        return await first_reason(error, self._settings.url, "plex")

    async def _read(self, answer: aiohttp.ClientResponse) -> Element | None:
        self.contact.reached()
        self.clock = _unix_time(answer.headers.get(hdrs.DATE, ""))
        if answer.status not in _SUCCESS:
            text = self._secrets.mask(await error_text(answer))
            raise _translated(
                answer.status, text, pause_asked(answer.headers, time.time())
            )
        self._has_answered = True
        if answer.method == hdrs.METH_GET:
            return await parse(pieces(answer))
        # Some edits answer with a bare path as text (seen by plexapi too); what starts
        # like XML is a proxy's page, or was cut short and says nothing of the edit.
        body = b"".join([piece async for piece in pieces(answer)])
        if body.lstrip().startswith(b"<"):
            await parse(_once(body))
        return None


def _unix_time(date: str) -> int:
    """Return a date of HTTP in unix seconds, 0 for none or nonsense."""
    try:
        told = parsedate_tz(date)
        return mktime_tz(told) if told else 0
    except (OverflowError, ValueError):
        return 0


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _translated(status: int, text: str, pause: float) -> Stash2PlexError:
    """Say in our own words what an answer of *status* means; *pause* is asked for.

    *text* is what its body said.
    """
    if status in _DENIED:
        return AccessDenied(
            "Plex",
            f"Plex refused the token: HTTP {status}; set plex.token to the token of the"
            " server's owner",
        )
    if status == _NOT_FOUND:
        return NotFoundInPlex(f"HTTP {status}")
    if _STARTING_UP.search(text):
        return StartingUp("Plex", f"HTTP {status}, starting up", pause=pause)
    if outage := _outage(status, text):
        return ServiceUnavailable("Plex", outage, pause=pause)
    said = f"HTTP {status}: {text}" if text else f"HTTP {status}"
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        said += "; a proxy before Plex limits uploads (nginx: client_max_body_size)"
    if status >= _FAULT:
        return ServerFault("Plex", said)
    return RequestRejected(f"Plex answered {said}", status=status)


def _outage(status: int, text: str) -> str:
    """Return why the server takes no request at all, "" if it is about this one."""
    if status in _UNAVAILABLE:
        meaning = "starting up" if status == _STARTING else "busy, or behind a proxy"
        return f"HTTP {status}, {meaning}"
    if status in _REDIRECT:
        return "it redirects elsewhere; is plex.url right?"
    if _WANTS_TLS.search(text):
        return "it answers TLS; use https:// in plex.url"
    return ""
