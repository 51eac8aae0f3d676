"""Failures are told as they are, the same of both servers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from aiohttp import web

from stash2plex.errors import ServiceUnavailable
from tests.conftest import free_port
from tests.net.conftest import answering


async def told(asking, url, **settings):
    async with asking(url, **settings) as ask:
        with pytest.raises(ServiceUnavailable) as raised:
            await ask()
    message = str(raised.value)
    assert "token" not in message
    return message.partition(": ")[2]


async def test_nobody_listens(asking):
    port = free_port()
    assert await told(asking, f"http://127.0.0.1:{port}") == (
        f"connection refused by 127.0.0.1:{port}; is it running, and is the port right?"
    )


async def test_nobody_has_that_name(asking, section):
    assert await told(asking, "http://no-such-host.invalid:1234") == (
        f"no host named no-such-host.invalid; see {section}.url"
    )


async def test_it_speaks_plain_http(asking, section, stash, plex):
    url = {"plex": plex, "stash": stash}[section].url
    assert await told(asking, url.replace("http://", "https://")) == (
        f"it answers plain HTTP; use http:// in {section}.url"
    )


async def test_it_speaks_tls(asking, section, serving_tls, stash, plex):
    app = {"plex": plex, "stash": stash}[section].app
    async with serving_tls(app) as url:
        assert await told(asking, url.replace("https://", "http://")) == (
            f"it answers TLS; use https:// in {section}.url"
        )


async def test_an_unknown_authority(asking, section, serving_tls, plex, stash):
    app = {"plex": plex, "stash": stash}[section].app
    async with serving_tls(app) as url:
        message = await told(asking, url)
        assert message.startswith("its TLS certificate is not trusted; ")
        assert message.endswith(f"or set {section}.verify_tls = false")


async def test_an_unknown_authority_may_be_taken(
    serving_tls, asking, section, stash, plex
):
    plex.token = "plex-token"
    app = {"plex": plex, "stash": stash}[section].app
    async with serving_tls(app) as url, asking(url, verify_tls=False) as ask:
        assert await ask()


_ASK = """
import asyncio, sys
from tests.net.conftest import plex_at, stash_at

async def main(section, url):
    async with {"plex": plex_at, "stash": stash_at}[section](url) as ask:
        await ask()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_private_authority_is_trusted_by_the_usual_variable(
    serving_tls, authority, section, stash, plex, tmp_path
):
    import asyncio

    plex.token = "plex-token"
    app = {"plex": plex, "stash": stash}[section].app
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with serving_tls(app) as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _ASK,
            section,
            url,
            env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "ca.pem")},
            stderr=subprocess.PIPE,
        )
        _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-500:]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
        b"",
    ],
)
async def test_what_breaks_off_is_no_tls_by_that_alone(asking, answer):
    """Only what shakes hands speaks TLS."""

    async def handle(reader, writer):
        await reader.read(100)
        writer.write(answer)
        writer.close()

    async with answering(handle) as url:
        message = await told(asking, url)
    assert "answers plain" not in message


async def test_proxies_of_the_environment_see_nothing(
    asking, section, stash, plex, monkeypatch
):
    seen = []

    async def note(request):
        seen.append(request.path)
        return web.Response(status=502)

    async def handle(reader, writer):
        seen.append(await reader.read(100))
        writer.close()

    plex.token = "plex-token"
    async with answering(handle) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy)
        async with asking({"plex": plex, "stash": stash}[section].url) as ask:
            await ask()
    assert seen == []
