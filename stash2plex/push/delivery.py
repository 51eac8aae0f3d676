"""Carry a batch of scenes from Stash to Plex: the whole of the push, in order.

One read of Stash for the batch, one of Plex, then per item only what differs. What
fails about one scene never touches another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import structlog

from stash2plex.catalog.catalog import Catalog
from stash2plex.catalog.gaps import Gaps
from stash2plex.catalog.matching import Answer, Confidence, Match
from stash2plex.config import Settings
from stash2plex.db.database import Transaction
from stash2plex.db.doubt import doubt_job, note_undelivered
from stash2plex.errors import (
    AmbiguousMatch,
    Braked,
    CatalogIncomplete,
    ItemNotFound,
    OddAnswer,
    PictureFailed,
    RequestRejected,
    SchemaMismatch,
    ServerFault,
    ServiceUnavailable,
    StaleCatalog,
    Stash2PlexError,
    StoreUnavailable,
    UnmappedPath,
)
from stash2plex.gap_kinds import GapKind
from stash2plex.gates import NO_METADATA, gates_digest, refusal, says_nothing
from stash2plex.health.breaker import CircuitBreaker
from stash2plex.health.pace import Pace
from stash2plex.movie import Movie
from stash2plex.paths import PathMap
from stash2plex.plex.item import Item
from stash2plex.plex.library import PlexLibrary
from stash2plex.plex.notifications import OwnWrites
from stash2plex.push.artwork import Artwork
from stash2plex.push.emptied import may_clear, said_something
from stash2plex.push.expand import Expander
from stash2plex.push.learned import Learned
from stash2plex.push.ledger import Entry, Ledger
from stash2plex.push.scanning import FolderScans
from stash2plex.push.writer import ItemWriter, Target, Written
from stash2plex.queue.job import Job, Kind
from stash2plex.queue.outcome import Outcome, Record, Result, Settle
from stash2plex.scene import Scene
from stash2plex.stash.answers import is_early, parsed_time
from stash2plex.stash.client import StashClient
from stash2plex.translation import Translation, settings_digest

log = structlog.get_logger()

T = TypeVar("T")

# How long scenes that were written wait for others of their batch, seconds.
_PATIENCE = 5.0
# How long a question waits that Stash does not understand, seconds.
_MISFITTING = 300.0


@dataclass(slots=True)
class _Task:
    """One scene of the batch on its way."""

    job: Job
    scene: Scene
    movie: Movie
    matches: tuple[Match, ...]
    done: list[Written] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)


class Delivery:
    """What the worker does with a batch of jobs."""

    def __init__(
        self,
        settings: Settings,
        *,
        stash: StashClient,
        plex: PlexLibrary,
        catalog: Catalog,
        ledger: Ledger,
        gaps: Gaps,
        pace: Pace,
        expander: Expander,
        own: OwnWrites,
        learned: Learned,
        scans: FolderScans,
        stash_breaker: CircuitBreaker,
        plex_breaker: CircuitBreaker,
    ) -> None:
        self._settings = settings
        self._stash = stash
        self._plex = plex
        self._catalog = catalog
        self._ledger = ledger
        self._gaps = gaps
        self._expander = expander
        self._scans = scans
        self._stash_breaker = stash_breaker
        self._plex_breaker = plex_breaker
        self._writer = ItemWriter(
            digest=(digest := settings_digest(settings)),
            stash=stash,
            plex=plex,
            artwork=Artwork(
                stash, plex, settings.sync, settings.provider.poster, digest
            ),
            sync=settings.sync,
            pace=pace,
            breaker=plex_breaker,
            ledger=ledger,
            learned=learned,
            own=own,
        )
        self._learned = learned
        self._paths = PathMap(settings.path_rules)
        self._forgetting = asyncio.Lock()
        # Scenes whose pictures are in memory.
        self._at_hand = asyncio.Semaphore(settings.plex.concurrency * 2)
        self._movie = Translation(settings)

    async def deliver(self, jobs: Sequence[Job], settle: Settle) -> None:
        """Make Plex show the scenes of *jobs* as they are in Stash at this moment."""
        scene_jobs = [job for job in jobs if job.kind is Kind.SCENE]
        read_at = time.time() + self._stash.ahead
        taking_part = await self._read(scene_jobs, settle)
        tasks = await self._match(taking_part, settle, read_at)
        await self._write(tasks, settle)
        for job in jobs:
            if job.kind is not Kind.SCENE:
                await self._expand(job, settle)

    # --- reading ------------------------------------------------------------

    async def _expand(self, job: Job, settle: Settle) -> None:
        try:
            scenes = await self._expander.expand(job)
        except SchemaMismatch as error:
            # Scenes may be read all the same: only what is asked for here is not there.
            error.pause = _MISFITTING
            await settle(job, Outcome(result=Result.FAILED, error=error))
            return
        except Stash2PlexError as error:
            self._note_stash(job, error)
            await settle(job, Outcome(result=Result.FAILED, error=error))
            return
        self._stash_breaker.succeed()
        log.info("job_expanded", kind=job.kind, stash_id=job.stash_id, scenes=scenes)
        await settle(job, Outcome(result=Result.EXPANDED))

    async def _read(
        self, jobs: Sequence[Job], settle: Settle
    ) -> list[tuple[Job, Scene]]:
        """Read the scenes; settle those that are gone, kept out, or unfinished."""
        if not jobs:
            return []
        try:
            scenes = await self._stash.scenes([job.stash_id for job in jobs])
        except Stash2PlexError as error:
            self._note_stash(jobs[0], error)
            await _fail_all(jobs, error, settle)
            return []
        taking_part: list[tuple[Job, Scene]] = []
        ends: list[Callable[[], Awaitable[None]]] = []
        kept_out: list[Scene] = []
        gone: list[Job] = []
        emptied = await self._perhaps_emptied(scenes.values())
        for job in jobs:
            scene = scenes[job.stash_id]
            if isinstance(scene, Stash2PlexError):
                self._note_stash(job, scene)
                failed = Outcome(result=Result.FAILED, error=scene)
                ends.append(partial(settle, job, failed))
                continue
            self._stash_breaker.succeed()
            log.debug(
                "scene_read",
                scene=job.stash_id,
                reason=job.reason,
                updated_at=scene.updated_at if scene else None,
                title=scene.title if scene else None,
                files=[file.path for file in scene.files] if scene else [],
            )
            if scene is None:
                gone.append(job)
            elif reason := refusal(
                scene, self._settings.sync, was_delivered=scene.id in emptied
            ):
                kept_out.append(scene)
                ends.append(partial(self._skip, job, settle, reason))
            else:
                taking_part.append((job, scene))
        await self._note_gates(taking_part, kept_out)
        await _together(end() for end in ends)
        if gone:
            await self._forget(gone, settle)
        return taking_part

    async def _perhaps_emptied(
        self, scenes: Iterable[Scene | Stash2PlexError | None]
    ) -> set[int]:
        """Return which scenes say nothing, but were delivered before."""
        silent = [
            one.id for one in scenes if isinstance(one, Scene) and says_nothing(one)
        ]
        return await self._ledger.delivered_among(silent) if silent else set()

    async def _note_gates(
        self, taking_part: Sequence[tuple[Job, Scene]], kept_out: Sequence[Scene]
    ) -> None:
        """Remember which scenes take part, and which do not as they are."""
        if taking_part:
            await self._catalog.store.note_taking_part(
                job.stash_id for job, _ in taking_part
            )
        if kept_out:
            await self._catalog.note_scenes(kept_out)
            if self._settings.sync.enabled:
                by = gates_digest(self._settings.sync)
                await self._catalog.store.note_kept_out(kept_out, by)

    async def _forget(self, jobs: Sequence[Job], settle: Settle) -> None:
        """Take scenes that are gone out of the catalogue, unless they are too many."""
        async with self._forgetting:  # so that the brake counts what is left
            ids = {job.stash_id for job in jobs}
            may_go = await self._catalog.may_forget_scenes(ids)
            await _together(self._gone(job, settle, may_go=may_go) for job in jobs)

    async def _gone(self, job: Job, settle: Settle, *, may_go: bool) -> None:
        """Take one scene out of the catalogue; Plex is never changed over that."""
        if not may_go:
            reason = "gone from Stash, as too many others are"
            await self._skip(
                job,
                settle,
                reason,
                partial(doubt_job, kind=job.kind, stash_id=job.stash_id),
            )
            return
        others = await self._catalog.store.sharing(job.stash_id)

        async def record(transaction: Transaction) -> None:
            orphans = await self._catalog.store.forget_scene(transaction, job.stash_id)
            await self._gaps.close(transaction, job.stash_id)
            await doubt_job(transaction, job.kind, job.stash_id)
            for file in orphans:
                await self._gaps.record_item(
                    transaction,
                    file.rating_key,
                    path=file.path,
                    detail=f"scene {job.stash_id} was deleted in Stash",
                )

        await self._skip(job, settle, "gone from Stash", record)
        await self._expander.look_again(others)  # they have its items to themselves now

    async def _skip(
        self,
        job: Job,
        settle: Settle,
        reason: str,
        record: Record | None = None,
    ) -> None:
        """End a job without a delivery; without *record* its gaps are closed.

        What it was about is found again once the scene takes part.
        """

        async def not_delivered(transaction: Transaction) -> None:
            if self._settings.sync.enabled:
                await self._gaps.close(transaction, job.stash_id)
            else:  # nothing changed about its gaps
                await note_undelivered(transaction, job.kind, job.stash_id)
            await doubt_job(transaction, job.kind, job.stash_id)

        record = record or not_delivered
        log.info("scene_skipped", scene=job.stash_id, reason=reason)
        await settle(job, Outcome(result=Result.SKIPPED, reason=reason, record=record))

    def _note_stash(self, job: Job, error: Stash2PlexError) -> None:
        """Tell Stash's breaker, if *error* is about Stash."""
        service = self._stash_breaker.service
        match error:
            case ServiceUnavailable() if error.service == service:
                self._stash_breaker.fail(error)
            case ServerFault() if error.service == service:
                self._stash_breaker.stumble(job.stash_id, error)

    # --- matching -----------------------------------------------------------

    async def _match(
        self, scenes: Sequence[tuple[Job, Scene]], settle: Settle, read_at: float
    ) -> list[_Task]:
        """Find the items; settle the scenes that have none.

        They were read after *read_at*, by Stash's clock: what had changed by then polls
        need not have read again.
        """
        if not scenes:
            return []
        found = [scene for _, scene in scenes]
        answers = await self._catalog.match(found)
        settled = {
            one.id: one.updated_at
            for one in found
            if parsed_time(one.updated_at) and not is_early(one.updated_at, read_at)
        }
        await self._catalog.store.note_polled(settled, durable=False)
        if self._settings.provider.enabled:
            await self._catalog.documents.put(found, pictured=False)
        tasks: list[_Task] = []
        ends: list[Awaitable[None]] = []
        for job, scene in scenes:
            answer = answers[scene.id]
            if isinstance(answer, ItemNotFound):
                ends.append(self._missing(job, scene, answer, settle))
            elif isinstance(answer, Stash2PlexError):
                ends.append(self._undecided(job, answer, settle))
            else:
                log.debug("scene_matched", scene=scene.id, matches=_told(answer))
                movie = self._movie(scene)
                tasks.append(_Task(job, scene, movie, answer))
        self._note_undecided(answers.values())
        await _together(ends)
        return tasks

    async def _undecided(
        self, job: Job, error: Stash2PlexError, settle: Settle
    ) -> None:
        """Let a scene wait until its item can be looked for."""
        if not isinstance(error, ServiceUnavailable):
            error = CatalogIncomplete(str(error))
        await settle(job, Outcome(result=Result.FAILED, error=error))

    def _note_undecided(self, answers: Iterable[Answer]) -> None:
        """Tell the breakers of the servers that failed, once each."""
        down = {
            answer.service: answer
            for answer in answers
            if isinstance(answer, ServiceUnavailable)
        }
        for breaker in (self._plex_breaker, self._stash_breaker):
            if error := down.get(breaker.service):
                breaker.fail(error)

    async def _missing(
        self, job: Job, scene: Scene, error: ItemNotFound, settle: Settle
    ) -> None:
        """Let a scene wait for Plex; at last it is a gap that people can see."""
        log.debug("scene_unmatched", scene=scene.id, reason=str(error))
        if self._settings.match.not_found == "skip" and not isinstance(
            error, AmbiguousMatch
        ):
            await self._skip(job, settle, "not in Plex")
            return
        match error:
            case AmbiguousMatch():
                kind = GapKind.AMBIGUOUS
            case UnmappedPath():
                kind = GapKind.UNMAPPED
            case _:
                kind = GapKind.MISSING_IN_PLEX
                if self._settings.plex.scan_new_scenes:
                    self._scans.want(scene)

        async def gap(transaction: Transaction) -> None:
            await self._gaps.record_scene(
                transaction,
                kind,
                scene.id,
                path=scene.files[0].path,
                detail=str(error),
            )

        # What waiting for a scan cannot mend is shown at once.
        evident = kind is not GapKind.MISSING_IN_PLEX
        outcome = Outcome(result=Result.FAILED, error=error, ended=gap)
        if evident:
            outcome = Outcome(result=Result.FAILED, error=error, record=gap)
        await settle(job, outcome)

    # --- writing ------------------------------------------------------------

    async def _write(self, tasks: Sequence[_Task], settle: Settle) -> None:
        if not tasks:
            return
        keys = {match.rating_key for task in tasks for match in task.matches}
        try:
            self._plex_breaker.refuse_while_open()
            machine = await self._catalog.ensure_machine()
            await self._learned.about(machine, self._plex)
            items = await self._read_items(keys)
            entries = await self._ledger.known(
                machine,
                [
                    (task.scene.id, match.rating_key, match.file)
                    for task in tasks
                    for match in task.matches
                ],
                {k: one for k, one in items.items() if isinstance(one, Item)},
            )
            tasks = await self._hold_empty(tasks, entries, settle)
        except Stash2PlexError as error:
            await _fail_all([task.job for task in tasks], error, settle)
            return
        writing = {
            asyncio.create_task(
                self._write_scene(task, machine, items, entries, settle)
            ): task
            for task in tasks
        }
        try:
            await self._read_back(writing, settle)
        finally:
            for one in writing:
                one.cancel()
            await asyncio.gather(*writing, return_exceptions=True)

    async def _hold_empty(
        self,
        tasks: Sequence[_Task],
        entries: dict[tuple[int, int], Entry],
        settle: Settle,
    ) -> list[_Task]:
        """Leave out scenes that lost all metadata, and must not clear Plex for it."""
        kept: list[_Task] = []
        lost: dict[int, _Task] = {}
        for task in tasks:
            if not says_nothing(task.scene):
                kept.append(task)
                continue
            known = [entries.get((task.scene.id, m.rating_key)) for m in task.matches]
            own = [
                match
                for match, entry in zip(task.matches, known, strict=True)
                if may_clear(task.scene, match, entry, self._paths, self._stash.ahead)
            ]
            if not own:
                await self._note_gates([], [task.scene])
                await self._skip(task.job, settle, NO_METADATA)
                continue
            task.matches = tuple(own)
            if said_something(entry for entry in known if entry):
                lost[task.scene.id] = task
            else:
                kept.append(task)
        if not lost:
            return kept
        brake = self._catalog.brake
        held_before = brake.reason is not None
        delivered = await self._ledger.delivered()
        if await brake.allows_clearing(lost.keys(), delivered):
            return [*kept, *lost.values()]
        error = Braked(brake.reason or "")
        if not held_before:
            log.error("brake_pulled", error=str(error))
        await _fail_all([task.job for task in lost.values()], error, settle)
        return kept

    async def _read_back(
        self, writing: dict[asyncio.Task[bool], _Task], settle: Settle
    ) -> None:
        """Read back what was written to scenes, and settle them.

        Those that hang do not hold up the others for long.
        """
        pending = set(writing)
        written: list[_Task] = []
        failure: BaseException | None = None
        while pending:
            done, pending = await asyncio.wait(pending, timeout=_PATIENCE)
            for one in done:
                if error := one.exception():
                    failure = failure or error
                elif one.result():
                    written.append(writing[one])
            await self._writer.read_back(
                [one for task in written for one in task.done if one.requests]
            )
            await _together(self._finish(task, settle) for task in written)
            written.clear()
        if failure:
            raise failure

    async def _read_items(self, keys: set[int]) -> dict[int, Item | Stash2PlexError]:
        """Read the items in one request, or one by one when one of them spoils it."""
        try:
            found = await self._plex.items(sorted(keys))
        except ServiceUnavailable as error:
            self._plex_breaker.fail(error)
            raise
        except (ServerFault, RequestRejected):
            return await self._read_singly(keys)
        return dict(found)

    async def _read_singly(self, keys: set[int]) -> dict[int, Item | Stash2PlexError]:
        items: dict[int, Item | Stash2PlexError] = {}
        for key in sorted(keys):
            self._plex_breaker.refuse_while_open()
            try:
                items |= await self._plex.items([key])
            except ServiceUnavailable as error:
                self._plex_breaker.fail(error)
                raise
            except OddAnswer as error:
                items[key] = error
            except (ServerFault, RequestRejected) as error:
                items[key] = ServerFault("Plex", f"item {key} cannot be read: {error}")
        return items

    async def _write_scene(
        self,
        task: _Task,
        machine: str,
        items: dict[int, Item | Stash2PlexError],
        entries: dict[tuple[int, int], Entry],
        settle: Settle,
    ) -> bool:
        """Write every item of a scene; True when anything was written."""
        async with self._at_hand:
            for match in task.matches:
                try:
                    item = await self._still_holding(task, match, items)
                    target = Target(
                        scene=task.scene,
                        movie=task.movie,
                        match=match,
                        item=item,
                        entry=entries.get((task.scene.id, match.rating_key)),
                        machine=machine,
                    )
                    task.done.append(await self._writer.write(target))
                except StoreUnavailable:
                    raise
                except Stash2PlexError as error:
                    task.errors.append(error)
                except Exception as error:
                    # A bug about one item must not touch the others of the batch.
                    log.exception("item_crashed", scene=task.scene.id)
                    task.errors.append(error)
        if any(written.requests for written in task.done):
            return True
        await self._finish(task, settle)
        return False

    async def _still_holding(
        self, task: _Task, match: Match, items: dict[int, Item | Stash2PlexError]
    ) -> Item:
        """Return the item if it still holds the file that led to it."""
        item = items.get(match.rating_key)
        if isinstance(item, Stash2PlexError):
            if isinstance(item, ServerFault):
                self._plex_breaker.stumble(match.rating_key, item)
            raise item
        if item is None or item.is_trashed:
            await self._catalog.forget_item(match.rating_key)
            raise StaleCatalog(f"item {match.rating_key} is gone from Plex")
        if not item.holds(match.file):
            await self._catalog.note_item(item)
            raise StaleCatalog(
                f"item {match.rating_key} no longer holds {match.file!r}"
            )
        return item

    async def _finish(self, task: _Task, settle: Settle) -> None:
        """Settle a scene's job with all that happened to its items."""
        errors = [*task.errors, *(error for one in task.done for error in one.errors)]
        for written in task.done:
            _log(task, written)
        for error in errors:
            if isinstance(error, ServiceUnavailable):
                self._note_stash(task.job, error)

        faults = [written.fault for written in task.done if written.fault]
        pictures = [one for one in errors if isinstance(one, PictureFailed)]

        async def record(transaction: Transaction) -> None:
            for written in task.done:
                await self._ledger.record(transaction, written.entry)
            if len(pictures) < len(errors):
                return
            # Its text at least was delivered.
            items = {match.rating_key: match.file for match in task.matches}
            failed = next(iter([*faults, *pictures]), None)
            but = GapKind.PICTURE if failed else None
            await self._gaps.close(transaction, task.scene.id, items, but=but)
            if failed:
                await self._gaps.record_scene(
                    transaction,
                    GapKind.PICTURE,
                    task.scene.id,
                    path=task.scene.files[0].path,
                    detail=str(failed),
                )

        wrote = any(written.requests for written in task.done)
        result = Result.WRITTEN if wrote else Result.UNCHANGED
        await settle(
            task.job,
            Outcome(
                result=Result.FAILED if errors else result,
                error=min(errors, key=_severity) if errors else None,
                record=record,
                seconds=sum(written.seconds for written in task.done),
                confidence=min(
                    (match.confidence for match in task.matches),
                    key=lambda one: one is Confidence.HIGH,
                    default=None,
                ),
            ),
        )


async def _together(work: Iterable[Awaitable[T]]) -> list[T]:
    """Await all of *work*, to the end of each, then raise the first error if any."""
    results = await asyncio.gather(*work, return_exceptions=True)
    done: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done


async def _fail_all(
    jobs: Iterable[Job], error: Stash2PlexError, settle: Settle
) -> None:
    outcome = Outcome(result=Result.FAILED, error=error)
    await _together(settle(job, outcome) for job in jobs)


def _told(matches: Iterable[Match]) -> list[dict[str, object]]:
    return [
        {"item": one.rating_key, "how": one.how, "file": one.file} for one in matches
    ]


def _log(task: _Task, written: Written) -> None:
    # Most are unchanged after a comparison, a refresh, or an edit of something else.
    failed = [*written.errors, *([written.fault] if written.fault else [])]
    say = log.info if written.requests or failed else log.debug
    say(
        "scene_delivered",
        scene=task.scene.id,
        item=written.item.rating_key,
        outcome="written" if written.requests else "unchanged",
        changed=written.changed,
        locked_by_others=written.respected or None,
        confidence=written.entry.confidence,
        requests=written.requests,
        ms=round(written.seconds * 1000),
        error="; ".join(map(str, failed)) or None,
    )


def _severity(error: Exception) -> int:
    """Order errors by which of them decides about the job, the patient ones first."""
    match error:
        case ServiceUnavailable():
            return 0
        case StaleCatalog() | Braked():
            return 1
        case ServerFault():
            return 2
        case PictureFailed():
            return 3
        case _:
            return 4
