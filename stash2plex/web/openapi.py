"""The API described for programs, from the table of its routes.

``GET /api/v1/openapi.json`` is OpenAPI 3.1; bodies and queries are those of the models
that read them, and what each route does is its handler's own words.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from stash2plex import __version__

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ERROR = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
}
_REFUSED = 400
_REFUSALS = {
    "400": "what was sent makes no sense; the message says what",
    "401": "the token is missing or wrong",
    "413": "the body is over 1 MiB",
    "503": "the database cannot be written, or a server that is needed is away",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One route: *body* and *query* as models, and the *status* of a good answer."""

    method: str
    path: str
    handler: Handler
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    status: int = 200
    # Further answers: what a status means here.
    also: Mapping[int, str] = field(default_factory=dict)

    def route(self) -> web.RouteDef:
        """Return the route to serve; GET answers HEAD as well."""
        serve = web.get if self.method == "GET" else web.post
        return serve(self.path, self.handler)


def describe(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document of *operations*."""
    paths: dict[str, Any] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "stash2plex", "version": __version__},
        "paths": paths,
        "security": [{"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _ERROR},
        },
    }


def _operation(one: Operation) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    document: dict[str, Any] = {
        "operationId": one.handler.__name__,
        "summary": (one.handler.__doc__ or "").strip().partition("\n")[0],
        "parameters": [*_in_path(one.path), *_in_query(one.query)],
        "responses": {
            str(one.status): {
                "description": "done",
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            **{
                str(status): {"description": text, "content": _content(status, error)}
                for status, text in one.also.items()
            },
            **{
                status: {"description": text, "content": error}
                for status, text in _REFUSALS.items()
            },
        },
    }
    if one.body is not None:
        schema = _schema(one.body)
        document["requestBody"] = {
            "required": bool(schema.get("required")),
            "content": {"application/json": {"schema": schema}},
        }
    return document


def _content(status: int, error: dict[str, Any]) -> dict[str, Any]:
    if status >= _REFUSED:
        return error
    return {"application/json": {"schema": {"type": "object"}}}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's JSON schema with everything in place, without ``$defs``."""
    schema = model.model_json_schema()
    defined = schema.pop("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, dict):
            if "$ref" in part:
                return resolved(defined[part["$ref"].rpartition("/")[2]])
            return {key: resolved(one) for key, one in _without_null(part).items()}
        return [resolved(one) for one in part] if isinstance(part, list) else part

    found: dict[str, Any] = resolved(schema)
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return *schema* without null: what is not meant is left out."""
    found = {k: one for k, one in schema.items() if k != "default" or one is not None}
    choices = found.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        rest = [one for one in choices if one != {"type": "null"}]
        del found["anyOf"]
        found |= rest[0] if len(rest) == 1 else {"anyOf": rest}
    return found


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _in_query(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    schema = _schema(model)
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": one}
        for name, one in schema["properties"].items()
    ]
