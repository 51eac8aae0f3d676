"""The page of the plugin in a real browser, in front of the real daemon."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from stash2plex.db.database import DATABASE, Database
from stash2plex.plugin import PLUGIN_ID
from tests.conftest import free_port
from tests.running import running
from tests.ui.browser import PHONE
from tests.ui.world import PAGE, trouble

pytestmark = pytest.mark.timeout(60)

LONG = "Long title " * 27 + "end"
RIGHT_TO_LEFT = "كتاب مع /مسار/ طويل"


def section(page, name):
    """The part of the page with this heading."""
    return page.get_by_role("region", name=name, exact=True)


def fact(page, part, name):
    """What stands beside *name* in a part of the page."""
    row = section(page, part).locator(".stash2plexd-fact").filter(has_text=name)
    return row.locator("dd").first


async def shows(locator, text):
    """Wait until *locator* shows *text*."""
    from playwright.async_api import expect

    await expect(locator).to_contain_text(text)


async def numbers(locator, count):
    """Wait until there are *count* of *locator*."""
    from playwright.async_api import expect

    await expect(locator).to_have_count(count)


async def press(page, name, *, confirm=None):
    """Press the button of a task; *confirm* is the button of the question it asks."""
    await page.get_by_role("button", name=name, exact=True).click()
    if confirm:
        await page.get_by_role("dialog").get_by_role("button", name=confirm).click()


# --- what it shows -------------------------------------------------------------------


async def test_everything_is_shown(made, browse):
    await trouble(made)
    made.plex.status = 503
    await made.daemon.post("sync", {"scene_ids": [4]})
    await made.daemon.until(lambda status: status["outages"]["current"])
    async with browse(made, PAGE) as page:
        await shows(page.get_by_role("status").first, "Plex is away")
        await shows(section(page, "Plex"), "open (all waits)")
        await shows(fact(page, "Plex", "Version"), "1.43.1.10611")
        await shows(fact(page, "Plex", "Libraries"), "Scenes")
        await shows(fact(page, "Plex", "Error"), "Plex is unavailable")
        await shows(fact(page, "Stash", "Version"), "v0.30.1")
        await shows(fact(page, "Stash", "Scenes"), "11")
        await shows(fact(page, "Queue", "Given up"), "1")
        await shows(fact(page, "Queue", "Due now"), "1")
        await shows(fact(page, "Deliveries", "Written"), "9")
        await shows(fact(page, "Plex", "Last request"), "\u2013")
        compared = section(page, "Comparison of both libraries")
        await shows(compared, "11 items compared")
        await shows(compared, "not scheduled")
        gaps = section(page, "Gaps").get_by_role("row")
        await shows(gaps.filter(has_text="missing in stash"), "/media/plex only.mp4")
        dead = section(page, "Dead letters").get_by_role("row")
        await shows(dead.filter(has_text="scene 3"), "Plex answered HTTP 409: Conflict")
        outages = section(page, "Outages")
        await shows(outages, "Plex is away")
        await shows(fact(page, "Outages", "Going on"), "Plex since")
        strip = outages.get_by_role("img", name=re.compile("^Plex: 2 outages in"))
        assert await strip.locator("rect").count() == 2
        await outages.get_by_text("All outages (2)").click()
        assert await outages.get_by_role("row").count() == 3
    made.plex.status = None
    await made.daemon.until(lambda status: status["plex"]["state"] == "up")


async def test_the_page_refreshes_itself(made, browse):
    async with browse(made) as page:
        await page.clock.install()
        await page.goto(PAGE)
        await shows(fact(page, "Deliveries", "Written"), "0")
        await made.daemon.deliver(1, 2)
        await page.clock.fast_forward(16_000)
        await shows(fact(page, "Deliveries", "Written"), "2")


async def test_all_tasks_are_there_by_name(made, browse):
    from tests.plugin_shim.test_tasks import manifest

    async with browse(made, PAGE) as page:
        await shows(page.get_by_role("status").first, "Plex shows what Stash knows")
        for name in manifest():
            button = page.get_by_role(
                "button", name=re.compile(f"^{re.escape(name)}…?$")
            )
            assert await button.count() == 1, name


async def test_headings_are_in_order(made, browse):
    async with browse(made, PAGE) as page:
        await section(page, "Outages").wait_for()
        levels = await page.eval_on_selector_all(
            ".stash2plexd :is(h1, h2, h3, h4)",
            "all => all.map(one => Number(one.tagName[1]))",
        )
        assert levels[0] == 1
        assert levels.count(1) == 1
        pairs = pairwise(levels)
        assert all(after - before <= 1 for before, after in pairs)


async def test_first_content_comes_within_a_second_of_the_answer(made, browse):
    async with browse(made, "/") as page:
        await page.evaluate(
            """() => {
                const mutate = PluginApi.utils.StashService.getClient().mutate;
                const client = PluginApi.utils.StashService.getClient();
                client.mutate = (...given) => mutate.apply(client, given).then(answer => {
                    window.answeredAt = performance.now();
                    return answer;
                });
                new MutationObserver((_, observer) => {
                    if (!document.querySelector(".stash2plexd section .card")) return;
                    window.shownAt = performance.now();
                    observer.disconnect();
                }).observe(document.body, {childList: true, subtree: true});
            }"""
        )
        await page.locator(".stash2plexd-nav:visible").click()
        await section(page, "Outages").wait_for()
        assert await page.evaluate("window.shownAt - window.answeredAt") < 1000


# --- what it does ----------------------------------------------------------------------


async def test_a_sync_of_everything_asks_first(made, browse):
    async with browse(made, PAGE) as page:
        await press(page, "Sync All Scenes…", confirm="Cancel")
        assert (await made.daemon.status())["deliveries"]["written"] == 0
        await press(page, "Sync All Scenes…", confirm="Sync them all")
        await shows(page.locator(".toast"), "Sync All Scenes: 11 scenes enqueued.")
        await made.daemon.until(lambda status: status["deliveries"]["written"] == 9)
        assert made.plex.items[1].text["title"] == "Title 1"


async def test_recent_scenes_are_synced(made, browse):
    async with browse(made, PAGE) as page:
        await press(page, "Sync Recent Scenes")
        await made.daemon.until(lambda status: status["deliveries"]["written"] == 9)
        await shows(page.locator(".toast"), "Sync Recent Scenes: 11 scenes enqueued.")


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("Reconcile (All)", "all"),
        ("Reconcile (Last 24 Hours)", "24h"),
        ("Reconcile (Last 7 Days)", "7d"),
    ],
)
async def test_comparisons(made, browse, name, scope):
    async with browse(made, PAGE) as page:
        await press(page, name)
        status = await made.daemon.until(lambda status: status["reconcile"]["last"])
        assert status["reconcile"]["last"]["scope"] == scope
        await shows(page.locator(".toast"), f"{name}: Comparison 1 runs.")


async def test_a_brake_is_shown_and_can_be_overridden(make_world, browse, plex):
    for number in range(200, 330):
        plex.add(f"/media/many/{number}.mp4", size=number)
    made = await make_world()
    for key, item in list(plex.items.items()):
        if "/many/" in item.files[0][0]:
            plex.remove(key)
    await made.daemon.post("reconcile", {"scope": "all"})
    await made.daemon.until(lambda status: status["catalog"]["brake"])
    async with browse(made, PAGE) as page:
        alert = section(page, "Comparison of both libraries").get_by_role("alert")
        await shows(alert, "is a share not mounted?")
        await press(page, "Go on all the same…", confirm="Cancel")
        assert (await made.daemon.status())["catalog"]["brake"]
        await press(page, "Go on all the same…", confirm="Go on")
        status = await made.daemon.until(lambda status: not status["catalog"]["brake"])
        assert status["catalog"]["items"] == 11
        await made.daemon.until(lambda status: not status["reconcile"]["running"])


async def test_the_queue_is_processed(made, browse):
    await made.daemon.post("sync", {"scene_ids": [50]})
    await made.daemon.until(lambda status: status["queue"]["waiting"] == 1)
    assert await lookups(made) == 1
    async with browse(made, PAGE) as page:
        await press(page, "Process Queue")
        await shows(
            page.locator(".toast"), "Process Queue: 1 waiting job brought forward."
        )
        await made.daemon.until(lambda status: status["queue"]["waiting"] == 1)
        assert await lookups(made) == 2


async def lookups(made):
    """How often the one job that waits looked for its item."""
    async with made.daemon.session.get(f"{made.daemon.url}/api/v1/queue") as answer:
        (job,) = (await answer.json())["jobs"]
        return job["lookups"]


async def test_the_queue_is_cleared(made, browse):
    await made.daemon.post("sync", {"scene_ids": [50]})
    await made.daemon.until(lambda status: status["queue"]["waiting"] == 1)
    async with browse(made, PAGE) as page:
        await press(page, "Clear Pending Queue…")
        await shows(page.get_by_role("dialog"), "1 job")
        await page.keyboard.press("Escape")
        await page.get_by_role("dialog").wait_for(state="detached")
        assert (await made.daemon.status())["queue"]["waiting"] == 1
        await press(page, "Clear Pending Queue…", confirm="Drop them")
        await made.daemon.until(lambda status: status["queue"]["waiting"] == 0)
        await shows(fact(page, "Queue", "Waiting"), "0")


async def test_dead_letters_are_retried_one_by_one_and_all(made, browse):
    made.plex.status_of[4] = 409
    await trouble_of_two(made)
    async with browse(made, PAGE) as page:
        made.plex.status_of.clear()
        await press(page, "Retry scene 3")
        await made.daemon.until(lambda status: status["queue"]["dead"] == 1)
        await made.daemon.idle()
        assert made.plex.items[3].text["title"] == "Title 3"
        assert made.plex.items[4].text["title"] == "4"
        await page.get_by_role("link", name="scene 3").wait_for(state="detached")
        await press(page, "Retry Dead Letters")
        await made.daemon.until(lambda status: status["queue"]["dead"] == 0)
        await made.daemon.idle()
        assert made.plex.items[4].text["title"] == "Title 4"
        await shows(section(page, "Dead letters"), "No dead letters.")


async def trouble_of_two(made):
    await made.daemon.post("sync", {"scene_ids": [3, 4]})
    await made.daemon.until(lambda status: status["queue"]["dead"] == 2)


async def test_dead_letters_are_purged_and_cleared(make_world, browse):
    made = await make_world()
    made.plex.status_of[4] = 409
    await trouble_of_two(made)
    async with browse(made, PAGE) as page:
        await press(page, "Purge Old Dead Letters…", confirm="Forget them")
        await shows(page.locator(".toast"), "0 old dead letters forgotten.")
        await press(page, "Clear Dead Letters…")
        await shows(page.get_by_role("dialog"), "2 dead letters")
        await page.keyboard.press("Escape")
        await page.get_by_role("dialog").wait_for(state="detached")
        assert (await made.daemon.status())["queue"]["dead"] == 2
        await press(page, "Clear Dead Letters…", confirm="Forget them")
        await made.daemon.until(lambda status: status["queue"]["dead"] == 0)
        await shows(section(page, "Dead letters"), "No dead letters.")


async def test_what_died_of_an_outage_is_recovered(made, browse):
    made.plex.status_of[3] = 500
    await made.daemon.post("sync", {"scene_ids": [3]})
    await made.daemon.until(lambda status: status["queue"]["dead"] == 1)
    async with browse(made, PAGE) as page:
        await press(page, "Recover Outage Failures")
        await shows(page.locator(".toast"), "Recover Outage Failures: ")


async def test_the_health_of_the_setup(made, browse):
    async with browse(made, PAGE) as page:
        await press(page, "Health Check")
        health = section(page, "Health")
        await shows(health, "Plex 1.43.1.10611 answers and takes the token")
        first = health.get_by_role("listitem").first
        await shows(first, "warn")


async def test_an_action_that_fails_says_why(made, browse):
    async with browse(made, PAGE) as page:
        await section(page, "Queue").wait_for()
        made.point_plugin(token="wrong")
        await press(page, "Process Queue")
        alert = page.get_by_role("alert").filter(has_text="Process Queue:")
        await shows(alert, "the daemon refused the token; copy server.token")
        await alert.get_by_role("button", name="Close alert").click()
        await alert.wait_for(state="detached")


# --- lists --------------------------------------------------------------------------------


async def test_gaps_are_filtered_and_lead_to_both_sides(made, browse):
    await trouble(made)
    async with browse(made, PAGE) as page:
        gaps = section(page, "Gaps")
        await gaps.get_by_role("button", name="empty 1").click()
        await shows(gaps.locator("p").first, "Plex shows nothing of a scene")
        rows = gaps.get_by_role("row")
        await numbers(rows, 2)
        await shows(rows.nth(1), "scene 3")
        await gaps.get_by_role("button", name="missing in stash 1").click()
        link = gaps.get_by_role("link", name="item 11")
        machine = made.plex.machine
        assert await link.get_attribute("href") == (
            f"https://app.plex.tv/desktop/#!/server/{machine}"
            "/details?key=%2Flibrary%2Fmetadata%2F11"
        )
        assert await link.get_attribute("rel") == "noopener noreferrer"
        assert await link.get_attribute("target") == "_blank"
        await gaps.get_by_role("button", name="empty 1").click()
        await gaps.get_by_role("link", name="scene 3").click()
        await page.wait_for_url("**/scenes/3")


async def test_pages_of_gaps(make_world, browse, plex):
    for number in range(100, 145):
        plex.add(f"/media/extra/{number}.mp4", size=number)
    made = await make_world()
    await made.daemon.post("reconcile", {"scope": "all"})
    await made.daemon.until(lambda status: status["gaps"]["missing_in_stash"] == 46)
    await made.daemon.idle()
    async with browse(made, PAGE) as page:
        gaps = section(page, "Gaps")
        await gaps.get_by_role("button", name="missing in stash 46").click()
        await shows(gaps, "1\u201320 of 46")
        newer = gaps.get_by_role("button", name="Newer gaps")
        older = gaps.get_by_role("button", name="Older gaps")
        assert await newer.get_attribute("aria-disabled") == "true"
        await older.click()
        await shows(gaps, "21\u201340 of 46")
        await older.click()
        await shows(gaps, "41\u201346 of 46")
        await numbers(gaps.get_by_role("row"), 7)
        assert await older.get_attribute("aria-disabled") == "true"
        # The list gets shorter while its end is looked at.
        for key in list(plex.items)[:20]:
            if "/extra/" in plex.items[key].files[0][0]:
                plex.remove(key)
        await made.daemon.post("reconcile", {"scope": "all"})
        await made.daemon.until(lambda status: status["gaps"]["missing_in_stash"] < 40)
        await page.get_by_role("button", name="Show Gaps").click()
        await shows(gaps, "21\u2013")


async def test_five_thousand_dead_letters(make_world, browse, tmp_path):
    (tmp_path / "data").mkdir()
    async with Database.open(tmp_path / "data" / DATABASE) as database:
        await database.write(
            """WITH RECURSIVE number(n) AS
                   (SELECT 1001 UNION ALL SELECT n + 1 FROM number WHERE n < 6000)
               INSERT INTO job (kind, stash_id, reason, priority, state, attempts,
                                due_at, created_at, error_code, error, failed_at)
               SELECT 'scene', n, 'hook', 1, 'dead', 5, now, now, 'internal', 'a bug', now
               FROM number, (SELECT unixepoch() AS now)"""
        )
    made = await make_world()
    async with browse(made, PAGE) as page:
        dead = section(page, "Dead letters")
        await shows(dead, "1\u201320 of 5,000")
        assert await dead.get_by_role("row").count() == 21
        await dead.get_by_role("button", name="Older dead letters").click()
        await shows(dead, "21\u201340 of 5,000")
        await shows(fact(page, "Queue", "Given up"), "5,000")


# --- titles of any kind, screens of any width ----------------------------------------------


@pytest.mark.parametrize("viewport", [PHONE, None], ids=["phone", "desktop"])
async def test_odd_names_stay_text_and_nothing_overflows(make_world, browse, viewport):
    made = await make_world()
    names = (
        "<script>window.hacked = 1</script>.mp4",
        f"{LONG}.mp4",
        "x" * 300 + ".mp4",
    )
    for number, name in enumerate((*names, f"{RIGHT_TO_LEFT}.mp4"), 60):
        made.stash.add(f"/media/{name}", scene_id=number, title=name, size=number)
        made.plex.add(f"/media/plex/{name}", size=1000 + number)
    await made.daemon.post("reconcile", {"scope": "all"})
    await made.daemon.until(
        lambda status: (
            not status["reconcile"]["running"]
            and status["gaps"]["missing_in_stash"] >= 4
        )
    )
    await made.daemon.post("sync", {"scene_ids": [3]})
    await made.daemon.until(lambda status: status["queue"]["dead"] == 1)
    async with browse(made, PAGE, viewport=viewport) as page:
        gaps = section(page, "Gaps")
        for name in names:
            await gaps.get_by_text(name).first.wait_for()
        text = gaps.locator("bdi").filter(has_text=RIGHT_TO_LEFT).first
        assert await text.get_attribute("dir") == "auto"
        assert await page.evaluate("window.hacked") is None
        assert await page.locator("script", has_text="hacked").count() == 0
        for summary in await page.locator("summary").all():
            await summary.click()
        await press(page, "Health Check")
        await section(page, "Health").get_by_role("listitem").first.wait_for()
        assert await overflow(page) <= 0
        for scene in (61, 62, 63):
            await page.goto(f"/scenes/{scene}")
            await page.get_by_role("tab", name="Plex").click()
            await page.get_by_role("heading", name="Item in Plex").wait_for()
            assert await overflow(page) <= 0


async def overflow(page):
    """By how many pixels the page is wider than its window."""
    return await page.evaluate("document.documentElement.scrollWidth - innerWidth")


# --- the keyboard ---------------------------------------------------------------------------


async def test_the_keyboard_is_enough(made, browse):
    async with browse(made, PAGE) as page:
        await section(page, "Outages").wait_for()
        for _ in range(30):
            await page.keyboard.press("Tab")
            focused = page.locator(":focus")
            if await focused.text_content() == "Clear Pending Queue…":
                break
        assert await focused.text_content() == "Clear Pending Queue…"
        style = "one => getComputedStyle(one).outlineStyle"
        assert await focused.evaluate(style) == "solid"
        await page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="Clear Pending Queue")
        await shows(dialog.locator(":focus"), "Cancel")
        for _ in range(4):  # the focus stays in the dialogue
            await page.keyboard.press("Tab")
            assert await page.evaluate("!!document.activeElement.closest('.modal')")
        await page.keyboard.press("Shift+Tab")
        await shows(dialog.locator(":focus"), "Drop them")
        await page.keyboard.press("Escape")
        await dialog.wait_for(state="detached")
        await shows(page.locator(":focus"), "Clear Pending Queue…")


async def test_jumping_to_a_part_moves_the_focus(made, browse):
    async with browse(made, PAGE) as page:
        await page.get_by_role("button", name="Outage Report").press("Enter")
        await shows(page.locator(":focus"), "Outages")


async def test_the_browser_s_tab_is_named(made, browse):
    async with browse(made, "/") as page:
        assert await page.title() == "Stash"
        await page.get_by_role("link", name="Stash to Plex").click()
        await section(page, "Queue").wait_for()
        assert await page.title() == "Stash to Plex | Stash"
        # Stash names it whenever it likes.
        await page.evaluate("document.title = 'Stash'")
        await page.wait_for_function("document.title === 'Stash to Plex | Stash'")
        await page.get_by_role("link", name="Stash", exact=True).click()
        await page.wait_for_function("document.title === 'Stash'")


async def test_cards_stand_in_line_with_the_headline(made, browse):
    async with browse(made, PAGE) as page:
        await section(page, "Queue").wait_for()
        heading = await page.get_by_role("heading", level=1).bounding_box()
        for name in ("Plex", "Gaps", "Health"):
            card = await section(page, name).locator(".card").bounding_box()
            assert card["x"] == heading["x"], name


async def test_how_changes_are_told_of(made, browse):
    async with browse(made, PAGE) as page:
        await shows(fact(page, "Stash", "Hooks"), "inside Stash")
        assert await page.locator(".stash2plexd > .alert").count() == 0


async def test_plugins_of_another_release_are_updated_with_one_click(made, browse):
    plugin = made.stash.plugins[PLUGIN_ID]
    plugin.manifest = plugin.manifest.replace("version: ", "version: 0.0.9 #")
    plugin.source = "http://127.0.0.1/plugin/index.yml"
    made.stash.package_sources[0] |= {"url": plugin.source}
    updated = []

    async def install(plugin_id, source):
        updated.append((plugin_id, source))
        return plugin.folder, "1"

    made.stash.installer = install
    # The daemon looks again while something is wrong; at its start it was not.
    async with running(
        made.daemon.settings.model_copy(
            update={
                "server": made.daemon.settings.server.model_copy(
                    update={
                        "port": free_port(),
                        "data_dir": made.daemon.settings.server.data_dir / "other",
                    }
                )
            }
        ),
        made.stash,
        made.plex,
    ) as other:
        made.point_plugin(other.url)
        await other.until(lambda status: status["stash"]["hooks"]["faults"])
        async with browse(made, PAGE) as page:
            alert = page.get_by_role("alert").filter(has_text="stash2plexd 0.0.9")
            await shows(alert, "Settings > Plugins > Check for updates")
            await alert.get_by_role("button", name="Update the plugins").click()
            await shows(alert, "Stash updates the plugins now")
    assert updated == [(PLUGIN_ID, plugin.source)]


async def test_findings_make_no_green_toast(made, browse):
    made.stash.other_plugins["Stash2Plex"] = True  # both would write to Plex
    async with browse(made, PAGE) as page:
        await press(page, "Health Check")
        await shows(page.locator(".stash2plexd-said-last"), "see Health")
        assert await page.locator(".toast").count() == 0
        assert made.stash.plugin_log == []


@pytest.mark.parametrize(
    ("python", "words"),
    [
        (None, "install Python 3.9 or newer where Stash runs"),
        ("/bin/false", "What Stash calls Python does not run"),
        ("/bin/true", "Stash started something that is no working Python"),
    ],
)
async def test_a_python_that_does_not_run_gets_its_remedy(made, browse, python, words):
    made.stash.plugin_runs.python = python
    async with browse(made, PAGE) as page:
        await shows(page.get_by_role("alert"), words)
