"""Asking Stash: over GraphQL, in its dialect, and what went wrong as one of our errors.

The API key goes into a header, only when there is one (Stash refuses any key it does
not know), and never into a URL. Redirects are refused: following one ends on the login
page with status 200.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
from gql import Client, GraphQLRequest
from gql.client import AsyncClientSession
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import (
    TransportError,
    TransportProtocolError,
    TransportQueryError,
    TransportServerError,
)

from stash2plex.config import StashSettings
from stash2plex.errors import (
    AccessDenied,
    AnswerTooLarge,
    NotWorking,
    SchemaMismatch,
    ServerFault,
    ServiceUnavailable,
    Stash2PlexError,
)
from stash2plex.link import Redirected, no_redirects
from stash2plex.logs import Secrets
from stash2plex.measures import Watch, nobody, timed
from stash2plex.net.answers import BodyTooLarge, LimitedResponse
from stash2plex.net.contact import NOBODY
from stash2plex.net.failures import first_reason, reason
from stash2plex.pause import pause_asked
from stash2plex.stash import queries
from stash2plex.stash.answers import version_from
from stash2plex.stash.dialect import TYPES, Dialect, is_input
from stash2plex.text import shortened
from stash2plex.visible import visible_lines

T = TypeVar("T")

FORBIDDEN = 403
DENIED = frozenset({401, FORBIDDEN})
REDIRECT, FOUND, FIRST_ERROR = 300, 302, 400
WRONG_URL = (
    "it answers something else than GraphQL (a web page?); is stash.url right, base"
    " path included?"
)
TOO_OLD = "update Stash to v0.25 or later"
# GraphQL's own words for a query that does not fit the schema.
_MISFIT = frozenset({"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"})
_WELL = "OK"
_UNREADABLE = "Stash cannot read its database"
# What a server that answers, and cannot be asked for anything, waits for.
_WAITING = {
    "NEEDS_MIGRATION": "Stash waits for its database to be migrated: open its page",
    "SETUP": "Stash was not set up yet: open its page",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """What a server is asked by: gql's session, and one for pictures.

    *watch* takes the time of each query.
    """

    settings: StashSettings
    headers: Mapping[str, str]
    graphql: AsyncClientSession
    pictures: aiohttp.ClientSession
    watch: Watch


class StashConnection:
    """One Stash server, asked by documents."""

    def __init__(self, sessions: Sessions) -> None:
        self.settings = sessions.settings
        self.headers = sessions.headers
        self.web = sessions.pictures
        self._watch = sessions.watch
        self._session = sessions.graphql
        self._dialect: Dialect | None = None
        self._has_answered = False
        self._secrets = Secrets([sessions.settings.api_key.get_secret_value()])
        self.contact = NOBODY
        self._ahead = 0.0
        self.version: str | None = None

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, settings: StashSettings, watch: Watch = nobody
    ) -> AsyncIterator[Self]:
        """Hold HTTP sessions open for the length of the block; asks nothing yet.

        *watch* takes the time of each query.
        """
        headers = {"Accept": "application/json"}
        if key := settings.api_key.get_secret_value():
            headers["ApiKey"] = key
        checked: ssl.SSLContext | bool = settings.verify_tls
        transport = AIOHTTPTransport(
            f"{settings.url}/graphql",
            headers=headers,
            ssl=checked,
            client_session_args={
                "timeout": aiohttp.ClientTimeout(total=settings.timeout),
                "response_class": LimitedResponse,
                "middlewares": (no_redirects,),
            },
        )
        async with (
            Client(transport=transport, execute_timeout=None) as session,
            aiohttp.ClientSession(
                headers={**headers, "Accept": "image/*"},
                timeout=aiohttp.ClientTimeout(total=settings.timeout),
                connector=aiohttp.TCPConnector(ssl=checked),
            ) as pictures,
        ):
            yield cls(
                Sessions(
                    settings=settings,
                    headers=headers,
                    graphql=session,
                    pictures=pictures,
                    watch=watch,
                )
            )

    # --- whether it is well --------------------------------------------------------

    async def probe(self) -> str:
        """Ask which version this is and what its schema offers; returns the version.

        Raises `NotWorking` when it cannot be asked for more than that.
        """
        await self._learn()
        return await self.prove()

    async def _learn(self) -> Dialect:
        answer = await self._answer(queries.PROBE)
        if any(answer.get(kind) is None for kind in ("Scene", "Query")):
            raise self._misfit("it knows no scenes")
        try:
            self._dialect = dialect = Dialect.from_types(
                (kind, [one["name"] for one in _fields(answer[kind], kind)])
                for kind in TYPES
                if answer.get(kind)
            )
        except (KeyError, TypeError):
            raise ServiceUnavailable("Stash", WRONG_URL) from None
        self.version = version_from(answer)
        return dialect

    async def prove(self) -> str:
        """See that scenes can be read; returns the version.

        Raises `NotWorking` if they cannot. Its state is asked for first: while Stash
        waits for a migration, each question that reads fills its log.
        """
        dialect = self._dialect or await self._learn()
        try:
            version, state = await self._state(dialect)
        except SchemaMismatch:
            version, state = None, ""
        if version is None or version != self.version:
            # Another release was started behind our back.
            version, state = await self._state(await self._learn())
        if state in _WAITING:
            raise NotWorking("Stash", _WAITING[state])
        try:
            await self._answer(queries.READ)
        except ServerFault as error:
            known = state in {"", _WELL}
            said = "" if known else f", whose state is {shortened(state)}"
            message = f"{_UNREADABLE}{said}: {error.reason}"
            raise NotWorking("Stash", message) from None
        return version or ""

    async def _state(self, dialect: Dialect) -> tuple[str | None, str]:
        """Return the version, and the state, "" where it is not told."""
        can_tell = dialect.has("Query.systemStatus")
        answer = await self._answer(queries.STATUS if can_tell else queries.VERSION)
        told = answer.get("systemStatus")
        state = told.get("status") if isinstance(told, dict) else None
        return version_from(answer), state if isinstance(state, str) else ""

    async def dialect(self) -> Dialect:
        """Return what the schema offers, asked for once."""
        return self._dialect or await self._learn()

    @property
    def missing(self) -> list[str]:
        """What is asked for elsewhere and is missing here, such as ``Scene.date``."""
        return self._dialect.missing if self._dialect else []

    @property
    def has_groups(self) -> bool:
        """Whether it is known to have groups; movies are their former name."""
        return self._dialect is not None and self._dialect.group == "group"

    def refuse_if_too_old(self) -> None:
        """Raise `SchemaMismatch` for a release before v0.25."""
        if self._dialect and self._dialect.is_too_old:
            version = self.version or "of unknown version"
            raise SchemaMismatch("Stash", f"Stash {version} is too old; {TOO_OLD}")

    @property
    def server_time(self) -> float | None:
        """Return Stash's clock as of its last answer, in unix seconds."""
        headers = getattr(self._session.transport, "response_headers", None) or {}
        try:
            return parsedate_to_datetime(headers.get("Date", "")).timestamp()
        except ValueError:
            return None

    @property
    def ahead(self) -> float:
        """Return by how many seconds Stash's clock is ahead of ours; 0 if unknown."""
        return self._ahead

    # --- asking --------------------------------------------------------------------

    async def ask(self, query: GraphQLRequest, **variables: Any) -> dict[str, Any]:
        """Return the answer to one of our documents; raises our errors."""
        return _whole(*await self.ask_partly(query, variables))

    async def ask_partly(
        self, query: GraphQLRequest, variables: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the answer, and what went wrong by the top-level field it hit.

        When all of it did, it is seen first whether anything works.
        """
        try:
            data, failed = await self._executed(query, variables)
        except ServerFault as error:
            if not isinstance(error, AnswerTooLarge):
                await self.prove()
            raise
        if failed and not any(value is not None for value in data.values()):
            await self.prove()
        return data, failed

    async def fitting(self, ask: Callable[[Dialect], Awaitable[T]]) -> T:
        """Return what *ask* does in this server's dialect.

        When that does not fit any more, another release may have been started behind
        our back: its dialect is learned, and *ask* does it again.
        """
        dialect = await self.dialect()
        try:
            return await ask(dialect)
        except SchemaMismatch:
            known = await self._learn()
            if known == dialect:
                raise
            return await ask(known)

    async def _answer(self, query: GraphQLRequest) -> dict[str, Any]:
        return _whole(*await self._executed(query, {}))

    async def _executed(
        self, query: GraphQLRequest, variables: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        request = queries.Question(query, variables)
        try:
            with timed(self._watch):
                answer = await self._session.execute(
                    request, extra_args={"allow_redirects": False}
                )
        except TransportQueryError as error:
            self.contact.reached()
            return self._sorted_out(error)
        except TransportServerError as error:
            self.contact.reached()
            if error.code == FIRST_ERROR and error.__cause__:
                # Go's servers answer so where they expect TLS.
                told = await self.reason(error)
                if "https://" in told:
                    raise ServiceUnavailable("Stash", told) from None
            raise self._refused(error) from None
        except TransportProtocolError:
            raise ServiceUnavailable("Stash", WRONG_URL) from None
        except (TransportError, aiohttp.ClientError, OSError) as error:
            cause = error.__cause__ or error
            if isinstance(cause, BodyTooLarge):
                raise AnswerTooLarge("Stash", str(cause)) from None
            if isinstance(cause, Redirected):
                raise self.redirected(cause.location) from None
            raise self.contact.broken(
                "Stash", cause, await self.reason(error)
            ) from None
        except (AssertionError, AttributeError, TypeError, ValueError):
            # JSON, but no answer of a GraphQL server; gql trusts what it gets.
            raise ServiceUnavailable("Stash", WRONG_URL) from None
        self._has_answered = True
        self.contact.reached()
        clock = self.server_time
        self._ahead = 0.0 if clock is None else clock - time.time()
        return _table(answer), {}

    # --- what went wrong -------------------------------------------------------------

    async def reason(self, error: BaseException) -> str:
        """Return why Stash could not be asked."""
        cause = error.__cause__ if isinstance(error, TransportError) else error
        cause = cause or error
        if self._has_answered:
            return reason(cause, self.settings.url, "stash")
        return await first_reason(cause, self.settings.url, "stash")

    def denied(self, status: int | None) -> AccessDenied:
        """Return the error for an answer that refuses us."""
        where = "the key under Settings > Security"
        if "ApiKey" not in self.headers:
            message = f"Stash now wants a login: set stash.api_key to {where}"
            if status == FORBIDDEN:
                message = (
                    "Stash refuses us: HTTP 403; it may have locked itself, see"
                    " security_tripwire in its config.yml"
                )
            return AccessDenied("Stash", message)
        return AccessDenied(
            "Stash",
            f"Stash refused the API key: HTTP {status}; set stash.api_key to {where},"
            " or to nothing if Stash has none",
        )

    def _sorted_out(
        self, error: TransportQueryError
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Tell a query the schema refuses from fields that failed (HTTP 200)."""
        listed = error.errors if isinstance(error.errors, list) else []
        errors = [one for one in listed if isinstance(one, dict)]
        messages = [self._message(one) for one in errors] or [self.quoted(str(error))]
        if any((one.get("extensions") or {}).get("code") in _MISFIT for one in errors):
            raise self._misfit(self._with_place(errors[0])) from None
        failed = {
            str(one["path"][0]): self._message(one) for one in errors if one.get("path")
        }
        if not error.data or not failed or len(failed) < len(messages):
            # Which field the rest is about is unknown, so no null can be trusted.
            raise ServerFault("Stash", messages[0]) from None
        return _table(error.data), failed

    def redirected(self, location: str) -> Stash2PlexError:
        """Return the error for Stash, or a proxy before it, sending us elsewhere."""
        parts = urlsplit(location)
        if parts.path.endswith("/login"):
            return self.denied(FOUND)
        if parts.scheme == "https" and self.settings.url.startswith("http:"):
            return ServiceUnavailable(
                "Stash", "it redirects to https; use https:// in stash.url"
            )
        return ServiceUnavailable(
            "Stash", "it redirects elsewhere; is stash.url right, base path included?"
        )

    def _refused(self, error: TransportServerError) -> Stash2PlexError:
        status = error.code
        if status in DENIED:
            return self.denied(status)
        if status == 422:  # noqa: PLR2004 - a proxy may have eaten the JSON of it
            return self._misfit("HTTP 422")
        answer = error.__cause__
        headers = getattr(answer, "headers", None) or {}
        pause = pause_asked(headers, time.time())
        return ServiceUnavailable("Stash", f"HTTP {status}", pause=pause)

    def quoted(self, message: str) -> str:
        """Return what Stash says as it may be stored and shown: short, without our key.

        Whole SQL with its values comes in some errors, and what we sent in others.
        """
        return shortened(visible_lines(self._secrets.mask(message)))

    def _message(self, error: Mapping[str, Any]) -> str:
        return self.quoted(str(error.get("message", "")))

    def _with_place(self, error: Mapping[str, Any]) -> str:
        """Return what a misfit says: some name the field nowhere but in their path."""
        message, path = self._message(error), error.get("path")
        if not isinstance(path, list) or not path:
            return message
        return f"{message}: {self.quoted('.'.join(map(str, path)))}"

    def _misfit(self, reason: str) -> SchemaMismatch:
        """Return the error for a document that this release does not understand."""
        old = self._dialect is not None and self._dialect.is_too_old
        older = TOO_OLD if old else "is it older than v0.25, or newer than we know?"
        version = f" {self.version}" if self.version else ""
        message = f"Stash{version} does not understand our query ({reason}); {older}"
        return SchemaMismatch("Stash", message)


def _whole(data: dict[str, Any], failed: Mapping[str, str]) -> dict[str, Any]:
    """Return an answer of which nothing may be missing."""
    if failed:
        raise ServerFault("Stash", next(iter(failed.values())))
    return data


def _fields(found: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    fields: list[dict[str, Any]] = found["inputFields" if is_input(kind) else "fields"]
    return fields


def _table(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ServiceUnavailable("Stash", WRONG_URL)
    return data
