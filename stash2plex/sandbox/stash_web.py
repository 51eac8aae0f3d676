"""Stash's HTTP: who may ask, GraphQL's envelope, pictures, and the page for the rest.

As measured on real servers, but for what a switch of the pretend Stash says.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import hdrs, web
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    execute,
    parse,
    validate,
)

from stash2plex.pictures import content_type
from stash2plex.sandbox.stash_filters import NIL
from stash2plex.sandbox.stash_resolvers import Root
from stash2plex.sandbox.stash_variables import misfit_of

if TYPE_CHECKING:
    from stash2plex.sandbox.stash import PretendStash

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

COOKIE = "pretend-session"
_INDEX = "<!DOCTYPE html><html><body>Stash</body></html>"
_PLACEHOLDER = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
# What stands for a performer without a picture is a real one.
SILHOUETTE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAA"
    "SUVORK5CYII="
)
_JSON = "application/json"
_OTHER_JSON = "application/graphql-response+json"
_FOR_EVER = "private, max-age=31536000, immutable"
_TEXTS = {
    b"<svg": "image/svg+xml",
    b"<!DOCTYPE": "text/html",
    b"<html": "text/html",
}
_OWNERS = "scene|performer|studio|tag|group"
# The keys of a question, in any case.
_KEYS = {one.lower(): one for one in ("query", "variables", "operationName")}
_PRIVATE = re.compile(r"^(10\.|127\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.)")


class Refusal(Exception):
    """A body that is no question: an answer with *status* and *message*."""

    def __init__(
        self, status: int, message: str, code: str = "", kind: str = ""
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.kind = status, code, kind


class StashWeb:
    """Answers for one pretend Stash."""

    def __init__(self, stash: PretendStash, base_path: str) -> None:
        self._stash = stash
        self._base_path = base_path
        self._read: dict[tuple[int, str], tuple[DocumentNode, list[GraphQLError]]] = {}
        self.app = web.Application(
            middlewares=[self._guard], client_max_size=64 * 1024 * 1024
        )
        self.app.on_shutdown.append(stash.subscriptions.hang_up)
        graphql, b = f"{base_path}/graphql", base_path
        self.app.add_routes(
            [
                web.route("*", f"{graphql}{{slash:/?}}", self._graphql),
                web.route("*", f"{b}/healthz", self._healthz),
                web.route(
                    "*", f"{b}/scene/{{id}}/screenshot{{slash:/?}}", self._screenshot
                ),
                web.route(
                    "*",
                    f"{b}/{{kind:performer|studio|tag}}/{{id}}/image",
                    self._portrait,
                ),
                web.route(
                    "*",
                    f"{b}/{{kind:group}}/{{id}}/{{side:front|back}}image",
                    self._portrait,
                ),
                web.route("*", f"{b}/{{kind:{_OWNERS}}}/{{rest:.*}}", _no_page),
                web.route("*", "/{tail:.*}", self._index),
            ]
        )

    def base_of(self, request: web.Request) -> str:
        """Return what Stash puts before the paths of its URLs."""
        # Stash behind a sub-path learns of it from the proxy, as here.
        prefix = request.headers.get("X-Forwarded-Prefix", self._base_path).rstrip("/")
        if self._stash.external_host:
            return f"{self._stash.external_host.rstrip('/')}{prefix}"
        scheme = request.headers.get("X-Forwarded-Proto", "http")
        return f"{scheme}://{request.host}{prefix}"

    # --- who may ask -------------------------------------------------------------

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        stash = self._stash
        stash.asked += 1
        stash.facts.changed()
        try:
            answer = await self._admitted(request, handler)
            if not answer.prepared:
                answer.headers.setdefault("Vary", "Origin")
            return answer
        finally:
            stash.facts.changed()

    async def _admitted(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        stash = self._stash
        if stash.hangs:
            await asyncio.Event().wait()
        if stash.latency:
            await asyncio.sleep(stash.latency)
        fault = await stash.line.broken(request) or self._fault()
        if fault is not None:
            return fault
        if request.path == f"{self._base_path}/healthz":
            return await handler(request)
        key = request.headers.get("ApiKey") or request.query.get("apikey")
        if key and key != stash.api_key:
            return _unauthorized()
        has_login = bool(stash.api_key) or stash.wants_login
        if not has_login and not self._is_private(request):
            stash.locked_itself = True
        if stash.locked_itself:
            return web.Response(status=403, text="tripwire")
        logged_in = key or request.cookies.get("session") == COOKIE
        if has_login and not logged_in:
            return self._not_logged_in(request)
        return await handler(request)

    def _is_private(self, request: web.Request) -> bool:
        hops = request.headers.get("X-Forwarded-For", "")
        return all(
            _PRIVATE.match(hop.strip()) for hop in hops.split(",") if hop.strip()
        )

    def _not_logged_in(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix(self._base_path)
        name = path.rpartition("/")[2]
        if path.rstrip("/") == "/graphql" or "." in name:
            return _unauthorized()
        if path == "/login":
            return _page()
        if path == "/logout":
            return _moved(request, f"{self._base_path}/login")
        wanted = quote(request.path_qs, safe="")
        return _moved(request, f"{self._base_path}/login?returnURL={wanted}")

    def _fault(self) -> web.Response | None:
        stash = self._stash
        if stash.status is not None:
            headers = {"Retry-After": stash.retry_after} if stash.retry_after else {}
            return web.Response(status=stash.status, headers=headers)
        if stash.garbles is not None:
            return web.Response(text=stash.garbles, content_type="text/html")
        return None

    # --- pages -------------------------------------------------------------------

    async def _index(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix(self._base_path)
        if path in {"/login", "/logout"}:
            return _moved(request, f"{self._base_path}/")
        if "." in path.rpartition("/")[2] or path.startswith("/plugin/"):
            return await _no_page(request)
        return _page()

    async def _healthz(self, _: web.Request) -> web.Response:
        """Say that the process lives; in every state."""
        return web.Response(text=".", content_type="text/plain")

    # --- GraphQL -----------------------------------------------------------------

    async def _graphql(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
            return await self._stash.subscriptions.answer(request)
        if request.method == "OPTIONS":
            allowed = {"Allow": "OPTIONS, GET, POST", "Cache-Control": "no-store"}
            return web.Response(headers=allowed)
        accepted = request.headers.get("Accept", _JSON).partition(",")[0].strip()
        kind = _JSON if accepted.partition(";")[0] == _JSON else _OTHER_JSON
        try:
            found = await self._answered(request)
            status = 200
        except Refusal as refusal:
            status, kind = refusal.status, refusal.kind or kind
            error: dict[str, Any] = {"message": str(refusal)}
            if refusal.code:
                error["extensions"] = {"code": refusal.code}
            found = {"errors": [error], "data": None}
        except _MisfitError as misfit:
            status = 422 if kind == _JSON else 400
            found = {"errors": misfit.errors, "data": None}
        answer = web.Response(
            body=json.dumps(found).encode(),
            status=status,
            headers={"Content-Type": kind, "Cache-Control": "no-store"},
        )
        if kind == _JSON and "gzip" in request.headers.get("Accept-Encoding", ""):
            answer.enable_compression()
        if self._stash.date is not None:
            answer.headers["Date"] = self._stash.date
        return answer

    async def _answered(self, request: web.Request) -> dict[str, Any]:
        asked = await _asked(request)
        document = asked.get("query") or ""
        if not isinstance(document, str):
            _undecodable("json: cannot unmarshal number into Go struct field")
        variables = asked.get("variables") or {}
        if not isinstance(variables, dict):
            _undecodable("json: cannot unmarshal into Go struct field")
        self._stash.documents.add(document)
        parsed = self._understood(document)
        operation = _operation(parsed, asked.get("operationName") or "")
        if operation.operation is OperationType.SUBSCRIPTION:
            await asyncio.Event().wait()  # never answered, not even with headers
        if request.method == "GET" and operation.operation is OperationType.MUTATION:
            raise Refusal(406, "GET requests only allow query operations")
        if misfit := misfit_of(self._stash.schema, operation, variables):
            if not misfit.waits:
                raise _MisfitError([misfit.shown])
            return {"errors": [misfit.shown], "data": None}
        name = operation.name.value if operation.name else "anonymous"
        self._stash.operations[name] += 1
        return await self._executed(request, parsed, operation, variables)

    async def _executed(
        self,
        request: web.Request,
        parsed: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> dict[str, Any]:
        costs = self._stash.costs
        before = costs.total
        result = execute(
            self._stash.schema,
            parsed,
            Root(self._stash, self.base_of(request)),
            variable_values=dict(variables),
            operation_name=operation.name.value if operation.name else None,
        )
        if not isinstance(result, ExecutionResult):  # of a mutation; no query waits
            result = await result
        name = operation.name.value if operation.name else "anonymous"
        costs.note_question(name, before)
        found: dict[str, Any] = {"data": self._stash.with_odd(result.data)}
        if result.errors:
            self._stash.failed_questions += 1
            found["errors"] = [
                {"message": one.message, "path": one.path} for one in result.errors
            ]
        return found

    def _understood(self, text: str) -> DocumentNode:
        """Parse and validate a document, once; Stash keeps them too."""
        schema: GraphQLSchema = self._stash.schema
        key = (id(schema), text)
        if key not in self._read:
            try:
                parsed = parse(text)
            except GraphQLSyntaxError as error:
                if not text.partition("#")[0].strip():
                    raise _invalid("no operation provided") from None
                raise _MisfitError([_misfit(error, "GRAPHQL_PARSE_FAILED")]) from None
            self._read[key] = parsed, validate(schema, parsed)
        parsed, errors = self._read[key]
        if errors:
            raise _MisfitError([_misfit(one) for one in errors])
        return parsed

    # --- pictures ----------------------------------------------------------------

    async def _screenshot(self, request: web.Request) -> web.StreamResponse:
        stash = self._stash
        if fault := self._no_picture(request):
            return fault
        if request.match_info["id"] == str(stash.hanging_picture):
            await asyncio.Event().wait()
        scene = stash.scenes.get(int(request.match_info["id"]))
        if scene is None:
            return _not_found()
        lost = stash.lost_blobs or scene.id in stash.damaged
        there = scene.cover is not None and not lost
        return self._picture(request, scene.cover if there else None, _PLACEHOLDER)

    async def _portrait(self, request: web.Request) -> web.StreamResponse:
        stash = self._stash
        if fault := self._no_picture(request):
            return fault
        kind, key = request.match_info["kind"], int(request.match_info["id"])
        if key not in stash.names[kind]:
            return _not_found()
        data = stash.portraits.get((kind, key))
        if stash.lost_blobs or request.query.get("default") == "true":
            data = None
        standing_in = SILHOUETTE if kind == "performer" else _PLACEHOLDER
        return self._picture(request, data, standing_in)

    def _no_picture(self, request: web.Request) -> web.Response | None:
        """Return the answer where there is no picture to show at all."""
        stash = self._stash
        if request.method != "GET":
            return web.Response(status=405, headers={"Allow": "GET"})
        stash.picture_requests += 1
        if stash.picture_status is not None or stash.reading_error:
            return web.Response(status=stash.picture_status or 500)
        if not request.match_info["id"].isdecimal():
            if "screenshot" not in request.path:
                return _not_found()
            return web.Response(status=400, text="Bad Request\n")
        return None

    def _picture(
        self, request: web.Request, data: bytes | None, standing_in: bytes
    ) -> web.Response:
        shown = standing_in if data is None else data
        digest = hashlib.md5(shown, usedforsecurity=False).hexdigest()
        headers = {
            "ETag": f'"{digest}"',
            "Cache-Control": _FOR_EVER if "t" in request.query else "no-cache",
        }
        known = request.headers.get("If-None-Match", "").removeprefix("W/")
        if known in {headers["ETag"], "*"}:
            return web.Response(status=304, headers=headers)
        self._stash.picture_bytes += len(shown)
        kind = self._stash.picture_type if data is not None else None
        headers["Content-Type"] = kind or _sniffed(shown)
        if (start := request.headers.get("Range", "")).startswith("bytes="):
            return _ranged(shown, start, headers)
        headers["Accept-Ranges"] = "bytes"
        return web.Response(body=shown, headers=headers)


class _MisfitError(Exception):
    """A document or a value that does not fit the schema; *errors* as they are sent."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors


def _invalid(message: str) -> _MisfitError:
    code = {"code": "GRAPHQL_VALIDATION_FAILED"}
    return _MisfitError([{"message": message, "extensions": code}])


def _misfit(
    error: GraphQLError, code: str = "GRAPHQL_VALIDATION_FAILED"
) -> dict[str, Any]:
    return {
        "message": error.message.replace("'", '"'),
        "locations": [
            {"line": one.line, "column": one.column} for one in error.locations or []
        ],
        "extensions": {"code": code},
    }


def _page() -> web.Response:
    headers = {"ETag": '"page"', "Cache-Control": "no-cache"}
    return web.Response(text=_INDEX, content_type="text/html", headers=headers)


def _moved(request: web.Request, where: str) -> web.Response:
    """Redirect as Go does: with a page, but for what was sent."""
    text = f'<a href="{where}">Found</a>.\n\n' if request.method == "GET" else None
    kind = "text/html" if text else None
    return web.Response(
        status=302, text=text, content_type=kind, headers={"Location": where}
    )


def _unauthorized() -> web.Response:
    return web.Response(status=401, headers={"WWW-Authenticate": "FormBased"})


def _not_found() -> web.Response:
    return web.Response(status=404, text="Not Found\n")


async def _no_page(_: web.Request) -> web.Response:
    return web.Response(status=404, text="404 page not found\n")


def _undecodable(reason: str) -> None:
    raise Refusal(400, f"json request body could not be decoded: {reason} body:…")


async def _asked(request: web.Request) -> Mapping[str, Any]:
    """Return what a request asks; raises `Refusal` if that is no question."""
    if request.method == "GET":
        try:
            variables = json.loads(request.query.get("variables") or "null")
        except ValueError:
            raise Refusal(400, "variables could not be decoded") from None
        return {**request.query, "variables": variables}
    is_json = request.headers.get("Content-Type", "").partition(";")[0] == _JSON
    if request.method != "POST" or not is_json:
        raise Refusal(400, "transport not supported", kind="text/plain; charset=utf-8")
    try:
        # What follows the first value is not looked at.
        asked, _ = json.JSONDecoder().raw_decode((await request.text()).lstrip())
    except ValueError:
        raise Refusal(400, "json request body could not be decoded: …") from None
    if asked is None:
        raise Refusal(422, NIL)
    if not isinstance(asked, dict):
        _undecodable("json: cannot unmarshal into Go value of type graphql.RawParams")
    names = {
        "query": "query",
        "variables": "variables",
        "operationname": "operationName",
    }
    return {names[key.lower()]: v for key, v in asked.items() if key.lower() in names}


def _operation(parsed: DocumentNode, name: str) -> OperationDefinitionNode:
    found = [
        one for one in parsed.definitions if isinstance(one, OperationDefinitionNode)
    ]
    named = [one for one in found if one.name and one.name.value == name]
    if not name and len(found) == 1:
        return found[0]
    if not named:
        raise _invalid(f"operation {name} not found")
    return named[0]


def _sniffed(data: bytes) -> str:
    """Return the type that Go's library would guess."""
    for start, kind in _TEXTS.items():
        if data.startswith(start):
            return kind
    return content_type(data)


def _ranged(data: bytes, wanted: str, headers: Mapping[str, str]) -> web.Response:
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start, end = int(first or 0), int(last or len(data) - 1)
    if start >= len(data):
        refused = {"Content-Range": f"bytes */{len(data)}"}
        text = "invalid range: failed to overlap\n"
        return web.Response(status=416, text=text, headers=refused)
    part = data[start : end + 1]
    told = {**headers, "Content-Range": f"bytes {start}-{end}/{len(data)}"}
    return web.Response(status=206, body=part, headers=told)
