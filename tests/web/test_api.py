"""The HTTP face: what is accepted, ignored, refused, and how that is said."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import stat

import aiohttp
import pytest

from stash2plex.config import SyncSettings
from stash2plex.errors import AddressInUse, AlreadyRunning, InvalidRequest
from stash2plex.push.hooks import Hook, Ignored, Wanted, sort_out
from stash2plex.queue.job import Kind, Reason
from stash2plex.sandbox.stash import PretendStash
from stash2plex.web.validation import parsed
from tests.conftest import make_settings
from tests.running import running

SYNC = SyncSettings()


async def ask(daemon, method, path, **request):
    async with daemon.session.request(method, daemon.url + path, **request) as answer:
        return answer.status, await answer.json()


async def test_a_compressed_body_is_not_unpacked(daemon):
    body = gzip.compress(b" " * 10_000_000)
    found, document = await ask(
        daemon, "POST", "/api/v1/hooks", data=body, headers={"Content-Encoding": "gzip"}
    )

    assert (found, document["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("Scene.Update.Post", ("title",), Wanted(Kind.SCENE, 5, Reason.HOOK)),
        (
            "Scene.Update.Post",
            ("id", "ids", "rating100"),
            Wanted(Kind.SCENE, 5, Reason.HOOK),
        ),
        ("Scene.Update.Post", ("something_new",), Wanted(Kind.SCENE, 5, Reason.HOOK)),
        ("Scene.Update.Post", None, Wanted(Kind.SCENE, 5, Reason.EXPANDED)),
        ("Scene.Create.Post", None, Wanted(Kind.SCENE, 5, Reason.HOOK)),
        ("Scene.Destroy.Post", None, Wanted(Kind.SCENE, 5, Reason.HOOK)),
        ("Performer.Update.Post", ("name",), Wanted(Kind.PERFORMER, 5, Reason.HOOK)),
        ("Studio.Destroy.Post", None, Wanted(Kind.STUDIO, 5, Reason.HOOK)),
        ("Tag.Merge.Post", None, Wanted(Kind.TAG, 5, Reason.HOOK)),
        ("Group.Update.Post", None, Wanted(Kind.GROUP, 5, Reason.HOOK)),
        ("Movie.Update.Post", None, Wanted(Kind.GROUP, 5, Reason.HOOK)),
    ],
)
def test_hooks_that_are_worth_a_job(kind, fields, expected):
    assert sort_out(Hook(type=kind, id=5, fields=fields), SYNC) == expected


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("Scene.Update.Post", ("id", "o_counter")),
        ("Scene.Update.Post", ("play_count", "resume_time", "play_duration")),
        ("Scene.Update.Post", ("ids", "organized")),
        ("Scene.Update.Post", ("stash_ids",)),
        ("Tag.Create.Post", None),
        ("SceneMarker.Update.Post", None),
        ("Gallery.Update.Post", None),
        ("Scene.Explode.Post", None),
        ("nonsense", None),
    ],
)
def test_hooks_that_change_nothing_in_plex(kind, fields):
    assert isinstance(sort_out(Hook(type=kind, id=5, fields=fields), SYNC), Ignored)


def test_a_gate_makes_its_field_matter():
    gated = SyncSettings(require_organized=True, require_stash_id=True)

    for field in ("organized", "stash_ids"):
        hook = Hook(type="Scene.Update.Post", id=5, fields=(field,))
        assert isinstance(sort_out(hook, gated), Wanted)


@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        "x",
        7,
        {},
        {"type": "Scene.Update.Post"},
        {"type": "Scene.Update.Post", "id": "45"},
        {"type": "Scene.Update.Post", "id": True},
        {"type": "Scene.Update.Post", "id": 0},
        {"type": "Scene.Update.Post", "id": 2**63},
        {"type": "Scene.Update.Post", "id": 4.5},
        {"type": "", "id": 4},
        {"type": "x" * 500, "id": 4},
        {"type": 3, "id": 4},
        {"type": "Scene.Update.Post", "id": 4, "fields": "title"},
        {"type": "Scene.Update.Post", "id": 4, "files": []},
    ],
)
def test_hooks_that_make_no_sense_are_refused(body):
    with pytest.raises(InvalidRequest):
        parsed(Hook, body)


def test_a_hook_may_say_more_than_we_know():
    body = {
        "type": "Scene.Destroy.Post",
        "id": 4,
        "new": 1,
        "files": {"path": "/a", "oshash": None, "x": 1},
    }

    assert parsed(Hook, body).files.path == "/a"


async def test_hooks_over_http(daemon):
    queued = await daemon.hook(999)
    merged_or_queued = await daemon.hook(999)
    ignored = await daemon.hook(999, fields=["o_counter"])

    assert queued == {"outcome": "queued", "reason": None}
    assert merged_or_queued["outcome"] in {"queued", "merged"}
    assert ignored["outcome"] == "ignored"
    assert "never shows" in ignored["reason"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"[]", 400, "invalid_request"),
        (b"null", 400, "invalid_request"),
        (b"not json", 400, "invalid_request"),
        (b"", 400, "invalid_request"),
        (b"\xff\xfe", 400, "invalid_request"),
        (b"[" * 100_000, 400, "invalid_request"),
        (b'{"type": "Scene.Update.Post", "id": NaN}', 400, "invalid_request"),
        (b"x" * 2 * 1024 * 1024, 413, "request_entity_too_large"),
    ],
)
async def test_bad_bodies_are_refused_as_json(daemon, body, status, code):
    found, document = await ask(daemon, "POST", "/api/v1/hooks", data=io.BytesIO(body))

    assert (found, document["code"]) == (status, code)
    assert (await daemon.status())["queue"]["queued"] == 0


async def test_the_api_wants_the_token(daemon):
    for header in (
        "",
        "Bearer wrong",
        "Basic test-token",
        "Bearer test-token2",
        "Bearer \xff",
    ):
        for method, path in (
            ("GET", "/api/v1/status"),
            ("POST", "/api/v1/hooks"),
            ("GET", "/api/v1/nothing"),
        ):
            status, document = await ask(
                daemon, method, path, headers={"Authorization": header}
            )
            assert (status, document["code"]) == (401, "unauthorized")
            assert "test-token" not in document["message"]


async def test_life_and_readiness_want_no_token(daemon):
    for path in ("/livez", "/readyz"):
        status, document = await ask(daemon, "GET", path, headers={"Authorization": ""})
        assert (status, document) == (200, {"status": "ok"})


async def test_unknown_routes_and_methods_are_told_as_json(daemon):
    assert (await ask(daemon, "GET", "/nothing"))[1]["code"] == "not_found"
    status, document = await ask(daemon, "PUT", "/api/v1/status")
    assert (status, document["code"]) == (405, "method_not_allowed")


async def test_the_status_has_the_promised_shape(daemon, stash, plex):
    await daemon.cataloged()
    status = await daemon.until(lambda found: found["stash"]["version"])

    assert set(status) == {
        "version",
        "started_at",
        "queue",
        "deliveries",
        "plex",
        "stash",
        "catalog",
        "reconcile",
        "gaps",
        "outages",
        "provider",
    }
    assert status["queue"] == {
        "queued": 0,
        "waiting": 0,
        "running": 0,
        "dead": 0,
        "oldest_seconds": None,
    }
    assert status["plex"]["libraries"] == ["Scenes"]
    assert status["plex"]["version"] == plex.version
    assert status["stash"]["version"] == stash.version
    assert status["started_at"].endswith("Z")
    assert set(status["gaps"]) == {
        "empty",
        "stale",
        "drift",
        "missing_in_plex",
        "missing_in_stash",
        "unmapped",
        "ambiguous",
        "picture",
    }
    json.dumps(status)


async def test_sync_by_id_and_by_scope(daemon, stash, plex):
    for number in range(1, 8):
        stash.add(f"/{number}.mp4", title=f"T{number}", details="x")
        plex.add(f"/{number}.mp4")
    from datetime import timedelta

    for number in (1, 2):
        stash.scenes[number].updated_at -= timedelta(days=3)
        stash.scenes[number].created_at -= timedelta(days=30)
    stash.scenes[3].updated_at -= timedelta(days=30)
    stash.scenes[3].created_at -= timedelta(days=30)

    assert await daemon.post("sync", {"scene_ids": [1, 2, 2]}) == {"enqueued": 2}
    assert await daemon.post("sync", {"scope": "24h"}) == {"enqueued": 4}
    assert await daemon.post("sync", {"scope": "7d"}) == {"enqueued": 6}
    assert await daemon.post("sync", {"scope": "all"}) == {"enqueued": 7}
    await daemon.idle()
    assert all(item.text["title"] == f"T{key}" for key, item in plex.items.items())


@pytest.mark.parametrize("hours", [-10, 0, 9])
async def test_a_scope_is_right_in_every_zone(plex, tmp_path, hours):
    from datetime import timedelta, timezone

    from stash2plex.sandbox.server import serving

    stash = PretendStash()
    stash.zone = timezone(timedelta(hours=hours))
    async with serving(stash.app) as url:
        stash.url = url
        for number, age in enumerate((1, 23, 25, 200), 1):
            stash.add(f"/{number}.mp4", title="T", details="x")
            stash.scenes[number].updated_at -= timedelta(hours=age)
            stash.scenes[number].created_at -= timedelta(days=99)
        settings = make_settings(stash, plex, tmp_path)
        async with running(settings, stash, plex) as daemon:
            assert await daemon.post("sync", {"scope": "24h"}) == {"enqueued": 2}


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"scope": "all", "scene_ids": [1]},
        {"scope": "1h"},
        {"scene_ids": ["1"]},
        {"scene_ids": [0]},
        {"scope": "all", "typo": 1},
    ],
)
async def test_a_sync_that_makes_no_sense_is_refused(daemon, body):
    document = await daemon.post("sync", body, status=400)

    assert document["code"] == "invalid_request"


async def test_a_sync_without_stash_says_so(daemon, stash):
    stash.status = 503

    assert (await daemon.post("sync", {"scope": "all"}, status=503))[
        "code"
    ] == "service_unavailable"


async def test_a_token_is_made_once_and_kept_private(stash, plex, tmp_path):
    settings = make_settings(stash, plex, tmp_path, server={"token": ""})
    file = settings.server.data_dir / "token"
    tokens = []
    for _ in range(2):
        async with running(settings, stash, plex) as daemon:
            tokens.append(file.read_text().strip())
            headers = {"Authorization": f"Bearer {tokens[-1]}"}
            status, _ = await ask(daemon, "GET", "/api/v1/status", headers=headers)
            assert status == 200

    assert tokens[0] == tokens[1]
    assert len(tokens[0]) > 30
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_two_daemons_refuse_each_other(daemon, stash, plex):
    other_port = make_settings(stash, plex, daemon.settings.server.data_dir.parent)
    with pytest.raises(AlreadyRunning, match="another daemon"):
        async with running(other_port, stash, plex):
            pass

    assert (await daemon.status())["plex"]


async def test_a_taken_port_is_named(daemon, stash, plex, tmp_path):
    taken = make_settings(
        stash,
        plex,
        tmp_path,
        server={"port": daemon.settings.server.port, "data_dir": tmp_path / "b"},
    )
    with pytest.raises(ExceptionGroup) as raised:
        async with running(taken, stash, plex):
            pass

    assert raised.group_contains(AddressInUse, match=r"server\.port")


async def test_a_thousand_hooks_at_once(daemon):
    await asyncio.gather(*(daemon.hook(number) for number in range(1, 1001)))

    status = await daemon.idle()

    assert status["deliveries"]["skipped"] == 1000


async def test_who_has_no_token_is_told_how_to_send_it(daemon):
    """The masking of tokens takes nothing of what helps away."""
    async with (
        aiohttp.ClientSession() as stranger,
        stranger.get(f"{daemon.url}/api/v1/status") as answer,
    ):
        told = (await answer.json())["message"]

    assert "as a bearer token in the Authorization header" in told
    assert "***" not in told


async def test_the_description_says_what_else_may_come(daemon):
    document = await daemon.get("openapi.json")
    paths = document["paths"]

    assert "404" in paths["/api/v1/reconcile/{run}"]["get"]["responses"]
    assert "200" in paths["/api/v1/sync"]["post"]["responses"]
    assert '"null"' not in json.dumps(document)


@pytest.mark.parametrize(
    "route", ["hooks", "sync", "recover", "reconcile", "dead/retry", "dead/clear"]
)
async def test_null_is_no_body(daemon, route):
    found, document = await ask(daemon, "POST", f"/api/v1/{route}", data=b"null")

    assert (found, document["code"]) == (400, "invalid_request")
