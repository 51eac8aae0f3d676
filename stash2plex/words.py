"""Stable words in place of folders, file names and titles, for logs that are shown.

A word is made from its segment and a key that stays with the data directory: the same
segment is the same word in every log, so that logs can be compared, and nobody without
the key finds out which. What tells the kind of a file, such as ``.mp4``, is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from stash2plex.hosts import is_here

_CONSONANTS, _VOWELS = "bdfgklmnprstvxz", "aeiou"
_SYLLABLES = [f"{first}{second}" for first in _CONSONANTS for second in _VOWELS]
_LONGEST = 1000  # characters of one text
_LENGTH = 5  # syllables: 2e9 words
# Only what is known to be one: "Jane.Doe" has none.
_SUFFIX = re.compile(
    r"\.(?:3gp|asf|ass|avi|avif|bmp|db|divx|f4v|flv|gif|iso|jpe?g|json|log|m2ts|m4v|mkv"
    r"|mov|mp4|mpe?g|mts|nfo|ogm|ogv|png|py|rm|rmvb|srt|sub|toml|ts|txt|vob|vtt|webm|webp"
    r"|wmv|ya?ml|zip)$",
    re.IGNORECASE,
)
_SEPARATORS = re.compile(r"([\\/]+)")
_DRIVE = re.compile(r"[A-Za-z]:")

# Values that are paths or titles as a whole, by the name of their field.
_PATHS = frozenset(
    {"path", "file", "files", "folder", "data_dir", "copy", "replaced_by"}
)
_TITLES = frozenset({"title", "titles", "library", "libraries", "machine", "former"})
_HOSTS = frozenset({"host", "listening"})
_FRAMES = frozenset({"exception", "stack"})
# What text quotes, as repr() does it.
_QUOTED = r"""(?<![A-Za-z0-9])(['"])((?:\\.|(?!\1)[^\\\n])*)\1"""
# A path in the middle of text; not that of a URL. It goes on over spaces as long as
# there is another slash, or the end of a file's name.
_SIGN = r"""(?:[^\s'"<>|;]|['"<>|;](?=[^\s'"]))"""
_BARE = (
    rf"""(?<![\w:/\\.<])(?:[A-Za-z]:[\\/]|\\\\|/)(?=[^\s/\\]){_SIGN}*"""
    rf"""(?:(?:[ ](?:(?![/\\]){_SIGN})+){{0,12}}?(?:[ ]?[^\s/\\]*[/\\]{_SIGN}*"""
    r"""|\.[A-Za-z0-9]{2,5}(?=[\s,;:)]|$)))*"""
)
_PRIVATE = re.compile(f"{_QUOTED}|{_BARE}")
# Scheme, perhaps who asks, the machine, and what is below it.
_URL = re.compile(
    r"(\w+://)(?:[^\s/@'\"]*@)?(\[[^\]\s]*\]|[^\s/:'\"<>\[\]]+)"
    r"(:\d+)?(/[^\s'\"<>]*)?"
)
# What may stand below it: our own and the servers' words.
_BELOW = frozenset(
    "api v1 graphql img index.yml library matches media metadata playground plex plugin"
    " provider providers scene screenshot sections stash2plexd.zip"
    " stash2plexd_hooks.zip stash2plexd_http_hooks.zip".split()
)
_HOST = re.compile(r"^\[?[^\]]*?\]?(?=(?::\d+)?$)")
# A machine and a port without a scheme.
_PORTED = re.compile(
    r"(?<![\w./:@-])((?:\d{1,3}\.){3}\d{1,3}|[\w-]+(?:\.[\w-]+)+)(?=:\d{2,5}\b)"
)
_FRAME = re.compile(r'(\s*File )"([^"]*)"')
# In regular expressions: groups' names, escapes and sets, and what stands for itself.
_IN_RULE = re.compile(r"(\(\?P<\w+>|\(\?[:=!<]+|\\.|\[[^\]]*\]|\{\d*,?\d*\})|([\w -]+)")


class Words:
    """Makes words; *spared* is what quotes may show: keys and values of settings."""

    def __init__(self, key: bytes, spared: Collection[str] = ()) -> None:
        self._key = key
        self._spared = frozenset(spared)
        self.word = lru_cache(maxsize=10_000)(self._word)

    def _word(self, segment: str) -> str:
        """Return the word of one folder, file name or title."""
        text = unicodedata.normalize("NFC", segment)
        suffix = found[0] if (found := _SUFFIX.search(text)) else ""
        text = text.removesuffix(suffix)
        digest = hmac.digest(self._key, text.encode("utf-8", "replace"), hashlib.sha256)
        number = int.from_bytes(digest[:8], "big")
        syllables = []
        for _ in range(_LENGTH):
            number, rest = divmod(number, len(_SYLLABLES))
            syllables.append(_SYLLABLES[rest])
        return "".join(syllables) + suffix

    def path(self, path: str) -> str:
        """Return *path* with a word for each of its segments."""
        return "".join(
            part
            if not part or part[0] in "/\\" or _DRIVE.fullmatch(part)
            else self.word(part)
            for part in _SEPARATORS.split(path)
        )

    def host(self, name: str) -> str:
        """Return the name or address of a machine; what means this one is kept."""
        return name if is_here(name.strip("[]")) else self.word(name)

    def text(self, text: str) -> str:
        """Return *text* with words for paths, for machines, and whatever it quotes.

        What is longer than anybody reads is cut: strangers' requests are logged, too.
        """
        if len(text) > _LONGEST:
            text = text[:_LONGEST]
            for quote in "'\"":  # what is left of a quotation would not be seen as one
                if text.count(quote) % 2:
                    text = text[: text.rindex(quote)]
            text = f"{text}…"
        text = _URL.sub(self._url, text)
        text = _PORTED.sub(lambda found: self.host(found[1]), text)
        return _PRIVATE.sub(
            lambda found: self._quoted(found) if found[1] else self.path(found[0]), text
        )

    def rule(self, expression: str) -> str:
        """Return a regular expression for paths with words for what it spells out."""

        def hidden(found: re.Match[str]) -> str:
            kept, spelled = found.groups()
            return kept or (spelled if spelled.isdecimal() else self.word(spelled))

        return _IN_RULE.sub(hidden, expression)

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a log record, or of a document, with words in them."""
        return {name: self._field(name, value) for name, value in fields.items()}

    def _field(self, name: str, value: Any) -> Any:
        match value:
            case str():
                return self._hidden(name, value)
            case Mapping():
                return self.fields(value)
            case list() | tuple():
                return [self._field(name, one) for one in value]
            case _:
                return value

    def _hidden(self, name: str, value: str) -> str:
        if name in _FRAMES:
            return "\n".join(map(self._frame, value.splitlines()))
        if name in _PATHS:
            return self.path(value)
        if name in _HOSTS:
            return _HOST.sub(lambda found: self.host(found[0]), value)
        return self.word(value) if name in _TITLES and value else self.text(value)

    def _url(self, found: re.Match[str]) -> str:
        scheme, host, port, below = found.groups(default="")
        path, mark, rest = below.partition("?")
        hidden = "/".join(
            part if not part or part in _BELOW else self.word(part)
            for part in path.split("/")
        )
        rest = rest and self.word(rest)
        return f"{scheme}{self.host(host)}{port}{hidden}{mark}{rest}"

    def _quoted(self, found: re.Match[str]) -> str:
        quote, content = found.groups()
        if content in self._spared or content.startswith("stash2plex "):
            return found[0]
        hidden = self.path(content) if _SEPARATORS.search(content) else None
        return f"{quote}{hidden or (content and self.word(content))}{quote}"

    def _frame(self, line: str) -> str:
        """Return a line of a traceback, source files without their folders."""
        if found := _FRAME.match(line):
            parts = found[2].replace("\\", "/").split("/")
            start = next((i for i, one in enumerate(parts) if one == "stash2plex"), -1)
            return f'{found[1]}"{"/".join(parts[start:])}"{line[found.end() :]}'
        return line if line.startswith("    ") else self.text(line)
