"""Stash's subscriptions: a socket that tells when a scan is complete.

Two protocols, as measured: the newer one sends no pings of its own, the older one a
``ka`` at once and every ten seconds. Each frame ends with a newline.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from stash2plex.sandbox.server import Facts

_PROTOCOL = "graphql-transport-ws"
_OLDER = "graphql-ws"


class Subscriptions:
    """Who listens, by socket the ids of what was subscribed to."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._told: set[asyncio.Task[None]] = set()
        self.open: dict[web.WebSocketResponse, list[str]] = {}
        self.refused = False  # as behind a proxy that lets no sockets through
        # A message that every operation is refused with, and then completed.
        self.fault = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Take a subscriber."""
        if self.refused:
            raise web.HTTPBadRequest
        socket = web.WebSocketResponse(protocols=[_PROTOCOL, _OLDER])
        await socket.prepare(request)
        self.open[socket] = []
        try:
            async for message in socket:
                await self._understand(socket, json.loads(message.data))
        finally:
            del self.open[socket]
        return socket

    async def _understand(
        self, socket: web.WebSocketResponse, said: dict[str, Any]
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
                self.open[socket].append(said["id"])
                self._facts.changed()
            case "complete" | "stop":
                await _send(socket, {"id": said["id"], "type": "complete"})

    def tell_scan_completed(self) -> None:
        """Say that a scan was completed, and not cancelled."""
        payload = {"data": {"scanCompleteSubscribe": True}}
        for socket, keys in self.open.items():
            word = "next" if socket.ws_protocol == _PROTOCOL else "data"
            for key in keys:
                frame = {"payload": payload, "id": key, "type": word}
                task = asyncio.create_task(_send(socket, frame))
                self._told.add(task)
                task.add_done_callback(self._told.discard)

    async def hang_up(self, _: web.Application) -> None:
        """End all sockets."""
        for socket in list(self.open):
            await socket.close()


async def _send(socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
    await socket.send_str(json.dumps(frame) + "\n")
