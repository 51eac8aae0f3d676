"""Ten thousand requests that make little sense, and clients that take their time."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from stash2plex.web.app import OPERATIONS
from stash2plex.web.door import Door
from stash2plex.web.openapi import describe
from tests.conftest import free_port, make_settings
from tests.end_to_end.test_delivery import sample
from tests.end_to_end.test_process import TOKEN, config, started  # noqa: F401
from tests.patience import patient
from tests.running import running

REQUESTS = 10_000
AT_ONCE = 16
# What the process may grow by over the last nine tenths of it, MB.
GROWTH = 12.0
# Answers that take long, or that reach other servers: asked for seldom.
SLOW = {"health", "support", "reconcile", "sync"}
NASTY = [
    "",
    " ",
    "0",
    "-1",
    "1e309",
    "NaN",
    "null",
    "true",
    "scene:1",
    "scene:²",
    "plex:1",
    "../../../etc/passwd",
    "/media/1.mp4",
    "\u0000",
    "\ud800",
    "😀" * 50,
    "x" * 1500,
    "' OR 1=1 --",
    "%00",
    "%2e%2e%2f",
    "${jndi:x}",
    "<script>",
    "{}",
    "all",
    "24h",
]
NUMBERS = [0, 1, -1, 2, 3.5, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 1e308]
PLAIN = {
    "integer": NUMBERS,
    "number": NUMBERS,
    "boolean": [True, False],
    "null": [None],
}


class Chance:
    """Makes requests from the description, most of them a little wrong."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        document = json.loads(json.dumps(describe(OPERATIONS)))
        self.operations = [
            (method.upper(), path, one)
            for path, methods in document["paths"].items()
            for method, one in methods.items()
        ]
        self.weights = [
            0.02 if one["operationId"] in SLOW else 1.0 for *_, one in self.operations
        ]

    def request(self):
        """Return method, path, query, and body as bytes."""
        chance = self.chance
        ((method, path, one),) = chance.choices(self.operations, self.weights)
        for parameter in one["parameters"]:
            if parameter["in"] == "path":
                value = str(self.thing({"type": "string"}, 1)).replace("/", "%2F")
                path = path.replace(f"{{{parameter['name']}}}", value or "0")
        query = {
            parameter["name"]: self.text(self.thing(parameter["schema"], 1))
            for parameter in one["parameters"]
            if parameter["in"] == "query" and chance.random() < 0.7
        }
        if chance.random() < 0.1:
            query[self.text(chance.choice(NASTY))] = "x"
        if chance.random() < 0.05:
            method = chance.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"])
        body = b""
        if "requestBody" in one and chance.random() < 0.95:
            schema = one["requestBody"]["content"]["application/json"]["schema"]
            document = self.thing(schema, 3)
            body = json.dumps(document).encode("utf-8", "replace")
            if chance.random() < 0.1:
                body = body[: chance.randrange(len(body) + 1)] + chance.randbytes(3)
        return method, path, query, body

    def text(self, thing) -> str:
        text = thing if isinstance(thing, str) else json.dumps(thing)
        return text.encode("utf-8", "replace").decode()

    def thing(self, schema, depth):
        """Return something of *schema*, or something else."""
        chance = self.chance
        if chance.random() < 0.15 or depth == 0:
            return self.anything(depth)
        if "anyOf" in schema:
            return self.thing(chance.choice(schema["anyOf"]), depth)
        if "enum" in schema:
            return chance.choice([*schema["enum"], *schema["enum"], "other"])
        kind = schema.get("type")
        if kind == "object":
            found = {
                key: self.thing(one, depth - 1)
                for key, one in schema.get("properties", {}).items()
                if chance.random() < 0.7
            }
            if chance.random() < 0.1:
                found[chance.choice(NASTY)] = self.anything(depth - 1)
            return found
        if kind == "array":
            items = schema.get("items", {})
            return [self.thing(items, 1) for _ in range(chance.choice([0, 1, 2, 2000]))]
        return chance.choice(PLAIN.get(kind, NASTY))

    def anything(self, depth):
        chance = self.chance
        plain = [None, True, chance.choice(NUMBERS), chance.choice(NASTY)]
        if depth > 0:
            plain += [[self.anything(depth - 1)], {chance.choice(NASTY): 1}]
        return chance.choice(plain)


def resident(pid: int) -> float:
    """Return the memory that a process has in hand, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(one for one in status.splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1000


@pytest.mark.timeout(180)
async def test_ten_thousand_requests(config, stash, plex):  # noqa: F811
    for number in range(1, 4):
        sample(stash, plex, number)
    config.write_text(config.read_text() + '[log]\nlevel = "error"\n')
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = Chance(seed)
    answers: dict[int, int] = {}
    async with (
        started(config) as daemon,
        aiohttp.ClientSession(headers=TOKEN) as asking,
    ):
        await daemon.ready()

        async def client(count: int) -> None:
            for _ in range(count):
                method, path, query, body = chance.request()
                try:
                    async with asking.request(
                        method, daemon.url + path, params=query, data=body or None
                    ) as answer:
                        text = await answer.read()
                except (ValueError, aiohttp.InvalidURL):
                    continue  # aiohttp itself would not send it
                answers[answer.status] = answers.get(answer.status, 0) + 1
                shown = f"{method} {path} {query} {body[:300]!r}: {text[:300]!r}"
                # 503 is an honest answer: a server that is needed is away.
                assert answer.status < 500 or answer.status == 503, shown
                assert b"Traceback" not in text, shown
                assert b"process-token" not in text, shown
                if answer.status >= 400 and method != "HEAD":
                    assert text.startswith(b'{"code": "'), shown

        await asyncio.gather(
            *(client(REQUESTS // 10 // AT_ONCE) for _ in range(AT_ONCE))
        )
        before = resident(daemon.process.pid)
        await asyncio.gather(
            *(client(REQUESTS * 9 // 10 // AT_ONCE) for _ in range(AT_ONCE))
        )
        after = resident(daemon.process.pid)
        log = await asyncio.to_thread(daemon.log.read_text)

    assert "request_crashed" not in log
    assert sum(answers.values()) > REQUESTS * 0.9
    assert answers[200] > 500
    assert answers[400] > 500
    assert after - before < GROWTH, f"{before} MB before, {after} MB after"
    print(answers, f"{before:.1f} MB -> {after:.1f} MB", file=sys.stderr)


async def test_the_description_fits_the_routes(daemon):
    async with daemon.session.get(f"{daemon.url}/api/v1/openapi.json") as answer:
        document = await answer.json()

    assert document["openapi"].startswith("3.")
    listed = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert listed == {(one.method, one.path) for one in OPERATIONS}
    body = document["paths"]["/api/v1/sync"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert "scene_ids" in schema["properties"]
    assert "$ref" not in json.dumps(schema)
    assert all(
        one["summary"]
        for methods in document["paths"].values()
        for one in methods.values()
    )


async def test_it_is_as_private_as_the_rest(daemon):
    async with (
        aiohttp.ClientSession() as stranger,
        stranger.get(f"{daemon.url}/api/v1/openapi.json") as answer,
    ):
        assert answer.status == 401


async def dropped(url: str, sent: bytes) -> bytes:
    """Send something that is not the whole of a request; returns what came back."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        async with asyncio.timeout(patient(10)):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET /livez HTTP/1.1\r\nHost: x\r\n"])
async def test_who_never_gets_to_the_point_is_dropped(
    sent, stash, plex, settings, monkeypatch
):
    monkeypatch.setattr("stash2plex.web.door.SILENCE", 0.3)
    async with running(settings, stash, plex) as daemon:
        assert await dropped(daemon.url, sent) == b""


def established(port):
    """Return how many connections there are to a port, as the kernel counts."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(one[1].endswith(f":{port:04X}") and one[3] == "01" for one in fields)


@pytest.mark.skipif(
    not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux drops them"
)
async def test_who_never_reads_is_dropped(stash, plex, settings, monkeypatch):
    monkeypatch.setattr("stash2plex.web.door.SILENCE", 0.5)
    port = settings.server.port
    asked = b"GET /plugin/stash2plexd.zip HTTP/1.1\r\nHost: x\r\n\r\n" * 60
    async with running(settings, stash, plex):
        with socket.socket() as greedy:
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            greedy.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(greedy, ("127.0.0.1", port))
            await loop.sock_sendall(greedy, asked)
            before = await asyncio.to_thread(established, port)
            assert before
            async with asyncio.timeout(patient(15)):
                while await asyncio.to_thread(established, port) >= before:  # noqa: ASYNC110 - the kernel tells nobody
                    await asyncio.sleep(0.05)


async def asked(host, port, sent=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
    """Ask something over a connection of its own that stays open; returns both ends."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(sent)
    return reader, writer, await reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("most", "addresses"),
    [(40, ["127.0.0.1"] * 20), (20, ["127.0.0.2"] * 10 + ["127.0.0.3"] * 10)],
    ids=["of one address", "in all"],
)
async def test_idle_connections_shut_nobody_out(most, addresses, monkeypatch):
    """Who comes when there is no room takes the place of the stranger silent longest."""
    monkeypatch.setattr("stash2plex.web.door._MOST", most)
    request, port = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", free_port()
    async with Door.closed_after("127.0.0.1", port) as door:
        await door.hand_to(web.Application())
        held = [
            await asyncio.open_connection("127.0.0.1", port, local_addr=(one, 0))
            for one in addresses
        ]
        # The first one speaks last.
        reader, writer = held.pop(0)
        writer.write(request)
        await reader.readuntil(b"\r\n\r\n")
        _, newcomer, answered = await asked("127.0.0.1", port)
        async with asyncio.timeout(patient(5)):
            assert await _ended(held[0][0])
        writer.write(request)
        again = await reader.readuntil(b"\r\n\r\n")
        for one in (newcomer, writer, *(one for _, one in held)):
            one.close()

    assert b"HTTP/1.1 404" in answered
    assert b"HTTP/1.1 404" in again


async def _ended(reader):
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_hooks_get_through_whoever_holds_connections(
    stash, plex, settings, monkeypatch
):
    """Strangers churn; who showed the token keeps its connection."""
    monkeypatch.setattr("stash2plex.web.door._MOST_EACH", 20)
    async with running(settings, stash, plex) as daemon:
        port = settings.server.port
        reader, writer, _ = await asked(
            "127.0.0.1",
            port,
            b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n"
            b"Authorization: Bearer test-token\r\n\r\n",
        )
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        assert (await daemon.hook(1))["outcome"] == "queued"
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(patient(5)):
            await reader.readuntil(b'{"status": "ok"}')
        writer.close()
        for _, one in held:
            one.close()


async def test_listening_everywhere_serves_both_kinds_of_addresses(
    stash, plex, tmp_path
):
    settings = make_settings(stash, plex, tmp_path, server={"host": "::"})
    async with running(settings, stash, plex):
        for host in ("127.0.0.1", "::1"):
            _, writer, answered = await asked(
                host, settings.server.port, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
            )
            writer.close()
            assert answered.startswith(b"HTTP/1.1 200")


async def test_browsers_take_an_answer_for_what_it_is(daemon):
    for path in ("/livez", "/api/v1/status", "/nowhere", "/img/scene-1/poster"):
        async with daemon.session.get(daemon.url + path) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_body_that_does_not_come(daemon, monkeypatch):
    monkeypatch.setattr("stash2plex.body.PATIENCE", 0.2)
    answer = await dropped(
        daemon.url,
        b"POST /api/v1/sync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer test-token\r\n"
        b"Content-Length: 100\r\nConnection: close\r\n\r\n{",
    )

    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n",
        b"GET /livez HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(500)),
    ],
    ids=["line", "header", "headers"],
)
async def test_heads_are_bounded(daemon, head):
    answer = await dropped(daemon.url, head + b"Host: x\r\nConnection: close\r\n\r\n")

    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
