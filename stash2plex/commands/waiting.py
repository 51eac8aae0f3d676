"""What a terminal shows while a command waits: for what, and how long it has been."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def waiting(step: str) -> Iterator[Callable[[str], None]]:
    """Show *step* until the end, or what the function that it yields is told.

    On standard error, and nothing unless that is a terminal.
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
