"""StashClient over real GraphQL and HTTP, against a pretend Stash."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest
from pydantic import SecretStr

from stash2plex.config import StashSettings
from stash2plex.errors import (
    AccessDenied,
    PictureFailed,
    SchemaMismatch,
    ServerFault,
    ServiceUnavailable,
)
from stash2plex.sandbox.scenes import cover
from stash2plex.sandbox.schema import schema
from stash2plex.sandbox.server import serving
from stash2plex.sandbox.stash import PretendStash
from stash2plex.scene import Performer
from stash2plex.stash.answers import parsed_time, rebased
from stash2plex.stash.client import StashClient
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.running import running


async def pages(client, **filters):
    return [one async for page in client.entries(**filters) for one in page]


@pytest.mark.parametrize("release", ["v0.30.1", "v0.25.1"])
async def test_a_scene_is_read_whole_from_every_release(release):
    stash = PretendStash(release=release)
    async with serving(stash.app) as url:
        stash.add(
            "/data/one.mp4",
            "/data/two.mp4",
            scene_id=7,
            title="One",
            details="Text",
            code="C-1",
            director="D",
            date="2024-05",
            rating100=80,
            organized=True,
            studio="Studio",
            performers=["P"],
            tags=["T"],
            groups=["Series"],
            stash_ids=["abc"],
        )
        async with StashClient.connect(StashSettings(url=url)) as client:
            scene = (await client.scenes([7]))[7]

    assert scene.title == "One"
    assert (scene.details, scene.code, scene.director) == ("Text", "C-1", "D")
    assert (scene.date, scene.rating100, scene.organized) == ("2024-05", 80, True)
    assert (scene.studio, scene.tags) == ("Studio", ("T",))
    assert scene.performers == (Performer(name="P", id=1),)
    assert scene.groups == ("Series",)
    assert [one.id for one in scene.stash_ids] == ["abc"]
    assert [file.path for file in scene.files] == ["/data/one.mp4", "/data/two.mp4"]
    assert scene.files[0].size == 1000
    assert scene.screenshot.startswith(f"{url}/scene/7/screenshot?t=")


async def test_a_missing_id_does_not_fail_the_rest(stash, stash_client):
    stash.add("/a.mp4", scene_id=1)
    stash.add(None, scene_id=3)

    scenes = await stash_client.scenes([1, 2, 3])

    assert scenes[1].id == 1
    assert scenes[2] is None
    assert scenes[3].files == ()
    assert stash.operations["Stash2PlexScenes"] == 1
    assert await stash_client.scenes([]) == {}


async def test_an_error_of_one_scene_is_its_own(stash, stash_client):
    stash.add("/a.mp4", scene_id=1)
    stash.add("/b.mp4", scene_id=2)
    stash.failing[1] = "Internal system error"

    scenes = await stash_client.scenes([1, 2])

    assert isinstance(scenes[1], ServerFault)
    assert "Internal system error" in str(scenes[1])
    assert scenes[2].id == 2


async def test_the_walk_goes_by_id_with_holes(stash, stash_client):
    stash_client._page_size = 10
    for number in range(1, 60, 2):
        stash.add(f"/{number}.mp4", scene_id=number)

    found = await pages(stash_client)

    assert [one.id for one in found] == list(range(1, 60, 2))
    assert found[0].files[0].path == "/1.mp4"


async def test_an_exact_path_in_spite_of_like(stash, stash_client):
    stash.add("/m/a_b%.mp4", scene_id=1)
    stash.add("/m/axbyy.mp4", scene_id=2)
    stash.add("/m/A_B%.mp4", scene_id=3)

    assert [one.id for one in await stash_client.entries_at("/m/a_b%.mp4")] == [1]


@pytest.mark.parametrize("kind", ["performer", "studio", "tag", "group"])
@pytest.mark.parametrize("release", ["v0.30.1", "v0.25.1"])
async def test_the_scenes_of_an_entity(kind, release):
    stash = PretendStash(release=release)
    async with serving(stash.app) as url:
        field = kind if kind == "studio" else f"{kind}s"
        for number in range(1, 26):
            value = "X" if kind == "studio" else ["X"]
            stash.add(f"/{number}.mp4", **({field: value} if number % 2 else {}))
        settings = StashSettings(url=url, page_size=10)
        async with StashClient.connect(settings) as client:
            found = [
                one
                async for page in client.scenes_of(kind, stash.entity(kind, "X"))
                for one in page
            ]

    assert found == list(range(1, 26, 2))


async def test_the_key_is_sent_only_when_there_is_one(stash, settings):
    stash.add("/a.mp4", scene_id=1)
    stash.api_key = "right-key"
    right = settings.stash.model_copy(update={"api_key": SecretStr("right-key")})
    async with StashClient.connect(right) as client:
        assert (await client.scenes([1]))[1].id == 1

    for key, message in (
        ("", "Stash now wants a login: set stash.api_key"),
        ("wrong-key", "Stash refused the API key: HTTP 401"),
    ):
        wrong = settings.stash.model_copy(update={"api_key": SecretStr(key)})
        async with StashClient.connect(wrong) as client:
            with pytest.raises(AccessDenied, match=message) as raised:
                await client.scenes([1])
            assert "right-key" not in str(raised.value)
            with pytest.raises(AccessDenied):
                await client.picture(f"{stash.url}/scene/1/screenshot")


async def test_a_key_that_stash_does_not_have_is_refused_too(stash, settings):
    extra = settings.stash.model_copy(update={"api_key": SecretStr("some-key")})
    async with StashClient.connect(extra) as client:
        with pytest.raises(AccessDenied, match="or to nothing if Stash has none"):
            await client.prove()


async def test_an_outage_passes(stash, stash_client):
    stash.add("/a.mp4", scene_id=1)
    for status in (500, 502, 503):
        stash.status = status
        with pytest.raises(ServiceUnavailable, match=str(status)):
            await stash_client.scenes([1])
    stash.status = None

    assert (await stash_client.scenes([1]))[1].id == 1


async def test_a_page_instead_of_json_names_the_remedy(stash, settings):
    wrong = settings.stash.model_copy(update={"url": f"{stash.url}/elsewhere"})
    async with StashClient.connect(wrong) as client:
        with pytest.raises(ServiceUnavailable, match=r"is stash\.url right"):
            await client.prove()


async def test_redirects_are_refused(stash, stash_client):
    stash.garbles = "<html>login</html>"
    with pytest.raises(ServiceUnavailable, match=r"is stash\.url right"):
        await stash_client.prove()


async def test_a_stash_that_hangs_is_given_up(stash, settings):
    quick = settings.stash.model_copy(update={"timeout": 0.1})
    stash.hangs = True
    async with StashClient.connect(quick) as client:
        with pytest.raises(ServiceUnavailable, match="no answer in time"):
            await client.prove()
        with pytest.raises(PictureFailed, match="no answer in time"):
            await client.picture(f"{stash.url}/scene/1/screenshot")


async def test_nobody_there(settings):
    nowhere = settings.stash.model_copy(update={"url": "http://127.0.0.1:9"})
    async with StashClient.connect(nowhere) as client:
        with pytest.raises(ServiceUnavailable, match="connection refused"):
            await client.prove()
        with pytest.raises(ServiceUnavailable, match="connection refused"):
            await client.picture("http://127.0.0.1:9/scene/1/screenshot")


@pytest.mark.parametrize(
    "answer",
    [
        '{"data": null}',
        '{"errors": null}',
        '{"errors": 5}',
        '{"data": {}}',
        '{"data": []}',
        '{"data": "x"}',
        '{"data": {"findScenes": null, "s0": 5}}',
        "[]",
        "5",
        "null",
    ],
)
async def test_json_that_is_no_answer_is_an_outage(stash, stash_client, answer):
    """Above all, a missing alias is not a deleted scene."""
    await stash_client.probe()
    stash.garbles = answer

    for ask in (
        stash_client.scenes([1]),
        pages(stash_client),
        stash_client.probe(),
    ):
        with pytest.raises((ServiceUnavailable, ServerFault)):
            await ask


async def test_an_error_without_a_path_makes_no_null_a_deletion(stash, stash_client):
    await stash_client.probe()
    stash.garbles = (
        '{"data": {"s0": null, "s1": null},'
        ' "errors": [{"message": "a", "path": ["s0"]}, {"message": "b"}]}'
    )

    with pytest.raises(ServerFault):
        await stash_client.scenes([1, 2])


async def test_another_release_behind_our_back_is_noticed(stash, stash_client):
    stash.add("/a.mp4", scene_id=1, groups=["G"])
    assert (await stash_client.scenes([1]))[1].groups == ("G",)

    stash.schema = schema("v0.25.1")
    stash.version = "v0.25.1"

    assert (await stash_client.scenes([1]))[1].groups == ("G",)
    assert stash_client.version == "v0.25.1"


async def test_a_query_no_release_understands_says_so(stash, stash_client):
    from graphql import build_schema

    stash.schema = build_schema("type Query { version: V } type V { version: String }")

    with pytest.raises(SchemaMismatch, match="older than v0"):
        await stash_client.scenes([1])


async def test_ping_asks_little_and_notices_a_new_version(stash, stash_client):
    assert await stash_client.prove() == "v0.30.1"
    assert await stash_client.prove() == "v0.30.1"
    assert stash.operations["Stash2PlexProbe"] == 1
    stash.version = "v0.31.0"

    assert await stash_client.prove() == "v0.31.0"

    assert stash.operations["Stash2PlexProbe"] == 2


async def test_updated_since_is_left_to_us_to_compare(stash, stash_client):
    stash.zone = timezone(timedelta(hours=-5))
    scene = stash.add("/a.mp4", scene_id=1)

    (entry,) = await pages(stash_client, updated_since="2000-01-01T00:00:00")

    assert parsed_time(entry.updated_at) == scene.updated_at
    assert entry.updated_at.endswith("-05:00")
    assert parsed_time("") is None
    assert parsed_time("2026-01-01T00:00:00") is None


async def test_a_picture_comes_with_its_etag(stash, stash_client):
    stash.add("/a.mp4", scene_id=1, cover=cover(1))
    url = f"{stash.url}/scene/1/screenshot"

    first = await stash_client.picture(url)
    again = await stash_client.picture(url, first.etag)

    assert first.data == cover(1)
    assert first.etag
    assert (again.data, again.etag, again.unchanged) == (None, first.etag, True)


async def test_placeholders_are_no_pictures(stash, stash_client):
    stash.add("/a.mp4", scene_id=1)
    stash.add("/b.mp4", scene_id=2, cover=cover(2))

    assert (await stash_client.picture(f"{stash.url}/scene/1/screenshot")).data is None
    default = f"{stash.url}/scene/2/screenshot?default=true"
    assert (await stash_client.picture(default)).data is None


async def test_a_picture_that_is_none(stash, stash_client):
    stash.add("/a.mp4", scene_id=1, cover=cover(1))
    url = f"{stash.url}/scene/1/screenshot"
    stash.picture_type = "text/html"
    with pytest.raises(PictureFailed, match="text/html"):
        await stash_client.picture(url)
    stash.picture_status = 500
    with pytest.raises(PictureFailed, match="HTTP 500"):
        await stash_client.picture(url)


async def test_a_picture_that_is_too_large(stash, stash_client):
    stash.add("/a.mp4", scene_id=1, cover=b"\xff\xd8\xff" + bytes(33 * 1024 * 1024))

    with pytest.raises(PictureFailed, match="32 MB"):
        await stash_client.picture(f"{stash.url}/scene/1/screenshot")


@pytest.mark.parametrize(
    ("url", "base", "expected"),
    [
        (
            "http://0.0.0.0:9999/scene/1/screenshot?t=5",
            "http://s:1",
            "http://s:1/scene/1/screenshot?t=5",
        ),
        (
            "https://ext/stash/scene/1/x?apikey=k&t=5",
            "http://s/stash",
            "http://s/stash/scene/1/x?t=5",
        ),
        ("http://h/scene/1/x?APIKEY=k", "http://s/stash", "http://s/stash/scene/1/x"),
        ("", "http://s", ""),
    ],
)
def test_urls_are_rebuilt_on_our_base_without_a_key(url, base, expected):
    assert rebased(url, base) == expected


async def test_a_base_path_works():
    stash = PretendStash(base_path="/stash")
    async with serving(stash.app) as url:
        stash.add("/a.mp4", scene_id=1, cover=cover(1))
        async with StashClient.connect(StashSettings(url=f"{url}/stash/")) as client:
            scene = (await client.scenes([1]))[1]
            picture = await client.picture(scene.screenshot)

    assert picture.data == cover(1)


async def test_a_key_that_stash_echoes_is_stored_nowhere(stash, plex, tmp_path):
    """Status, dead letters and outages tell what Stash said, without our key."""
    stash.api_key = "stash-secret-key"
    settings = make_settings(
        stash, plex, tmp_path, stash={"url": stash.url, "api_key": stash.api_key}
    )
    sample(stash, plex, 1)
    stash.failing[1] = f"no context for ApiKey {stash.api_key} to be had"
    async with running(settings, stash, plex) as daemon:
        await daemon.hook(1)
        await daemon.until(lambda s: s["queue"]["dead"])
        found = [await daemon.get(one) for one in ("status", "dead", "queue", "gaps")]

    assert "no context for ApiKey *** to be had" in str(found)
    assert stash.api_key not in str(found)


async def test_half_a_character_in_an_error_is_spelled_out(stash, plex, tmp_path):
    """No stream and no database takes it."""
    stash.failing[1] = "no \ud800 here"
    sample(stash, plex, 1)
    async with running(make_settings(stash, plex, tmp_path), stash, plex) as daemon:
        await daemon.hook(1)
        await daemon.until(lambda s: s["queue"]["dead"])
        (dead,) = (await daemon.get("dead"))["dead"]

    assert "no \\ud800 here" in dead["error"]
