"""Who may call what asks for no token: Plex and Prometheus, and no page of a browser.

A page of another site has the browser call us, and one whose name was pointed at our
address (DNS rebinding) may read the answer. The first says so in ``Origin``, the second
in ``Host``. Names that are ours, or that no stranger can own, are taken; of others Plex
is asked whether it has us under them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from urllib.parse import urlsplit

import structlog
from aiohttp import hdrs, web

from stash2plex.config import ProviderSettings
from stash2plex.db.database import Database
from stash2plex.errors import Stash2PlexError, StoreUnavailable
from stash2plex.moments import iso
from stash2plex.plex.library import PlexLibrary

log = structlog.get_logger()

# Under which names Plex has the provider, as a list; and the last name refused.
REGISTERED = "provider_registered_as"
REFUSED = "refused_host"
# A host as a URL may have it; Plex's own is an address or a name.
_HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")
# Ends of names that only one's own network gives out.
_OWN = (".local", ".lan", ".home.arpa", ".internal")
# What a page can have a browser post without asking us first: the three that
# https://fetch.spec.whatwg.org/#cors-safelisted-request-header names.
_OF_PAGES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
# So long what Plex said holds, or it is left alone when it said nothing; so long a
# request waits for it; and no refusal is told of sooner after another. Seconds.
_FRESH, _AGAIN, _PATIENCE, _TOLD_EVERY = 2.0, 30.0, 3.0, 60.0


class Callers:
    """Tells callers that may call from those that may not."""

    def __init__(
        self,
        allowed: Iterable[str],
        provider: ProviderSettings,
        *,
        database: Database,
        plex: PlexLibrary,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the names *allowed* by the configuration."""
        self._identifier = provider.identifier
        self._database = database
        self._plex = plex
        self._now = now
        named = (*allowed, socket.gethostname(), host_of(provider.public_url))
        self._names = {one.lower().rstrip(".") for one in named if one}
        self._registered: frozenset[str] = frozenset()
        self._asked_again_at = self._told_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Go on with what Plex said before."""
        with suppress(ValueError, TypeError):
            stored = await self._database.fact(REGISTERED)
            self._registered = frozenset(json.loads(stored or "[]"))

    def refuse_pages(self, request: web.Request) -> None:
        """Raise a 403 for what a browser sends on behalf of a page.

        Plex and Prometheus are no browsers. Over plain HTTP ``Sec-Fetch-Site`` is not
        sent, but every request that could change anything has an ``Origin``.
        """
        site = request.headers.get("Sec-Fetch-Site")
        if hdrs.ORIGIN in request.headers or site == "cross-site":
            raise web.HTTPForbidden(reason="no page of a browser may ask this")

    async def refuse_others(self, request: web.Request) -> None:
        """Raise a 421 for a name that is none of ours."""
        host = request.headers.get(hdrs.HOST, "")
        if not host:
            return  # no browser
        if _HOST.fullmatch(host) and (name := host_of(f"//{host}")):
            if self._is_ours(name):
                return
            await self._ask_plex()
            if self._is_ours(name):
                return
            await self._tell(name)
        raise web.HTTPMisdirectedRequest(
            reason="this daemon does not know the name that it was called by; if it is"
            " yours, add it to server.allowed_hosts"
        )

    def _is_ours(self, name: str) -> bool:
        if _is_address(name) or "." not in name or name.endswith(_OWN):
            return True
        return name in self._names or name in self._registered

    async def _ask_plex(self) -> None:
        """Learn under which names Plex has us by now; who asks meanwhile waits too."""
        if self._asking is None:
            if self._now() < self._asked_again_at:
                return
            self._asking = asyncio.create_task(self._read_registration())
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await asyncio.shield(self._asking)

    async def _read_registration(self) -> None:
        wait = _AGAIN
        try:
            known = await self._plex.metadata_providers() or []
            wait = _FRESH
        except (Stash2PlexError, RuntimeError) as error:  # the other: it has ended
            log.debug("registration_not_read", error=str(error))
            return
        finally:
            self._asking, self._asked_again_at = None, self._now() + wait
        roots = [one.root for one in known if one.identifier == self._identifier]
        found = frozenset(name for root in roots if (name := host_of(root)))
        if found and found != self._registered:
            self._registered = found
            with suppress(StoreUnavailable):  # it is asked again
                await self._database.set_fact(REGISTERED, json.dumps(sorted(found)))

    async def _tell(self, name: str) -> None:
        now = self._now()
        if now - self._told_at < _TOLD_EVERY:
            return
        self._told_at = now
        log.warning("host_refused", host=name)
        told = json.dumps({"host": name, "at": iso(time.time())})
        with suppress(StoreUnavailable):  # the log has it
            await self._database.set_fact(REFUSED, told)


def refuse_forms(request: web.Request) -> None:
    """Raise a 415 for a body that a page can send without asking.

    Which type Plex itself sends is known from an example only, so any other is taken.
    """
    told = request.headers.get(hdrs.CONTENT_TYPE, "")
    if told.partition(";")[0].strip().lower() in _OF_PAGES:
        raise web.HTTPUnsupportedMediaType(reason="send application/json")


def host_of(url: str) -> str:
    """Return the host of *url* in small letters, "" for none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
