"""Pictures: shaped, signed, kept, and never a way to anything else in Stash."""

from __future__ import annotations

import asyncio
import io
import os
from datetime import timedelta

import pytest
from PIL import Image

from stash2plex.provider.cache import DiskCache
from stash2plex.sandbox.scenes import cover
from stash2plex.sandbox.stash_web import SILHOUETTE
from tests.end_to_end.test_covers import HEIC
from tests.provider.asking import providing

SECRET = "stash-key-that-nobody-may-see"


def drawn(width: int, height: int, kind: str = "JPEG", colour: str = "red") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(written, kind)
    return written.getvalue()


async def fetch(asking, url: str, status: int = 200, method: str = "GET"):
    async with asking.daemon.session.request(method, url) as answer:
        assert answer.status == status, await answer.text()
        return answer, await answer.read()


def size(data: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(data)).size


@pytest.mark.parametrize("shape", ["crop", "blur", "letterbox", "original"])
async def test_every_shape(stash, plex, tmp_path, shape):
    stash.add("/data/one.mp4", scene_id=7, cover=drawn(1920, 1080))
    provider = {"poster": shape}
    async with providing(stash, plex, tmp_path, provider=provider) as asking:
        found = await asking.metadata(7)
        by_kind = {one["type"]: one["url"] for one in await asking.images(7)}
        answer, poster = await fetch(asking, found["thumb"])
        _, art = await fetch(asking, found["art"])
        _, square = await fetch(asking, by_kind["backgroundSquare"])

    assert by_kind["coverPoster"] == found["thumb"]
    assert answer.content_type == "image/jpeg"
    assert int(answer.headers["Content-Length"]) == len(poster)
    width, height = size(poster)
    ratio = 16 / 9 if shape == "original" else 2 / 3
    assert width / height == pytest.approx(ratio, abs=0.01)
    assert art == stash.scenes[7].cover
    assert size(square) == (1080, 1080)


async def test_head_tells_what_get_sends(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, cover=cover(1))
    url = (await asking.metadata(7))["thumb"]

    head, nothing = await fetch(asking, url, method="HEAD")
    answer, data = await fetch(asking, url)

    assert nothing == b""
    for name in ("Content-Type", "Content-Length"):
        assert head.headers[name] == answer.headers[name]
    assert int(head.headers["Content-Length"]) == len(data)


async def test_a_background_is_16_9_whatever_the_cover(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, cover=drawn(600, 900, "PNG"))

    _, art = await fetch(asking, (await asking.metadata(7))["art"])

    width, height = size(art)
    assert width / height == pytest.approx(16 / 9, abs=0.01)


async def test_stashs_key_stays_here(stash, plex, tmp_path):
    stash.api_key = SECRET
    stash.add("/data/one.mp4", scene_id=7, cover=cover(1), performers=["P"])
    stash.portraits["performer", 1] = drawn(300, 400, "PNG")
    stash_settings = {"api_key": SECRET}
    async with providing(stash, plex, tmp_path, stash=stash_settings) as asking:
        document = await asking.get("/library/metadata/scene-7")
        found = document["MediaContainer"]["Metadata"][0]
        answer, data = await fetch(asking, found["Role"][0]["thumb"])

    assert SECRET not in str(document)
    assert answer.content_type == "image/png"
    assert data == stash.portraits["performer", 1]


async def test_placeholders_are_no_pictures(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, title="One", performers=["P"], studio="S")

    found = await asking.metadata(7)

    assert not found.keys() & {"thumb", "art", "Image"}
    assert found["Role"] == [{"tag": "P", "order": 1}]
    assert await asking.images(7) == []


async def test_a_url_changes_with_the_picture_and_only_then(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, cover=cover(1))
    first = (await asking.metadata(7))["thumb"]
    _, before = await fetch(asking, first)
    stash.change(7, title="Two")
    stash.scenes[7].updated_at += timedelta(seconds=5)
    await asking.daemon.hook(7)
    assert (await asking.metadata(7))["thumb"] == first
    stash.change(7, cover=cover(2))
    await asking.daemon.hook(7)

    second = (await asking.metadata(7))["thumb"]

    assert second != first
    _, after = await fetch(asking, second)
    assert after != before
    # Plex may still ask for the old one: it gets what there is.
    assert (await fetch(asking, first))[1] == after


async def test_a_cover_that_appears_and_one_that_goes(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, title="One")
    assert "thumb" not in await asking.metadata(7)
    stash.change(7, cover=cover(1))
    await asking.daemon.hook(7)
    url = (await asking.metadata(7))["thumb"]
    stash.change(7, cover=None)
    await asking.daemon.hook(7)

    assert "thumb" not in await asking.metadata(7)
    await fetch(asking, url, 404)


async def test_the_match_has_a_poster_without_asking_for_it(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, cover=cover(1))

    (found,) = await asking.match("one.mp4")

    assert stash.picture_requests == 0
    _, data = await fetch(asking, found["thumb"])
    assert size(data) == (120, 180)


async def test_a_file_on_disk_spares_stash(stash, plex, tmp_path):
    stash.add("/data/one.mp4", scene_id=7, cover=cover(1))
    async with providing(stash, plex, tmp_path) as asking:
        found = await asking.metadata(7)
        for name in ("thumb", "art", "thumb"):
            await fetch(asking, found[name])
        assert stash.picture_requests == 1
        path = found["thumb"].partition("/img/")[2]
    stash.status = 503
    async with providing_again(stash, plex, tmp_path) as asking:
        _, data = await fetch(asking, f"{asking.daemon.url}/img/{path}")
        assert size(data) == (120, 180)
        assert stash.picture_requests == 1


def providing_again(stash, plex, tmp_path):
    """The same data directory, while Stash is down: nothing can be listed."""
    from contextlib import asynccontextmanager

    from tests.conftest import make_settings
    from tests.provider.asking import Plex
    from tests.running import running

    @asynccontextmanager
    async def started():
        settings = make_settings(stash, plex, tmp_path)
        async with running(settings, stash, plex) as daemon:
            yield Plex(daemon)

    return started()


async def test_many_at_once_are_one_for_stash(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, cover=cover(1))
    (found,) = await asking.match("one.mp4")
    stash.latency = 0.05

    await asyncio.gather(*(fetch(asking, found["thumb"]) for _ in range(20)))

    assert stash.picture_requests == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("scene-7", "scene-8"),
        lambda url: url.replace("/poster", "/art"),
        lambda url: url.replace("v=", "v=0"),
        lambda url: url[:-1] + ("A" if url[-1] != "A" else "B"),
        lambda url: url.partition("&s=")[0],
        lambda url: url.partition("?")[0],
        lambda url: url.replace("/img/scene-7/poster", "/img/scene-7/stream"),
        lambda url: url.replace("/img/scene-7", "/img/..%2f..%2fgraphql"),
        lambda url: url + "%ff\u00e9",
    ],
)
async def test_a_tampered_url_is_404(asking, stash, change):
    stash.add("/data/one.mp4", scene_id=7, cover=cover(1))
    stash.add("/data/two.mp4", scene_id=8, cover=cover(2))
    url = (await asking.metadata(7))["thumb"]
    asked = stash.picture_requests

    answer, _ = await fetch(asking, change(url), 404)

    assert answer.content_type == "application/json"
    assert stash.picture_requests == asked


async def test_a_picture_of_something_that_is_gone(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, cover=cover(1))
    stash.add("/data/two.mp4", scene_id=8, performers=["P"])
    stash.portraits["performer", 1] = cover(1)
    (role,) = (await asking.metadata(8))["Role"]
    (match,) = await asking.match("one.mp4")
    del stash.names["performer"][1]
    stash.remove(7)

    await fetch(asking, role["thumb"], 404)
    await fetch(asking, match["thumb"], 404)


async def test_urls_survive_a_restart_but_not_another_key(stash, plex, tmp_path):
    stash.add("/data/one.mp4", scene_id=7, cover=cover(1))
    provider = {"public_url": "https://img.example.net"}
    async with providing(stash, plex, tmp_path, provider=provider) as asking:
        first = (await asking.metadata(7))["thumb"]
    async with providing(stash, plex, tmp_path, provider=provider) as asking:
        assert (await asking.metadata(7))["thumb"] == first
    key = tmp_path / "data" / "image.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.unlink()
    async with providing(stash, plex, tmp_path, provider=provider) as asking:
        second = (await asking.metadata(7))["thumb"]

    assert first.startswith("https://img.example.net/img/scene-7/poster?v=")
    assert second.partition("&s=")[0] == first.partition("&s=")[0]
    assert second != first


async def test_a_picture_that_is_none_and_one_that_is_huge(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, cover=b"not a picture")
    stash.add("/data/two.mp4", scene_id=8, cover=drawn(100, 100) + os.urandom(30 << 20))
    stash.add("/data/three.mp4", scene_id=9, cover=drawn(100, 100) + bytes(40 << 20))
    stash.picture_type = "image/jpeg"
    large = await asking.metadata(8)
    for name in ("thumb", "art"):
        _, data = await fetch(asking, large[name])
        assert len(data) < 1 << 20
    for scene_id, name in ((7, "one.mp4"), (9, "three.mp4")):
        (match,) = await asking.match(name)
        await fetch(asking, match["thumb"], 404)
        assert not {"thumb", "art", "Image"} & (await asking.metadata(scene_id)).keys()


async def test_a_picture_that_changed_behind_an_old_url(stash, plex, tmp_path):
    """What is fetched now is never kept under the name of what was there before."""
    stash.add("/data/one.mp4", scene_id=7, cover=cover(1))
    stash.add("/data/two.mp4", scene_id=8, cover=cover(1))
    async with providing(stash, plex, tmp_path) as asking:
        one, two = (await asking.metadata(7))["art"], (await asking.metadata(8))["art"]
        (one, two) = (url.partition("/img/")[2] for url in (one, two))
    for file in (tmp_path / "data" / "images").iterdir():
        file.unlink()
    stash.change(7, cover=cover(2))
    async with providing(stash, plex, tmp_path) as asking:
        base = f"{asking.daemon.url}/img/"

        assert (await fetch(asking, base + one))[1] == cover(2)
        assert (await fetch(asking, base + two))[1] == cover(1)


async def test_the_placeholder_of_a_performer_is_never_served(stash, plex, tmp_path):
    stash.add("/data/one.mp4", scene_id=7, performers=["P"], studio="S")
    stash.portraits["performer", 1] = cover(1)
    stash.portraits["studio", 1] = cover(2)
    async with providing(stash, plex, tmp_path) as asking:
        found = await asking.metadata(7)
        (role,), (logo,) = found["Role"], found["Image"]
        stash.portraits.clear()

        await fetch(asking, role["thumb"], 404)
        await fetch(asking, logo["url"], 404)


async def test_pictures_that_stash_cannot_read_are_not_replaced(stash, plex, tmp_path):
    """It shows a silhouette for a performer then, under the URL of the portrait."""
    stash.add(
        "/data/one.mp4", scene_id=7, performers=["P", "Q"], studio="S", cover=cover(3)
    )
    stash.portraits["performer", 1] = cover(1)
    stash.portraits["performer", 2] = cover(4)
    stash.portraits["studio", 1] = cover(2)
    async with providing(stash, plex, tmp_path) as asking:
        found = await asking.metadata(7)
        seen, new = found["Role"]
        (logo,) = (one for one in found["Image"] if one["type"] == "clearLogo")
        known = [found["thumb"], seen["thumb"], logo["url"]]
        before = [(await fetch(asking, url))[1] for url in known]
        stash.lost_blobs = True
        stash.change(7, title="Other")
        await asking.daemon.hook(7)

        after = await asking.metadata(7)
        assert after["thumb"] == found["thumb"]
        assert [(await fetch(asking, url))[1] for url in known] == before
        answer, _ = await fetch(asking, new["thumb"], 502)
        assert "Cache-Control" not in answer.headers

        stash.lost_blobs = False
        assert (await fetch(asking, new["thumb"]))[1] == cover(4)


async def test_a_silhouette_is_known_by_its_bytes(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, performers=["P"])
    stash.portraits["performer", 1] = SILHOUETTE
    (role,) = (await asking.metadata(7))["Role"]
    for _ in range(3):
        await fetch(asking, role["thumb"], 502)
    assert stash.picture_requests == 5  # the cover, three times it, once the other


async def test_a_picture_of_no_use_is_fetched_once(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, cover=HEIC)
    url = (await asking.match("one.mp4"))[0]["thumb"]
    for _ in range(3):
        await fetch(asking, url, 404)
    assert stash.picture_bytes == len(HEIC)


@pytest.mark.parametrize("how", ["uncertain", "HEIC"])
async def test_the_former_cover_stays_until_another_is_of_use(asking, stash, how):
    stash.add("/data/one.mp4", scene_id=7, title="One", cover=cover(1))
    first = (await asking.metadata(7))["thumb"]
    before = (await fetch(asking, first))[1]
    if how == "HEIC":
        stash.change(7, cover=HEIC)
    else:
        stash.become("v0.31.0", without=("SceneFilterType.is_missing",))
        stash.change(7, title="Other")
        stash.lost_blobs = True
    await asking.daemon.hook(7)

    assert (await asking.metadata(7))["thumb"] == first
    assert (await fetch(asking, first))[1] == before


async def test_an_older_picture_is_better_than_none(asking, stash):
    stash.add("/data/one.mp4", scene_id=7, cover=cover(1))
    old = (await asking.match("one.mp4"))[0]["thumb"]
    _, before = await fetch(asking, (await asking.metadata(7))["thumb"])
    stash.status = 503

    assert (await fetch(asking, old))[1] == before


@pytest.mark.parametrize("status", [401, 500, 302])
async def test_stash_refuses_a_picture(asking, stash, status):
    stash.add("/data/one.mp4", scene_id=7, title="One", cover=cover(1))
    (match,) = await asking.match("one.mp4")
    stash.picture_status = status

    answer, _ = await fetch(asking, match["thumb"], 502)

    assert answer.content_type == "application/json"
    # Metadata does not wait for pictures.
    assert (await asking.metadata(7))["title"] == "One"


async def test_the_cache_keeps_to_its_limit(tmp_path):
    folder = tmp_path / "images"
    cache = DiskCache(folder, 100)
    await cache.open()
    for name in "abc":
        await cache.put(name, bytes(40))
    assert await cache.get("a") is None
    assert await cache.get("b") == bytes(40)
    await cache.put("d", bytes(40))
    assert await cache.get("c") is None  # used longer ago than b
    await cache.put("huge", bytes(101))
    assert await cache.get("huge") is None
    (folder / "half.part").write_bytes(b"x")
    (folder / "b").unlink()
    assert await cache.get("b") is None

    again = DiskCache(folder, 100)
    await again.open()

    assert await again.get("d") == bytes(40)
    assert sorted(one.name for one in folder.iterdir()) == ["d"]


async def test_a_smaller_limit_and_none_at_all(tmp_path):
    folder = tmp_path / "images"
    cache = DiskCache(folder, 100)
    await cache.open()
    await cache.put("a", bytes(60))
    await cache.put("b", bytes(40))
    smaller = DiskCache(folder, 50)
    await smaller.open()
    assert await smaller.get("b") == bytes(40)
    assert await smaller.get("a") is None
    nothing = DiskCache(tmp_path / "other", 0)
    await nothing.open()
    await nothing.put("a", b"x")
    assert await nothing.get("a") is None
    assert not (tmp_path / "other").exists()


async def test_without_a_cache_pictures_are_served_all_the_same(stash, plex, tmp_path):
    stash.add("/data/one.mp4", scene_id=7, cover=cover(1))
    provider = {"image_cache_mb": 0}
    async with providing(stash, plex, tmp_path, provider=provider) as asking:
        found = await asking.metadata(7)
        _, data = await fetch(asking, found["art"])

    assert data == cover(1)


async def test_a_cache_that_cannot_be_written_costs_nothing_but_time(
    stash, plex, tmp_path, log_lines
):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "images").write_text("in the way")
    stash.add("/data/one.mp4", scene_id=7, cover=cover(1))
    async with providing(stash, plex, tmp_path) as asking:
        await fetch(asking, (await asking.metadata(7))["thumb"])

    assert any(line["event"] == "image_cache_unusable" for line in log_lines)
