"""The plugin in a real Stash: installed by it, its hooks, its tasks, its page."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import zipfile
from pathlib import Path

import aiohttp
import pytest

from stash2plex import plugin_source
from stash2plex.config import StashSettings
from stash2plex.plugin import HTTP_HOOKS, IN_PROCESS_HOOKS, PLUGIN_ID, TASKS
from stash2plex.stash.client import StashClient
from stash2plex.stash.plugins import StashPlugins
from tests.stash_real.server import RealStash, real_stash
from tests.stash_real.world import World, make_videos, world
from tests.ui.browser import browsing
from tests.ui.browser import missing as no_browser
from tests.upgrades.recorded import unpack_plugin

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
            assert (status, "Done: the plugins work" in printed) == (0, True)

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


async def heard_or_posted(made: World, scene: int, path: str, title: str) -> bool:
    """Save a scene; whether that reaches Plex, with no poll."""
    await made.stash.update(scene, title=title, details="x")
    return await made.until(lambda: made.item(path).text["title"] == title, 5)


async def plugins_of(stash: RealStash) -> dict[str, bool]:
    """Return our plugins in Stash, and whether they have hooks."""
    found = (await stash.ask("{ plugins { id enabled hooks { name } } }"))["plugins"]
    return {one["id"]: bool(one["hooks"]) for one in found or () if one["enabled"]}


async def test_each_kind_of_hooks_through_stash(tmp_path, plex):
    async with real_stash(tmp_path / "stash") as stash:
        path, scene = await one_scene(stash, plex)
        given = {"stash": {"poll_interval": 0}}
        async with world(stash, plex, tmp_path, **given) as made:
            words = ("install-plugin", "--via-stash", "--yes")
            url = ("--daemon-url", made.daemon.url)
            for hooks, kept in (
                ("http", [HTTP_HOOKS]),
                ("in-process", [IN_PROCESS_HOOKS]),
                ("none", []),
            ):
                status, printed = await command(made, *words, *url, "--hooks", hooks)
                assert status == 0, printed
                assert await plugins_of(stash) == {
                    TASKS.id: False,
                    **dict.fromkeys([one.id for one in kept], True),
                }
                title = f"By hooks: {hooks}"
                arrives = await heard_or_posted(made, scene, path, title)
                assert arrives == bool(kept), hooks
                assert not kept or hooks in (await command(made, "check"))[1]
            # What is in the way: its jobs are FINISHED all the same.
            (stash.plugins / "stash2plex" / IN_PROCESS_HOOKS.id).write_text("no folder")
            status, printed = await command(made, *words, *url)
            assert (status, "Done" in printed) == (1, False), printed
            assert "may it write into its plugins folder?" in printed
            (stash.plugins / "stash2plex" / IN_PROCESS_HOOKS.id).unlink()
            status, printed = await command(made, *words, "--remove")
            assert status == 0, printed
            assert await plugins_of(stash) == {}


async def know_source(stash: RealStash, url: str) -> None:
    """Have Stash know a source under our name, and no other."""
    await stash.ask(
        "mutation S($s: [PackageSourceInput!])"
        " { configureGeneral(input: {pluginPackageSources: $s}) { databasePath } }",
        s=[{"name": "stash2plex", "url": url, "local_path": "stash2plex"}],
    )


def old_source(folder: Path) -> Path:
    """Lay out the source of release 0.1.0, whose one plugin had hooks; returns its index."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "old.zip", "w") as zipped:
        for file in unpack_plugin("0.1.0", folder).iterdir():
            entry = zipfile.ZipInfo(file.name)
            entry.external_attr = 0o100644 << 16
            zipped.writestr(entry, file.read_bytes())
    digest = hashlib.sha256((folder / "old.zip").read_bytes()).hexdigest()
    index = folder / "index.yml"
    index.write_text(
        f"- id: {PLUGIN_ID}\n  name: Old\n  version: 0.1.0-old\n"
        f'  date: "2026-01-01 00:00:00"\n  path: old.zip\n  sha256: {digest}\n'
        "  requires: []\n  metadata: {}\n"
    )
    return index


async def test_stash_s_own_update_takes_the_hooks_and_the_daemon_says_so(
    tmp_path, plex
):
    async with real_stash(tmp_path / "stash") as stash:
        path, scene = await one_scene(stash, plex)
        index = await asyncio.to_thread(old_source, tmp_path / "dist")
        source = index.as_uri()
        given = {"stash": {"poll_interval": 0}}
        async with world(stash, plex, tmp_path, **given) as made:
            package = [{"id": PLUGIN_ID, "sourceURL": source}]
            query = (
                "mutation J($p: [PackageSpecInput!]!)"
                " { %sPackages(type: Plugin, packages: $p) }"
            )
            await know_source(stash, source)
            await stash.job(query % "install", p=package)
            await made.point_plugin()
            # It works on as it did.
            assert await plugins_of(stash) == {PLUGIN_ID: True}
            assert await heard_or_posted(made, scene, path, "By the old one")
            await asyncio.to_thread(plugin_source.write, index.parent)
            await stash.job(query % "update", p=package)
            assert await plugins_of(stash) == {PLUGIN_ID: False}
        async with world(stash, plex, tmp_path, **given) as made:
            await made.point_plugin()
            found = await made.daemon.until(lambda s: s["stash"]["hooks"]["faults"])
            (fault,) = found["stash"]["hooks"]["faults"]
            assert fault["code"] == "plugin_hooks"
            _, printed = await command(made, "check")
            assert "warn plugin_hooks: Stash has none of our hooks" in printed
            # And what it says mends it.
            words = ("install-plugin", "--via-stash", "--yes")
            url = ("--daemon-url", made.daemon.url)
            status, printed = await command(made, *words, *url)
            assert status == 0, printed
            assert await heard_or_posted(made, scene, path, "By the new ones")
            # Back to the old one: it tells of changes as well, and nothing breaks.
            index = await asyncio.to_thread(old_source, tmp_path / "older")
            older = index.as_uri()
            await know_source(stash, older)
            package = [{"id": PLUGIN_ID, "sourceURL": older}]
            await stash.job(query % "install", p=package)
            assert await heard_or_posted(made, scene, path, "By both of them")
            _, printed = await command(made, "check")
            assert "warn plugin_hooks_twice" in printed, printed


async def test_a_python_that_does_not_run(tmp_path, plex):
    async with (
        real_stash(tmp_path / "stash", python_path="/bin/false") as stash,
        world(stash, plex, tmp_path) as made,
    ):
        await made.install_plugins(TASKS, IN_PROCESS_HOOKS)
        _, printed = await command(made, "check")
        assert "exit status 1" in printed, printed
        assert "name Python 3.9 or newer under Settings > System" in printed
        # Hooks inside Stash need none.
        assert "ok   plugin_hooks: hooks: in-process" in printed


async def test_a_task_leaves_stash_to_its_other_jobs(tmp_path, plex):
    """Meanwhile a scan waits; and its results read from the top."""
    async with real_stash(tmp_path / "stash") as stash:
        await one_scene(stash, plex)
        async with world(stash, plex, tmp_path) as made:
            await made.install_plugins(TASKS)
            run = (
                "mutation R($id: ID!, $task: String!)"
                " { runPluginTask(plugin_id: $id, task_name: $task) }"
            )
            await stash.job(run, id=PLUGIN_ID, task="Show Status")
            logged = (await stash.ask("{ logs { message } }"))["logs"]
            shown = [one["message"] for one in logged]
            ours = [one for one in shown if one.startswith(f"[Plugin / {TASKS.name}]")]
            assert " stash2plex 0." in ours[0], ours
            assert " Plex: up" in ours[1], ours
            before = len(ours)
            assert (await command(made, "check"))[0] in {0, 1}
            logged = (await stash.ask("{ logs { message } }"))["logs"]
            after = [one for one in logged if TASKS.name in one["message"]]
            assert len(after) == before


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
