"""What stands in the documents: pages, their fenced blocks, headings and links."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
_SNIPPET = re.compile(r'^( *)--8<-- "([^":]+)(?::(\w+))?"$', re.MULTILINE)
_MARK = re.compile(r"^.*--8<-- \[(?:start|end).*$\n?", re.MULTILINE)
_LINK = re.compile(r"\]\(<?([^)>\s]+)>?\)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page, without its indentation."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every document that people read."""
    own = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    return [*own, *sorted(DOCS.rglob("*.md"))]


def text_of(page: Path) -> str:
    """Return a page with what it includes."""
    return _MARK.sub("", _SNIPPET.sub(_included, page.read_text()))


def _included(found: re.Match[str]) -> str:
    text = (ROOT / found[2]).read_text()
    if part := found[3]:
        start, end = (
            re.search(rf"^.*--8<-- \[{word}:{part}\].*$", text, re.MULTILINE)
            for word in ("start", "end")
        )
        assert start, f"{found[2]} has no part {part}"
        assert end, f"{found[2]} has no end of {part}"
        text = text[start.end() : end.start()].strip("\n")
    return "\n".join(found[1] + line if line else "" for line in text.split("\n"))


def blocks(*languages: str) -> list[Block]:
    """Return every fenced block in one of these languages."""
    return [
        block
        for page in pages()
        for block in blocks_of(page)
        if block.language in languages
    ]


def blocks_of(page: Path) -> Iterator[Block]:
    """Return the fenced blocks of a page."""
    text = text_of(page)
    for found in _FENCE.finditer(text):
        indent = len(found[1])
        lines = [line[indent:] for line in found[3].split("\n")]
        number = text.count("\n", 0, found.start()) + 1
        yield Block(page.name, number, found[2], "\n".join(lines))


def prose_of(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", text_of(page))


def links_of(page: Path) -> list[str]:
    """Return where the links of a page lead, those of pictures too."""
    return _LINK.findall(prose_of(page))


def anchors_of(page: Path) -> set[str]:
    """Return what can stand behind # in a link to a page."""
    found: set[str] = set()
    for title in re.findall(r"^#+ +(.+?)\s*$", prose_of(page), re.MULTILINE):
        explicit = re.search(r"\{ *#([\w-]+) *\}$", title)
        found.add(explicit[1] if explicit else slug(title))
    return found


def slug(title: str) -> str:
    """Return the anchor that a heading gets, on the site and elsewhere."""
    plain = re.sub(r"\[([^\]]+)\]\([^)]*\)|[`*]", r"\1", title)
    ascii_only = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only).strip().lower())


def table_rows(text: str) -> list[list[str]]:
    """Return the cells of every row of every table in *text*, headings too."""
    rows = re.findall(r"^\| (.*) \|$", text, re.MULTILINE)
    return [[cell.strip() for cell in re.split(r" \| ", row)] for row in rows]
