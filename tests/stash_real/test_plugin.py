"""The plugin in a real Stash: installed by it, its hooks, its tasks, its page."""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import pytest

from stash2plex.config import StashSettings
from stash2plex.plugin import IN_PROCESS_HOOKS, PLUGIN_ID, TASKS
from stash2plex.stash.client import StashClient
from stash2plex.stash.plugins import StashPlugins
from tests.stash_real.server import RealStash, real_stash
from tests.stash_real.world import World, make_videos, world
from tests.ui.browser import browsing
from tests.ui.browser import missing as no_browser

pytestmark = pytest.mark.timeout(300)


async def command(made: World, *words: str) -> tuple[int, str]:
    """Run a command of ours as a process; returns its status and what it printed."""
    settings = made.daemon.settings
    file = settings.server.data_dir.parent / "config.toml"
    text = (
        f'[server]\nhost = "127.0.0.1"\nport = {settings.server.port}\n'
        f'token = "test-token"\ndata_dir = "{settings.server.data_dir}"\n'
        f'[stash]\nurl = "{made.stash.url}"\n'
        f'[plex]\nurl = "{made.plex.url}"\ntoken = "{made.plex.token}"\n'
    )
    await asyncio.to_thread(file.write_text, text)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stash2plex", "--config", str(file), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


async def one_scene(stash: RealStash, plex) -> tuple[str, int]:
    """Make and scan one video that Plex has too; returns its path and scene."""
    (path,) = await make_videos(stash, 1)
    await stash.scan()
    plex.add(str(path), size=path.stat().st_size)
    return str(path), (await stash.scenes())[str(path)]


async def test_installed_through_stash_it_works(tmp_path, plex):
    async with real_stash(tmp_path / "stash") as stash:
        path, scene = await one_scene(stash, plex)
        given = {"stash": {"poll_interval": 0}}
        async with world(stash, plex, tmp_path, **given) as made:
            words = ("install-plugin", "--via-stash", "--yes")
            url = ("--daemon-url", made.daemon.url)
            status, printed = await command(made, *words, *url)
            assert (status, "Done: Stash runs the plugins" in printed) == (0, True)

            # Hooks: nothing else looks for changes here.
            await stash.update(scene, title="By a hook", details="x")
            assert await made.until(
                lambda: made.item(path).text["title"] == "By a hook"
            )
            # Tasks, whose words stand in Stash's log.
            await stash.job(
                "mutation R($id: ID!, $task: String!)"
                " { runPluginTask(plugin_id: $id, task_name: $task) }",
                id=PLUGIN_ID,
                task="Show Status",
            )
            logged = (await stash.ask("{ logs { message } }"))["logs"]
            assert any("Plex" in one["message"] for one in logged), logged
            # The page's own way.
            async with StashClient.connect(StashSettings(url=stash.url)) as client:
                answer = await StashPlugins(client).run(PLUGIN_ID, {"mode": "status"})
            assert answer["stash"]["state"] == "up"
            # Again: an update that changes nothing.
            status, printed = await command(made, *words, *url)
            assert status == 0, printed
            status, printed = await command(made, "check")
            assert "ok   plugin_reaches" in printed, printed


async def test_a_daemon_that_is_down_costs_no_save(tmp_path, plex):
    async with real_stash(tmp_path / "stash") as stash:
        path, scene = await one_scene(stash, plex)
        async with world(stash, plex, tmp_path) as made:
            await made.install_plugins(TASKS, IN_PROCESS_HOOKS)
            await made.daemon.deliver(scene)
        await stash.update(scene, title="While it was down", details="x")
        async with world(stash, plex, tmp_path) as made:
            assert await made.until(
                lambda: made.item(path).text["title"] == "While it was down"
            )


async def test_its_page_and_tab_in_the_real_ui(tmp_path, plex):
    if lack := no_browser():
        pytest.skip(lack)
    async with real_stash(tmp_path / "stash") as stash:
        async with aiohttp.ClientSession() as session, session.get(stash.url) as page:
            if "<script" not in await page.text():
                pytest.skip("this Stash was built without its page")
        _, scene = await one_scene(stash, plex)
        await stash.update(scene, title="On a page", details="x")
        async with world(stash, plex, tmp_path) as made:
            await made.install_plugins(TASKS, IN_PROCESS_HOOKS)
            await made.daemon.deliver(scene)
            async with browsing(stash.url) as (page, watch):
                await page.goto("/plugins/stash2plexd")
                await page.get_by_text("Plex shows what Stash knows").first.wait_for()
                # Stash shows what is new of it, once.
                await page.get_by_role("button", name="Close").last.click()
                await page.goto(f"/scenes/{scene}")
                await page.wait_for_load_state("networkidle")
                await page.get_by_role("tab", name="Plex", exact=True).click()
                await page.get_by_text("In sync").first.wait_for()
                await page.goto("/settings?tab=tools")
                tools = page.locator(".setting")
                await tools.get_by_role("link", name="Stash to Plex").wait_for()
                assert [one for one in watch.complaints if "stash2plexd" in one] == []
