"""Servers that send us elsewhere: nobody else gets our tokens."""

from __future__ import annotations

import pytest
from aiohttp import web

from stash2plex.config import PlexSettings, StashSettings
from stash2plex.errors import ServiceUnavailable
from stash2plex.plex.notifications import Notifications
from stash2plex.sandbox.server import serving
from stash2plex.stash.client import StashClient

SECRET = "token-for-nobody-else"


@pytest.fixture
async def elsewhere():
    """A server that redirects everything to another, and what that one is sent."""
    sent = []

    async def collect(request):
        sent.append(dict(request.headers))
        return web.Response(status=404)

    other = web.Application()
    other.router.add_route("*", "/{tail:.*}", collect)
    async with serving(other) as there:
        target = there.replace("127.0.0.1", "localhost")

        async def redirect(_):
            raise web.HTTPFound(f"{target}/collect")

        first = web.Application()
        first.router.add_route("*", "/{tail:.*}", redirect)
        async with serving(first) as here:
            yield here, sent


async def test_plex_s_socket(elsewhere):
    url, sent = elsewhere
    notifications = Notifications(PlexSettings(url=url, token=SECRET), "us")
    with pytest.raises(ServiceUnavailable):
        async for _ in notifications.listen(lambda: None):
            pass
    assert sent == []


async def test_stash_s_socket(elsewhere):
    url, sent = elsewhere
    async with StashClient.connect(StashSettings(url=url, api_key=SECRET)) as stash:
        with pytest.raises(ServiceUnavailable):
            async for _ in stash.scans(lambda: None):
                pass
    assert sent == []


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("https://127.0.0.1/graphql", "it redirects to https; use https:// in"),
        ("/login?returnURL=%2Fgraphql", "Stash now wants a login: set stash.api_key"),
        ("http://elsewhere/", "it redirects elsewhere; is stash.url right"),
    ],
)
async def test_why_stash_redirects_is_told(location, says):
    async def redirect(_):
        return web.Response(status=302, headers={"Location": location})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", redirect)
    async with (
        serving(app) as url,
        StashClient.connect(StashSettings(url=url)) as stash,
    ):
        with pytest.raises(ServiceUnavailable, match=says):
            await stash.probe()
