"""Both clients, asked the same: who are you?"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest
import trustme
from aiohttp import web

from stash2plex.config import PlexSettings, StashSettings
from stash2plex.plex.connection import PlexConnection
from stash2plex.plex.library import PlexLibrary
from stash2plex.stash.client import StashClient


@asynccontextmanager
async def plex_at(url, **settings):
    made = PlexSettings(url=url, token="plex-token", **settings)
    async with PlexConnection.open(made, "wire-test") as connection:
        yield PlexLibrary(connection, ()).server


@asynccontextmanager
async def stash_at(url, **settings):
    async with StashClient.connect(StashSettings(url=url, **settings)) as client:
        yield client.probe


@pytest.fixture(params=["plex", "stash"])
def section(request):
    return request.param


@pytest.fixture
def asking(section):
    return {"plex": plex_at, "stash": stash_at}[section]


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture
def serving_tls(authority):
    """Serve an application over TLS, with a certificate of a private authority."""

    @asynccontextmanager
    async def serving(app):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        try:
            yield f"https://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    return serving


@asynccontextmanager
async def answering(handle):
    """Serve raw bytes: *handle* is given reader and writer of each connection."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
