"""The history of outages, and the breakers' states, across restarts.

A breaker tells of each of its moves; they are written down in order by one task. What
a crash keeps from being written is learned anew: a breaker that is found closed opens
again after a few failures, and an outage that is found open without one is over.

How long an outage was is told by a clock that nobody puts. Where the one on the wall
was put meanwhile its beginning is moved, so that the end is what that clock shows now.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import structlog

from stash2plex.db.database import Database
from stash2plex.errors import StoreUnavailable
from stash2plex.health.breaker import CircuitBreaker, Move, State

log = structlog.get_logger()

# So many of each server are kept.
KEPT = 30
_FACT = "breaker_{}"
_SINCE = "observed_since"
# By so much the length of an outage may differ from what the clock on the wall shows,
# seconds.
_STRAY = 5.0
_BEGAN = "iif(abs(started_at - ?3) > ?4, ?3, started_at)"
_WAITING = "(SELECT count(*) FROM job WHERE state != 'dead')"


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage; times in unix seconds, *ended_at* None while it goes on.

    *jobs* is how many waited when it ended, or wait now.
    """

    id: int
    service: str
    started_at: float
    ended_at: float | None
    code: str
    cause: str
    jobs: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """What a server's outages amount to.

    *mttr* is the mean time to repair and *mtbf* the mean time up between two outages,
    in seconds, None without enough of them; *availability* is 0 to 1 of the time since
    the first start.
    """

    count: int
    mttr: float | None
    mtbf: float | None
    availability: float


class OutageLog:
    """Writes down what breakers do, and tells of it."""

    def __init__(
        self, database: Database, *, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._now = now
        self._breakers: dict[str, CircuitBreaker] = {}
        self._moves: asyncio.Queue[tuple[CircuitBreaker, Move]] = asyncio.Queue()

    async def adopt(self, breaker: CircuitBreaker) -> None:
        """Restore *breaker* from the store, and follow it from now on.

        A state that makes no sense means closed. Its listeners are told of the last
        move, whenever that was.
        """
        if await self._database.fact(_SINCE) is None:
            await self._database.set_fact(_SINCE, str(self._now()))
        stored = await self._database.fact(_FACT.format(breaker.service))
        if move := _read(stored):
            breaker.restore(move)
            for listener in breaker.listeners:
                listener(move)
        self._breakers[breaker.service] = breaker
        if breaker.state is State.CLOSED:
            with suppress(StoreUnavailable):  # a full disk is no reason not to start
                await self._end(breaker.service, self._now())
        breaker.listeners.append(lambda move: self._moves.put_nowait((breaker, move)))

    async def run(self) -> None:
        """Write down moves until cancelled; then what is left."""
        try:
            while True:
                await self._write(*await self._moves.get())
        finally:
            while not self._moves.empty():
                await self._write(*self._moves.get_nowait())

    async def listed(self) -> list[Outage]:
        """Return the outages of all servers, the newest first."""
        rows = await self._database.fetch(
            "SELECT id, service, started_at, ended_at, code, cause,"
            f" iif(ended_at IS NULL, {_WAITING}, jobs) AS jobs FROM outage"
            " ORDER BY started_at DESC, id DESC"
        )
        return [self._dated(Outage(*row)) for row in rows]

    def _dated(self, outage: Outage) -> Outage:
        """Return an outage that goes on with the beginning that fits its length."""
        breaker = self._breakers.get(outage.service)
        if outage.ended_at is not None or breaker is None or not breaker.failing_for:
            return outage
        began = self._now() - breaker.failing_for
        if abs(began - outage.started_at) < _STRAY:
            return outage
        return replace(outage, started_at=began)

    async def reliability(self, outages: Sequence[Outage]) -> Reliability:
        """Work out the figures of one server's *outages*."""
        now = self._now()
        since = float(await self._database.fact(_SINCE) or now)
        return reliability(outages, since, now)

    async def _write(self, breaker: CircuitBreaker, move: Move) -> None:
        service = breaker.service
        try:
            await self._database.set_fact(_FACT.format(service), _written(move))
            if move.state is State.OPEN:
                await self._begin(service, move)
            elif move.state is State.CLOSED:
                await self._end(service, move.at, move.lasted)
        except StoreUnavailable as error:
            log.warning("outage_not_saved", service=service, error=str(error))

    async def _begin(self, service: str, move: Move) -> None:
        async with self._database.transaction() as transaction:
            await transaction.run(
                "INSERT INTO outage (service, started_at, code, cause)"
                " VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                service,
                move.since,
                move.code,
                move.cause,
            )
            # What it is about may have changed meanwhile.
            await transaction.run(
                "UPDATE outage SET code = ?2, cause = ?3"
                " WHERE service = ?1 AND ended_at IS NULL",
                service,
                move.code,
                move.cause,
            )
            await transaction.run(
                "DELETE FROM outage WHERE service = ?1 AND id NOT IN"
                " (SELECT id FROM outage WHERE service = ?1"
                " ORDER BY started_at DESC, id DESC LIMIT ?2)",
                service,
                KEPT,
            )

    async def _end(self, service: str, at: float, lasted: float | None = None) -> None:
        """Write down the end, *lasted* seconds after the beginning, where known."""
        began = None if lasted is None else at - lasted
        await self._database.write(
            f"UPDATE outage SET started_at = {_BEGAN}, ended_at = max({_BEGAN}, ?2),"
            f" jobs = {_WAITING}"
            " WHERE service = ?1 AND ended_at IS NULL",
            service,
            at,
            began,
            _STRAY,
        )


def reliability(outages: Sequence[Outage], since: float, now: float) -> Reliability:
    """Return what *outages* of one server since *since* amount to; pure."""
    ended = sorted(
        (one for one in outages if one.ended_at is not None),
        key=lambda one: one.started_at,
    )
    lengths = [max(0.0, (one.ended_at or now) - one.started_at) for one in ended]
    everything = sorted(outages, key=lambda one: one.started_at)
    between = [
        max(0.0, later.started_at - (earlier.ended_at or later.started_at))
        for earlier, later in pairwise(everything)
    ]
    down = sum((one.ended_at or now) - one.started_at for one in outages)
    first = min([since, *(one.started_at for one in outages)])
    observed = max(now - first, 0.0)
    share = min(1.0, max(0.0, down / observed)) if observed else 0.0
    return Reliability(
        count=len(outages),
        mttr=sum(lengths) / len(lengths) if lengths else None,
        mtbf=sum(between) / len(between) if between else None,
        availability=1.0 - share,
    )


def _written(move: Move) -> str:
    return json.dumps(
        {
            "state": move.state,
            "since": move.since,
            "at": move.at,
            "code": move.code,
            "cause": move.cause,
        }
    )


def _read(stored: str | None) -> Move | None:
    try:
        found: dict[str, Any] = json.loads(stored or "null")
        return Move(
            state=State(found["state"]),
            since=float(found["since"]),
            at=float(found["at"]),
            code=str(found["code"]),
            cause=str(found["cause"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
