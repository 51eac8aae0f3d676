"""Take the picture of the documentation: ``python -m tests.ui.screenshot [FOLDER]``.

With a folder, pictures of everything at both widths, to be looked at.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from stash2plex.logs import Secrets, configure
from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.server import serving
from stash2plex.sandbox.stash import PretendStash
from tests.ui.browser import DESKTOP, PHONE, browsing
from tests.ui.pretend_page import bundle
from tests.ui.world import PAGE, World, furnish, trouble, world

TALL = DESKTOP | {"height": 1480}
KEPT = Path(__file__).parents[2] / "docs" / "images" / "stash-page.png"


async def main(folder: Path | None) -> None:
    """Make a world and look at it."""
    stash, plex = PretendStash(), PretendPlex()
    with tempfile.TemporaryDirectory() as temporary:
        async with (
            serving(stash.app) as stash.url,
            serving(plex.app) as plex.url,
        ):
            furnish(stash, plex)
            texts = bundle(Path(temporary))
            async with world(stash, plex, Path(temporary), texts) as made:
                await trouble(made)
                await take(made, folder)


async def take(made: World, folder: Path | None) -> None:
    """Take the pictures: all of them into *folder*, or the one that is kept."""
    if folder is None:
        KEPT.parent.mkdir(exist_ok=True)
        async with browsing(made.url, viewport=TALL) as (page, _):
            await page.goto(PAGE)
            await page.get_by_role("heading", name="Outages").wait_for()
            await page.screenshot(path=KEPT)
        return
    for name, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        async with browsing(made.url, viewport=viewport) as (page, watch):
            await page.goto(PAGE)
            await page.get_by_role("heading", name="Outages").wait_for()
            await page.get_by_role("button", name="Health Check").click()
            await page.get_by_text("Health Check:").first.wait_for()
            for summary in await page.locator("summary").all():
                await summary.click()
            await page.screenshot(path=folder / f"page-{name}.png", full_page=True)
            await page.get_by_role("button", name="Clear Dead Letters").click()
            await page.get_by_role("button", name="Cancel").wait_for()
            await page.screenshot(path=folder / f"question-{name}.png")
            for scene in (1, 3, 50):
                await page.goto(f"/scenes/{scene}")
                await page.get_by_role("tab", name="Plex").click()
                await page.get_by_role("heading", name="Item in Plex").wait_for()
                await page.screenshot(
                    path=folder / f"scene-{scene}-{name}.png", full_page=True
                )
            await page.goto("/settings")
            await page.screenshot(path=folder / f"tools-{name}.png")
            print(name, watch.complaints)


if __name__ == "__main__":
    configure("warning", "json", Secrets(), stream=sys.stdout)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    asyncio.run(main(Path(sys.argv[1]) if sys.argv[1:] else None))
