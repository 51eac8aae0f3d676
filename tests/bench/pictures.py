"""What pictures cost Plex: at first, later, and after others touched its items."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.bench.harness import Rows, compared, daemon, row, servers
from tests.bench.library import seed

_SCENES = 600
_REFRESHED = 10_000


async def with_pictures(rows: Rows) -> None:
    """Sync with pictures; then once more, with new covers, and after foreign edits."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            servers(_SCENES, "--covers") as urls,
            daemon(urls, Path(folder), pictures=True) as bench,
        ):
            for name, change, promise in (
                ("first sync", None, 5.2),
                ("unchanged", None, 0.05),
                ("new covers", "covers", 6),
                ("foreign edits", "refresh", 2.05),
            ):
                if change:
                    await bench.tell(change, {"count": _SCENES})
                await bench.until(lambda status: status["catalog"]["refreshed_at"])
                if name != "first sync":
                    await bench.reset()
                await bench.sync_all()
                await bench.idle()
                counts = await bench.counts()
                assert counts["pictures"] == _SCENES * 2, counts
                told = f"requests to Plex per scene, pictures, {name}"
                rows.append(row(told, counts["plex"] / _SCENES, promise))


async def nightly_refresh(rows: Rows) -> None:
    """Plex refreshes 10,000 items by night; the comparison looks at their pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with servers(_REFRESHED, "--quick", "--synced", "1") as urls:
            await seed(folder / "data", _REFRESHED, 1)
            async with daemon(urls, folder, pictures=True) as bench:
                await bench.until(lambda status: status["catalog"]["refreshed_at"])
                await compared(bench, dry_run=False)
                await bench.idle()
                await bench.tell("refresh", {})
                await bench.reset()
                started = time.monotonic()
                run = await compared(bench, dry_run=False)
                seconds = time.monotonic() - started
                counts = await bench.counts()
                assert run["gaps"]["drift"] == run["enqueued"] == 0, run
                assert counts["writes"] == 0, counts
                lists = counts["lists"] / _REFRESHED
                rows.append(row("10,000 items refreshed, lists an item", lists, 2))
                rows.append(row("10,000 items refreshed, compared, s", seconds, 120))
