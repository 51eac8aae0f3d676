"""The page while something is wrong, or older or newer than it."""

from __future__ import annotations

import pytest
from aiohttp import web

from stash2plex.sandbox.server import serving
from tests.conftest import free_port
from tests.ui.test_page import fact, press, section, shows
from tests.ui.world import PAGE, trouble

pytestmark = pytest.mark.timeout(60)


async def test_a_daemon_that_is_away_and_comes_back(made, browse):
    made.point_plugin(f"http://127.0.0.1:{free_port()}")
    async with browse(made) as page:
        await page.clock.install()
        await page.goto(PAGE)
        alert = page.get_by_role("alert")
        await shows(alert, "no daemon at http://127.0.0.1:")
        await shows(alert, "See the setting Daemon URL")
        made.point_plugin()
        await page.clock.fast_forward(16_000)
        await shows(fact(page, "Plex", "Version"), "1.43")
        await alert.wait_for(state="detached")
        # What was known stays on the page while the daemon is away once more.
        made.point_plugin(f"http://127.0.0.1:{free_port()}")
        await page.clock.fast_forward(16_000)
        await shows(alert, "no daemon at")
        await shows(fact(page, "Plex", "Version"), "1.43")


async def test_a_wrong_token(made, browse):
    made.point_plugin(token="wrong")
    async with browse(made) as page:
        await page.clock.install()
        await page.goto(PAGE)
        await shows(page.get_by_role("alert"), "the daemon refused the token; copy")
        made.point_plugin()
        await page.clock.fast_forward(16_000)
        await section(page, "Plex").wait_for()


@pytest.mark.parametrize("status", [200, 502])
async def test_something_else_answers(made, browse, status):
    async def answer(_: web.Request) -> web.Response:
        text = "<html><script>window.hacked = 1</script>Welcome</html>"
        return web.Response(text=text, status=status, content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    async with serving(app) as url, browse(made) as page:
        made.point_plugin(url)
        await page.goto(PAGE)
        await shows(page.get_by_role("alert"), f"{url} is not the daemon")
        assert await page.evaluate("window.hacked") is None


async def test_an_address_that_makes_no_sense(made, browse):
    made.point_plugin("nonsense")
    async with browse(made, PAGE) as page:
        await shows(
            page.get_by_role("alert"), "it must look like http://127.0.0.1:9898"
        )


async def test_a_plugin_that_stash_does_not_know(made, browse):
    made.stash.plugins.clear()
    async with browse(made, PAGE) as page:
        await shows(page.get_by_role("alert"), "Internal system error")


@pytest.mark.parametrize(
    ("status", "sentence"), [(401, "Log in again"), (502, "Stash does not answer")]
)
async def test_a_stash_that_does_not_answer(made, browse, status, sentence):
    async with browse(made, PAGE, forgives="Failed to load resource") as page:
        await section(page, "Queue").wait_for()
        made.stash.status = status
        await press(page, "Show Status")
        await shows(page.get_by_role("alert"), sentence)
        made.stash.status = None
        await press(page, "Show Status")
        await page.get_by_role("alert").wait_for(state="detached")


async def test_the_worst_comes_first(made, browse):
    plex, catalog, queue = {}, {}, {}
    status = {"plex": plex, "catalog": catalog, "queue": queue, "gaps": {"empty": 1}}
    async with speaking({"status": status}) as url:
        made.point_plugin(url)
        async with browse(made, PAGE) as page:
            said = page.locator(".stash2plexd-summary")
            await shows(said, "Not in step yet: 1 gap.")
            for part, change, sentence in (
                (queue, {"dead": 2}, "Not in step yet: 2 dead letters and 1 gap."),
                (status, {"reconcile": {"running": True}}, "Comparing both libraries."),
                (queue, {"queued": 3, "running": 1}, "Delivering: 4 jobs to go."),
                (catalog, {"brake": "x"}, "A comparison was stopped."),
                (status, {"stash": {"state": "down"}}, "Stash does not answer"),
                (plex, {"breaker": "open"}, "Plex is away."),
                (status, {"stash": {"state": "denied"}}, "Stash refuses our key."),
                (plex, {"state": "denied"}, "Plex refuses our token."),
            ):
                part.update(change)
                await press(page, "Show Status")
                await shows(said, sentence)


# --- daemons of other releases ---------------------------------------------------------


def speaking(answers):
    """A daemon that gives these answers, by the last part of the path."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(answers.get(request.path.rpartition("/")[2], {}))

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    return serving(app)


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"status": {"plex": None, "queue": [], "gaps": None, "reconcile": 5}},
        {
            "status": {"version": 7, "plex": {"state": {"odd": 1}, "libraries": "x"}},
            "gaps": {
                "total": "many",
                "gaps": [None, 5, {"kind": ["x"], "scene": "a/b"}],
            },
            "dead": {"dead": [{"kind": "__proto__", "id": "../x"}]},
            "outages": {"availability": "all", "outages": [{"started_at": "never"}]},
        },
        {
            "status": {
                "unheard_of": {"a": [1]},
                "plex": {"state": "asleep", "breaker": "sideways", "machine": "a/b?c"},
                "gaps": {"new_kind": 3, "constructor": 1},
                "reconcile": {
                    "running": True,
                    "current": {},
                    "last": {"run": 1, "state": "odd", "gaps": {"x": "y"}},
                    "history": [{"run": 1}, {}, None],
                },
            },
            "gaps": {
                "total": 1,
                "gaps": [{"kind": "new_kind", "item": 5, "path": None, "more": {}}],
            },
            "outages": {"count": 1, "outages": [{"service": "Jellyfin", "jobs": None}]},
        },
    ],
    ids=["nothing", "wrong types", "nonsense", "newer"],
)
async def test_answers_of_other_releases(made, browse, answers):
    async with speaking(answers) as url:
        made.point_plugin(url)
        async with browse(made, PAGE) as page:
            await shows(fact(page, "Queue", "Due now"), "\u2013")
            await shows(fact(page, "Deliveries", "Written"), "\u2013")
            parts = ("Plex", "Stash", "Queue", "Deliveries", "Gaps", "Dead letters")
            for name in (*parts, "Outages", "Comparison of both libraries", "Health"):
                await section(page, name).wait_for()
            assert await page.get_by_text("could not be read").count() == 0
            assert await page.get_by_text("undefined").count() == 0
            assert await page.get_by_text("NaN").count() == 0
            # No link that was not checked.
            links = page.locator(".stash2plexd a")
            assert await links.count() == 0
            if "unheard_of" in answers.get("status", {}):
                await shows(section(page, "Gaps"), "new kind")
                await shows(section(page, "Gaps"), "item 5")
            await page.goto("/scenes/1")
            await page.get_by_role("tab", name="Plex").click()
            await shows(page.locator(".stash2plexd-verdict"), "Unknown")


async def test_a_comparison_that_goes_on(made, browse):
    async with browse(made, PAGE) as page:
        compared = section(page, "Comparison of both libraries")
        await compared.wait_for()
        made.plex.hangs = True
        await press(page, "Reconcile (All)")
        await compared.get_by_role("progressbar", name="Comparison").wait_for()
        await shows(compared, "Comparing everything, since")
        made.plex.hangs = False
        await made.daemon.until(lambda status: not status["reconcile"]["running"])
        await compared.get_by_role("progressbar").wait_for(state="detached")
        await shows(compared, "failed")


# --- other releases of Stash -------------------------------------------------------------


async def test_a_stash_without_much(made, browse):
    """No toasts, no icons, no tabs of scenes, one section of tools."""
    lacks = (
        "useToast",
        "FontAwesome",
        "Setting",
        "second tools section",
        "ScenePage.Tabs",
        "ScenePage.TabContent",
    )
    await trouble(made)
    async with browse(made, PAGE, lacks=lacks) as page:
        await section(page, "Dead letters").wait_for()
        await press(page, "Process Queue")
        said = page.get_by_role("status").filter(has_text="Process Queue:")
        await shows(said, "brought forward")
        await page.goto("/settings")
        assert await page.locator("a[href='/plugins/stash2plexd']:visible").count() == 2
        await page.goto("/scenes/1")
        await page.get_by_role("tab", name="Details").wait_for()
        assert await page.get_by_role("tab", name="Plex").count() == 0


async def test_a_stash_that_cannot_be_patched(made, browse):
    async with browse(made, PAGE, lacks=("patch",)) as page:
        await section(page, "Dead letters").wait_for()


@pytest.mark.parametrize("lack", ["register", "Apollo"])
async def test_a_stash_that_has_no_place_for_us(made, browse, lack):
    async with browse(made, "/", lacks=(lack,)) as page:
        await page.get_by_text("Front page").wait_for()
