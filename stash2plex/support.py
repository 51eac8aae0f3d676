"""What a bug report needs, with nothing private in it.

Secrets become ``***``; folders, file names, titles, and the names of machines become
words, the same ones as in the log with ``log.obfuscate_paths``.
"""

from __future__ import annotations

import asyncio
import io
import json
import platform
import sys
import zipfile
from collections.abc import AsyncIterator, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from stash2plex import __version__
from stash2plex.config import Settings
from stash2plex.data_dir import kept_key
from stash2plex.doctor import Finding
from stash2plex.logs import MASK, Secrets
from stash2plex.words import Words

_KEY_FILE = "words.key"
_LIBRARIES = (
    "aiohttp",
    "aiosqlite",
    "APScheduler",
    "gql",
    "graphql-core",
    "pillow",
    "plexapi",
    "pydantic",
    "pydantic-settings",
    "requests",
    "structlog",
)
_ABOUT = """\
This is a bug report of stash2plex, made by `stash2plex support`.

Tokens and keys are replaced by ***. Folders, file names, titles, libraries and the
names of machines are replaced by words; the same name is the same word everywhere, and
in every report of this data directory. Please look it over before you send it.
"""


def words_of(folder: Path) -> Words:
    """Return the words of a data directory; raises `DataDirUnusable`."""
    return Words(kept_key(folder, _KEY_FILE), _known(Settings, ""))


def has_words(folder: Path) -> bool:
    """Whether the daemon has made the key to them."""
    return (folder / _KEY_FILE).exists()


def _known(model: type[BaseModel], prefix: str) -> set[str]:
    """Return what quotes may show: the keys of the configuration."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(f"{prefix}{name}")
        if isinstance(field.annotation, type) and issubclass(
            field.annotation, BaseModel
        ):
            found |= _known(field.annotation, f"{prefix}{name}.")
    return found


async def report(
    settings: Settings, secrets: Secrets, findings: AsyncIterator[Finding]
) -> dict[str, Any]:
    """Return what can be told with and without a running daemon."""
    return {
        "versions": await asyncio.to_thread(_versions),
        "config": configuration(settings, secrets.hidden_words),
        "check": [
            secrets.private(one.as_json() | {"steps": None}) async for one in findings
        ],
    }


def _versions() -> dict[str, str]:
    found = {
        "stash2plex": __version__,
        "python": sys.version.split()[0],
        "system": platform.platform(),
    }
    for name in _LIBRARIES:
        found[name] = metadata.version(name)
    return found


def configuration(settings: Settings, words: Words) -> dict[str, Any]:
    """Return all settings, without what is private about them."""
    return {
        name: _value(name, getattr(settings, name), words)
        for name in Settings.model_fields
    }


def _value(name: str, value: Any, words: Words) -> Any:
    match value:
        case SecretStr():
            return MASK if value.get_secret_value() else ""
        case BaseModel():
            return {
                key: _value(key, getattr(value, key), words)
                for key in type(value).model_fields
            }
        case Path():
            return words.path(str(value))
        case str():
            return _text(name, value, words)
        case tuple() | list():
            return [_value(name, one, words) for one in value]
        case _:
            return value


def _text(name: str, value: str, words: Words) -> str:
    if name in {"stash", "plex", "stash_template", "plex_template", "example"}:
        return words.rule(value)
    if name == "host":
        return words.host(value)
    if name in {"url", "public_url"} and value:
        parts = urlsplit(value)
        host = words.host(parts.hostname or "")
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{host}{port}{words.path(parts.path)}"
    if name in {"name", "libraries", "exclude_tag", "title", "timezone"} and value:
        return words.word(value)
    return words.text(value)


def zipped(parts: Mapping[str, Any], log: Iterable[str]) -> bytes:
    """Return a zip of *parts* as JSON files, and of the lines of the *log*."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.txt", _ABOUT)
        for name, part in parts.items():
            text = json.dumps(part, ensure_ascii=False, indent=1)
            archive.writestr(f"{name}.json", f"{text}\n")
        archive.writestr("log.jsonl", "".join(f"{line}\n" for line in log))
    return file.getvalue()
