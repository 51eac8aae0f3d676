"""Stash's subscriptions: a socket that tells when a scan is complete."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from stash2plex.sandbox.server import Facts

_PROTOCOL = "graphql-transport-ws"


class Subscriptions:
    """Who listens, by socket the ids of what was subscribed to."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._told: set[asyncio.Task[None]] = set()
        self.open: dict[web.WebSocketResponse, list[str]] = {}
        self.refused = False  # as behind a proxy that lets no sockets through

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Take a subscriber; Stash sends no pings of its own in this protocol."""
        if self.refused:
            raise web.HTTPBadRequest
        socket = web.WebSocketResponse(protocols=[_PROTOCOL])
        await socket.prepare(request)
        self.open[socket] = []
        try:
            async for message in socket:
                await self._understand(socket, json.loads(message.data))
        finally:
            del self.open[socket]
        return socket

    async def _understand(
        self, socket: web.WebSocketResponse, said: dict[str, str]
    ) -> None:
        match said["type"]:
            case "connection_init":
                await socket.send_json({"type": "connection_ack"})
            case "ping":
                await socket.send_json({"type": "pong"})
            case "subscribe":
                self.open[socket].append(said["id"])
                self._facts.changed()

    def tell_scan_completed(self) -> None:
        """Say that a scan was completed, and not cancelled."""
        payload = {"data": {"scanCompleteSubscribe": True}}
        for socket, keys in self.open.items():
            for key in keys:
                frame = {"id": key, "type": "next", "payload": payload}
                task = asyncio.create_task(socket.send_json(frame))
                self._told.add(task)
                task.add_done_callback(self._told.discard)

    async def hang_up(self, _: web.Application) -> None:
        """End all sockets."""
        for socket in list(self.open):
            await socket.close()
