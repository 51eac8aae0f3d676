"""Who is connected: so many in all, so many of one address, and never without room.

One who comes when the room is full takes the place of a stranger, of the one that has
been silent longest. Who has shown the token once keeps its place. So idle connections
shut nobody out, also where all seem to come from one address, as behind Docker's own
network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from stash2plex.hosts import caller_of


class Connection(asyncio.Protocol):
    """One connection; hands all that happens to the protocol of its *make*."""

    def __init__(
        self, connections: Connections, make: Callable[[], asyncio.Protocol]
    ) -> None:
        self._connections = connections
        self._make = make
        self._protocol: asyncio.Protocol = asyncio.Protocol()
        self._transport: asyncio.BaseTransport | None = None
        self.address = ""
        self.is_trusted = False
        self.answers = 0  # how many requests are being answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place (called by asyncio)."""
        self._transport = transport
        host = (transport.get_extra_info("peername") or ("",))[0]
        self.address = caller_of(str(host))
        if not self._connections.admit(self):
            self.drop()
            return
        self._protocol = self._make()
        self._protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place up (called by asyncio)."""
        self._connections.forget(self)
        self._protocol.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand on what came (called by asyncio)."""
        self._connections.heard(self)
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        """Hand on the end (called by asyncio)."""
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        """Hand on that the other side does not read (called by asyncio)."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Hand on that it does again (called by asyncio)."""
        self._protocol.resume_writing()

    def drop(self) -> None:
        """End at once."""
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()


class Connections:
    """The connections that there are, those heard of longest ago first."""

    def __init__(self, *, most: int, most_each: int) -> None:
        """Have room for *most* in all, and for *most_each* of one address."""
        self._most = most
        self._most_each = most_each
        self._count = 0
        self._by_address: dict[str, dict[Connection, None]] = {}

    def admit(self, newcomer: Connection) -> bool:
        """Make room for *newcomer*; False if all that are here may stay."""
        own = self._by_address.setdefault(newcomer.address, {})
        if len(own) >= self._most_each:
            leaving = _stranger(own)
        elif self._count >= self._most:
            crowds = sorted(self._by_address.values(), key=len, reverse=True)
            leaving = next(filter(None, map(_stranger, crowds)), None)
        else:
            self._add(newcomer)
            return True
        if leaving is None:
            self._tidy(newcomer.address)
            return False
        self.forget(leaving)
        leaving.drop()
        self._add(newcomer)
        return True

    def heard(self, connection: Connection) -> None:
        """Note a sign of life."""
        own = self._by_address.get(connection.address, {})
        if connection in own:
            own[connection] = own.pop(connection)

    def forget(self, connection: Connection) -> None:
        """Give the place of *connection* to others."""
        own = self._by_address.get(connection.address, {})
        if connection in own:
            del own[connection]
            self._count -= 1
        self._tidy(connection.address)

    def _add(self, newcomer: Connection) -> None:
        self._by_address.setdefault(newcomer.address, {})[newcomer] = None
        self._count += 1

    def _tidy(self, address: str) -> None:
        if not self._by_address.get(address, True):
            del self._by_address[address]


def trust(transport: asyncio.BaseTransport | None) -> None:
    """Note that the token came over *transport*: it keeps its place."""
    if connection := _connection_of(transport):
        connection.is_trusted = True


@contextmanager
def answering(transport: asyncio.BaseTransport | None) -> Iterator[None]:
    """Let *transport* keep its place before idle ones while the block runs."""
    connection = _connection_of(transport)
    if connection is None:
        yield
        return
    connection.answers += 1
    try:
        yield
    finally:
        connection.answers -= 1


def _connection_of(transport: asyncio.BaseTransport | None) -> Connection | None:
    protocol = (
        transport.get_protocol() if isinstance(transport, asyncio.Transport) else None
    )
    return protocol if isinstance(protocol, Connection) else None


def _stranger(those: Iterable[Connection]) -> Connection | None:
    """Return who of *those* makes room: rather one that waits for no answer."""
    strangers = [one for one in those if not one.is_trusted]
    idle = (one for one in strangers if not one.answers)
    return next(idle, strangers[0] if strangers else None)
