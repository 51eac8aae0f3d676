"""Logging: structlog, pretty on a terminal, JSON elsewhere; secrets never reach it.

Events are named ``noun_past_participle`` and carry fields instead of prose. Records
of libraries go through the same formatter. `mask` is the one place that knows what
must not be shown; errors and HTTP answers use it too.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASK = "***"
_IN_URL = re.compile(r"(?i)(x-plex-token|apikey|api_key|token)=[^&\s\"'<>]+")
_IN_HEADER = re.compile(
    r"(?i)(x-plex-token|apikey|authorization)"
    r"(['\"]?\s*[:=]\s*['\"]?(?:bearer )?)[^\s,'\"}]+"
)
_NOISY = (
    "aiohttp.access",
    "aiosqlite",
    "asyncio",
    "gql",
    "plexapi",
    "urllib3",
    "PIL",
    "apscheduler",
)
# Shorter values would mask half the log; nobody uses them in earnest.
_LEAST_SECRET = 4


class Secrets:
    """The values that must be masked wherever they turn up."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Mask *value* from now on."""
        if len(value) >= _LEAST_SECRET:
            self._values.add(value)

    def mask(self, text: str) -> str:
        """Return *text* with every secret replaced."""
        for value in self._values:
            text = text.replace(value, MASK)
        text = _IN_URL.sub(rf"\1={MASK}", text)
        return _IN_HEADER.sub(rf"\1\2{MASK}", text)

    def process(
        self, _logger: WrappedLogger, _method: str, event: EventDict
    ) -> EventDict:
        """Mask every string of a log record (a structlog processor)."""
        return {key: self._masked(value) for key, value in event.items()}

    def _masked(self, value: object) -> object:
        match value:
            case str():
                return self.mask(value)
            case dict():
                return {key: self._masked(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self._masked(inner) for inner in value]
            case _:
                return value


def configure(
    level: str,
    style: Literal["auto", "console", "json"],
    secrets: Secrets,
    *,
    stream: TextIO | None = None,
) -> None:
    """Set up logging for the process; *stream* is standard output unless told."""
    stream = stream or sys.stdout
    console = style == "console" or (style == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[Processor] = (
        [secrets.process, structlog.dev.ConsoleRenderer(colors=stream.isatty())]
        if console
        else [
            structlog.processors.format_exc_info,
            secrets.process,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    )
    if console:
        last.insert(0, structlog.processors.format_exc_info)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # What strangers send to the port; our own errors are told by `stash2plex.web.app`.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
