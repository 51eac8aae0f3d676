"""The routes that Plex calls, under one root; JSON whatever happens.

Feature keys are joined onto the registered root as text, so a root with a slash at its
end makes double ones: empty parts of a path do not count here. Plex sends its own
``X-Plex-…`` values as headers or in the query.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog
from aiohttp import hdrs, web

from stash2plex.body import json_body
from stash2plex.errors import InvalidRequest, PictureFailed, Stash2PlexError
from stash2plex.hosts import caller_of
from stash2plex.pictures import content_type
from stash2plex.provider.callers import Callers, refuse_forms
from stash2plex.provider.documents import MATCH_KEY, METADATA_KEY, Document, container
from stash2plex.provider.hints import parse_hints, trimming_of
from stash2plex.provider.service import Provider
from stash2plex.provider.signing import IMAGES
from stash2plex.scene import scene_of_rating_key

log = structlog.get_logger()

# Plex gives up after 90 seconds, a person who waits for Fix Match much sooner.
_BUDGET = 10.0
# How long a body may take to arrive, seconds.
_PATIENCE = 5.0
_METADATA = METADATA_KEY.strip("/").split("/")
_MATCH = MATCH_KEY.strip("/").split("/")
_START, _SIZE = "X-Plex-Container-Start", "X-Plex-Container-Size"
_TOTAL = "X-Plex-Container-Total-Size"
_MOST = 10_000
_REFUSED, _FAULT = 400, 500
_YEAR = 365 * 24 * 3600


class ProviderRoutes:
    """Handlers for the provider's root and for its pictures."""

    def __init__(
        self,
        provider: Provider,
        answered: Callable[[str, str, float], None],
        shown: Callable[[str], str],
        callers: Callers,
    ) -> None:
        """Answer from *provider*; *answered* is told what, how, and in which time.

        *shown* makes of an error's text what strangers may read.
        """
        self._provider = provider
        self._callers = callers
        self._shown = shown
        self._answered_in = answered
        self._settings = provider.settings
        self._secret = provider.settings.secret.get_secret_value()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to serve."""
        root = self._settings.path
        return [
            web.route("*", root, self.answer),
            web.route("*", f"{root}/{{rest:.*}}", self.answer),
            web.get(f"{IMAGES}/{{subject}}/{{kind}}", self.picture),
        ]

    async def answer(self, request: web.Request) -> web.Response:
        """Answer whatever is below the root."""
        started = time.monotonic()
        answer = await self._answered(request)
        self._answered_in(
            _what(request.path), _outcome(answer.status), time.monotonic() - started
        )
        return answer

    async def _answered(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_BUDGET):
                return await self._answer(request)
        except InvalidRequest as error:
            return self._failed(error.code, str(error), 400)
        except (Stash2PlexError, TimeoutError) as error:
            code = getattr(error, "code", "timeout")
            log.warning("provider_request_failed", code=code, error=str(error))
            # Whatever it is, it passes: Plex keeps the item as it is and asks again.
            return self._failed(code, str(error) or "no answer in time", 500)
        except web.HTTPException:
            raise
        except Exception:
            log.exception("provider_request_crashed", what=_what(request.path))
            return self._failed("internal", "a bug in stash2plex; see its log", 500)

    async def picture(self, request: web.Request) -> web.Response:
        """Serve a picture whose URL we made."""
        query, info = request.query, request.match_info
        try:
            async with asyncio.timeout(_BUDGET):
                data = await self._provider.images.serve(
                    info["subject"],
                    info["kind"],
                    query.get("v", ""),
                    query.get("s", ""),
                )
        except TimeoutError:
            raise PictureFailed("the picture took too long") from None
        return web.Response(
            body=data,
            content_type=content_type(data),
            headers={hdrs.CACHE_CONTROL: f"public, max-age={_YEAR}, immutable"},
        )

    async def _answer(self, request: web.Request) -> web.Response:
        parts = [one for one in request.match_info.get("rest", "").split("/") if one]
        if self._secret:
            given = parts.pop(0) if parts else ""
            if not _same(given, self._secret):
                return self._empty(404)
        self._callers.refuse_pages(request)
        if parts:  # Plex reads the root before it knows us by any name
            await self._callers.refuse_others(request)
        await self._provider.traffic.note_request()
        method = request.method
        if parts == _MATCH:
            if method != hdrs.METH_POST:
                raise web.HTTPMethodNotAllowed(method, [hdrs.METH_POST])
            return await self._match(request)
        if method not in {hdrs.METH_GET, hdrs.METH_HEAD}:
            raise web.HTTPMethodNotAllowed(method, [hdrs.METH_GET, hdrs.METH_HEAD])
        if not parts:
            return web.json_response(self._provider.root())
        if parts[: len(_METADATA)] != _METADATA or len(parts) == len(_METADATA):
            return self._empty(404)
        return await self._of_scene(request, *parts[len(_METADATA) :])

    async def _match(self, request: web.Request) -> web.Response:
        refuse_forms(request)
        hints = parse_hints(await json_body(request, patience=_PATIENCE))
        if wishes := trimming_of(request.query):
            hints = replace(hints, trimming={**wishes, **hints.trimming})
        caller = caller_of(request.remote or "")
        found = await self._provider.match(hints, self._base(request), caller)
        return self._container(found)

    async def _of_scene(
        self, request: web.Request, key: str, *more: str
    ) -> web.Response:
        scene_id = scene_of_rating_key(key)
        if scene_id is None:
            # Plex asks by its own numbers too, for items that nobody matched yet.
            return self._empty(404)
        base = self._base(request)
        match more:
            case ():
                document = await self._provider.metadata(
                    scene_id, base, trimming_of(request.query)
                )
                return self._container([document]) if document else self._empty(404)
            case ("images",):
                try:
                    images = await self._provider.pictures(scene_id, base)
                except Stash2PlexError:
                    images = []  # a refresh goes on without pictures
                if images is None:
                    return self._empty(404)
                return self._container(images, of="Image", page=_page(request))
            case _:
                # Extras, children and what else Plex may ask of a movie: none.
                return self._container([], page=_page(request))

    def _container(
        self,
        found: list[Document],
        *,
        of: str = "Metadata",
        page: tuple[int, int | None] = (0, None),
        status: int = 200,
    ) -> web.Response:
        start, size = page
        document = container(
            self._settings.identifier, found, of=of, start=start, size=size
        )
        headers = {_START: str(start), _TOTAL: str(len(found))}
        return web.json_response(document, status=status, headers=headers)

    def _empty(self, status: int) -> web.Response:
        return self._container([], status=status)

    def _failed(self, code: str, message: str, status: int) -> web.Response:
        self._provider.traffic.failed += 1
        document = {"code": code, "message": self._shown(message)}
        return web.json_response(document, status=status)

    def _base(self, request: web.Request) -> str:
        """Return what image URLs start with: a place that Plex reaches."""
        if self._settings.public_url:
            return self._settings.public_url
        host = request.headers.get(hdrs.HOST)
        if not host:
            raise InvalidRequest("the Host header names no host")
        return f"{request.scheme}://{host}"  # it was checked


def _what(path: str) -> str:
    """Return which of the few things Plex asks for *path* is."""
    last = path.rstrip("/").rpartition("/")[2]
    if last == _MATCH[-1]:
        return "match"
    if last == "images":
        return "images"
    return "metadata" if scene_of_rating_key(last) is not None else "other"


def _outcome(status: int) -> str:
    if status < _REFUSED:
        return "ok"
    return "refused" if status < _FAULT else "failed"


def _page(request: web.Request) -> tuple[int, int | None]:
    """Return where a page starts, from 0, and how long it is; None for all."""
    start = _number(request, _START)
    return start or 0, _number(request, _SIZE)


def _number(request: web.Request, name: str) -> int | None:
    given: Mapping[str, Any] = (
        request.query if name in request.query else request.headers
    )
    text = given.get(name, "")
    return min(int(text), _MOST) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(
        one.encode("utf-8", "surrogateescape"), other.encode("utf-8")
    )
