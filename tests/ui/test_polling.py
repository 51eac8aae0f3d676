"""How often the page asks: each time costs Stash a process."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.ui.world import PAGE

pytestmark = pytest.mark.timeout(60)

HIDE = """hidden => {
    Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


async def settled(made):
    """Wait for the answers to what was asked; returns how often the page asked."""
    await made.site.facts.until(lambda: not made.site.unanswered)
    return made.operations


@pytest.fixture
async def standing(made, browse):
    """A page whose clock only moves when it is told, after its first answer."""
    async with browse(made) as page:
        await page.clock.install(time=0)
        await page.goto("/")
        await page.clock.pause_at(60_000)
        await page.locator(".stash2plexd-nav:visible").click()
        await page.get_by_role("region", name="Queue").wait_for()
        assert await settled(made) == 1
        yield page


async def asked_within(made, page, seconds):
    """Let time pass a second at a time; returns at which of them the page asked."""
    moments = []
    before = made.operations
    for second in range(1, seconds + 1):
        await page.clock.run_for(1000)
        # A round trip through the page: what its timers sent is on its way then.
        await page.evaluate("fetch('/stash.css', {method: 'GET'}).then(() => 1)")
        if await settled(made) > before:
            assert made.operations == before + 1
            moments.append(second)
            before = made.operations
            await page.evaluate("new Promise(done => queueMicrotask(done))")
    return moments


async def test_a_quiet_daemon_is_asked_every_15_seconds(made, standing):
    moments = await asked_within(made, standing, 50)

    assert len(moments) == 3
    assert all(14 <= b - a <= 17 for a, b in pairwise(moments))


async def test_a_busy_daemon_is_asked_every_5_seconds(made, standing):
    made.plex.hangs = True
    await made.daemon.post("sync", {"scene_ids": [1]})
    await made.daemon.until(lambda status: status["queue"]["running"])
    await standing.get_by_role("button", name="Show Status").click()
    await settled(made)
    moments = await asked_within(made, standing, 20)
    made.plex.hangs = False

    assert len(moments) >= 3
    assert all(b - a >= 5 for a, b in pairwise(moments))


async def test_nothing_is_asked_while_the_page_is_hidden(made, standing):
    await standing.evaluate(HIDE, True)
    assert await asked_within(made, standing, 40) == []
    await standing.evaluate(HIDE, False)
    assert await asked_within(made, standing, 1) == [1]


async def test_flapping_costs_nothing(made, standing):
    for hidden in (True, False) * 10:
        await standing.evaluate(HIDE, hidden)
        await standing.clock.run_for(100)
    assert await settled(made) == 1


async def test_nothing_is_asked_after_leaving(made, standing):
    await standing.get_by_role("link", name="Stash", exact=True).click()
    await standing.get_by_text("Front page").wait_for()
    assert await asked_within(made, standing, 40) == []


async def test_an_answer_after_leaving_starts_nothing(made, standing):
    made.stash.latency = 0.3
    await standing.get_by_role("button", name="Show Status").click()
    await made.site.facts.until(lambda: made.site.unanswered)
    await standing.get_by_role("link", name="Stash", exact=True).click()
    await standing.get_by_text("Front page").wait_for()
    assert await settled(made) == 2
    made.stash.latency = 0.0
    assert await asked_within(made, standing, 40) == []


async def test_a_page_that_opens_hidden_asks_when_it_is_seen(made, browse):
    async with browse(made) as page:
        await page.clock.install()
        await page.add_init_script(f"({HIDE})(true)")
        await page.goto(PAGE)
        await page.get_by_text("Asking the daemon").wait_for()
        assert await asked_within(made, page, 20) == []
        await page.evaluate(HIDE, False)
        await page.clock.run_for(1)
        await page.get_by_role("region", name="Queue").wait_for()
        assert await settled(made) == 1


async def test_questions_do_not_overlap(made, standing):
    made.stash.latency = 0.3
    for _ in range(5):
        await standing.get_by_role("button", name="Show Status").click()
        assert made.site.unanswered <= 1
    await standing.evaluate("fetch('/stash.css')")
    assert await settled(made) == 2
    made.stash.latency = 0.0
    # One more for all those who asked meanwhile.
    await made.site.facts.until(lambda: made.operations == 3)
