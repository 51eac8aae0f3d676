"""Logging: structlog, pretty on a terminal, JSON elsewhere; secrets never reach it.

Events are named ``noun_past_participle`` and carry fields instead of prose. Records
of libraries go through the same formatter. `mask` is the one place that knows what
must not be shown; errors and HTTP answers use it too.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TextIO
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from stash2plex.visible import visible, visible_json, visible_lines
from stash2plex.words import Words

MASK = "***"
_IN_URL = re.compile(r"(?i)(x-plex-token|apikey|api_key|token)=[^&\s\"'<>]+")
# In a URL that is a parameter of another, encoded once or more.
_IN_INNER_URL = re.compile(
    r"(?i)(x-plex-token|apikey|api_key|token)(%(?:25)*3d)[^&%\s\"'<>]+"
)
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
    "tzlocal",
)
# Shorter values would mask half the log; nobody uses them in earnest.
_LEAST_SECRET = 4
# So many lines of the log are kept in memory.
_RECENT = 2000
_KEY_LENGTH = 32  # bytes
# From which level of Python's on the journal has which number, worst first.
_PRIORITIES = ((50, 2), (40, 3), (30, 4), (20, 6), (0, 7))
# Fields of a record that have lines.
_OF_LINES = frozenset({"exception", "stack"})


class Secrets:
    """What must not be shown: values, and with *hides_paths* folders and titles too.

    *recent* are the last lines of the log for a bug report, with nothing private in
    them; *words* stand for paths, once the data directory gave the key to them.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self.hides_paths = False
        self.words: Words | None = None
        self.recent: deque[str] = deque(maxlen=_RECENT)
        self._values: list[str] = []
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Mask *value* from now on."""
        if len(value) >= _LEAST_SECRET:
            known = {*self._values, value, quote(value, safe="")}
            # The longest first: another may be its beginning.
            self._values = sorted(known, key=len, reverse=True)

    def mask(self, text: str) -> str:
        """Return *text* with every secret replaced."""
        for value in self._values:
            text = text.replace(value, MASK)
        text = _IN_URL.sub(rf"\1={MASK}", text)
        text = _IN_INNER_URL.sub(rf"\1\2{MASK}", text)
        return _IN_HEADER.sub(rf"\1\2{MASK}", text)

    def error(self, text: str) -> str:
        """Return the text of an error as it may be shown."""
        text = self.mask(text)
        return self.hidden_words.text(text) if self.hides_paths else text

    def masked(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return *document* with every secret in it replaced."""
        return {key: self._masked(value) for key, value in document.items()}

    def process(
        self, _logger: WrappedLogger, _method: str, event: EventDict
    ) -> EventDict:
        """Mask every string of a log record (a structlog processor)."""
        masked = self.masked(event)
        return self.hidden_words.fields(masked) if self.hides_paths else masked

    def strip(
        self, _logger: WrappedLogger, _method: str, event: EventDict
    ) -> EventDict:
        """Take all that is private out of a log record (a structlog processor)."""
        return self.private(event)

    def private(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return *document* with nothing private in it, whatever is configured."""
        masked = self.masked(document)
        return self.hidden_words.fields(masked)

    @property
    def hidden_words(self) -> Words:
        """The words; before the data directory is known, some that nobody can match."""
        if self.words is None:
            self.words = Words(os.urandom(_KEY_LENGTH))
        return self.words

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


class _Keeping(logging.Handler):
    """Keeps the last lines in memory."""

    def __init__(self, lines: deque[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


class _Printing(logging.StreamHandler[TextIO]):
    """Prints until nobody reads any more; with the level first for the journal."""

    def __init__(self, stream: TextIO, *, for_journal: bool) -> None:
        super().__init__(stream)
        self._for_journal = for_journal

    def format(self, record: logging.LogRecord) -> str:
        """Return what is printed of *record* (called by logging)."""
        text = super().format(record)
        return for_journal(text, record.levelno) if self._for_journal else text

    def handleError(self, record: logging.LogRecord) -> None:
        """Be silent from then on (called by logging)."""
        if isinstance(sys.exception(), BrokenPipeError):
            logging.getLogger().removeHandler(self)
        else:
            super().handleError(record)


def journal_reads(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether *stream* leads to systemd's journal, as ``JOURNAL_STREAM`` tells.

    See systemd.exec(5): it holds the device and inode of what a service was given.
    """
    try:
        there = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"


def for_journal(text: str, level: int) -> str:
    """Return *text* with the level before each line as sd-daemon(3) has it."""
    priority = next(number for least, number in _PRIORITIES if level >= least)
    return "\n".join(f"<{priority}>{line}" for line in text.splitlines())


def _untimed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave out the time, which the journal has (a structlog processor)."""
    event.pop("timestamp", None)
    return event


def _made_visible(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Spell out what steers terminals (a structlog processor)."""
    return {
        visible(key): _shown(value, visible_lines if key in _OF_LINES else visible)
        for key, value in event.items()
    }


def _shown(value: object, spelled: Callable[[str], str]) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case dict() | list() | tuple() | set() | frozenset():
            return spelled(repr(value))  # which is what would be printed
        case _:
            return spelled(str(value))


def _as_json(document: object, **options: Any) -> str:
    return visible_json(json.dumps(document, **options))


def configure(
    level: str,
    style: Literal["auto", "console", "json"],
    secrets: Secrets,
    *,
    stream: TextIO | None = None,
) -> None:
    """Set up logging for the process; *stream* is standard output unless told."""
    stream = stream or sys.stdout
    journal = journal_reads(stream, os.environ)
    console = style == "console" or (style == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[Processor] = (
        [
            secrets.process,
            _made_visible,
            structlog.dev.ConsoleRenderer(colors=stream.isatty()),
        ]
        if console
        else [
            structlog.processors.format_exc_info,
            secrets.process,
            structlog.processors.JSONRenderer(
                _as_json, ensure_ascii=False, default=str
            ),
        ]
    )
    if console:
        last.insert(0, structlog.processors.format_exc_info)
    if journal:
        last.insert(0, _untimed)
    handler = _Printing(stream, for_journal=journal)
    keeping = _Keeping(secrets.recent)
    for one, rendering in (
        (handler, last),
        (
            keeping,
            [
                structlog.processors.format_exc_info,
                secrets.strip,
                structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
            ],
        ),
    ):
        one.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *rendering,
                ],
            )
        )
    root = logging.getLogger()
    root.handlers = [handler, keeping]
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
