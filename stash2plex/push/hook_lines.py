"""Following what our script in Stash says of changes.

Lines are hints: Stash drops what a slow reader does not take, without a word. So after
each connection Stash is asked what changed, and now and then anyway.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from stash2plex.errors import Stash2PlexError
from stash2plex.health.breaker import Move, State
from stash2plex.link import Link
from stash2plex.push.hooks import PING, Hook, HookTaker
from stash2plex.queue.job import Kind

if TYPE_CHECKING:
    from stash2plex.stash.client import StashClient

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
# So many performers, studios, tags and groups are believed in so many seconds: each
# costs questions about its scenes. Of more, Stash is asked which really changed.
_MOST_PARTS, _WINDOW = 20, 10.0
# Merges show in no time of change, so that many more are believed.
_MOST_MERGES = 200


class _Allowance:
    """Lets *most* things through in any `_WINDOW`."""

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._now = now
        self._times: deque[float] = deque(maxlen=most)

    def take(self) -> bool:
        """Whether one more may pass."""
        now = self._now()
        full = len(self._times) == self._times.maxlen
        if full and now - self._times[0] <= _WINDOW:
            return False
        self._times.append(now)
        return True


class HookLines:
    """Takes the hooks that Stash's log tells of, and has *look* find what it does not.

    *scenes_with* tells the scenes that were last read with a performer, studio, tag or
    group.
    """

    def __init__(
        self,
        stash: StashClient,
        taker: HookTaker,
        *,
        look: Callable[[], None],
        scenes_with: Callable[[str, int], Awaitable[list[int]]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._taker = taker
        self._look = look
        self._scenes_with = scenes_with
        self._now = now
        self._parts = _Allowance(_MOST_PARTS, now)
        self._merges = _Allowance(_MOST_MERGES, now)
        self._looking: asyncio.TimerHandle | None = None
        self._looked_at = float("-inf")
        self._link = Link(
            stash.hook_lines,
            self._take,
            first_wait=_FIRST_WAIT,
            longest_wait=_LONGEST_WAIT,
            on_connected=self._connected,
            on_lost=self._lost,
        )
        self.error: Stash2PlexError | None = None
        self._failures = 0  # since anything was said

    @property
    def listening(self) -> bool:
        """Whether Stash's log is heard now."""
        return self._link.is_up

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            await self._link.run()
        finally:
            if self._looking is not None:
                self._looking.cancel()
                self._looking = None

    def noticed(self, move: Move) -> None:
        """Listen again at once when Stash is back (a listener of its breaker)."""
        if move.state is State.CLOSED:
            self.error, self._failures = None, 0
            self._link.hurry()

    @property
    def is_deaf(self) -> bool:
        """Whether Stash's log cannot be listened to, and not for a moment only."""
        return self._failures > 1 and not self.listening

    def _connected(self) -> None:
        self._look()

    def _lost(self, error: Stash2PlexError) -> None:
        self.error = error
        self._failures += 1

    async def _take(self, lines: Sequence[dict[str, Any]]) -> None:
        self.error, self._failures = None, 0
        found, seen = [], set()
        for line in lines:
            try:
                hook = Hook.model_validate(line)
            except ValidationError:
                continue  # forged, or of a release that knows more than we do
            if hook.type == PING:
                await self._taker.take(hook)
            wanted = self._taker.wanted(hook)
            if wanted is None or (hook.type, hook.id) in seen:
                continue
            if wanted.kind is not Kind.SCENE:
                seen.add((hook.type, hook.id))
                if not await self._believes(wanted.kind, hook):
                    continue
            found.append(wanted)
        if found:
            await self._taker.take_all(found)

    async def _believes(self, kind: Kind, hook: Hook) -> bool:
        """Whether a hook of a performer, studio, tag or group is taken as it is."""
        if hook.action == "Merge":
            return self._merges.take()
        if self._parts.take():
            return True
        if hook.action == "Destroy":  # of which no time of change tells
            return bool(await self._scenes_with(kind, hook.id))
        self._look_once()
        return False

    def _look_once(self) -> None:
        """Have Stash asked what changed, once in a while."""
        if self._looking is None:
            loop = asyncio.get_running_loop()
            wait = max(0.0, self._looked_at + _WINDOW - self._now())
            self._looking = loop.call_later(wait, self._look_now)

    def _look_now(self) -> None:
        self._looking, self._looked_at = None, self._now()
        self._look()
