"""Writing a configuration file: only what differs from the defaults, owner only."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stash2plex.config_file import load
from stash2plex.errors import ConfigError

_OWNER_ONLY = 0o600
_HEAD = """\
# Written by `stash2plex init`. A key that is not here has its default; the page on
# configuration has them all. Keep this file to yourself: it holds tokens.
"""


def as_toml(tables: Mapping[str, Mapping[str, Any]], rules: str) -> str:
    """Return a file with *tables*, and with *rules* as they stand in TOML."""
    parts = [_HEAD.rstrip()]
    for name, table in tables.items():
        parts += _table(name, table)
    if rules:
        parts += ["", rules.rstrip()]
    return "\n".join(parts) + "\n"


def _table(name: str, table: Mapping[str, Any]) -> list[str]:
    plain = {key: one for key, one in table.items() if not isinstance(one, Mapping)}
    lines = ["", f"[{name}]"] if plain else []
    # A JSON string is a TOML string, and so are lists, numbers and truth values.
    lines += [
        f"{key} = {json.dumps(one, ensure_ascii=False)}" for key, one in plain.items()
    ]
    for key, one in table.items():
        if isinstance(one, Mapping):
            lines += _table(f"{name}.{key}", one)
    return lines


def demand_room(file: Path) -> None:
    """Raise `ConfigError` unless *file* can be written, before anybody is asked."""
    folder = file.absolute().parent
    problem = "no such folder" if not folder.is_dir() else None
    if problem is None and not os.access(folder, os.W_OK | os.X_OK):
        problem = "permission denied"
    if problem:
        raise ConfigError(_unwritable(file, problem))


def _unwritable(file: Path, problem: str | None) -> str:
    return f"{file}: cannot be written: {problem}; name another with --config"


def write(file: Path, text: str) -> Path | None:
    """Put *text* into *file* at once, after a check; returns the copy of the old one.

    Raises `ConfigError` when it is no valid configuration or cannot be written; then
    the old file is as it was.
    """
    fresh = file.with_name(f"{file.name}.new")
    kept = file.with_name(f"{file.name}.old") if file.exists() else None
    try:
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
        load(fresh, {})
        if kept is not None:
            kept.unlink(missing_ok=True)
            os.link(file, kept)
            kept.chmod(_OWNER_ONLY)
        fresh.replace(file)
    except OSError as error:
        raise ConfigError(_unwritable(file, error.strerror)) from error
    finally:
        fresh.unlink(missing_ok=True)
    return kept
