"""Printing for people, on a terminal or into a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from stash2plex.visible import visible


class Terminal(Console):
    """Prints lines as they are, however narrow the terminal."""

    def __init__(self, *, markup: bool = True) -> None:
        """With *markup*, ``[green]`` and its like are colours."""
        super().__init__(highlight=False, soft_wrap=True, markup=markup)

    def print_line(self, text: str) -> None:
        """Print a line as it is."""
        self.print(plain(text))

    def on_broken_pipe(self) -> NoReturn:
        """Tell whoever prints, where rich ends the process in the midst of its work."""
        raise BrokenPipeError


def plain(text: str) -> str:
    """Return *text* as markup that shows it; control characters are spelled out."""
    return escape(visible(text))


@contextmanager
def waiting(step: str) -> Iterator[Callable[[str], None]]:
    """Show *step*, and for how long, until the end.

    Or what the function that it yields is told. On standard error, and nothing unless
    that is a terminal.
    """
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(step)
        yield lambda now: progress.update(task, description=now)
