"""The fence round plexapi: threads, headers, and errors of our own.

plexapi is synchronous, knows three exceptions for all of HTTP, and puts the whole URL
into their texts. Here its calls run in a small thread pool, the status decides which
of our errors an answer becomes, and nothing of the URL leaves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from email.utils import mktime_tz, parsedate_tz
from http.client import RemoteDisconnected
from typing import Any, TypeVar
from xml.etree.ElementTree import Element, ParseError

import requests
import urllib3
from plexapi.exceptions import PlexApiException
from plexapi.server import PlexServer
from requests.adapters import HTTPAdapter

from stash2plex import __version__
from stash2plex.config import PlexSettings
from stash2plex.errors import (
    AccessDenied,
    RequestRejected,
    ServerFault,
    ServiceUnavailable,
    StaleCatalog,
    Stash2PlexError,
)
from stash2plex.measures import Watch, nobody, timed
from stash2plex.pause import pause_asked

T = TypeVar("T")

# Answers that say nothing about the request itself: try the same thing again later.
_UNAVAILABLE = frozenset({408, 429, 502, 503, 504})
_DENIED = frozenset({401, 403})
# How the threads that ask Plex are called.
POOL_NAME = "plex"

_NOT_FOUND = 404
_STARTING = 503
_FAULT = 500
_REDIRECT = range(300, 400)
_PROBE_TIMEOUT = 5.0


class _Answered(Exception):
    """An answer that is no success, before plexapi can blur it."""

    def __init__(self, status: int, pause: float) -> None:
        super().__init__(status)
        self.status = status
        self.pause = pause


class NotFoundInPlex(StaleCatalog):
    """HTTP 404: nothing has this rating key any more."""


class PlexConnection:
    """One Plex server: authenticated requests, run in threads."""

    def __init__(
        self,
        settings: PlexSettings,
        pool: ThreadPoolExecutor,
        probing: ThreadPoolExecutor,
        session: requests.Session,
        watch: Watch,
    ) -> None:
        self._watch = watch
        self._settings = settings
        self._pool = pool
        self._probing = probing
        self._session = session
        self._server: PlexServer | None = None
        self.clock = 0  # Plex's, as of its last answer, unix seconds
        session.hooks["response"].append(self._note_clock)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: PlexSettings, client_identifier: str, watch: Watch = nobody
    ) -> AsyncIterator[PlexConnection]:
        """Hold threads and connections open for the length of the block.

        *client_identifier* is what Plex lists among its devices; it must stay the
        same for the life of an installation; *watch* takes the time of each request.
        """
        size = settings.concurrency
        pool = ThreadPoolExecutor(size, thread_name_prefix=POOL_NAME)
        # So that a probe is never stuck behind requests that hang.
        probing = ThreadPoolExecutor(1, thread_name_prefix=POOL_NAME)
        session = _session(settings, client_identifier, size + 1)
        try:
            yield cls(settings, pool, probing, session, watch)
        finally:
            session.close()
            # A hung request ends with its time-out; nobody waits for it here.
            for threads in (pool, probing):
                threads.shutdown(wait=False, cancel_futures=True)

    async def get(
        self, target: str, *, headers: dict[str, str] | None = None
    ) -> Element:
        """Return the answer's root element; raises our errors, `NotFoundInPlex` too."""
        return await self._run(self._pool, self._get, target, headers)

    async def identity(self) -> Element:
        """Return what the server says of itself, within five seconds.

        The root, not ``/identity``: it needs the token, so it also tells whether that
        is accepted.
        """
        return await self._run(self._probing, self._identity)

    async def request(self, target: str) -> None:
        """Send a GET whose answer says nothing: it starts something."""
        await self._run(self._pool, self._send, "get", target, None)

    async def put(self, target: str) -> None:
        """Send a PUT without a body."""
        await self._run(self._pool, self._send, "put", target, None)

    async def post(self, target: str, body: bytes) -> None:
        """Send a POST with *body* as it is."""
        await self._run(self._pool, self._send, "post", target, body)

    async def delete(self, target: str) -> None:
        """Send a DELETE."""
        await self._run(self._pool, self._send, "delete", target, None)

    async def _run(
        self, pool: ThreadPoolExecutor, function: Callable[..., T], *args: Any
    ) -> T:
        loop = asyncio.get_running_loop()
        try:
            with timed(self._watch):
                return await loop.run_in_executor(pool, self._twice, function, *args)
        except _Answered as error:
            raise _translated(error.status, error.pause) from None
        except ParseError:
            raise ServiceUnavailable(
                "Plex", "its answer is cut short or no XML; is plex.url right?"
            ) from None
        except (requests.RequestException, PlexApiException, OSError) as error:
            raise ServiceUnavailable("Plex", _reason(error)) from None

    def _twice(self, function: Callable[..., T], *args: Any) -> T:
        """Try again at once when an idle connection was closed under us."""
        try:
            return function(*args)
        except requests.ConnectionError as error:
            if not _closed_while_idle(error):
                raise
            return function(*args)

    def _note_clock(self, response: requests.Response, **_: Any) -> None:
        told = parsedate_tz(response.headers.get("Date", ""))
        self.clock = mktime_tz(told) if told else 0

    def _connected(self) -> PlexServer:
        if self._server is None:
            self._server = PlexServer(
                self._settings.url,
                self._settings.token.get_secret_value(),
                session=self._session,
                timeout=min(_PROBE_TIMEOUT, self._settings.timeout),
            )
        return self._server

    def _get(self, target: str, headers: dict[str, str] | None) -> Element:
        timeout = self._settings.timeout
        server = self._connected()
        return _element(server.query(target, headers=headers, timeout=timeout))

    def _identity(self) -> Element:
        timeout = min(_PROBE_TIMEOUT, self._settings.timeout)
        return _element(self._connected().query("/", timeout=timeout))

    def _send(self, method: str, target: str, body: bytes | None) -> None:
        answers: list[requests.Response] = []
        send = getattr(self._session, method)

        def sent(*args: Any, **more: Any) -> requests.Response:
            answers.append(send(*args, **more))
            return answers[-1]

        try:
            answer = self._connected().query(
                target, method=sent, data=body, timeout=self._settings.timeout
            )
        except ParseError:
            # Some edits answer with a bare path as text (seen by plexapi too); what
            # starts like XML was cut short, and says nothing of the edit.
            if answers[-1].content.lstrip().startswith(b"<"):
                raise
            return
        if answer is not None:
            _element(answer)  # a proxy's page is no success


def _session(
    settings: PlexSettings, client_identifier: str, size: int
) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a proxy meant for the internet must not see the token
    session.verify = settings.verify_tls
    if not settings.verify_tls:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    session.max_redirects = 0
    adapter = _Adapter(client_identifier, size)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.hooks["response"].append(_check)
    return session


class _Adapter(HTTPAdapter):
    """Adds what tells Plex who we are; plexapi would send the MAC address."""

    def __init__(self, client_identifier: str, size: int) -> None:
        self._identity = {
            "X-Plex-Client-Identifier": client_identifier,
            "X-Plex-Product": "stash2plex",
            "X-Plex-Version": __version__,
            "X-Plex-Device-Name": "stash2plex",
            "User-Agent": f"stash2plex/{__version__}",
        }
        super().__init__(pool_connections=1, pool_maxsize=size)

    def add_headers(self, request: requests.PreparedRequest, **_: Any) -> None:
        """Set our headers (called by requests for every request)."""
        request.headers.update(self._identity)


def _check(response: requests.Response, **_: Any) -> None:
    response.encoding = "utf-8"  # PMS sends UTF-8 whatever the header leaves out
    if not response.ok or response.is_redirect:
        response.close()
        pause = pause_asked(response.headers, time.time())
        raise _Answered(response.status_code, pause)


def _element(answer: Any) -> Element:
    if answer is None:
        raise ServiceUnavailable("Plex", "its answer is empty")
    if answer.tag not in {"MediaContainer", "Response"}:
        raise ServiceUnavailable("Plex", "its answer is not Plex's; is plex.url right?")
    element: Element = answer
    return element


def _translated(status: int, pause: float) -> Stash2PlexError:
    """Say in our own words what an answer of *status* means; *pause* is asked for."""
    if status in _DENIED:
        return AccessDenied(
            "Plex",
            f"Plex refused the token: HTTP {status}; set plex.token to the token of the"
            " server's owner",
        )
    if status == _NOT_FOUND:
        return NotFoundInPlex(f"HTTP {status}")
    if status in _UNAVAILABLE:
        meaning = "starting up" if status == _STARTING else "busy, or behind a proxy"
        return ServiceUnavailable("Plex", f"HTTP {status}, {meaning}", pause=pause)
    if status in _REDIRECT:
        return ServiceUnavailable("Plex", "it redirects elsewhere; is plex.url right?")
    if status >= _FAULT:
        return ServerFault("Plex", f"HTTP {status}")
    return RequestRejected(f"Plex answered HTTP {status}")


def _reason(error: Exception) -> str:
    """Return why a request failed, without the URL that requests puts in."""
    match error:
        case requests.ConnectTimeout() | requests.ReadTimeout():
            return "no answer in time"
        case requests.exceptions.SSLError():
            return "its TLS certificate is not trusted; see plex.verify_tls"
        case requests.ConnectionError():
            return "no connection"
        case _:
            return type(error).__name__


def _closed_while_idle(error: BaseException) -> bool:
    """Whether the server closed a kept connection; requests wraps that in others."""
    if isinstance(error, RemoteDisconnected | ConnectionResetError):
        return True
    return any(
        _closed_while_idle(arg)
        for arg in error.args
        if isinstance(arg, BaseException) and arg is not error
    )
