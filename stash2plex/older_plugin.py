"""What the plugin Stash2Plex is told in Stash, in the words of our configuration.

Its settings stay in Stash when ours takes over; what has a counterpart here is taken
from them, so that nobody types it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stash2plex.config import INTERVALS, PathRule
from stash2plex.path_report import folder_rule

OLDER_PLUGIN = "Stash2Plex"

_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no"})


@dataclass(frozen=True, slots=True)
class Imported:
    """What was taken: *tables* as in ``config.toml``, and path rules.

    *taken* says which key became which; *left* is what was left out, and why.
    """

    tables: dict[str, dict[str, Any]]
    rules: tuple[PathRule, ...]
    taken: tuple[tuple[str, str], ...]
    left: tuple[tuple[str, str], ...]


def import_settings(found: Mapping[str, Any]) -> Imported:
    """Translate the older plugin's settings; what makes no sense there is left out."""
    tables: dict[str, dict[str, Any]] = {}
    taken: list[tuple[str, str]] = []
    left: list[tuple[str, str]] = []
    rules: tuple[PathRule, ...] = ()
    for given, value in found.items():
        name = _snake(given)
        if value in (None, "", [], {}):
            continue
        if name == "plex_unmatched_path_map" and (rules := _rules(str(value))):
            taken.append((given, "path_rules"))
        elif name in _KEYS:
            key, read = _KEYS[name]
            try:
                _put(tables, key, read(value))
            except ValueError as error:
                left.append((given, str(error)))
            else:
                taken.append((given, key))
        else:
            left.append((given, "has no counterpart"))
    return Imported(tables, rules, tuple(taken), tuple(left))


def _put(tables: dict[str, dict[str, Any]], key: str, value: Any) -> None:
    *names, last = key.split(".")
    table: dict[str, Any] = tables
    for name in names:
        table = table.setdefault(name, {})
    table[last] = value


def _snake(name: str) -> str:
    """Undo what Stash v0.24 and v0.25 make of a key: ``plexUrl`` is ``plex_url``."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def _text(value: Any) -> str:
    if text := str(value).strip():
        return text
    raise ValueError("is empty")


def _url(value: Any) -> str:
    text = _text(value).rstrip("/")
    if text.startswith(("http://", "https://")):
        return text
    raise ValueError("is no URL")


def _titles(value: Any) -> list[str]:
    if titles := [one.strip() for one in str(value).split(",") if one.strip()]:
        return titles
    raise ValueError("names no library")


def _truth(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in _TRUE | _FALSE:
        return text in _TRUE
    raise ValueError("is neither true nor false")


def _number(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        try:
            number = int(float(value))
        except (TypeError, ValueError, OverflowError):
            raise ValueError("is no number") from None
        if least <= number <= most:
            return number
        raise ValueError(f"is not from {least} to {most}")

    return read


def _word(words: Mapping[str, str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        word = str(value).strip().lower()
        if word in words:
            return words[word]
        raise ValueError(f"is none of {', '.join(words)}")

    return read


def _if_set(word: str) -> Callable[[Any], str]:
    """Read a switch that is a word here, and the default when it is off."""

    def read(value: Any) -> str:
        if _truth(value):
            return word
        raise ValueError("is off, as it is here")

    return read


# Its keys, ours, and how a value is read.
_KEYS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "plex_url": ("plex.url", _url),
    "plex_token": ("plex.token", _text),
    "plex_library": ("plex.libraries", _titles),
    "enabled": ("sync.enabled", _truth),
    "sync_master": ("sync.enabled", _truth),
    "strict_matching": ("match.strict", _truth),
    "skip_not_found": ("match.not_found", _if_set("skip")),
    "preserve_plex_edits": ("sync.mode", _if_set("fill")),
    "max_tags": ("sync.max_tags", _number(10, 500)),
    "max_retries": ("queue.max_attempts", _number(1, 20)),
    "dlq_retention_days": ("queue.dead_retention_days", _number(1, 365)),
    "trigger_plex_scan": ("plex.scan_new_scenes", _truth),
    "debug_logging": ("log.level", _if_set("debug")),
    "obfuscate_paths": ("log.obfuscate_paths", _truth),
    "reconcile_interval": (
        "reconcile.interval",
        _word({name: name for name in INTERVALS}),
    ),
    "reconcile_scope": (
        "reconcile.scope",
        _word({"all": "all", "24h": "24h", "7days": "7d"}),
    ),
    "reconcile_missing": ("reconcile.missing", _truth),
    "sync_studio": ("sync.fields.studio", _truth),
    "sync_summary": ("sync.fields.summary", _truth),
    "sync_tagline": ("sync.fields.tagline", _truth),
    "sync_date": ("sync.fields.date", _truth),
    "sync_performers": ("sync.fields.performers", _truth),
    "sync_tags": ("sync.fields.tags", _truth),
    "sync_poster": ("sync.fields.poster", _truth),
    "sync_background": ("sync.fields.background", _truth),
    "sync_collection": ("sync.fields.collections", _truth),
}


def _rules(text: str) -> tuple[PathRule, ...]:
    """Read ``/plex=>/stash; …``."""
    pairs = [one.partition("=>") for one in text.split(";") if "=>" in one]
    return tuple(
        folder_rule(number, theirs.strip().rstrip("/"), ours.strip().rstrip("/"))
        for number, (ours, _, theirs) in enumerate(pairs, 1)
        if ours.strip() and theirs.strip()
    )
