"""Where the daemon listens: open all the time, whoever answers at the moment.

When the configuration changes the applications change places while the socket stays
open, so that no hook is refused meanwhile.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from errno import EADDRNOTAVAIL
from resource import RLIMIT_NOFILE, getrlimit

from aiohttp import web

from stash2plex.errors import AddressInUse, ConfigError
from stash2plex.web.connections import Connection, Connections

# How long a connection may say nothing, or not get to the end of its headers, seconds.
SILENCE = 75.0
# So many connections at once; and half of what the system allows at most, so that files
# can be opened whatever strangers do.
_MOST = 2000
# So many of one address, half of what is left of those at most. Plex scans with a
# handful, and behind a proxy all have one address.
_MOST_EACH = 500
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - as was asked for
# How long a request may go on once its application is to end, seconds.
_GRACE = 2.0
# How long after its connection a request may arrive, seconds.
_ON_THE_WAY = 0.3


class _Closing(asyncio.Protocol):
    """Ends a connection as soon as it is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class Door:
    """Hands each connection to the application of the moment."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        most = min(_MOST, getrlimit(RLIMIT_NOFILE)[0] // 2)
        self._connections = Connections(most=most, most_each=min(_MOST_EACH, most // 2))

    @classmethod
    @asynccontextmanager
    async def closed_after(cls, host: str, port: int) -> AsyncIterator[Door]:
        """Yield a door that opens with its first application."""
        door = cls(host, port)
        try:
            yield door
        finally:
            await door._close()

    async def hand_to(self, app: web.Application) -> None:
        """Let *app* take all requests from now on, and the former one end its own.

        Raises `AddressInUse`, or `ConfigError` for an address that is none of ours.
        """
        runner = web.AppRunner(
            app,
            handle_signals=False,
            access_log=None,
            shutdown_timeout=_GRACE,
            keepalive_timeout=SILENCE,
            lingering_time=_GRACE,
            auto_decompress=False,  # a small body would be a large one
        )
        await runner.setup()
        former, self._runner = self._runner, runner
        if former is not None:
            await asyncio.sleep(_ON_THE_WAY)
            await former.cleanup()
        if self._server is None:
            self._server = await self._listening()

    async def _listening(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        # Alone, "::" would be deaf to IPv4.
        hosts = list(_EVERYWHERE) if self._host == "::" else self._host or None
        try:
            server = await loop.create_server(
                self._connection, hosts, self._port, reuse_address=True
            )
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == EADDRNOTAVAIL:
                raise ConfigError(
                    f"server.host = {self._host!r} is no address of this machine:"
                    " set one, or 0.0.0.0 for all"
                ) from error
            msg = (
                f"cannot listen on server.host = {self._host!r},"
                f" server.port = {self._port}: {error.strerror}; stop what listens"
                " there or choose another port"
            )
            raise AddressInUse(msg) from error
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            for one in server.sockets:  # each connection has it from here
                # Who does not read what it asked for is dropped, too.
                one.setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SILENCE * 1000)
                )
        return server

    def _connection(self) -> asyncio.Protocol:
        assert self._runner  # noqa: S101 - nobody listens before
        server = self._runner.server
        return Connection(self._connections, server or _Closing)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()
