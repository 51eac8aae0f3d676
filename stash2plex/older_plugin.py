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

    *taken* says which key became which; *left* are those that have no counterpart.
    """

    tables: dict[str, dict[str, Any]]
    rules: tuple[PathRule, ...]
    taken: tuple[tuple[str, str], ...]
    left: tuple[str, ...]


def import_settings(found: Mapping[str, Any]) -> Imported:
    """Translate the older plugin's settings; what makes no sense there is left out."""
    tables: dict[str, dict[str, Any]] = {}
    taken: list[tuple[str, str]] = []
    left: list[str] = []
    rules: tuple[PathRule, ...] = ()
    for given, value in found.items():
        name = _snake(given)
        if name == "plex_unmatched_path_map" and (rules := _rules(str(value))):
            taken.append((given, "path_rules"))
        elif name in _KEYS and (read := _KEYS[name][1](value)) is not None:
            key = _KEYS[name][0]
            *tables_in, last = key.split(".")
            table: dict[str, Any] = tables
            for one in tables_in:
                table = table.setdefault(one, {})
            table[last] = read
            taken.append((given, key))
        elif value not in (None, ""):
            left.append(given)
    return Imported(tables, rules, tuple(taken), tuple(left))


def _snake(name: str) -> str:
    """Undo what Stash v0.24 and v0.25 make of a key: ``plexUrl`` is ``plex_url``."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def _text(value: Any) -> str | None:
    return str(value).strip() or None if value is not None else None


def _url(value: Any) -> str | None:
    text = (_text(value) or "").rstrip("/")
    return text if text.startswith(("http://", "https://")) else None


def _titles(value: Any) -> list[str] | None:
    return [one.strip() for one in str(value).split(",") if one.strip()] or None


def _truth(value: Any) -> bool | None:
    text = str(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None


def _number(least: float, most: float) -> Callable[[Any], int | None]:
    def read(value: Any) -> int | None:
        try:
            number = int(float(value))
        except (TypeError, ValueError, OverflowError):
            return None
        return number if least <= number <= most else None

    return read


def _word(words: Mapping[str, str]) -> Callable[[Any], str | None]:
    return lambda value: words.get(str(value).strip().lower())


def _if_set(word: str) -> Callable[[Any], str | None]:
    """Read a switch that is a word here, and the default when it is off."""
    return lambda value: word if _truth(value) else None


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
