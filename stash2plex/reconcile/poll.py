"""One look at Stash for changes that nothing announced.

Stash compares times as text and in whole seconds. So it is asked for more than is
needed, and what is new is found here: a time that was not enqueued yet, or files other
than the catalogue's. The cursor is Stash's own clock, and moves only when all that it
covers is on disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from stash2plex.queue.dead import unchanged_since
from stash2plex.queue.job import PARTS, Kind, Reason
from stash2plex.reconcile.zone import ALL_ZONES, LAST_HOURS, Asking, Evidence
from stash2plex.stash.answers import is_early, parsed_time
from stash2plex.stash.look import MOST_WITH_PATHS

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog
    from stash2plex.db.database import Database
    from stash2plex.queue.store import JobStore
    from stash2plex.reconcile.imports import Imports
    from stash2plex.reconcile.moved import Moved
    from stash2plex.reconcile.vanished import Vanished
    from stash2plex.reconcile.zone import Zone
    from stash2plex.scene import SceneEntry
    from stash2plex.stash.client import StashClient
    from stash2plex.stash.look import Look, PartTimes

log = structlog.get_logger()

_CURSOR = "poll_cursor"
# A change is dated before it can be read: by so much at most, seconds.
_COMMIT = 300.0
# Clocks are set back by an hour in autumn; some more for what is unusual, seconds.
_DAYLIGHT = 2 * 3600.0
# A change that is older than this was looked at in whatever zone, seconds.
_FORGOTTEN = ALL_ZONES + 28 * 3600.0
# So long is put off what goes on changing, seconds.
_PUT_OFF = 10.0
# What costs Stash most is asked every so many times.
_COUNTED = 3


@dataclass(frozen=True, slots=True)
class PollResult:
    """What a look came to: so many things were enqueued.

    *is_early* says that some changed a moment ago, and another look is to enqueue them.
    """

    enqueued: int
    is_early: bool = False


@dataclass(slots=True)
class _Now:
    """A look under way: since the *cursor*, at a time of Stash's clock.

    *waited* is since when what was put off waits.
    """

    cursor: float
    time: float
    evidence: Evidence
    waited: Mapping[tuple[Kind, int], float]


class Poll:
    """Looks, and remembers up to when."""

    def __init__(
        self,
        database: Database,
        stash: StashClient,
        catalog: Catalog,
        jobs: JobStore,
        *,
        zone: Zone,
        moved: Moved,
        vanished: Vanished,
        imports: Imports,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._stash = stash
        self._catalog = catalog
        self._jobs = jobs
        self._zone = zone
        self._moved = moved
        self._vanished = vanished
        self._imports = imports
        self._now = now
        self._monotonic = monotonic
        self._asked_last_hours = float("-inf")
        self._looks = 0
        # Whether few scenes have several files or none, so that theirs are asked for.
        self._with_paths = False
        # What had changed a moment ago at the last look, and since when it waits.
        self._waiting: dict[tuple[Kind, int], float] = {}

    async def look_at_folders(self) -> int:
        """Enqueue the scenes of folders that a scan found renamed; returns how many.

        Raises the errors of Stash and of the store.
        """
        return await self._moved.check_folders()

    async def look(self) -> PollResult:
        """Look once.

        Raises the errors of Stash and of the store; the next look makes it good.
        """
        cursor = float(await self._database.fact(_CURSOR) or 0)
        if not cursor:
            # All that was before is the business of the comparison.
            await self._stash.prove()
            now = self._server_now()
            look = await self._stash.look(
                Asking(None, None).bound(now, 0), counted=False
            )
            await self._vanished.check_parts(look.newest)
            await self._database.set_fact(_CURSOR, str(now))
            return PollResult(0)
        counted = self._looks % _COUNTED == 0 or self._vanished.is_in_doubt
        asking = await self._zone.asking()
        look, bound = await self._first_look(cursor, asking, counted=counted)
        await self._imports.note(
            is_running=look.is_importing, was_listed=self._catalog.take_renumbered()
        )
        now = self._server_now()
        moment = _Now(cursor, now, Evidence(asking, now), self._waiting)
        self._waiting = {}
        count = await self._scenes_of(look, bound, moment)
        for kind in PARTS:
            parts = look.parts.get(kind, {})
            if kind in look.more_parts:
                parts = await self._stash.changed_parts(kind, bound)
            count += await self._enqueue_parts(kind, parts, moment)
        count += await self._vanished.check_parts(look.newest)
        is_steady = not any(kind is Kind.SCENE for kind, _ in self._waiting)
        count += await self._vanished.check_scenes(
            look.newest["scene"], is_steady=is_steady
        )
        if look.uneven is not None:
            self._with_paths = len(look.uneven) <= MOST_WITH_PATHS
            count += await self._moved.check_uneven(look.uneven)
        await self._zone.learn(
            asking, moment.evidence, now, few=look.scenes.is_last and look.all_files
        )
        await self._database.set_fact(_CURSOR, str(now))
        self._looks += 1
        if count:
            log.info("changes_found", count=count)
        return PollResult(count, bool(self._waiting))

    async def _first_look(
        self, cursor: float, asking: Asking, *, counted: bool
    ) -> tuple[Look, str]:
        """Return what may have changed since, and the bound that was asked with."""
        bound = asking.bound(cursor, _DAYLIGHT)
        look = await self._stash.look(bound, counted=counted, paths=self._with_paths)
        many = not (look.scenes.is_last and look.all_files)
        lately = self._monotonic() - self._asked_last_hours < LAST_HOURS
        if many and lately and not asking.is_wide:
            # So much changed in the last hours that it is not all asked for again.
            bound = asking.bound(cursor, _COMMIT)
            return await self._stash.look(
                bound, counted=counted, paths=self._with_paths
            ), bound
        self._asked_last_hours = self._monotonic()
        return look, bound

    def _server_now(self) -> float:
        """Return Stash's clock; ours, with room for error, if it does not tell."""
        told = self._stash.server_time
        return self._now() - _COMMIT if told is None else told

    # --- scenes -------------------------------------------------------------------

    async def _scenes_of(self, look: Look, bound: str, now: _Now) -> int:
        """Enqueue the scenes that changed, and those whose files did."""
        page, count = look.scenes, 0
        waiting: list[SceneEntry] = []
        while True:
            now.evidence.take(one.updated_at for one in page.entries)
            more, left = await self._enqueue_scenes(page.entries, now)
            count += more
            waiting += left
            if page.is_last:
                break
            # People edit meanwhile, and their scenes have higher ids.
            page = await self._stash.changed_entries(bound, after=page.last)
        files = look.files
        if not look.all_files:
            files = await self._stash.changed_files(bound)
        now.evidence.take(one.changed for one in files)
        if files:
            having = await self._moved.of_files(files, waiting)
            count += (await self._enqueue_scenes(having, now))[0]
        return count

    async def _enqueue_scenes(
        self, entries: Sequence[SceneEntry], now: _Now
    ) -> tuple[int, list[SceneEntry]]:
        """Enqueue what is new of one page, and only then remember that it is known.

        Returns how many, and what is put off.
        """
        store = self._catalog.store
        polled = await store.polled([one.id for one in entries])
        moved = set(await store.moved(entries))
        changed: list[SceneEntry] = []
        waiting: list[SceneEntry] = []
        for one in entries:
            if (
                one.id in polled
                and one.id not in moved
                and not _is_new(one.updated_at, polled[one.id], now.cursor)
            ):
                continue
            key = (Kind.SCENE, one.id)
            if self._is_put_off(key, one.updated_at, now):
                waiting.append(one)
            else:
                changed.append(one)
        if not changed:
            return 0, waiting
        # A hook told of the same edit, perhaps, and that came to nothing.
        dead = await self._jobs.dead_among(Kind.SCENE, [one.id for one in changed])
        at = {one.id: one.updated_at for one in changed if one.id not in moved}
        spared = unchanged_since(dead, at, self._stash.ahead) & at.keys()
        count = await self._jobs.enqueue_many(
            Kind.SCENE,
            [one.id for one in changed if one.id not in spared],
            Reason.EXPANDED,
        )
        await self._catalog.note_scenes(changed)
        times = {one.id: one.updated_at for one in changed}
        await store.note_polled(_settled(times, now.time))
        return count, waiting

    def _is_put_off(self, key: tuple[Kind, int], text: str, now: _Now) -> bool:
        """Whether something changed a moment ago, and waits for the next look.

        Another change may follow in the same second. Who changes all the time does not
        wait for ever.
        """
        since = now.waited.get(key, now.time)
        if not is_early(text, now.time) or now.time - since > _PUT_OFF:
            return False
        self._waiting[key] = since
        return True

    # --- performers, studios, tags, groups ------------------------------------------

    async def _enqueue_parts(
        self, kind: Kind, parts: Mapping[int, PartTimes], now: _Now
    ) -> int:
        if not parts:
            return 0
        store = self._catalog.store
        polled = await store.polled_parts(kind)
        changed: dict[int, str] = {}
        made: dict[int, str] = {}
        for key, one in parts.items():
            if not _is_new(one.changed, polled.get(key, ""), now.cursor):
                continue
            if key not in polled and one.changed == one.made:
                made[key] = one.changed  # whatever got it since has a time of its own
            elif not self._is_put_off((kind, key), one.changed, now):
                changed[key] = one.changed
        if made:
            await store.note_polled_parts(kind, made, made)
        if not changed:
            return 0
        # When it changed has to be known where the job runs.
        await store.note_polled_parts(kind, changed, {})
        dead = await self._jobs.dead_among(kind, changed)
        spared = unchanged_since(dead, changed, self._stash.ahead)
        count = await self._jobs.enqueue_many(
            kind, changed.keys() - spared, Reason.EXPANDED
        )
        await store.note_polled_parts(kind, changed, _settled(changed, now.time))
        return count


def _is_new(text: str, polled: str, cursor: float) -> bool:
    """Whether a time tells of a change that was not enqueued yet.

    Not of one so old that every look since had to show it: what comes with it then is
    another file's time.
    """
    moment, known = parsed_time(text), parsed_time(polled)
    if moment is None or known == moment:
        return text != polled and known is None
    return moment.timestamp() >= cursor - _FORGOTTEN


def _settled(changes: Mapping[int, str], now: float) -> dict[int, str]:
    """Leave out the times that may stand for a later change too."""
    return {
        key: text
        for key, text in changes.items()
        if parsed_time(text) and not is_early(text, now)
    }
