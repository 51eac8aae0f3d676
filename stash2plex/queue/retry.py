"""From an error and what came before it to the fate of a job; pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from stash2plex.errors import (
    Braked,
    CatalogIncomplete,
    EditRefused,
    ItemNotFound,
    RequestRejected,
    ServiceUnavailable,
    StaleCatalog,
    Stash2PlexError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from stash2plex.config import QueueSettings
    from stash2plex.queue.job import Job

# How long a job rests while the libraries are being read, seconds; the end of the
# reading wakes it earlier.
_CATALOG_WAIT = 15.0
_STALE_WAIT = 1.0
# The end of the brake wakes what waits for it.
_BRAKED_WAIT = 300.0
# A server may refuse all edits for a while; how long it is given at least, seconds.
_REFUSING = 300.0


class Fate(StrEnum):
    """What becomes of a job that failed."""

    RELEASED = "released"  # waits for a server; costs nothing
    ASLEEP = "asleep"  # waits for Plex to have the item
    RETRIED = "retried"  # waits its back-off, the attempt counts
    ENDED = "ended"  # over, and visible as a gap
    BURIED = "buried"  # a dead letter


@dataclass(frozen=True, slots=True)
class Verdict:
    """The fate of a job; *delay* in seconds for one that will run again."""

    fate: Fate
    delay: float = 0.0


class RetryPolicy:
    """Full-jitter exponential back-off, with a limit for each class of failure."""

    def __init__(
        self,
        settings: QueueSettings,
        *,
        spread: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._settings = settings
        self._spread = spread

    @property
    def longest_wait(self) -> float:
        """The most seconds that a job ever waits."""
        settings = self._settings
        return max(
            settings.retry_base,
            settings.retry_cap,
            settings.not_found_cap,
            _CATALOG_WAIT,
            _REFUSING,
            _BRAKED_WAIT,
        )

    def judge(self, job: Job, error: Exception) -> Verdict:  # noqa: PLR0911 - a table
        """Decide by the class of *error*, never by its message."""
        settings = self._settings
        match error:
            case ServiceUnavailable():
                base = settings.retry_base
                asked = min(error.pause, settings.retry_cap)
                delay = max(self._spread(base / 2, base), asked)
                return Verdict(Fate.RELEASED, delay)
            case Braked():
                return Verdict(Fate.RELEASED, _BRAKED_WAIT)
            case CatalogIncomplete():
                return Verdict(Fate.RELEASED, _CATALOG_WAIT)
            case StaleCatalog() if job.attempts + 1 < settings.max_attempts:
                return Verdict(Fate.RETRIED, _STALE_WAIT)
            case ItemNotFound():
                if job.lookups + 1 >= settings.not_found_attempts:
                    return Verdict(Fate.ENDED)
                ceiling = settings.not_found_base * 2**job.lookups
                ceiling = min(ceiling, settings.not_found_cap)
                return Verdict(Fate.ASLEEP, self._spread(0, ceiling))
            case RequestRejected():
                return Verdict(Fate.BURIED)
            case _:
                if job.attempts + 1 >= settings.max_attempts:
                    return Verdict(Fate.BURIED)
                if isinstance(error, EditRefused):
                    delay = _REFUSING / (settings.max_attempts - 1)
                    return Verdict(Fate.RETRIED, delay)
                ceiling = min(settings.retry_base * 2**job.attempts, settings.retry_cap)
                return Verdict(Fate.RETRIED, self._spread(0, ceiling))


def code_of(error: Exception) -> str:
    """Return the stable code of *error*; a bug is ``internal``."""
    return error.code if isinstance(error, Stash2PlexError) else Stash2PlexError.code
