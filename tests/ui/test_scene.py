"""The tab of a scene: whether Plex shows it, why not, and what a button does about it."""

from __future__ import annotations

import re

import pytest

from tests.conftest import free_port
from tests.ui.test_page import shows

pytestmark = pytest.mark.timeout(60)


async def open_tab(page):
    await page.get_by_role("tab", name="Plex").click()
    await page.locator(".stash2plexd-verdict .badge").wait_for()


def verdict(page):
    return page.locator(".stash2plexd-verdict")


async def test_a_scene_in_sync(made, browse):
    await made.daemon.deliver(1)
    async with browse(made, "/scenes/1") as page:
        await open_tab(page)
        await shows(verdict(page), "In sync")
        panel = page.locator(".stash2plexd-scene")
        await shows(panel, "/media/1.mp4")
        await shows(panel, "path (high)")
        await shows(panel, "Last delivery")
        link = page.get_by_role("link", name="Open in Plex")
        assert await link.get_attribute("href") == (
            f"https://app.plex.tv/desktop/#!/server/{made.plex.machine}"
            "/details?key=%2Flibrary%2Fmetadata%2F1"
        )
        assert await link.get_attribute("rel") == "noopener noreferrer"


async def test_a_scene_that_is_not_in_plex(made, browse):
    await made.daemon.post("sync", {"scene_ids": [50]})
    await made.daemon.until(lambda status: status["queue"]["waiting"])
    async with browse(made, "/scenes/50") as page:
        await open_tab(page)
        await shows(verdict(page), "Not in Plex")
        await shows(page.locator(".stash2plexd-scene"), "/media/only.mp4")
        assert await page.get_by_role("link", name="Open in Plex").count() == 0
        assert await page.get_by_role("dialog").count() == 0


async def test_a_scene_that_is_kept_out(made, browse):
    made.stash.add("/media/bare.mp4", scene_id=51)
    made.plex.add("/media/bare.mp4")
    async with browse(made, "/scenes/51") as page:
        await open_tab(page)
        await shows(verdict(page), "Kept out")
        await shows(page.locator(".stash2plexd-scene"), "no metadata yet")


async def test_a_scene_that_waits(made, browse):
    made.plex.status = 503
    await made.daemon.post("sync", {"scene_ids": [2]})
    await made.daemon.until(lambda status: status["plex"]["breaker"] == "open")
    async with browse(made, "/scenes/2") as page:
        await open_tab(page)
        await shows(verdict(page), "Waiting")
        await page.get_by_role("heading", name="Queue").wait_for()
    made.plex.status = None
    await made.daemon.idle()


async def test_a_scene_that_was_given_up(made, browse):
    await made.daemon.post("sync", {"scene_ids": [3]})
    await made.daemon.until(lambda status: status["queue"]["dead"])
    async with browse(made, "/scenes/3") as page:
        await open_tab(page)
        await shows(verdict(page), "Given up")
        await shows(verdict(page), "Plex answered HTTP 409: Conflict")
        changes = page.locator(".stash2plexd-fact").filter(has_text="title")
        change = changes.first  # the sort title goes with it
        assert await change.locator("del").text_content() == "3"
        assert await change.locator("ins").text_content() == "Title 3"


async def test_sync_now_really_syncs(made, browse):
    async with browse(made) as page:
        await page.clock.install()
        await page.goto("/scenes/1")
        await open_tab(page)
        await shows(verdict(page), "Differs")
        asked = made.operations
        button = page.get_by_role("button", name="Sync now")
        await button.click()
        await made.plex.facts.until(lambda: made.plex.items[1].writes)
        await shows(page.locator(".stash2plexd-scene"), "looking again")
        assert await button.get_attribute("aria-disabled") == "true"
        await made.daemon.idle()
        await page.clock.fast_forward(2500)
        await shows(verdict(page), "In sync")
        await shows(page.locator(".stash2plexd-scene"), "Synced.")
        assert made.plex.items[1].text["title"] == "Title 1"
        assert made.operations == asked + 2


async def test_a_sync_that_waits_is_looked_at_five_times(made, browse):
    made.plex.status = 503
    await made.daemon.post("sync", {"scene_ids": [2]})
    await made.daemon.until(lambda status: status["plex"]["breaker"] == "open")
    async with browse(made) as page:
        await page.clock.install()
        await page.goto("/scenes/1")
        await open_tab(page)
        before = made.operations
        await page.get_by_role("button", name="Sync now").click()
        await shows(page.locator(".stash2plexd-scene"), "looking again")
        for look in range(1, 6):
            await page.clock.fast_forward(2100)
            await made.site.facts.until(lambda n=look: made.operations > before + n)
            await made.site.facts.until(lambda: not made.site.unanswered)
            # The answer is in the page once a question after it was answered.
            await page.evaluate("fetch('/stash.css').then(() => 1)")
        await shows(page.locator(".stash2plexd-scene"), "It still waits")
        await page.clock.fast_forward(30_000)
        assert made.operations == before + 6
    made.plex.status = None
    await made.daemon.idle()


async def test_a_scene_while_the_daemon_is_away(made, browse):
    made.point_plugin(url=f"http://127.0.0.1:{free_port()}")
    async with browse(made, "/scenes/1") as page:
        await page.get_by_role("tab", name="Plex").click()
        await shows(page.get_by_role("alert"), "no daemon at")
        made.point_plugin()
        await page.get_by_role("button", name="Look again").click()
        await shows(verdict(page), "Differs")
        await page.get_by_role("alert").wait_for(state="detached")
        made.point_plugin(token="wrong")
        await page.get_by_role("button", name="Sync now").click()
        await shows(page.get_by_role("alert"), re.compile(r"Not synced\..*token"))


async def go(page, scene):
    """Go to another scene as a link does, the tab staying open."""
    await page.evaluate(
        """scene => {
            history.pushState(null, "", `/scenes/${scene}`);
            dispatchEvent(new PopStateEvent("popstate"));
        }""",
        scene,
    )


async def test_another_scene_is_not_mixed_up(made, browse):
    panel = ".stash2plexd-scene"
    async with browse(made) as page:
        await page.clock.install()
        await page.goto("/scenes/1")
        await open_tab(page)
        # An answer that comes when another scene is looked at already …
        made.stash.latency = 1.0
        await page.get_by_role("button", name="Look again").click()
        await made.site.facts.until(lambda: made.site.unanswered)
        made.stash.latency = 0.0
        await go(page, 50)
        await shows(page.locator(panel), "/media/only.mp4")
        await made.site.facts.until(lambda: not made.site.unanswered)
        await page.evaluate("fetch('/stash.css').then(() => 1)")
        await shows(page.locator(panel), "/media/only.mp4")
        # … or after a sync.
        await page.get_by_role("button", name="Sync now").click()
        await shows(page.locator(panel), "looking again")
        made.stash.latency = 1.0
        await page.clock.fast_forward(2100)
        await made.site.facts.until(lambda: made.site.unanswered)
        made.stash.latency = 0.0
        await go(page, 1)
        await shows(page.locator(panel), "/media/1.mp4")
        await made.site.facts.until(lambda: not made.site.unanswered)
        await page.evaluate("fetch('/stash.css').then(() => 1)")
        await shows(page.locator(panel), "/media/1.mp4")
        assert await page.get_by_text("/media/only.mp4").count() == 0
