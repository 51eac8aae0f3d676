"""The states of a real Stash: set up or not, migrated or not, its disk, its login."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3

import aiohttp
import pytest
from aiohttp import web

from stash2plex.config import StashSettings
from stash2plex.errors import NotWorking, PictureUnreadable, PictureUnusable
from stash2plex.sandbox.scenes import cover
from stash2plex.sandbox.server import serving
from stash2plex.stash.client import StashClient
from tests.conftest import make_settings
from tests.running import running
from tests.stash_real.server import RealStash, real_stash
from tests.stash_real.world import make_videos, world

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def described(tmp_path):
    """A Stash of six scenes with titles, studios and covers; their paths."""
    async with real_stash(tmp_path / "stash") as stash:
        paths = await make_videos(stash, 6)
        await stash.scan()
        studio = await stash.create("studio", "A studio")
        for scene in (await stash.scenes()).values():
            await stash.update(scene, title=f"Title {scene}", studio_id=studio)
        yield stash, paths


def shown(world_, paths):
    return [world_.item(path).text.get("title") for path in paths]


async def test_a_server_that_was_never_set_up(tmp_path, plex):
    stash = RealStash(tmp_path / "stash")
    await stash.start(configured=False)
    try:
        async with StashClient.connect(StashSettings(url=stash.url)) as client:
            with pytest.raises(NotWorking, match="was not set up yet: open its page"):
                await client.prove()
            with pytest.raises(NotWorking, match="was not set up yet"):
                await client.scenes([1])
        settings = make_settings(stash, plex, tmp_path)
        async with running(settings, stash, plex) as daemon:
            down = await daemon.until(lambda found: found["stash"]["state"] == "down")
            assert down["stash"]["error"] == "Stash was not set up yet: open its page"
    finally:
        await stash.stop()


async def test_a_migration_costs_nothing_and_ends_by_itself(described, tmp_path, plex):
    stash, paths = described
    for path in paths:
        plex.add(str(path), size=path.stat().st_size)
    ids = list((await stash.scenes()).values())
    async with world(stash, plex, tmp_path) as made:
        await made.daemon.post("sync", {"scene_ids": ids})
        await made.daemon.idle()
        await stash.stop()
        with sqlite3.connect(stash.database) as connection:
            (version,) = connection.execute(
                "SELECT version FROM schema_migrations"
            ).fetchone()
        stash.change_database(f"UPDATE schema_migrations SET version = {version - 1}")
        await stash.start()
        logged = len(stash.output)

        await made.daemon.post("sync", {"scene_ids": ids[:1]})
        down = await made.daemon.until(lambda found: found["stash"]["state"] == "down")
        await made.daemon.until(lambda found: found["outages"]["current"])
        said = "Stash waits for its database to be migrated: open its page"
        await made.daemon.until(lambda found: found["stash"]["error"] == said)
        assert down["queue"]["dead"] == 0
        (job,) = (await made.daemon.get("queue"))["jobs"]
        assert job["attempts"] == 0
        # It logs a stack for each question that reads.
        assert stash.output[logged:].count("nil pointer dereference") <= 4

        await stash.stop()
        stash.change_database(f"UPDATE schema_migrations SET version = {version}")
        await stash.start()
        await made.daemon.until(lambda found: found["stash"]["state"] == "up", 30)
        status = await made.daemon.idle()
        assert status["queue"]["dead"] == 0
        assert shown(made, paths) == [f"Title {key}" for key in ids]


async def test_an_older_database_waits_and_is_migrated(tmp_path, plex):
    """With the database that an older release left, if there is one to make it."""
    older = os.environ.get("STASH_OLDER_BIN")
    if not older:
        pytest.skip("STASH_OLDER_BIN names no older Stash binary")
    stash, newer = RealStash(tmp_path / "stash"), os.environ["STASH_BIN"]
    paths = await make_videos(stash, 2)
    os.environ["STASH_BIN"] = older
    try:
        await stash.start()
        await stash.scan()
        ids = list((await stash.scenes()).values())
        for scene in ids:
            await stash.update(scene, title=f"Title {scene}", details="x")
        await stash.stop()
    finally:
        os.environ["STASH_BIN"] = newer
    await stash.start()
    try:
        for path in paths:
            plex.add(str(path), size=path.stat().st_size)
        settings = make_settings(stash, plex, tmp_path)
        async with running(settings, stash, plex) as daemon:
            await daemon.until(
                lambda found: (
                    found["stash"]["error"]
                    == "Stash waits for its database to be migrated: open its page"
                )
            )
            await stash.ask(
                "mutation M($i: MigrateInput!) { migrate(input: $i) }",
                i={"backupPath": ""},
            )
            await daemon.cataloged()
            await daemon.deliver(*ids)
            titles = sorted(one.text["title"] for one in plex.items.values())
            assert titles == [f"Title {key}" for key in sorted(ids)]
    finally:
        await stash.stop()


async def test_a_login_that_is_switched_on_and_a_key(described, tmp_path, plex):
    stash, paths = described
    plex.add(str(paths[0]), size=paths[0].stat().st_size)
    scene = (await stash.scenes())[str(paths[0])]
    async with world(stash, plex, tmp_path) as made:
        answer = await stash.ask(
            "mutation C($i: ConfigGeneralInput!)"
            " { configureGeneral(input: $i) { username } }",
            i={"username": "me", "password": "secret"},
        )
        assert answer["configureGeneral"]["username"] == "me"
        await made.daemon.post("sync", {"scene_ids": [scene]})
        denied = await made.daemon.until(lambda s: s["stash"]["state"] == "denied")
        assert denied["stash"]["error"].startswith("Stash now wants a login: set")
        assert denied["queue"]["dead"] == 0
    jar = aiohttp.CookieJar(unsafe=True)  # its host is a number
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        given = {"username": "me", "password": "secret"}
        await session.post(f"{stash.url}/login", data=given)
        asked = {"query": "mutation { generateAPIKey(input: {}) }"}
        async with session.post(f"{stash.url}/graphql", json=asked) as one:
            stash.key = (await one.json(content_type=None))["data"]["generateAPIKey"]
    await stash.stop()
    await stash.start()
    async with world(stash, plex, tmp_path) as made:
        await made.daemon.post("sync", {"scene_ids": [scene]})
        item = made.item(paths[0])
        assert await made.until(
            lambda: item.text.get("title") == f"Title {scene}" and item.picture("art")
        )


@pytest.mark.parametrize("external", ["", "https://stash.example/base"])
async def test_below_a_path_of_a_proxy(tmp_path, plex, external):
    more = {"external_host": external} if external else {}
    async with real_stash(tmp_path / "stash", **more) as stash:
        (path,) = await make_videos(stash, 1)
        await stash.scan()
        (scene,) = (await stash.scenes()).values()
        await stash.update(scene, title="Through a proxy", details="x")

        async def forward(request: web.Request) -> web.Response:
            below = request.rel_url.path.removeprefix("/sub/path")
            kept = ("Accept", "Content-Type", "ApiKey", "If-None-Match")
            headers = {k: request.headers[k] for k in kept if k in request.headers}
            async with (
                aiohttp.ClientSession() as session,
                session.request(
                    request.method,
                    f"{stash.url}{below}",
                    params=request.query,
                    data=await request.read(),
                    headers={**headers, "X-Forwarded-Prefix": "/sub/path"},
                    allow_redirects=False,
                ) as answer,
            ):
                told = ("Content-Type", "ETag", "Location")
                return web.Response(
                    status=answer.status,
                    body=await answer.read(),
                    headers={k: answer.headers[k] for k in told if k in answer.headers},
                )

        app = web.Application()
        app.router.add_route("*", "/sub/path/{rest:.*}", forward)
        item = plex.add(str(path), size=path.stat().st_size)
        async with serving(app) as url:
            for base in (stash.url, f"{url}/sub/path", f"{url}/sub/path/scenes?c=1"):
                item.uploads.clear()
                item.selected.clear()
                folder = tmp_path / base.rpartition(":")[2].replace("/", "_")
                given = {"stash": {"url": base}}
                async with world(stash, plex, folder, **given) as made:
                    await made.daemon.deliver(scene)
                    assert item.text["title"] == "Through a proxy"
                    assert item.picture("art"), base


async def test_covers_whose_blobs_are_away(described, tmp_path, plex):
    stash, paths = described
    for path in paths:
        plex.add(str(path), size=path.stat().st_size)
    ids = list((await stash.scenes()).values())
    async with world(stash, plex, tmp_path) as made:
        await made.daemon.post("sync", {"scene_ids": ids})
        await made.daemon.idle()
        before = [(i.picture("thumb"), i.picture("art")) for i in plex.items.values()]
        assert all(poster and art for poster, art in before)

        away = stash.blobs.with_name("elsewhere")
        await asyncio.to_thread(shutil.move, stash.blobs, away)
        for key in ids:
            await stash.update(key, title=f"Edited {key}")
        assert await made.until(
            lambda: shown(made, paths) == [f"Edited {key}" for key in ids]
        )
        status = await made.daemon.until(
            lambda found: found["gaps"]["picture"] == len(ids)
        )
        after = [(i.picture("thumb"), i.picture("art")) for i in plex.items.values()]
        assert after == before
        assert status["queue"]["dead"] == 0
        await made.daemon.until(
            lambda found: (
                (found["outages"]["current"] or {}).get("service") == "Stash pictures"
            )
        )

        await asyncio.to_thread(shutil.move, away, stash.blobs)
        # An edit looks again at once; by itself it takes a minute.
        await stash.update(ids[0], title="Back")
        await made.daemon.until(lambda found: found["gaps"]["picture"] < len(ids), 30)


async def test_a_cover_is_never_removed_by_null(described):
    stash, paths = described
    scene = (await stash.scenes())[str(paths[0])]
    async with StashClient.connect(StashSettings(url=stash.url)) as client:
        assert await client.lacks_cover(scene) is False
        before = await client.cover(scene)
        await stash.update(scene, cover_image=None)
        assert await client.lacks_cover(scene) is False
        assert (await client.cover(scene)).data == before.data
        assert (await client.cover(scene, before.etag)).unchanged


async def test_portraits_and_their_silhouettes(described):
    import base64

    stash, paths = described
    scene = (await stash.scenes())[str(paths[0])]
    data = f"data:image/jpeg;base64,{base64.b64encode(cover(3)).decode()}"
    seen = await stash.create("performer", "Seen", image=data)
    unseen = await stash.create("performer", "Unseen")
    await stash.update(scene, performer_ids=[seen, unseen])
    async with StashClient.connect(StashSettings(url=stash.url)) as client:
        found = (await client.scenes([scene], pictures=True))[scene]
        urls = {one.name: one.image for one in found.performers}
        assert urls["Unseen"] == ""
        assert (await client.picture(urls["Seen"])).data == cover(3)
        away = stash.blobs.with_name("elsewhere")
        await asyncio.to_thread(shutil.move, stash.blobs, away)
        assert (await client.picture(urls["Seen"])).is_known_to_be_none


async def test_covers_and_logos_that_are_svg(described):
    """Most placeholders are; these are of no use, and not lost."""
    import base64

    stash, paths = described
    scene = (await stash.scenes())[str(paths[0])]
    drawn = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
    data = f"data:image/svg+xml;base64,{base64.b64encode(drawn).decode()}"
    studio = await stash.create("studio", "Drawn", image=data)
    await stash.update(scene, cover_image=data, studio_id=studio)
    await stash.ask(
        "mutation C($i: SceneCreateInput!) { sceneCreate(input: $i) { id } }",
        i={"title": "No file, no cover"},
    )
    async with StashClient.connect(StashSettings(url=stash.url)) as client:
        with pytest.raises(PictureUnusable, match="SVG cannot be used; save it as"):
            await client.cover(scene)
        found = (await client.scenes([scene], pictures=True))[scene]
        with pytest.raises(PictureUnusable, match="SVG cannot be used"):
            await client.picture(found.studio_image)
        away = stash.blobs.with_name("elsewhere")
        await asyncio.to_thread(shutil.move, stash.blobs, away)
        with pytest.raises(PictureUnreadable):
            await client.cover(scene)
        assert (await client.picture(found.studio_image)).is_known_to_be_none
