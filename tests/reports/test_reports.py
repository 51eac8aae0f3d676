"""What users of neighbouring tools reported, tried here; see ``docs/reports.md``."""

from __future__ import annotations

import asyncio
import io
import os

import pytest
from aiohttp import web
from PIL import Image

from stash2plex.logs import Secrets
from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.scenes import cover
from stash2plex.sandbox.server import serving
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import PICTURES, sample
from tests.reconcile.test_reconcile import reconciled
from tests.running import running

MEGABYTE = 1024 * 1024


async def test_a_share_of_windows_is_mapped(stash, plex, tmp_path):
    stash.add("/data/30 Days (2005)/1.mp4", title="Thirty", tags=["t"], size=1)
    item = plex.add(r"\\10.0.0.49\Media\30 Days (2005)\1.mp4", size=2)
    rule = {
        "name": "share",
        "stash": "^/data/(?P<rest>.+)$",
        "plex": r"^\\\\10\.0\.0\.49\\Media\\(?P<rest>.+)$",
    }
    settings = make_settings(stash, plex, tmp_path, path_rules=[rule])
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
        told = await daemon.get("explain?q=scene:1")

    assert item.text["title"] == "Thirty"
    assert told["scenes"][0]["files"][0]["rule"] == "share"


async def test_libraries_whose_paths_begin_alike(stash, plex, tmp_path, monkeypatch):
    monkeypatch.setattr("stash2plex.push.scanning._SETTLING", 0.2)
    plex.sections[2] = "More"
    plex.locations = {1: ["/media/tv"], 2: ["/media/tv2"]}
    stash.add("/media/tv2/x/1.mp4", title="New", tags=["t"])
    settings = make_settings(stash, plex, tmp_path, plex={"scan_new_scenes": True})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.post("sync", {"scene_ids": [1]})
        await plex.facts.until(lambda: plex.scans)

    asked = [path for _, path in plex.requests if "/refresh?" in path]
    assert asked == ["/library/sections/2/refresh?path=%2Fmedia%2Ftv2%2Fx"]


async def test_two_libraries_of_one_title(stash, plex, tmp_path):
    plex.sections = {1: "Scenes", 2: "Scenes"}
    sample(stash, plex, 1)
    stash.add("/media/b.mp4", title="Other", tags=["t"])
    plex.add("/media/b.mp4", section=2)
    settings = make_settings(stash, plex, tmp_path, plex={"libraries": ["Scenes"]})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1, 2)

    assert [plex.items[key].text["title"] for key in (1, 2)] == ["Title 1", "Other"]


async def test_an_event_before_the_item_can_be_read(
    stash, plex, tmp_path, monkeypatch, log_lines
):
    monkeypatch.setattr("stash2plex.catalog.listener._REST", 0.2)
    stash.add("/media/late.mp4", title="Late", tags=["t"])
    settings = make_settings(
        stash,
        plex,
        tmp_path,
        plex={"notifications": True},
        queue={"not_found_base": 36_000.0, "not_found_cap": 36_000.0},
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.until(lambda s: s["plex"]["listening"])
        await daemon.hook(1)
        await daemon.until(lambda s: s["queue"]["waiting"] == 1)
        asked = len(plex.requests)
        plex._tell_item(7, state=5)
        await plex.facts.until(
            lambda: any("/metadata/7?" in path for _, path in plex.requests[asked:])
        )
        plex.tells = False
        item = plex.add("/media/late.mp4", rating_key=7)
        plex.tells = True
        plex._tell_item(7, state=5)
        await daemon.until(lambda s: s["deliveries"]["written"] == 1)

    assert item.text["title"] == "Late"
    assert "helper_crashed" not in {one["event"] for one in log_lines}


async def test_a_date_that_plex_shows_otherwise(daemon, stash, plex):
    plex.habits.shows_day_before = True
    _, item = sample(stash, plex, date="2024-07-29")
    await daemon.cataloged()
    await daemon.deliver(1)
    assert item.text["originallyAvailableAt"] == "2024-07-28"
    writes = item.writes
    for _ in range(3):
        run = await reconciled(daemon)
        assert run["gaps"]["drift"] == 0
        await daemon.deliver(1)
    assert item.writes == writes

    # Another day is another matter, whoever says so.
    item.text["originallyAvailableAt"] = "2001-01-01"
    item.updated_at += 100
    assert (await reconciled(daemon))["gaps"]["drift"] == 1
    await daemon.idle()
    assert item.text["originallyAvailableAt"] == "2024-07-28"
    stash.change(1, date="2024-08-02")
    await daemon.deliver(1)
    assert item.text["originallyAvailableAt"] == "2024-08-01"
    stash.change(1, date="")
    await daemon.deliver(1)
    assert item.text["originallyAvailableAt"] == ""


async def test_blanks_around_a_name_make_no_other_tag(daemon, stash, plex):
    _, item = sample(stash, plex, tags=[" Drama", "Drama", "Drama\u200b "])
    item.tags["genre"] = ["Drama ", " Old"]
    await daemon.cataloged()
    await daemon.deliver(1)
    assert item.tags["genre"] == ["Drama"]

    writes = item.writes
    await daemon.deliver(1)
    await reconciled(daemon)
    assert item.writes == writes


async def test_a_large_picture_is_made_smaller(stash, plex, tmp_path):
    plex.habits.largest_upload = 10 * MEGABYTE
    noise = Image.frombytes("RGB", (2400, 2000), os.urandom(2400 * 2000 * 3))
    written = io.BytesIO()
    noise.save(written, "PNG", compress_level=0)
    _, item = sample(stash, plex, cover=written.getvalue())
    settings = make_settings(
        stash, plex, tmp_path, sync=PICTURES, provider={"poster": "original"}
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        status = await daemon.deliver(1)

    assert len(written.getvalue()) > 10 * MEGABYTE
    assert status["queue"]["dead"] == 0
    assert MEGABYTE < len(item.picture("thumb") or b"") <= 10 * MEGABYTE


async def test_a_proxy_that_refuses_uploads_is_named(stash, plex, tmp_path):
    _, item = sample(stash, plex, cover=cover(1))
    plex.picture_status = 413
    settings = make_settings(
        stash, plex, tmp_path, sync=PICTURES, queue={"max_attempts": 2}
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.hook(1)
        status = await daemon.until(lambda s: s["queue"]["dead"] == 1)
        assert status["plex"]["breaker"] == "closed"
        assert item.text["title"] == "Title 1"
        (dead,) = (await daemon.get("dead"))["dead"]
        assert "HTTP 413" in dead["error"]
        assert "client_max_body_size" in dead["error"]
        plex.picture_status = None
        await daemon.post("dead/retry", {}, status=200)
        await daemon.idle()

    assert item.picture("thumb")


class SilentOnce(PretendPlex):
    """Its first socket takes the connection, and never answers a ping."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = 0

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        self.opened += 1
        self.facts.changed()
        if self.opened > 1:
            return await super()._socket(request)
        silent = web.WebSocketResponse(autoping=False)
        await silent.prepare(request)
        await asyncio.Event().wait()
        return silent


async def test_a_socket_that_falls_silent_is_opened_again(stash, tmp_path, monkeypatch):
    monkeypatch.setattr("stash2plex.plex.notifications._HEARTBEAT", 0.4)
    monkeypatch.setattr("stash2plex.catalog.listener._FIRST_WAIT", 0.1)
    plex = SilentOnce()
    async with serving(plex.app) as plex.url:
        stash.add("/media/late.mp4", title="Late", tags=["t"])
        settings = make_settings(
            stash,
            plex,
            tmp_path,
            plex={"notifications": True},
            queue={"not_found_base": 36_000.0, "not_found_cap": 36_000.0},
        )
        async with running(settings, stash, plex) as daemon:
            await daemon.cataloged()
            await daemon.hook(1)
            await daemon.until(lambda s: s["queue"]["waiting"] == 1)
            plex.tells = False
            item = plex.add("/media/late.mp4")
            await plex.facts.until(lambda: plex.opened > 1)
            await daemon.until(lambda s: s["deliveries"]["written"] == 1)

        assert item.text["title"] == "Late"


@pytest.mark.parametrize("status", [400, 401, 403, 502])
async def test_a_proxy_that_refuses_the_socket(
    stash, plex, tmp_path, monkeypatch, status
):
    monkeypatch.setattr("stash2plex.catalog.listener._FIRST_WAIT", 0.1)
    monkeypatch.setattr("stash2plex.catalog.listener._LONGEST_WAIT", 0.1)
    plex.read_status_of["/:/websockets"] = status
    sample(stash, plex)
    settings = make_settings(stash, plex, tmp_path, plex={"notifications": True})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        status_now = await daemon.deliver(1)
        assert status_now["plex"]["breaker"] == "closed"
        assert status_now["plex"]["listening"] is False
        assert plex.items[1].text["title"] == "Title 1"
        plex.read_status_of.clear()
        await daemon.until(lambda s: s["plex"]["listening"])


@pytest.mark.parametrize("sign", ["%3D", "%3d", "%253D", "%25253D"])
@pytest.mark.parametrize("name", ["X-Plex-Token", "apikey"])
def test_tokens_of_inner_urls_are_masked(name, sign):
    line = f"GET /photo?url=http%3A%2F%2Fh%2Fx%3F{name}{sign}abc123%26width=1"

    masked = Secrets(["configured"]).mask(line)

    assert "abc123" not in masked
    assert "width=1" in masked
