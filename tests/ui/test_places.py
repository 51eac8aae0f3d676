"""Where Stash shows the plugin: its bar, its tools, its scenes, and its own address."""

from __future__ import annotations

import pytest

from tests.ui.browser import DESKTOP, PHONE
from tests.ui.test_page import section
from tests.ui.world import PAGE

pytestmark = pytest.mark.timeout(60)


async def test_the_entry_in_the_bar_is_there_once(made, browse):
    async with browse(made, "/") as page:
        entry = page.get_by_role("link", name="Stash to Plex")
        assert await entry.count() == 1
        await entry.click()
        await section(page, "Queue").wait_for()
        assert page.url.endswith(PAGE)
        await page.reload()
        await section(page, "Queue").wait_for()


async def test_the_entry_looks_like_those_beside_it(made, browse):
    """No filled button in a bar of plain icons, and one stop of the keyboard."""
    look = """one => {
        const style = getComputedStyle(one);
        return [style.backgroundColor, style.borderStyle, style.color];
    }"""
    async with browse(made, "/", viewport=DESKTOP) as page:
        entry = page.get_by_role("link", name="Stash to Plex")
        beside = page.get_by_title("Settings").locator("visible=true")
        assert await entry.evaluate(look) == await beside.evaluate(look)
        assert await entry.locator("button, [tabindex]").count() == 0


async def test_the_entry_is_in_the_menu_of_a_phone(made, browse):
    async with browse(made, "/", viewport=PHONE) as page:
        await page.get_by_role("button", name="Toggle navigation").click()
        entry = page.get_by_role("link", name="Stash to Plex")
        assert await entry.count() == 1


async def test_the_entry_among_the_tools_is_there_once(made, browse):
    async with browse(made, "/settings") as page:
        entry = page.locator(".setting").get_by_role("link", name="Stash to Plex")
        assert await entry.count() == 1
        beside = page.locator(".card", has_text="Scene Filename Parser")
        assert await beside.get_by_role("link", name="Stash to Plex").count() == 1
        await entry.click()
        await section(page, "Queue").wait_for()


async def test_the_tab_is_only_read_when_it_is_opened(made, browse):
    async with browse(made, "/scenes/1", viewport=DESKTOP) as page:
        await page.get_by_role("tab", name="Plex").wait_for()
        assert await page.get_by_role("tab", name="Plex").count() == 1
        assert made.operations == 0
        await page.get_by_role("tab", name="Plex").click()
        await page.get_by_role("heading", name="Item in Plex").wait_for()
        assert made.operations == 1
