"""The worked examples of Plex's documents, field by field.

What Stash does not know cannot be served: a scene has no country, and a performer no
name of a part.
"""

from __future__ import annotations

import re

import pytest

from stash2plex.sandbox.scenes import cover
from tests.provider.asking import EMPTY, IDENTIFIER, providing

BASE = "https://img.example.net"
BOX = "3f0c2d1e-7a55-4f0b-9a10-0d6a3f5b7c11"


@pytest.fixture
async def example(stash, plex, tmp_path):
    """The library of the examples: two scenes of one studio."""
    stash.add(
        "/data/North Harbor/North Harbor - 2024-05-17 - Late Checkout [1080p].mp4",
        scene_id=1234,
        title="Late Checkout",
        date="2024-05-17",
        details="Two guests meet in a quiet hotel.",
        code="NH-0457",
        studio="North Harbor",
        tags=["Drama", "Hotel"],
        director="R. Salgado",
        performers=["Ana Example", "Bruno Sample"],
        stash_ids=[BOX],
        rating100=84,
        duration=1626.44,
        cover=cover(1),
    )
    stash.add(
        "/data/other.mp4",
        scene_id=987,
        title="Late Checkout 2",
        date="2025-02-01",
        cover=cover(2),
    )
    stash.parents[1] = stash.entity("studio", "Harbor Network")
    stash.portraits["studio", 1] = cover(3)
    stash.portraits["performer", 1] = cover(4)
    provider = {"path": "/movie", "public_url": f"{BASE}/"}
    async with providing(stash, plex, tmp_path, provider=provider) as asking:
        await asking.know(1234, 987)
        yield asking


def unsigned(value):
    """Return a document with its image URLs as the examples have them."""
    if isinstance(value, dict):
        return {name: unsigned(one) for name, one in value.items()}
    if isinstance(value, list):
        return [unsigned(one) for one in value]
    if isinstance(value, str) and value.startswith(BASE):
        path, version = re.fullmatch(
            r"(.+)\?v=([0-9a-f]{12})&s=[\w-]{22}", value
        ).groups()
        assert version
        return path
    return value


async def test_automatic_match_with_a_file_name(example):
    found = await example.match(
        "North Harbor/North Harbor - 2024-05-17 - Late Checkout [1080p].mp4",
        title="North Harbor 2024-05-17 Late Checkout 1080p",
        year=2024,
        includeAdult=1,
    )

    assert unsigned(found) == [
        {
            "ratingKey": "scene-1234",
            "key": "/library/metadata/scene-1234",
            "guid": f"{IDENTIFIER}://movie/scene-1234",
            "type": "movie",
            "title": "Late Checkout",
            "originallyAvailableAt": "2024-05-17",
            "year": 2024,
            "summary": "Two guests meet in a quiet hotel.",
            "contentRating": "XXX",
            "isAdult": True,
            "score": 100,
            "thumb": f"{BASE}/img/scene-1234/poster",
            "Guid": [{"id": f"stashdb://{BOX}"}],
        }
    ]
    nothing = {"type": 1, "title": "x", "filename": "none.mp4"}
    path = "/library/metadata/matches"
    assert await example.ask("POST", path, json=nothing) == EMPTY


async def test_manual_match(example):
    found = await example.match(
        "unsorted/lc_final.mp4",
        title="late checkout",
        manual=1,
        includeAdult=1,
        excludeElements="Role,Genre",
    )

    assert [one["guid"].rpartition("-")[2] for one in found] == ["1234", "987"]
    assert (
        unsigned(found[0]).items()
        >= {
            "ratingKey": "scene-1234",
            "key": "/library/metadata/scene-1234",
            "type": "movie",
            "title": "Late Checkout",
            "year": 2024,
            "originallyAvailableAt": "2024-05-17",
            "score": 98,
            "thumb": f"{BASE}/img/scene-1234/poster",
        }.items()
    )
    assert (
        unsigned(found[1]).items()
        >= {
            "title": "Late Checkout 2",
            "year": 2025,
            "originallyAvailableAt": "2025-02-01",
            "thumb": f"{BASE}/img/scene-987/poster",
        }.items()
    )
    assert 85 < found[1]["score"] < 98


async def test_match_by_a_guid(example):
    for guid in (f"{IDENTIFIER}://movie/scene-1234", f"stashdb://{BOX}"):
        (found,) = await example.match(
            title="Late Checkout", guid=guid, manual=0, includeAdult=1
        )
        assert (found["ratingKey"], found["score"]) == ("scene-1234", 100)
    assert await example.match(title="Late Checkout", guid="tmdb://105") == []


async def test_metadata(example):
    found = await example.metadata(1234)

    assert unsigned(found) == {
        "ratingKey": "scene-1234",
        "key": "/library/metadata/scene-1234",
        "guid": f"{IDENTIFIER}://movie/scene-1234",
        "type": "movie",
        "title": "Late Checkout",
        "titleSort": "Late Checkout",
        "originallyAvailableAt": "2024-05-17",
        "year": 2024,
        "summary": "Two guests meet in a quiet hotel.",
        "tagline": "NH-0457",
        "studio": "North Harbor",
        "contentRating": "XXX",
        "isAdult": True,
        "duration": 1626440,
        "thumb": f"{BASE}/img/scene-1234/poster",
        "art": f"{BASE}/img/scene-1234/art",
        "Image": [
            {
                "type": "coverPoster",
                "url": f"{BASE}/img/scene-1234/poster",
                "alt": "Late Checkout",
            },
            {
                "type": "background",
                "url": f"{BASE}/img/scene-1234/art",
                "alt": "Late Checkout",
            },
            {
                "type": "clearLogo",
                "url": f"{BASE}/img/studio-1/logo",
                "alt": "North Harbor",
            },
        ],
        "Genre": [{"tag": "Drama"}, {"tag": "Hotel"}],
        "Studio": [{"tag": "North Harbor"}, {"tag": "Harbor Network"}],
        "Collection": [{"tag": "North Harbor"}],
        "Director": [{"tag": "R. Salgado", "role": "Director"}],
        "Role": [
            {
                "tag": "Ana Example",
                "order": 1,
                "thumb": f"{BASE}/img/performer-1/portrait",
            },
            {"tag": "Bruno Sample", "order": 2},
        ],
        "Guid": [{"id": f"stashdb://{BOX}"}],
        "Rating": [
            {"image": "themoviedb://image.rating", "type": "audience", "value": 8.4}
        ],
    }
    assert await example.get("/library/metadata/scene-1", 404) == EMPTY
    extras = "/library/metadata/scene-1234/extras?updating=1&X-Plex-Container-Size=50"
    assert await example.get(extras) == EMPTY


async def test_images(example):
    document = await example.get("/library/metadata/scene-987/images")

    assert unsigned(document) == {
        "MediaContainer": {
            "offset": 0,
            "totalSize": 3,
            "identifier": IDENTIFIER,
            "size": 3,
            "Image": [
                {
                    "type": kind,
                    "url": f"{BASE}/img/scene-987/{name}",
                    "alt": "Late Checkout 2",
                }
                for kind, name in (
                    ("coverPoster", "poster"),
                    ("background", "art"),
                    ("backgroundSquare", "square"),
                )
            ],
        }
    }
