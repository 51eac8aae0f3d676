"""A circuit breaker: stop asking a server that is not answering.

Closed, it lets everything through. *threshold* consecutive failures open it; then a
successful probe, or *open_seconds* without one, makes it half-open: a single trial
goes through and closes it, or opens it again. A refused token opens it at once, and so
does the proof that nothing works.
Only unavailability counts. A server's stumbling over one item (HTTP 500) counts when
it happens to *threshold* different items in a row: then it is the server, not the item.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog

from stash2plex.errors import (
    AccessDenied,
    NotWorking,
    ServerFault,
    ServiceUnavailable,
    Unreachable,
)

log = structlog.get_logger()


class State(StrEnum):
    """What the breaker lets through: everything, nothing, one trial."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A change of state *at* a time, and the error behind it.

    *since* is when the failures began; times in unix seconds. *lasted* is for how long
    they go on, in seconds of a clock that nobody puts. *code* and *cause* are "" for a
    closed breaker.
    """

    state: State
    since: float
    at: float
    lasted: float = 0.0
    code: str = ""
    cause: str = ""


class CircuitBreaker:
    """The breaker of one *service*; *listeners* are told of every change."""

    def __init__(
        self,
        service: str,
        *,
        threshold: int,
        open_seconds: float,
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.listeners: list[Callable[[Move], None]] = []
        self._clock = clock
        self._failing_since: float | None = None
        self._failing_from = 0.0  # the same, by the clock that nobody puts
        self.service = service
        self.state = State.CLOSED
        self.error: ServiceUnavailable | None = None
        self._threshold = threshold
        self._open_seconds = open_seconds
        self._now = now
        self._failures = 0
        self._unanswered = 0  # probes
        self._unreached = 0  # attempts to connect
        # Whether the last that was heard of it is a failure.
        self.is_failing = False
        self._opened_at = 0.0
        self._trial_running = False
        self._tried = False  # since it moved
        self._stumbled_over: set[int] = set()
        self._counted: Counter[int] = Counter()
        self._changed = asyncio.Event()

    @property
    def failing_for(self) -> float:
        """For how many seconds it has failed, whatever was done to the clock."""
        return 0.0 if self._failing_since is None else self._now() - self._failing_from

    @property
    def is_denied(self) -> bool:
        """Whether the server refuses our token."""
        return self.state is not State.CLOSED and isinstance(self.error, AccessDenied)

    @property
    def allows_some(self) -> bool:
        """Whether `allowance` would let anything through now."""
        if self.state is State.OPEN:
            return self._waited_long_enough()
        return self.state is State.CLOSED or not self._trial_running

    def allowance(self, limit: int) -> int:
        """Return how many of *limit* jobs may be tried now; claims a trial."""
        if not limit:
            return 0
        if self.state is State.OPEN and self._waited_long_enough():
            self._move(State.HALF_OPEN)
        match self.state:
            case State.CLOSED:
                return limit
            case State.HALF_OPEN if not self._trial_running:
                self._trial_running = self._tried = True
                return 1
            case _:
                return 0

    def refuse_while_open(self) -> None:
        """Raise `ServiceUnavailable` when there is no point in asking the server."""
        if self.state is not State.OPEN:
            return
        if isinstance(self.error, NotWorking):
            raise type(self.error)(self.service, str(self.error))
        raise ServiceUnavailable(self.service, "it did not answer a moment ago")

    def trial_ended(self) -> None:
        """Let the next trial through: this one told nothing about the server."""
        self._trial_running = False

    def restore(self, move: Move) -> None:
        """Go on where a daemon before us ended: what was open is open."""
        if move.state is State.CLOSED:
            return
        denied = move.code == AccessDenied.code
        error = AccessDenied if denied else NotWorking
        self.error = error(self.service, move.cause)
        self._failing_since = move.since
        self._failing_from = self._now() - max(0.0, self._clock() - move.since)
        self._opened_at = self._now()
        self.state = State.OPEN

    def succeed(self) -> None:
        """Note that the server did what it was asked."""
        self.is_failing = False
        self._failures = self._unanswered = self._unreached = 0
        self._stumbled_over.clear()
        self._counted.clear()
        if self.state is not State.CLOSED:
            self.error = None
            self._move(State.CLOSED)
        self._failing_since = None

    def answered(self) -> None:
        """Note an answer that tells nothing of single scenes or items.

        It ends no outage, and what stumbled stays in mind.
        """
        if self.state is State.CLOSED:
            self._failures = self._unanswered = self._unreached = 0
            self.is_failing = False

    def fail(self, error: ServiceUnavailable) -> None:
        """Note that the server did not answer, or refused our token."""
        self._failures += 1
        # Once may be about one request.
        self.is_failing = self._failures > 1 or isinstance(error, NotWorking)
        self._note_failure()
        self.error = error
        hopeless = isinstance(error, NotWorking)
        trial_failed = self.state is State.HALF_OPEN
        if hopeless or trial_failed or self._failures >= self._threshold:
            self._open()

    def stumble(self, thing: int, error: ServerFault) -> None:
        """Note that the server failed over *thing*.

        It fails no trial: the next one takes another thing, and only when all of them
        stumble is the server still down.
        """
        self._note_failure()
        self._stumbled_over.add(thing)
        if len(self._stumbled_over) >= self._threshold:
            self.error = ServiceUnavailable(
                self.service, f"one thing after another fails: {error.reason}"
            )
            self._open()

    def attempt_counted(self, job_id: int) -> None:
        """Remember that a stumble cost *job_id* an attempt, to give it back perhaps."""
        self._counted[job_id] += 1

    def take_counted(self) -> dict[int, int]:
        """Return, once, the attempts that an outage cost (job id -> how many)."""
        if self.state is not State.OPEN:
            return {}
        counted, self._counted = dict(self._counted), Counter()
        return counted

    def probe_succeeded(self) -> None:
        """Let one trial through at once: the server answers again.

        When nobody had anything to try until the next probe, that decides.
        """
        self.is_failing = False
        match self.state:
            case State.OPEN:
                self._move(State.HALF_OPEN)
            case State.HALF_OPEN if not self._tried:
                self.succeed()
            case State.CLOSED:
                self._unanswered = self._unreached = 0
                if not self._failures and not self._stumbled_over:
                    self._failing_since = None

    def probe_failed(self, error: ServiceUnavailable) -> None:
        """Note that the server gave no sign of life, or refused our token.

        Who has nothing to do notices an outage by this alone. It is counted for itself:
        a server that gives signs of life may fail at everything else.
        """
        if isinstance(error, AccessDenied):
            if not self.is_denied:
                self.fail(error)
        elif isinstance(error, NotWorking) and self.state is State.CLOSED:
            self.fail(error)
        elif self.state is not State.CLOSED:
            self._reword(error)
        elif not isinstance(error, Unreachable):  # which was counted where it happened
            self.is_failing = True
            self._unanswered += 1
            self._open_after(self._unanswered, error)

    def unreached(self, error: ServiceUnavailable) -> None:
        """Note that no connection to the server could be made, whoever tried it."""
        self.is_failing = True
        if self.state is State.CLOSED:
            self._unreached += 1
            self._open_after(self._unreached, error)

    def reached(self) -> None:
        """Note an answer, whatever it says: connections can be made."""
        if self._unreached and not (self._failures or self._unanswered):
            self.is_failing = False
        self._unreached = 0

    def _open_after(self, failures: int, error: ServiceUnavailable) -> None:
        self._note_failure()
        if failures >= self._threshold:
            self.error = error
            self._open()

    def _reword(self, error: ServiceUnavailable) -> None:
        """Say what an outage is about by now, as when a server came back half-way."""
        proven = isinstance(error, NotWorking) or isinstance(self.error, NotWorking)
        if proven and str(error) != str(self.error):
            self.error = error
            self._tell()

    def seconds_until_trial(self) -> float:
        """Return how long an open breaker stays so without a successful probe."""
        return max(0.0, self._opened_at + self._open_seconds - self._now())

    def changed(self) -> Awaitable[object]:
        """Wait for the next change of state after this call."""
        return self._changed.wait()

    def _note_failure(self) -> None:
        if self._failing_since is None:
            self._failing_since = self._clock()
            self._failing_from = self._now()

    def _waited_long_enough(self) -> bool:
        return not self.is_denied and self.seconds_until_trial() == 0

    def _open(self) -> None:
        self._opened_at = self._now()
        if self.state is not State.OPEN:
            self._move(State.OPEN)

    def _move(self, state: State) -> None:
        before, self.state = self.state, state
        self._trial_running = self._tried = False
        self._stumbled_over.clear()
        log.log(
            30 if state is State.OPEN else 20,
            f"circuit_{'opened' if state is State.OPEN else state}",
            service=self.service,
            before=before,
            error=str(self.error) if self.error else None,
        )
        self._tell()
        self._changed.set()
        self._changed = asyncio.Event()

    def _tell(self) -> None:
        """Tell the listeners how things are."""
        now = self._clock()
        move = Move(
            state=self.state,
            since=now if self._failing_since is None else self._failing_since,
            at=now,
            lasted=self.failing_for,
            code=self.error.code if self.error else "",
            cause=str(self.error) if self.error else "",
        )
        for listener in self.listeners:
            listener(move)
