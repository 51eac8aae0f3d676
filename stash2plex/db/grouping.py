"""Group commit: what arrives while one commit is under way shares the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class GroupCommit(Generic[Item, Answer]):
    """Collects items for *commit*, which answers a list in the same order.

    An error of *commit* is everybody's; one who stops waiting costs the others nothing.
    """

    def __init__(
        self, commit: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]]
    ) -> None:
        self._commit = commit
        self._pending: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._committing = asyncio.Lock()

    async def submit(self, item: Item) -> Answer:
        """Return the answer for *item* once it is committed."""
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._pending.append((item, done))
        async with self._committing:
            if not done.done():
                await self._flush()
        return await done

    async def _flush(self) -> None:
        pending, self._pending = self._pending, []
        try:
            answers = await self._commit([item for item, _ in pending])
        except asyncio.CancelledError:
            self._pending = pending + self._pending
            raise
        except Exception as error:
            for _, done in pending:
                done.set_exception(error)
                done.exception()  # whoever gave up waiting is no bug
            return
        for (_, done), answer in zip(pending, answers, strict=True):
            done.set_result(answer)
