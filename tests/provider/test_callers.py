"""Who may ask the provider and the metrics: no browser, and nobody by a name not ours.

A page of another site that somebody opens at home can have the browser call us, and
with DNS rebinding even read the answer.
"""

from __future__ import annotations

import asyncio
import socket

import pytest

from stash2plex.config_file import load
from stash2plex.provider.setup import root_path
from stash2plex.sandbox.agent import RegisteredProvider
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.provider.asking import IDENTIFIER
from tests.running import running

MATCH = "/plex/library/metadata/matches"
SCENE = "/plex/library/metadata/scene-1"
PUBLIC = "media.example.com"


async def status(daemon, path, *, host=None, method="GET", **more):
    headers = more.pop("headers", {}) | ({"Host": host} if host else {})
    asked = daemon.session.request(method, daemon.url + path, headers=headers, **more)
    async with asked as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_no_page_may_ask(daemon, headers):
    sample(daemon.stash, daemon.plex)
    body = {"type": 1, "title": "x", "filename": "/data/from-a-page.mp4"}
    for path in ("/plex", SCENE, "/metrics"):
        assert (await status(daemon, path, headers=headers))[0] == 403
    code, _ = await status(daemon, MATCH, method="POST", json=body, headers=headers)

    assert code == 403
    assert (await daemon.get("gaps"))["gaps"] == []


@pytest.mark.parametrize(
    "type_",
    [
        "text/plain",
        "text/plain;charset=UTF-8",
        "Text/Plain ; x=y",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ],
)
async def test_bodies_that_pages_can_send_are_refused(daemon, type_):
    code, text = await status(
        daemon,
        MATCH,
        method="POST",
        data=b'{"type": 1, "title": "x", "filename": "/data/a.mp4"}',
        headers={"Content-Type": type_},
    )

    assert (code, "send application/json" in text) == (415, True)


@pytest.mark.parametrize("type_", [None, "application/json", "application/xml", "x"])
async def test_other_bodies_are_read_as_json(daemon, type_):
    code, _ = await status(
        daemon,
        MATCH,
        method="POST",
        data=b'{"type": 1, "title": "x"}',
        headers={"Content-Type": type_} if type_ else {},
        **({} if type_ else {"skip_auto_headers": ["Content-Type"]}),
    )

    assert code == 200


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "192.168.1.5:9898",
        "[fd00::7]:9898",
        "stash2plex:9898",
        "localhost",
        "NAS.local",
        "nas.lan.",
        "nas.home.arpa",
        "host.docker.internal:9898",
        socket.gethostname(),
    ],
)
async def test_names_that_no_stranger_can_own(daemon, host):
    sample(daemon.stash, daemon.plex)
    for path in ("/plex", SCENE, "/metrics"):
        assert (await status(daemon, path, host=host))[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9898", "192.168.1.5.evil.example", "a<b"]
)
async def test_other_names_are_refused(daemon, host):
    sample(daemon.stash, daemon.plex)
    for path in (SCENE, f"{SCENE}/images", "/metrics"):
        code, text = await status(daemon, path, host=host)
        assert code == 421
        assert "add it to server.allowed_hosts" in text
    # Plex reads the root before it is registered, and others hold nothing or a token.
    for path in ("/plex", "/livez", "/readyz", "/plugin/index.yml", "/api/v1/status"):
        assert (await status(daemon, path, host=host))[0] == 200


async def test_a_refused_name_is_told_of_and_named_by_check(daemon, log_lines):
    for _ in range(5):
        await status(daemon, "/metrics", host="evil.example")
    found = (await daemon.get("health"))["findings"]
    (refused,) = [one for one in found if one["code"] == "provider_host"]

    assert refused["level"] == "warn"
    assert "'evil.example'" in refused["message"]
    assert "server.allowed_hosts" in refused["fix"]
    assert len([one for one in log_lines if one["event"] == "host_refused"]) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"server": {"allowed_hosts": [PUBLIC.upper()]}},
        {"provider": {"public_url": f"https://{PUBLIC}/s2p"}},
    ],
)
async def test_names_that_the_configuration_gives(stash, plex, tmp_path, more):
    async with running(
        make_settings(stash, plex, tmp_path, **more), stash, plex
    ) as daemon:
        for host in (PUBLIC, f"{PUBLIC}:443", PUBLIC.upper()):
            assert (await status(daemon, "/metrics", host=host))[0] == 200
        assert (await status(daemon, "/metrics", host="example.com"))[0] == 421


async def test_the_name_under_which_plex_has_us(stash, plex, settings):
    """Also while Plex is away, once it was read."""
    sample(stash, plex)
    plex.providers[IDENTIFIER] = RegisteredProvider(
        1, f"http://{PUBLIC}:9898/plex", IDENTIFIER, "Stash2Plex", "", ""
    )
    async with running(settings, stash, plex) as daemon:
        assert (await status(daemon, SCENE, host=PUBLIC))[0] == 200
    plex.status = 503
    async with running(settings, stash, plex) as daemon:
        assert (await status(daemon, SCENE, host=PUBLIC))[0] == 200
        assert (await status(daemon, SCENE, host="evil.example"))[0] == 421


async def test_an_upgraded_compose_set_up_changes_nothing(stash, plex, tmp_path):
    """The environment of the former compose.yaml, which set no secret."""
    sample(stash, plex)
    former = await asyncio.to_thread(
        load,
        None,
        {
            "STASH2PLEX_STASH__URL": "http://stash:9999",
            "STASH2PLEX_PLEX__URL": "http://host.docker.internal:32400",
            "STASH2PLEX_SERVER__TOKEN": "long-and-random",
        },
    )
    assert root_path(former.provider) == "/plex"
    made = make_settings(stash, plex, tmp_path)
    settings = made.model_copy(update={"provider": former.provider})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        # As Plex may have registered it: by the service, or by the published port.
        for host in ("stash2plex:9898", "host.docker.internal:9898", "172.17.0.1:9898"):
            code, text = await status(daemon, SCENE, host=host)
            assert code == 200
            assert f"http://{host}/img/" in text or '"Metadata"' in text
            code, text = await status(
                daemon,
                MATCH,
                host=host,
                method="POST",
                json={"type": 1, "title": "x", "filename": "/media/1.mp4"},
            )
            assert (code, "scene-1" in text) == (200, True), text


async def test_nobody_is_refused_while_plex_is_asked(stash, plex, settings):
    """Plex scans with several requests at once."""
    sample(stash, plex)
    plex.providers[IDENTIFIER] = RegisteredProvider(
        1, f"http://{PUBLIC}:9898/plex", IDENTIFIER, "Stash2Plex", "", ""
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        assert (await status(daemon, SCENE, host="evil.example"))[0] == 421
    plex.latency = 0.2
    async with running(settings, stash, plex) as daemon:
        asked = [status(daemon, SCENE, host=PUBLIC) for _ in range(8)]
        codes = [code for code, _ in await asyncio.gather(*asked)]
        found = {one["code"] for one in (await daemon.get("health"))["findings"]}

    assert codes == [200] * 8
    assert "provider_host" in found  # of the other name
