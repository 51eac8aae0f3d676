"""Stash's subscriptions: a socket that tells what happens as it does.

Two protocols, as measured: the newer one sends no pings of its own, the older one a
``ka`` at once and every ten seconds. Each frame ends with a newline, and holds HTML's
own characters escaped, as Go writes JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from stash2plex.sandbox.server import Facts
from stash2plex.sandbox.stash_log import Batch, StashLog, entries

_PROTOCOL = "graphql-transport-ws"
_OLDER = "graphql-ws"
_WHAT = re.compile(
    r"\b(scanCompleteSubscribe|loggingSubscribe|jobsSubscribe)\b\s*(?:\{([^}]*)\})?"
)
SCANS = "scanCompleteSubscribe"
JOBS = "jobsSubscribe"
LOG = "loggingSubscribe"
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


class Subscriptions:
    """Who listens, by socket what each of its ids was subscribed to."""

    def __init__(self, facts: Facts, log: StashLog) -> None:
        self._facts = facts
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self.open: dict[web.WebSocketResponse, dict[str, str]] = {}
        # As behind a proxy that lets no sockets through, with its status; or hangs up.
        self.refused: int | bool = False
        self.hangs_up = False
        self.taken = 0  # sockets, in all
        # A message that every operation is refused with, and then completed.
        self.fault = ""

    @property
    def listening(self) -> list[str]:
        """What is listened to now, by its name in the schema."""
        return [name for keys in self.open.values() for name in keys.values()]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Take a subscriber."""
        if self.hangs_up and request.transport is not None:
            request.transport.close()
        if self.refused:
            default = 400 if self.refused is True else self.refused
            return web.Response(status=default)
        socket = web.WebSocketResponse(protocols=[_PROTOCOL, _OLDER])
        await socket.prepare(request)
        self.open[socket] = {}
        self.taken += 1
        self._facts.changed()
        ended: list[Callable[[], None]] = []
        try:
            async for message in socket:
                await self._understand(socket, json.loads(message.data), ended)
        finally:
            del self.open[socket]
            for end in ended:
                end()
        return socket

    async def _understand(
        self,
        socket: web.WebSocketResponse,
        said: dict[str, Any],
        ended: list[Callable[[], None]],
    ) -> None:
        match said["type"]:
            case "connection_init":
                await _send(socket, {"type": "connection_ack"})
                if socket.ws_protocol != _PROTOCOL:
                    await _send(socket, {"type": "ka"})
            case "ping":
                await _send(socket, {"type": "pong"})
            case "subscribe" | "start" if self.fault:
                errors = [{"message": self.fault}]
                payload: Any = errors if socket.ws_protocol == _PROTOCOL else errors[0]
                key = said["id"]
                await _send(socket, {"payload": payload, "id": key, "type": "error"})
                await _send(socket, {"id": key, "type": "complete"})
            case "subscribe" | "start":
                query = said["payload"]["query"]
                found = _WHAT.search(query)
                assert found, query  # noqa: S101
                self.open[socket][said["id"]] = found[1]
                if found[1] == LOG:
                    fields = set((found[2] or "").split())
                    ended.append(self._follow_log(socket, said["id"], fields))
                self._facts.changed()
            case "complete" | "stop":
                await _send(socket, {"id": said["id"], "type": "complete"})

    def tell_scan_completed(self) -> None:
        """Say that a scan was completed, and not cancelled."""
        self._tell(SCANS, True)

    def tell_job(self, change: str, job: dict[str, str]) -> None:
        """Say that a job was added or removed, or what became of it."""
        self._tell(JOBS, {"type": change, "job": job})

    def _tell(self, what: str, told: Any) -> None:
        for socket, keys in self.open.items():
            for key, name in keys.items():
                if name == what:
                    _ = self._start(_send(socket, _told(socket, key, name, told)))

    def _follow_log(
        self, socket: web.WebSocketResponse, key: str, fields: set[str]
    ) -> Callable[[], None]:
        queue, end = self._log.subscribe()

        async def follow() -> None:
            while True:
                batch: Batch = await queue.get()
                told = entries(batch, fields)
                await _send(socket, _told(socket, key, LOG, told))

        task = self._start(follow())

        def stop() -> None:
            end()
            task.cancel()

        return stop

    def _start(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def hang_up(self, _: web.Application) -> None:
        """End all sockets."""
        for socket in list(self.open):
            await socket.close()


def _told(
    socket: web.WebSocketResponse, key: str, name: str, what: Any
) -> dict[str, Any]:
    word = "next" if socket.ws_protocol == _PROTOCOL else "data"
    return {"payload": {"data": {name: what}}, "id": key, "type": word}


async def _send(socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
    text = json.dumps(frame, separators=(",", ":"), ensure_ascii=False)
    for char, escaped in _ESCAPED.items():
        text = text.replace(char, escaped)
    await socket.send_str(text + "\n")
