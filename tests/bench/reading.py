"""What our questions would cost a real Stash of 100,000 scenes; see `StashCosts`.

The pretend Stash adds up what was measured on a real one, so a dear question shows
here, whatever this machine is like.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tests.bench.harness import Bench, Rows, compared, daemon, row, servers

_SCENES, _ALL = 2000, 100_000
# A page is of so many scenes in the figures.
_PAGE = 500


async def reading(rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # So that what is delivered is not counted as read.
        more = "[sync]\nenabled = false\n"
        async with (
            servers(_SCENES, "--synced", "1", "--as-of", str(_ALL)) as urls,
            daemon(urls, folder, poll=0.3, compares=True, more=more) as bench,
        ):
            await bench.until(lambda status: status["reconcile"]["last"])
            await bench.until(lambda status: status["catalog"]["refreshed_at"])
            listings = (await bench.counts())["by_question"]["Stash2PlexEntries"]
            rows.append(
                row(
                    "listings of Stash at the first start",
                    listings["asked"] / -(-(_SCENES + 1) // _PAGE),
                    1.3,
                )
            )
            await looks(bench, rows)
            await everything(bench, rows)
            await whole(bench, rows)


async def looks(bench: Bench, rows: Rows) -> None:
    """Wait for looks that find nothing."""
    await asyncio.sleep(4)  # what was made a moment ago is looked at once more
    await bench.reset()
    while True:
        found = (await bench.counts())["by_question"].get("Stash2PlexLook")
        if found and found["asked"] >= 6 and found["asked"] % 3 == 0:
            break
        await asyncio.sleep(0.05)
    mean = found["ms"] / found["asked"]
    rows.append(row("Stash's time: a look with nothing new, mean ms", mean, 140))
    rows.append(row("... the cheaper two of three, ms", found["median"], 93))


async def everything(bench: Bench, rows: Rows) -> None:
    await bench.reset()
    await bench.sync_all()
    ids = (await bench.counts())["by_question"]["Stash2PlexIds"]
    pages = _SCENES / _PAGE
    rows.append(row("... 500 scenes of sync --all, ms", ids["ms"] / pages, 25))
    await bench.reset()
    await bench.hook(1, kind="Tag.Update.Post")
    await bench.idle()
    counts = await bench.counts()
    ids = counts["by_question"]["Stash2PlexIds"]
    share = ids["ms"] / max(1.0, counts["tagged"] / _PAGE)
    rows.append(row("... 500 scenes of a tag, ms", share, 66))
    await bench.tell("scene", {"path": "/data/Kestrel Films/unknown.mp4"})
    await bench.reset()
    hints = {"type": 1, "title": "x", "filename": "Kestrel Films/unknown.mp4"}
    url = f"{bench.url}/plex/library/metadata/matches"
    async with bench.session.post(url, json=hints) as answer:
        assert answer.status == 200, await answer.text()
    asked = (await bench.counts())["by_question"]
    names = ("Stash2PlexFiles", "Stash2PlexHashes", "Stash2PlexFind")
    cost = sum(asked[one]["ms"] for one in names if one in asked)
    rows.append(row("... the scenes of an unknown file, ms", cost, 20))


async def whole(bench: Bench, rows: Rows) -> None:
    """Read a seventh whole, and everything after an import."""
    times = _ALL / _SCENES / 1000
    await bench.reset()
    await compared(bench)
    read = (await bench.counts())["by_question"]["Stash2PlexScenes"]["ms"] * times
    rows.append(row("... a seventh of 100,000 read whole, s", read, 30))
    await bench.reset()
    await bench.tell("import", {})
    await bench.until(lambda status: _reason(status) == "import")
    read = (await bench.counts())["by_question"]["Stash2PlexScenes"]["ms"] * times
    rows.append(row("... all of them, after an import, s", read, 210))


def _reason(status: dict[str, object]) -> object:
    last = status["reconcile"]["last"]  # type: ignore[index]
    return last["reason"] if last["state"] == "done" else None
