"""The picture of the demo: ``python -m tests.docs.pictures``.

The real command in a real terminal; what it printed is drawn as SVG. No font is fetched:
every reader has a monospaced one.
"""

from __future__ import annotations

import os
import pty
import re
import sys
from html import escape
from pathlib import Path

from rich.color import ColorTriplet
from rich.console import Console
from rich.segment import Segment
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.conftest import free_port
from tests.docs.reading import DOCS

COLUMNS = 112
KEPT = DOCS / "images" / "demo.svg"
_WIDTH, _HEIGHT, _SIZE, _MARGIN, _TOP = 8.4, 18, 14, 18, 40
_THEME = TerminalTheme(
    (30, 36, 42),
    (214, 220, 226),
    [
        (30, 36, 42),
        (240, 113, 103),
        (126, 200, 120),
        (229, 192, 103),
        (110, 172, 230),
        (198, 140, 220),
        (96, 196, 196),
        (214, 220, 226),
    ],
)


def record(*command: str) -> str:
    """Run a command in a terminal of its own; returns what it printed."""
    printed = bytearray()

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 4096)
        printed.extend(data)
        return data

    os.environ |= {"COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "xterm-256color"}
    out = os.dup(1)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    try:
        status = pty.spawn(command, read)
    finally:
        os.dup2(out, 1)
    if status:
        sys.exit(f"{command[0]} ended with {status}:\n{printed.decode()}")
    return printed.decode().replace("\r\n", "\n")


def drawn(text: Text, title: str) -> str:
    """Return *text* as a window with a title, in SVG."""
    console = Console(
        width=COLUMNS, color_system="truecolor", force_terminal=True, file=None
    )
    options = console.options.update(width=COLUMNS)
    lines = console.render_lines(text, options, pad=False)
    while lines and not "".join(one.text for one in lines[-1]).strip():
        lines.pop()
    width = round(COLUMNS * _WIDTH + 2 * _MARGIN)
    height = _TOP + len(lines) * _HEIGHT + _MARGIN
    rows = [
        _row(line, _TOP + number * _HEIGHT + _SIZE) for number, line in enumerate(lines)
    ]
    ground = _THEME.background_color.hex
    dots = "".join(
        f'<circle cx="{20 + 18 * number}" cy="18" r="5.5" fill="{colour}"/>'
        for number, colour in enumerate(("#e06c60", "#e0b050", "#70b870"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' role="img" aria-label="{escape(title)}">\n'
        f"<style>text {{ font-family: ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas,"
        f" monospace; font-size: {_SIZE}px; white-space: pre; }}</style>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="{ground}"/>\n{dots}\n'
        f'<text x="{width / 2}" y="22" fill="#8a949e" text-anchor="middle">'
        f"{escape(title)}</text>\n" + "".join(rows) + "</svg>\n"
    )


def _row(line: list[Segment], y: float) -> str:
    parts, column = [], 0
    for segment in line:
        text = segment.text.rstrip("\n")
        # Each run has its place and its width, so that every font keeps the columns.
        for found in re.finditer(r"\S+(?: \S+)*", text):
            x = _MARGIN + (column + found.start()) * _WIDTH
            words = found[0]
            style = segment.style
            bold = ' font-weight="bold"' if style and style.bold else ""
            parts.append(
                f'<text x="{x:.1f}" y="{y}" fill="{_colour(segment)}"{bold}'
                f' textLength="{len(words) * _WIDTH:.1f}"'
                f' lengthAdjust="spacingAndGlyphs">{escape(words)}</text>'
            )
        column += segment.cell_length
    return "".join(parts) + "\n" if parts else ""


def _colour(segment: Segment) -> str:
    style = segment.style
    found: ColorTriplet = _THEME.foreground_color
    if style and style.color and not style.color.is_default:
        found = style.color.get_truecolor(_THEME)
    return found.hex


def main() -> None:
    """Make the picture anew."""
    command = [sys.executable, "-m", "stash2plex", "demo", "--once"]
    printed = record(*command, "--port", str(free_port()), "--scenes", "20")
    text = Text.from_ansi(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:9898", printed))
    KEPT.write_text(drawn(text, "stash2plex demo --once"))
    Path(KEPT).chmod(0o644)


if __name__ == "__main__":
    main()
