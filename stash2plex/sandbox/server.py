"""What both pretend servers have in common: serving, and facts that can be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from aiohttp import web

# PMS takes request lines far longer than aiohttp's default of 8 KB.
_LONGEST_LINE = 128 * 1024


class Facts:
    """Lets a test or the demo wait for something to be true of a pretend server."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Say that something happened; whoever waits looks again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, fact: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait until *fact* holds; raises TimeoutError after *seconds*."""
        async with asyncio.timeout(seconds):
            while not fact():
                await self._changed.wait()


class LineBreaker:
    """Breaks the line instead of answering, or answers without end, as is set.

    ``trickle`` sends a byte every *pause* seconds; ``bomb`` sends *bomb*, bytes that
    gzip unpacks.
    """

    def __init__(self) -> None:
        self.how: Literal["", "half", "reset", "trickle", "bomb"] = ""
        self.pause = 0.05
        self.bomb = b""

    async def broken(self, request: web.Request) -> web.StreamResponse | None:
        """Break the line of *request*; None when it is to be answered."""
        if not self.how or request.transport is None:
            return None
        if self.how == "bomb":
            packed = {"Content-Encoding": "gzip"}
            return web.Response(body=self.bomb, headers=packed, content_type="text/xml")
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        if self.how != "reset":
            await answer.prepare(request)
            await answer.write(b"<MediaContainer")
        while self.how == "trickle":
            await asyncio.sleep(self.pause)
            await answer.write(b" ")
        request.transport.abort()
        return answer


@asynccontextmanager
async def serving(
    app: web.Application, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Serve *app* for the length of the block; yields its URL."""
    runner = web.AppRunner(
        app,
        handle_signals=False,
        access_log=None,
        shutdown_timeout=0.1,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0][1]
        yield f"http://{host}:{bound}"
    finally:
        await runner.cleanup()
