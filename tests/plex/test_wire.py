"""Requests to Plex as they leave: byte for byte, and repeated only where that is safe."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from stash2plex.errors import ServerFault, ServiceUnavailable
from stash2plex.plex.connection import PlexConnection
from tests.net.conftest import answering

ANSWER = b"<MediaContainer/>"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(
    ANSWER
)
TARGETS = [
    "/library/sections/1/all?genre%5B%5D.tag.tag-=a%2Cb%252Cc&x=%2F%3A%7E",
    "/library/metadata/1/poster?url=upload%3A%2F%2Fposters%2Fab",
    "/a%20b?c=d+e&f=%E6%BC%A2",
]


class Raw:
    """A server that keeps each request as it came, and closes after some."""

    def __init__(self):
        self.heads = []
        self.connections = 0
        self.closes_on = set()  # numbers of requests that get no answer

    async def __call__(self, reader, writer):
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head)
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.lower().split(b"\r\n")
                        if line.startswith(b"content-length:")
                    ),
                    0,
                )
                await reader.readexactly(length)
                if len(self.heads) in self.closes_on:
                    break
                writer.write(HEAD + ANSWER)
        except asyncio.IncompleteReadError:
            pass
        writer.close()


@pytest.fixture
async def raw():
    return Raw()


@pytest.fixture
async def connection(raw, settings):
    async with answering(raw) as url:
        here = settings.plex.model_copy(update={"url": url})
        async with PlexConnection.open(here, "client-1") as opened:
            yield opened


@pytest.mark.parametrize("target", TARGETS)
async def test_a_target_leaves_byte_for_byte(raw, connection, target):
    await connection.put(target)
    await connection.get(target)

    lines = [head.split(b"\r\n")[0] for head in raw.heads]
    assert lines == [
        b"%s %s HTTP/1.1" % (how, target.encode()) for how in (b"PUT", b"GET")
    ]


async def test_we_say_who_we_are_in_headers_alone(raw, connection, settings):
    await connection.get("/")
    head = raw.heads[0].decode()
    token = settings.plex.token.get_secret_value()
    assert f"X-Plex-Token: {token}" in head
    assert "X-Plex-Client-Identifier: client-1" in head
    assert "X-Plex-Product: stash2plex" in head
    assert "User-Agent: stash2plex/" in head
    assert token not in head.split("\r\n")[0]
    assert "Cookie" not in head


@pytest.mark.parametrize("method", ["get", "put", "delete"])
async def test_a_closed_idle_connection_costs_one_repetition(raw, connection, method):
    await connection.get("/")
    raw.closes_on = {2}
    await getattr(connection, method)("/x")
    assert len(raw.heads) == 3
    raw.closes_on = {4, 5, 6, 7}
    with pytest.raises(ServiceUnavailable):
        await getattr(connection, method)("/x")
    assert len(raw.heads) == 5


async def test_an_upload_is_never_repeated(raw, connection):
    await connection.get("/")
    raw.closes_on = {2}
    with pytest.raises(ServiceUnavailable):
        await connection.post("/library/metadata/1/posters", b"\xff\xd8\xff")
    assert len(raw.heads) == 2


async def test_what_an_error_says_is_kept_and_bounded(plex, settings):
    async with PlexConnection.open(settings.plex, "c") as connection:
        plex.status = 500
        with pytest.raises(ServerFault, match=r"HTTP 500: refused$"):
            await connection.get("/library/sections")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<html><head><title>x</title></head><body><h1>500 Oh</h1></body>", "500 Oh"),
        ("plain\x00 \x1b[31mtext", "plain [31mtext"),
        ("", ""),
        ("y" * 10_000, "y" * 200),
    ],
)
async def test_an_error_s_body_is_told_in_one_line(settings, body, text):
    data = body.encode()

    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        writer.close()

    async with answering(handle) as url:
        here = settings.plex.model_copy(update={"url": url})
        async with PlexConnection.open(here, "c") as connection:
            with pytest.raises(ServerFault) as raised:
                await connection.get("/x")
    message = str(raised.value)
    assert message.startswith(f"Plex: HTTP 500: {text}" if text else "Plex: HTTP 500")
    assert len(message) < 250
    assert message.isprintable()


async def test_one_request_in_the_background_at_a_time(plex, settings):
    plex.add("/a.mp4")
    plex.latency = 0.02
    async with PlexConnection.open(settings.plex, "c") as connection:
        reads = [
            connection.get("/library/metadata/1/posters", background=True)
            for _ in range(6)
        ]
        await asyncio.gather(*reads)
    assert plex.most_in_flight == 1


ODD = {
    "bad gzip": (b"Content-Encoding: gzip\r\nContent-Length: 10", b"0123456789"),
    "cut gzip": (b"Content-Encoding: gzip\r\nContent-Length: 4", b"\x1f\x8b\x08\x00"),
    "bad chunk": (b"Transfer-Encoding: chunked", b"zz\r\nabc"),
    "long header": (b"X: " + b"a" * 20_000, b"<MediaContainer/>"),
    "no length": (b"Content-Length: abc", b"<MediaContainer/>"),
    "short": (b"Content-Length: 100", b"<MediaContainer/>"),
    "encoding": (
        b"X: y",
        b"<?xml version='1.0' encoding='nonsense-8'?><MediaContainer/>",
    ),
    "utf-16": (b"X: y", b"\xff\xfe<MediaContainer/>"),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("method", ["get", "put"])
async def test_an_odd_answer_is_an_error_of_ours(settings, name, method):
    header, body = ODD[name]

    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n" + body)
        writer.close()

    async with answering(handle) as url:
        here = settings.plex.model_copy(update={"url": url})
        async with PlexConnection.open(here, "c") as connection:
            with contextlib.suppress(ServiceUnavailable):
                await getattr(connection, method)("/x")


async def test_an_absurd_date_is_no_clock(settings):
    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        date = b"Date: Mon, 01 Jan 99999999999999999999 00:00:00 GMT\r\n"
        writer.write(HEAD[:17] + date + HEAD[17:] + ANSWER)
        writer.close()

    async with answering(handle) as url:
        here = settings.plex.model_copy(update={"url": url})
        async with PlexConnection.open(here, "c") as connection:
            await connection.get("/x")
            assert connection.clock == 0


@pytest.mark.parametrize(
    "title", ["a\x01b", "a&#x1;b", "a\ufffeb", "a\x0bb", "a&#31;b", "a\x00b"]
)
async def test_what_no_parser_accepts_is_read_all_the_same(settings, title):
    """PMS stores control characters, and writes them out as they are."""
    body = f'<MediaContainer><Video title="{title}"/></MediaContainer>'.encode()

    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        writer.close()

    async with answering(handle) as url:
        here = settings.plex.model_copy(update={"url": url})
        async with PlexConnection.open(here, "c") as connection:
            root = await connection.get("/x")
    assert root[0].get("title") == "ab"
