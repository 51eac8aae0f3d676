"""Covers that Stash has and cannot show, and covers that are of no use."""

from __future__ import annotations

import pytest

from stash2plex.sandbox.scenes import cover
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import PICTURES, sample
from tests.end_to_end.test_pictures import THEIRS, writes
from tests.reconcile.test_reconcile import reconciled
from tests.running import running

HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(2000)
UNREADABLE = (
    "Stash has a cover of this scene and cannot read it: is the folder of its blobs"
    " there, and is its storage type the one that they were written with?"
)


@pytest.fixture
def make(stash, plex, tmp_path, monkeypatch):
    monkeypatch.setattr("stash2plex.push.owed._FIRST_WAIT", 0.1)
    monkeypatch.setattr("stash2plex.push.owed._LONGEST_WAIT", 0.2)

    def made(**sync):
        settings = make_settings(stash, plex, tmp_path, sync=PICTURES | sync)
        return running(settings, stash, plex)

    return made


async def gaps(daemon, kind="picture"):
    return (await daemon.get(f"gaps?kind={kind}"))["gaps"]


async def test_a_cover_that_cannot_be_read_is_not_no_cover(make, stash, plex):
    _, item = sample(stash, plex, cover=cover(1))
    async with make() as daemon:
        await daemon.deliver(1)
        poster = item.picture("thumb")
        stash.lost_blobs = True
        stash.change(1, title="Edited meanwhile")
        status = await daemon.deliver(1)

        assert item.text["title"] == "Edited meanwhile"
        assert (item.picture("thumb"), item.picture("art")) == (poster, cover(1))
        assert status["queue"]["dead"] == 0
        assert status["gaps"]["picture"] == 1
        (gap,) = await gaps(daemon)
        assert (gap["scene"], gap["detail"]) == (1, UNREADABLE)
        run = await reconciled(daemon)
        await daemon.idle()
        assert run["state"] == "done"
        assert (item.picture("thumb"), item.picture("art")) == (poster, cover(1))

        # Once it can be read again it is looked at again, whatever anybody does.
        stash.scenes[1].cover = cover(2)  # no time of a change tells
        stash.lost_blobs = False
        await plex.facts.until(lambda: item.picture("art") == cover(2))
        status = await daemon.idle()
        assert status["gaps"]["picture"] == 0


async def test_many_in_a_row_are_an_outage_of_pictures(make, stash, plex):
    for number in range(1, 9):
        sample(stash, plex, number, cover=cover(number))
    items = [plex.items[number] for number in range(1, 9)]
    async with make() as daemon:
        await daemon.deliver(*range(1, 9))
        before = [item.picture("art") for item in items]
        stash.lost_blobs = True
        for number in range(1, 9):
            stash.change(number, title=f"Edited {number}")
        await daemon.deliver(*range(1, 9))

        status = await daemon.until(lambda found: found["outages"]["current"])
        assert status["outages"]["current"]["service"] == "Stash pictures"
        assert "cannot read" in status["outages"]["current"]["cause"]
        assert "cannot read" in status["stash"]["error"]
        assert (status["stash"]["state"], status["queue"]["dead"]) == ("up", 0)
        assert [item.picture("art") for item in items] == before
        assert [item.text["title"] for item in items] == [
            f"Edited {number}" for number in range(1, 9)
        ]
        assert len(await gaps(daemon)) == 8
        deletions = [path for how, path in writes(plex) if how == "DELETE"]
        assert deletions == []

    # A restart in between forgets nothing.
    async with make() as daemon:
        status = await daemon.until(lambda found: found["outages"]["current"])
        stash.lost_blobs = False
        await daemon.until(lambda found: found["gaps"]["picture"] == 0)
        await daemon.until(lambda found: found["outages"]["current"] is None)
        assert (await daemon.status())["stash"]["error"] is None


async def test_a_new_library_with_lost_covers_gets_them_later(make, stash, plex):
    for number in range(1, 4):
        sample(stash, plex, number, cover=cover(number))
    stash.lost_blobs = True
    async with make() as daemon:
        await daemon.deliver(1, 2, 3)
        assert [plex.items[n].picture("art") for n in (1, 2, 3)] == [None] * 3
        stash.lost_blobs = False
        await plex.facts.until(
            lambda: all(plex.items[n].picture("art") == cover(n) for n in (1, 2, 3))
        )


async def test_a_scene_that_has_none_is_asked_about_once(make, stash, plex):
    _, item = sample(stash, plex, cover=cover(1))
    async with make() as daemon:
        await daemon.deliver(1)
        stash.change(1, cover=None)
        await daemon.deliver(1)
        assert item.picture("art") is None
        asked = stash.operations["Stash2PlexCount"]
        assert asked == 1
        assert await gaps(daemon) == []


async def test_a_release_that_cannot_tell_removes_nothing(make, stash, plex):
    _, item = sample(stash, plex, cover=cover(1))
    stash.become("v0.31.0", without=("SceneFilterType.is_missing",))
    async with make() as daemon:
        await daemon.deliver(1)
        stash.change(1, cover=None, title="x")
        status = await daemon.deliver(1)
        assert item.text["title"] == "x"
        assert item.picture("art") == cover(1)
        assert (status["queue"]["dead"], status["gaps"]["picture"]) == (0, 0)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (HEIC, "HEIC cannot be read here; save it as JPEG, PNG or WebP in Stash"),
        (cover(1)[: len(cover(1)) // 2], "the JPEG is damaged"),
        (
            b'<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>',
            "SVG cannot be used; save it as JPEG, PNG or WebP in Stash",
        ),
        (b"<html>a page</html>", "Stash answered text/html for a picture"),
        (b"\xff\xd8\xff" + bytes(33 * 1024 * 1024), "larger than 32 MB"),
    ],
    ids=["HEIC", "truncated", "SVG", "HTML", "large"],
)
async def test_a_cover_of_no_use_costs_one_download(make, stash, plex, data, says):
    _, item = sample(stash, plex, cover=data)
    stash.add("/media/none.mp4")  # what stands for no cover is learned from it
    item.provided["thumb"] = THEIRS
    async with make() as daemon:
        status = await daemon.deliver(1)
        assert item.text["title"] == "Title 1"
        assert (status["queue"]["dead"], status["gaps"]["picture"]) == (0, 1)
        (gap,) = await gaps(daemon)
        assert says in gap["detail"]
        assert stash.picture_bytes <= len(data) + 100
        fetched, first_seen = stash.picture_bytes, gap["first_seen"]

        for title in ("One", "Two"):
            stash.change(1, title=title)
            status = await daemon.deliver(1)
        await daemon.deliver(1)  # and nothing changed
        run = await reconciled(daemon)
        status = await daemon.idle()

        assert item.text["title"] == "Two"
        assert stash.picture_bytes == fetched
        assert (status["queue"]["dead"], status["gaps"]["picture"]) == (0, 1)
        assert run["enqueued"] == 0
        (gap,) = await gaps(daemon)
        assert says in gap["detail"]
        assert gap["first_seen"] == first_seen
        assert item.picture("thumb") == THEIRS

        stash.change(1, cover=cover(2))
        status = await daemon.deliver(1)
        assert item.picture("art") == cover(2)
        assert status["gaps"]["picture"] == 0


async def test_a_failed_picture_is_a_gap_and_its_text_is_delivered(make, stash, plex):
    _, item = sample(stash, plex, cover=cover(1))
    stash.picture_status = 418
    async with make() as daemon:
        status = await daemon.deliver(1)
        assert item.text["title"] == "Title 1"
        assert status["queue"]["dead"] == 1
        (gap,) = await gaps(daemon)
        assert "HTTP 418" in gap["detail"]
        run = await reconciled(daemon)
        await daemon.idle()
        assert run["gaps"]["empty"] == run["gaps"]["missing_in_plex"] == 0
        assert len(await gaps(daemon)) == 1

        stash.picture_status = None
        stash.change(1, title="Again")
        status = await daemon.deliver(1)
        assert item.picture("art") == cover(1)
        assert status["gaps"]["picture"] == 0


@pytest.mark.parametrize(
    "external", ["https://stash.example/base", "http://elsewhere:1/a/scene/7/b"]
)
async def test_where_stash_says_that_it_is_does_not_matter(make, stash, plex, external):
    stash.external_host = external
    _, item = sample(stash, plex, cover=cover(1))
    async with make() as daemon:
        await daemon.deliver(1)
        assert item.picture("art") == cover(1)


async def test_what_can_be_read_again_is_enqueued_once(make, stash, plex):
    """Whatever becomes of it then; else it would be asked for until the end of days."""
    for number in range(1, 4):
        sample(stash, plex, number, cover=cover(number))
    stash.lost_blobs = True
    async with make() as daemon:
        await daemon.deliver(1, 2, 3)
        plex.status_of = dict.fromkeys((1, 2, 3), 409)
        plex.upload_status = 409
        stash.lost_blobs = False
        for number in range(1, 4):
            stash.change(number, title=f"Refused {number}")
        status = await daemon.until(lambda found: found["queue"]["dead"] == 3)
        fetched = stash.picture_requests
        looks = stash.operations["Stash2PlexScenes"]
        await daemon.post("reconcile", {"scope": "24h", "dry_run": True})
        await daemon.until(lambda found: (found["reconcile"]["last"] or {}).get("run"))
        status = await daemon.status()
        assert status["queue"]["dead"] == 3
        assert stash.picture_requests <= fetched + 1
        assert stash.operations["Stash2PlexScenes"] <= looks + 1


async def test_one_damaged_cover_is_no_outage(make, stash, plex, monkeypatch):
    _, item = sample(stash, plex, cover=cover(1))
    plex.add("/media/1.mp4", size=1)  # a second item of the same file
    stash.lost_blobs = True
    async with make() as daemon:
        for title in "ABCDEFGH":
            stash.change(1, title=title)
            await daemon.deliver(1)
        counted = stash.operations["Stash2PlexCount"]
        await stash.facts.until(
            lambda: stash.operations["Stash2PlexCount"] > counted + 7
        )
        assert item.text["title"] == "H"
        status = await daemon.status()
        assert (status["outages"]["current"], status["stash"]["error"]) == (None, None)


async def test_an_outage_ends_with_the_scenes_that_are_gone(make, stash, plex):
    for number in range(1, 9):
        sample(stash, plex, number, cover=cover(number))
    stash.lost_blobs = True
    async with make() as daemon:
        await daemon.deliver(*range(1, 9))
        await daemon.until(lambda found: found["outages"]["current"])
        for number in range(1, 9):
            stash.remove(number)  # no hook tells
        stash.lost_blobs = False
        status = await daemon.until(lambda s: s["outages"]["current"] is None)
        await daemon.until(lambda found: found["gaps"]["picture"] == 0)
        assert status["stash"]["error"] is None


async def test_an_outage_lasts_where_nothing_is_delivered(make, stash, plex):
    """As with the provider alone: no gaps tell of what could not be read."""
    for number in range(1, 9):
        sample(stash, plex, number, cover=cover(number))
    stash.lost_blobs = True
    async with make(enabled=False) as daemon:
        await daemon.cataloged()
        for number in range(1, 9):
            url = f"{daemon.url}/plex/library/metadata/scene-{number}"
            async with daemon.session.get(url) as answer:
                assert answer.status == 200
        await daemon.until(lambda found: found["outages"]["current"])
        counted = stash.operations["Stash2PlexCount"]
        await stash.facts.until(
            lambda: stash.operations["Stash2PlexCount"] > counted + 11
        )
        assert (await daemon.status())["outages"]["current"]
        stash.lost_blobs = False
        await daemon.until(lambda found: found["outages"]["current"] is None)


async def test_too_little_memory_is_tried_again(make, stash, plex, monkeypatch):
    from stash2plex import pictures

    _, item = sample(stash, plex, cover=cover(1))
    short = [True, True]

    def small(opened, *, keeps_alpha):
        if short and short.pop():
            raise MemoryError
        return real(opened, keeps_alpha=keeps_alpha)

    real = pictures._small
    monkeypatch.setattr(pictures, "_small", small)
    async with make() as daemon:
        status = await daemon.deliver(1)
        assert item.picture("thumb")
        assert (status["queue"]["dead"], status["gaps"]["picture"]) == (0, 0)


async def test_another_release_looks_again_at_what_was_of_no_use(
    make, stash, plex, monkeypatch
):
    sample(stash, plex, cover=HEIC)
    async with make() as daemon:
        await daemon.deliver(1)
        assert stash.picture_bytes == len(HEIC)
    monkeypatch.setattr("stash2plex.push.artwork.JUDGE", "another")
    async with make() as daemon:
        await daemon.deliver(1)
        assert stash.picture_bytes == 2 * len(HEIC)
        await daemon.deliver(1)
        assert stash.picture_bytes == 2 * len(HEIC)


async def test_a_cover_without_an_address_is_still_a_cover(make, stash, plex):
    _, item = sample(stash, plex, cover=cover(1))
    async with make() as daemon:
        await daemon.deliver(1)
        stash.odd[1] = {"paths": {"screenshot": None}}
        stash.change(1, title="No address")
        await daemon.deliver(1)
        assert item.text["title"] == "No address"
        assert item.picture("art") == cover(1)
        assert item.picture("thumb")


@pytest.mark.parametrize("fields", [{"background": False}, {"poster": False}])
async def test_one_picture_of_no_use_is_fetched_once_too(make, stash, plex, fields):
    sample(stash, plex, cover=HEIC)
    async with make(fields=PICTURES["fields"] | fields) as daemon:
        await daemon.deliver(1)
        stash.change(1, title="Other")
        await daemon.deliver(1)
        assert stash.picture_bytes == len(HEIC)


async def test_an_outage_ends_where_only_damaged_covers_are_left(make, stash, plex):
    for number in range(1, 9):
        sample(stash, plex, number, cover=cover(number))
    stash.lost_blobs = True
    async with make() as daemon:
        await daemon.deliver(*range(1, 9))
        await daemon.until(lambda found: found["outages"]["current"])
        stash.lost_blobs = False
        stash.damaged = set(range(1, 9))
        for number in range(9, 60):
            sample(stash, plex, number, cover=cover(number))
        await daemon.post("reconcile", {"scope": "all"})
        await daemon.until(lambda found: found["outages"]["current"] is None)
        await daemon.until(lambda found: found["gaps"]["picture"] == 8)


@pytest.mark.parametrize("status", [302, 401, 403])
async def test_a_proxy_that_guards_pictures_alone(make, stash, plex, status):
    _, item = sample(stash, plex, cover=cover(1))
    stash.picture_status = status
    async with make() as daemon:
        found = await daemon.deliver(1)
        assert item.text["title"] == "Title 1"
        assert (found["stash"]["state"], found["queue"]["dead"]) == ("up", 1)
        assert (await daemon.get("outages"))["outages"] == []
        (gap,) = await gaps(daemon)
        assert (
            f"HTTP {status}; does a proxy guard /scene/1/screenshot?" in gap["detail"]
        )
