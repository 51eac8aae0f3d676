"""Noticing that Stash's pictures are away, as with a share that is not mounted.

Stash then shows placeholders for covers that it has. One such cover may be damaged;
many are an outage of pictures, which text and everything else does not wait for.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from stash2plex.errors import NotWorking
from stash2plex.health.breaker import CircuitBreaker, State

SERVICE = "Stash pictures"
CAUSE = (
    "Stash has covers and cannot read them: is the folder of its blobs there, and is"
    " its storage type the one that they were written with?"
)
# More scenes in a row than these, or such a share of so many, in as many seconds.
_IN_A_ROW = 5
_SHARE, _OF = 0.2, 20
_WINDOW = 600.0
# So many scenes are remembered.
_MOST = 1000


class CoverHealth:
    """Told of each cover whether it could be read; its *breaker* tells the outage.

    What counts are scenes, however often one of them was looked at.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self.breaker = CircuitBreaker(SERVICE, threshold=1, open_seconds=_WINDOW)
        self._now = now
        # By scene, when its cover was last looked at and whether it could be read.
        self._seen: dict[int, tuple[float, bool]] = {}
        self._row: set[int] = set()

    @property
    def lost(self) -> list[int]:
        """The scenes whose covers could not be read when they were last looked at."""
        return [key for key, (_, readable) in self._seen.items() if not readable]

    def note(self, scene_id: int, readable: bool) -> None:
        """Note whether a cover that Stash has could be read."""
        now = self._now()
        self._seen.pop(scene_id, None)
        self._seen[scene_id] = now, readable
        while len(self._seen) > _MOST:
            del self._seen[next(iter(self._seen))]
        recent = {key: one for key, one in self._seen.items() if one[0] > now - _WINDOW}
        self._row = set() if readable else (self._row & recent.keys()) | {scene_id}
        lost = sum(not one for _, one in recent.values())
        read, share = len(recent) - lost, lost / len(recent)
        many = len(recent) >= _OF and share >= _SHARE
        if readable:
            # What is left of an outage then is a few damaged covers.
            if read > max(_IN_A_ROW, lost) and share < _SHARE:
                self._end()
        elif self.breaker.state is not State.OPEN and (
            len(self._row) > _IN_A_ROW or many
        ):
            self.breaker.fail(NotWorking(SERVICE, CAUSE))

    def forget(self, scene_id: int) -> None:
        """Note that there is no such scene any more."""
        self._seen.pop(scene_id, None)
        self._row.discard(scene_id)

    def recovered(self) -> None:
        """Note that what could not be read can be, or is not there any more."""
        for scene_id in self.lost:
            self.forget(scene_id)
        self._end()

    def _end(self) -> None:
        if self.breaker.state is not State.CLOSED:
            self.breaker.succeed()
