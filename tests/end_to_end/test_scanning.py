"""A scene that Plex lacks has its folder scanned, once."""

from __future__ import annotations

import pytest

from tests.conftest import make_settings
from tests.running import running

SCANS = {"scan_new_scenes": True, "notifications": True}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("stash2plex.push.scanning._SETTLING", 0.2)


async def test_a_scan_that_plex_could_not_start_is_asked_for_again(
    stash, plex, tmp_path, monkeypatch
):
    monkeypatch.setattr("stash2plex.push.scanning._AGAIN", 0.05)
    plex.locations[1] = ["/media"]
    plex.read_status_of["/library/sections/1/refresh"] = 503
    stash.add("/media/new/1.mp4", title="New", tags=["t"])
    plex.on_disk.append("/media/new/1.mp4")
    settings = make_settings(stash, plex, tmp_path, plex=SCANS)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.until(lambda status: status["plex"]["listening"])
        await daemon.post("sync", {"scene_ids": [1]})
        asked = "/library/sections/1/refresh"
        await plex.facts.until(
            lambda: sum(path.startswith(asked) for _, path in plex.requests) > 1
        )
        plex.read_status_of.clear()
        await daemon.idle()

    assert plex.scans == ["/media/new"]
    assert [item.text["title"] for item in plex.items.values()] == ["New"]


async def test_one_scan_for_a_folder_brings_its_scenes(stash, plex, tmp_path):
    plex.locations[1] = ["/media"]
    for number in range(1, 6):
        stash.add(f"/media/new & old/{number}.mp4", title=f"New {number}", tags=["t"])
        plex.on_disk.append(f"/media/new & old/{number}.mp4")
    settings = make_settings(stash, plex, tmp_path, plex=SCANS)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.until(lambda status: status["plex"]["listening"])
        await daemon.deliver(1, 2, 3, 4, 5)

    assert plex.scans == ["/media/new & old"]
    titles = {item.text["title"] for item in plex.items.values()}
    assert titles == {f"New {number}" for number in range(1, 6)}


@pytest.mark.parametrize(
    ("path", "plex_settings"),
    [
        ("/media/one.mp4", {"scan_new_scenes": True}),  # that would be the library
        ("/elsewhere/sub/one.mp4", {"scan_new_scenes": True}),
        ("/media/sub/one.mp4", {}),
    ],
)
async def test_nothing_else_is_scanned(stash, plex, tmp_path, path, plex_settings):
    plex.locations[1] = ["/media"]
    scene = stash.add(path, title="T", tags=["t"])
    queue = {"not_found_attempts": 2}
    settings = make_settings(stash, plex, tmp_path, plex=plex_settings, queue=queue)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(scene.id)
        marker = stash.add("/media/marker/m.mp4", title="M", tags=["t"])
        await daemon.deliver(marker.id)
        if plex_settings:
            await plex.facts.until(lambda: "/media/marker" in plex.scans)

    assert path.rpartition("/")[0] not in plex.scans
    assert "" not in plex.scans


async def test_a_look_for_one_scene_finds_what_others_wait_for(
    stash, plex, tmp_path, monkeypatch
):
    """Whoever reads Plex's news first must tell, or the notification finds no news."""
    monkeypatch.setattr("stash2plex.catalog.catalog._NEWS_INTERVAL", 0.0)
    queue = {"not_found_base": 36_000.0, "not_found_cap": 36_000.0}
    for number in (1, 2):
        stash.add(f"/media/{number}.mp4", title=f"New {number}", tags=["t"])
    settings = make_settings(stash, plex, tmp_path, queue=queue)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        for number in (1, 2):
            await daemon.hook(number)
        await daemon.until(lambda status: status["queue"]["waiting"] == 2)
        item = plex.add("/media/1.mp4")
        await daemon.hook(2)
        await plex.facts.until(lambda: item.writes)
        status = await daemon.until(lambda status: status["deliveries"]["written"])

    assert item.text["title"] == "New 1"
    assert status["deliveries"]["written"] == 1


@pytest.mark.parametrize(
    ("location", "folder", "stash_folder", "plex_folder", "asked"),
    [
        (r"D:\Media", "Clips", r"^/data/(?P<rest>.+)$", "D:/Media", r"D:\Media\Clips"),
        (
            r"\\nas\media",
            "Clips",
            r"^/data/(?P<rest>.+)$",
            "//nas/media",
            r"\\nas\media\Clips",
        ),
        ("D:\\", "Clips", r"^/data/(?P<rest>.+)$", "D:", r"D:\Clips"),
        ("/media/", "Clips", r"^/data/(?P<rest>.+)$", "/media", "/media/Clips"),
        # The disk keeps this form of Unicode.
        (
            "/media",
            "Cafe\u0301",
            r"^/data/(?P<rest>.+)$",
            "/media",
            "/media/Cafe\u0301",
        ),
    ],
)
async def test_plex_is_asked_in_its_own_spelling(
    stash, plex, tmp_path, location, folder, stash_folder, plex_folder, asked
):
    plex.locations[1] = [location]
    stash.add(f"/data/{folder}/1.mp4", title="New", tags=["t"])
    rule = {"name": "v", "stash": stash_folder, "plex": f"^{plex_folder}/(?P<rest>.+)$"}
    settings = make_settings(stash, plex, tmp_path, plex=SCANS, path_rules=[rule])
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.post("sync", {"scene_ids": [1]})
        await plex.facts.until(lambda: plex.scans)

    assert plex.scans == [asked]


async def test_a_stash_on_windows_is_scanned_for_too(stash, plex, tmp_path):
    """And the case of a library's folder does not matter where a rule says so."""
    plex.locations[1] = [r"E:\VIDEO"]
    stash.add(r"C:\data\Clips\1.mp4", title="New", tags=["t"])
    rule = {
        "name": "v",
        "stash": "^C:/data/(?P<rest>.+)$",
        "plex": "^e:/video/(?P<rest>.+)$",
        "ignore_case": True,
    }
    settings = make_settings(stash, plex, tmp_path, plex=SCANS, path_rules=[rule])
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.post("sync", {"scene_ids": [1]})
        await plex.facts.until(lambda: plex.scans)

    assert plex.scans == [r"E:\VIDEO\Clips"]
