"""Plex scans: the pretend PMS asks the provider as the real one does."""

from __future__ import annotations

import random

import pytest

from stash2plex.sandbox.scenes import cover, populate
from tests.provider.asking import IDENTIFIER, providing

RULES = (
    {
        "name": "archive",
        "stash": r"^/data/archive/(?P<year>\d{4})/(?P<rest>.+)$",
        "plex": r"^/media/by-year/(?P<rest>.+)\.d/(?P<year>\d{4})$",
    },
    {
        "name": "new",
        "stash": r"^/data/new/(?P<rest>.+)$",
        "plex": r"^/media/new/(?P<rest>.+)$",
    },
)
TEXT = {
    "title": "title",
    "summary": "summary",
    "studio": "studio",
    "tagline": "tagline",
    "contentRating": "contentRating",
    "originallyAvailableAt": "originallyAvailableAt",
}
TAGS = {
    "genre": "Genre",
    "actor": "Role",
    "director": "Director",
    "collection": "Collection",
}


async def use(asking, plex):
    await plex.use_provider(f"{asking.daemon.url}{asking.root}")


@pytest.mark.timeout(120)
async def test_a_thousand_files_through_two_rules(stash, plex, tmp_path):
    plex.locations[1] = ["/media/by-year", "/media/new"]
    plex.filename_starts_with_slash = True
    wanted: dict[str, int | None] = {}
    chance = random.Random(7)
    for number in range(1000):
        folder = "/".join(f"dir {chance.randrange(5)}" for _ in range(number % 4))
        # Half the names are in use many times over.
        name = f"{folder}/clip {number % 50 if number % 2 else number}.mp4".lstrip("/")
        year = 2000 + number % 20
        rule = number % 3
        in_stash = f"/data/archive/{year}/a{number}/{name}"
        in_plex = f"/media/by-year/a{number}/{name}.d/{year}"
        if rule:
            in_stash, in_plex = (
                f"/data/new/{number}/{name}",
                f"/media/new/{number}/{name}",
            )
        if number % 10 == 9:
            in_plex = in_plex.replace("clip", "unknown")
            wanted[in_plex] = None
        else:
            scene = stash.add(in_stash, size=number + 1, title=f"Scene {number}")
            wanted[in_plex] = scene.id
    async with providing(stash, plex, tmp_path, path_rules=RULES) as asking:
        await use(asking, plex)
        items = await plex.scan(*wanted)
        status = await asking.daemon.status()
        gaps = {one["path"] for one in await asking.gaps("missing_in_stash")}

    found = {item.files[0][0]: item.guid for item in items}
    assert found == {
        path: f"{IDENTIFIER}://movie/scene-{scene_id}"
        if scene_id
        else f"local://{item.rating_key}"
        for item, (path, scene_id) in zip(items, wanted.items(), strict=True)
    }
    assert status["provider"]["matched"] == 900
    assert status["provider"]["unmatched"] == 100
    assert status["gaps"]["missing_in_stash"] == len(gaps) == 100
    assert plex.provider_client.complaints == []


async def test_a_scan_brings_everything_at_once(asking, stash, plex):
    stash.add(
        "/data/one.mp4",
        scene_id=7,
        title="One",
        details="First.\nSecond.",
        date="2024-05",
        studio="Studio",
        director="D",
        code="C-1",
        tags=["b", "a"],
        performers=["Zoe", "Ann"],
        groups=["Series"],
        cover=cover(1),
    )
    stash.portraits["performer", 2] = cover(2)
    await use(asking, plex)

    (item,) = await plex.scan("/media/one.mp4")

    assert item.text == {
        "title": "One",
        "titleSort": "One",
        "summary": "First.\nSecond.",
        "studio": "Studio",
        "tagline": "C-1",
        "contentRating": "XXX",
        "originallyAvailableAt": "2024-05-01",
        "year": "2024",
    }
    assert item.tags == {
        "genre": ["a", "b"],
        "actor": ["Ann", "Zoe"],
        "director": ["D"],
        "collection": ["Studio", "Series"],
    }
    assert item.provided["art"] == cover(1)
    assert set(item.provided) == {"thumb", "art"}
    assert set(item.people) == {"Ann"}
    assert plex.provider_client.complaints == []


async def test_fix_match_by_hand(asking, stash, plex):
    stash.add("/data/a.mp4", scene_id=7, title="Late Checkout")
    await asking.know(7)
    await use(asking, plex)
    (item,) = await plex.scan("/media/unsorted/lc_final.mp4")
    assert item.guid.startswith("local://")
    url = f"{plex.url}/library/metadata/{item.rating_key}"
    headers = {"X-Plex-Token": plex.token}
    session = asking.daemon.session
    async with session.get(
        f"{url}/matches?manual=1&title=late checkout", headers=headers
    ) as answer:
        results = await answer.text()
    assert "scene-7" in results

    guid = f"{IDENTIFIER}://movie/scene-7"
    async with session.put(
        f"{url}/match", params={"guid": guid, "name": "x"}, headers=headers
    ) as answer:
        assert answer.status == 200

    assert item.text["title"] == "Late Checkout"
    assert plex.provider_client.complaints == []


async def test_push_completes_what_plex_took(stash, plex, tmp_path, monkeypatch):
    """The rating, removed tags, and the item that only its guid leads to."""
    monkeypatch.setattr("stash2plex.provider.completion._SETTLING", 0.05)
    monkeypatch.setattr("stash2plex.catalog.catalog._NEWS_INTERVAL", 0.0)
    stash.add("/data/one.mp4", scene_id=7, title="One", rating100=80, tags=["a", "b"])
    stash.add("/far/away.mp4", scene_id=8, title="Two", rating100=60, tags=["c"])
    async with providing(stash, plex, tmp_path) as asking:
        await use(asking, plex)
        (item,) = await plex.scan("/media/one.mp4")
        await plex.facts.until(lambda: item.text.get("userRating") == "8.0")
        (other,) = await plex.scan("/media/renamed.mp4")
        other.guid = f"{IDENTIFIER}://movie/scene-8"
        assert await plex.refresh(other)
        await plex.facts.until(lambda: other.text.get("userRating") == "6.0")
        await asking.daemon.idle()
        stash.change(7, tags=["b"])
        await asking.daemon.hook(7, fields=["tag_ids"])
        await plex.facts.until(lambda: item.tags["genre"] == ["b"])
        await asking.daemon.idle()
        writes = item.writes
        assert await plex.refresh(item)
        await asking.daemon.deliver(7)

    assert item.tags["genre"] == ["b"]
    assert item.writes == writes + 1  # the refresh itself; nothing to put right


async def test_what_is_served_is_what_push_writes(stash, plex, tmp_path):
    """For scenes of all sorts, field by field and in order."""
    populate(stash, None, 40)
    chance = random.Random(3)
    odd = [
        "",
        " spaced  out ",
        "\u00c9t\u00e9",
        "a\x00b",
        "\U0001f468\u200d\U0001f469",
        "x" * 400,
    ]
    for scene in stash.scenes.values():
        for name in ("title", "details", "code", "director"):
            if chance.random() < 0.5:
                setattr(scene, name, chance.choice(odd))
        scene.date = chance.choice(["", "2024", "2024-02", "2024-02-30", scene.date])
        scene.rating100 = chance.choice([None, 1, 55, 100])
        scene.tags = [stash.entity("tag", one) for one in chance.sample(odd, 3) if one]
        plex.add(
            scene.files[0][0].replace("/data", "/media", 1), size=scene.files[0][1]
        )
    async with providing(stash, plex, tmp_path) as asking:
        await asking.daemon.deliver(*stash.scenes)
        served = {key: await asking.metadata(key) for key in stash.scenes}
        pictures = {}
        for key, document in served.items():
            for name in ("thumb", "art"):
                async with asking.daemon.session.get(document[name]) as answer:
                    pictures[key, name] = await answer.read()

    for key, item in plex.items.items():
        document = served[key]
        for name, member in TEXT.items():
            assert item.text.get(name, "") == document.get(member, ""), (key, name)
        for name, member in TAGS.items():
            names = [one["tag"] for one in document.get(member, [])]
            assert item.tags.get(name, []) == names, (key, name)
        ratings = [f"{one['value']:.1f}" for one in document.get("Rating", [])]
        assert item.text.get("userRating", "") == "".join(ratings)
        for name in ("thumb", "art"):
            assert item.picture(name) == pictures[key, name], (key, name)


async def test_fields_that_are_switched_off_are_not_served(stash, plex, tmp_path):
    stash.add(
        "/data/one.mp4",
        scene_id=7,
        title="One",
        details="D",
        date="2024",
        rating100=80,
        tags=["t"],
        performers=["P"],
        studio="S",
        director="X",
        code="C",
        cover=cover(1),
    )
    names = "summary studio date rating performers tags director collections tagline"
    off = dict.fromkeys(
        [*names.split(), "content_rating", "poster", "background"], False
    )
    async with providing(stash, plex, tmp_path, sync={"fields": off}) as asking:
        found = await asking.metadata(7)

    assert set(found) == {
        *("ratingKey", "key", "guid", "type", "title", "titleSort", "duration")
    }
    assert stash.picture_requests == 0


async def test_without_push_the_provider_works_alone(stash, plex, tmp_path):
    stash.add("/data/one.mp4", scene_id=7, title="One", cover=cover(1))
    async with providing(stash, plex, tmp_path, sync={"enabled": False}) as asking:
        await use(asking, plex)
        (item,) = await plex.scan("/media/one.mp4")
        status = await asking.daemon.status()

    assert item.text["title"] == "One"
    assert status["queue"]["queued"] == status["queue"]["waiting"] == 0


async def test_an_outage_during_a_scan_leaves_no_false_no(asking, stash, plex):
    for number in range(1, 4):
        stash.add(f"/data/{number}.mp4", title=f"Scene {number}")
    await use(asking, plex)
    stash.status = 503

    items = await plex.scan(*(f"/media/{number}.mp4" for number in range(1, 4)))

    # Nothing is known of them yet, and nobody said that they are unknown.
    status = await asking.daemon.status()
    assert status["provider"]["unmatched"] == 0
    assert status["gaps"]["missing_in_stash"] == 0
    stash.status = None
    await asking.daemon.until(lambda status: status["stash"]["state"] == "up")
    again = await asking.scenes("1.mp4")
    assert again == [1]
    assert len(items) == 3
