"""Wire the parts together, run them, take them down in reverse.

A part that dies takes the daemon down with its traceback; systemd or Docker starts
it again, and the store makes that safe. Only this module knows every part.
"""

from __future__ import annotations

import asyncio
import gc
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from stash2plex import __version__
from stash2plex.api_token import make_token, token_file, token_of
from stash2plex.catalog.catalog import Catalog
from stash2plex.catalog.gaps import Gaps
from stash2plex.catalog.listener import Listener
from stash2plex.data_dir import LOCK, has_room, held
from stash2plex.data_files import DataFiles
from stash2plex.db.copies import copy_if_due
from stash2plex.db.database import DATABASE, Database
from stash2plex.db.last_time import LAST_HOOK, LastTime
from stash2plex.doctor import examine
from stash2plex.errors import DataDirGone, Restarting, StoreUnavailable
from stash2plex.explain import Explainer
from stash2plex.health.breaker import CircuitBreaker, Move, State
from stash2plex.health.covers import CoverHealth
from stash2plex.health.outages import OutageLog
from stash2plex.health.pace import Pace
from stash2plex.health.plugin_state import PluginState
from stash2plex.health.probe import Probe
from stash2plex.health.proof import Proof
from stash2plex.health.ramp import Ramp
from stash2plex.hosts import in_url
from stash2plex.measures import Measures
from stash2plex.net.contact import Contact
from stash2plex.paths import PathMap
from stash2plex.plex.connection import PlexConnection
from stash2plex.plex.library import PlexLibrary
from stash2plex.plex.notifications import Notifications, OwnWrites
from stash2plex.provider.background import Background
from stash2plex.provider.cache import DiskCache
from stash2plex.provider.callers import Callers
from stash2plex.provider.completion import Completion
from stash2plex.provider.images import Images
from stash2plex.provider.matching import ProviderMatcher
from stash2plex.provider.scenes import SceneReader
from stash2plex.provider.service import Provider
from stash2plex.provider.signing import Signer, image_key
from stash2plex.provider.traffic import Traffic
from stash2plex.push.delivery import Delivery
from stash2plex.push.expand import Expander
from stash2plex.push.hook_lines import HookLines
from stash2plex.push.hooks import HookTaker
from stash2plex.push.learned import Learned
from stash2plex.push.ledger import Ledger
from stash2plex.push.owed import OwedCovers
from stash2plex.push.preview import Preview
from stash2plex.push.recovery import Recovery
from stash2plex.push.scanning import FolderScans
from stash2plex.push.sync import Syncer
from stash2plex.queue.job import Kind, Reason
from stash2plex.queue.outcome import Result
from stash2plex.queue.retry import RetryPolicy
from stash2plex.queue.store import Choice, JobStore
from stash2plex.queue.summary import Summary
from stash2plex.queue.worker import Worker
from stash2plex.reconcile.changes import Changes
from stash2plex.reconcile.comparison import Comparison
from stash2plex.reconcile.imports import Imports
from stash2plex.reconcile.moved import Moved
from stash2plex.reconcile.poll import Poll
from stash2plex.reconcile.reconciler import Reconciler
from stash2plex.reconcile.runs import Runs
from stash2plex.reconcile.vanished import Vanished
from stash2plex.reconcile.whole import WholeReading
from stash2plex.reconcile.zone import Zone
from stash2plex.schedule import Schedule
from stash2plex.stash.client import StashClient
from stash2plex.supervision import supervised
from stash2plex.support import report, words_of
from stash2plex.translation import Translation
from stash2plex.web.app import Parts, create_app
from stash2plex.web.door import Door
from stash2plex.web.status import Status

if TYPE_CHECKING:
    from stash2plex.config import OutageSettings, ServerSettings, Settings
    from stash2plex.logs import Secrets

log = structlog.get_logger()

_IMAGES = "images"
_MEGABYTE = 1024 * 1024
_CLIENT_IDENTIFIER = "plex_client_identifier"
_PURGE_INTERVAL = 3600.0
# How often we look whether a copy of the database is due, seconds.
_COPY_INTERVAL = 3600.0
# How often we look whether the disk takes writes, and while it does not, seconds.
_DISK_INTERVAL, _FULL_DISK_INTERVAL = 30.0, 5.0
# How often we look whether our files are there, seconds; twice missing is gone.
_GLANCE = 5.0
# How long ago the last comparison may be at the start, seconds.
_OVERDUE = 3600.0
_WRITTEN_AT, _STARTED_AT = "written_at", "started_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What outlives a change of the configuration; see `stash2plex.reload`."""

    started_at: datetime
    folder: Path
    token: str
    database: Database
    files: DataFiles
    jobs: JobStore
    results: Counter[Result]
    door: Door
    measures: Measures
    traffic: Traffic
    tell: Callable[[str], None]


@asynccontextmanager
async def ground(
    settings: ServerSettings,
    secrets: Secrets,
    tell: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Ground]:
    """Hold the data directory, the database and the address for the block.

    *tell* is told in a few words how the daemon is, whenever that changes.

    Raises `DataDirUnusable`, `AlreadyRunning` or `DatabaseTooNew`.
    """
    started_at = datetime.now(UTC)
    folder = settings.data_dir
    async with AsyncExitStack() as stack:
        holding = held(folder)
        await asyncio.to_thread(holding.__enter__)
        stack.push(holding.__exit__)
        token = await asyncio.to_thread(_token, settings)
        secrets.add(token)
        secrets.words = await asyncio.to_thread(words_of, folder)
        database = await stack.enter_async_context(Database.open(folder / DATABASE))
        with suppress(StoreUnavailable):  # so that SQLite has made its other files
            await database.set_fact(_STARTED_AT, started_at.isoformat())
        own = [f"{DATABASE}{end}" for end in ("", "-wal", "-shm")]
        watching = DataFiles.opened(*(folder / name for name in (*own, LOCK)))
        files = await asyncio.to_thread(watching.__enter__)
        stack.push(watching.__exit__)
        yield Ground(
            started_at=started_at,
            folder=folder,
            token=token,
            database=database,
            files=files,
            jobs=JobStore(database),
            results=Counter(),
            tell=tell,
            measures=Measures(),
            traffic=await Traffic.load(database),
            door=await stack.enter_async_context(
                Door.closed_after(settings.host, settings.port)
            ),
        )


async def run(
    settings: Settings,
    secrets: Secrets,
    *,
    stopping: asyncio.Event,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Run the daemon until *stopping* is set, or until a part fails.

    Raises `DataDirUnusable`, `AlreadyRunning`, `DatabaseTooNew` or `AddressInUse`
    when it cannot start.
    """
    async with ground(settings.server, secrets) as base:
        answering = await work(
            base, settings, secrets, stopping=stopping, on_ready=on_ready
        )
        log.info("daemon_stopping")
        await answering.aclose()


async def work(
    base: Ground,
    settings: Settings,
    secrets: Secrets,
    *,
    stopping: asyncio.Event,
    on_ready: Callable[[], None] | None = None,
    former: AsyncExitStack | None = None,
) -> AsyncExitStack:
    """Do the daemon's work with these *settings*, until *stopping* or a part fails.

    Returns what requests are still answered with: close it when a successor answers
    them, which takes it as *former* and does so, or at the end.
    """
    answering = AsyncExitStack()
    try:
        await _work(
            base,
            settings,
            secrets,
            answering=answering,
            former=former,
            stopping=stopping,
            on_ready=on_ready,
        )
    except BaseException:
        await answering.aclose()
        raise
    return answering


async def _work(
    base: Ground,
    settings: Settings,
    secrets: Secrets,
    *,
    answering: AsyncExitStack,
    former: AsyncExitStack | None,
    stopping: asyncio.Event,
    on_ready: Callable[[], None] | None,
) -> None:
    database, jobs, measures = base.database, base.jobs, base.measures
    stash = await answering.enter_async_context(
        StashClient.connect(settings.stash, measures.server("stash"))
    )
    identifier = await _client_identifier(database)
    opening = PlexConnection.open(settings.plex, identifier, measures.server("plex"))
    connection = await answering.enter_async_context(opening)
    plex = PlexLibrary(connection, settings.plex.libraries)

    stash_breaker, plex_breaker = _breakers(settings.outage, stash, connection)
    ramp = Ramp(settings.outage)
    plex_breaker.listeners.append(ramp.noticed)
    stash.on_cover = (covers := CoverHealth()).note
    outages = await _outage_log(
        database, (stash_breaker, plex_breaker, covers.breaker), base.tell
    )

    async def wake_held() -> None:
        await jobs.make_held_due()
        worker.wake()

    async def look_at(scene_ids: Sequence[int]) -> None:
        await jobs.enqueue_many(Kind.SCENE, scene_ids, Reason.EXPANDED)
        worker.wake()

    catalog = Catalog(
        database,
        stash,
        plex,
        match=settings.match,
        rules=settings.path_rules,
        identifier=settings.provider.identifier,
        on_complete=wake_held,
        on_moved=look_at,
    )
    gaps, own, paths = Gaps(database), OwnWrites(), PathMap(settings.path_rules)
    ledger, learned = Ledger(database), Learned(database, settings.plex.longest_target)
    delivery = Delivery(
        settings,
        stash=stash,
        plex=plex,
        catalog=catalog,
        ledger=ledger,
        gaps=gaps,
        pace=Pace(
            settings.plex.concurrency, settings.plex.pace, on_slow=ramp.begin_anew
        ),
        expander=Expander(stash, catalog.store, jobs),
        own=own,
        learned=learned,
        scans=(scans := FolderScans(plex, catalog, paths)),
        stash_breaker=stash_breaker,
        plex_breaker=plex_breaker,
    )
    worker = Worker(
        database,
        jobs,
        delivery.deliver,
        RetryPolicy(settings.queue),
        (stash_breaker, plex_breaker),
        proofs=(Proof(stash.prove, stash_breaker), Proof(plex.prove, plex_breaker)),
        ramp=ramp,
        summary=(summary := Summary()),
        results=base.results,
    )

    changes = _changes(
        settings,
        database=database,
        stash=stash,
        catalog=catalog,
        jobs=jobs,
        breaker=stash_breaker,
        compare=lambda reason: _compare(reconciler, reason),
        wake=worker.wake,
    )
    reconciler = Reconciler(
        runs := Runs(database),
        Comparison(settings, catalog, ledger, plex),
        catalog=catalog,
        whole=WholeReading(database, stash, catalog, ledger, settings.sync),
        stash=stash,
        gaps=gaps,
        jobs=jobs,
        scans=scans if settings.plex.scan_new_scenes else None,
        mends=settings.sync.enabled,
        wake=worker.wake,
        took=measures.compared,
    )
    # Time zones are files.
    schedule = await asyncio.to_thread(
        Schedule, settings.reconcile.interval, settings.reconcile.timezone
    )

    listener = Listener(
        Notifications(settings.plex, identifier, connection.contact), catalog, own
    )

    stash_probe = Probe(stash.prove, stash_breaker, settings.outage)
    plex_probe = Probe(
        partial(_ask_plex, plex, catalog, plex_breaker), plex_breaker, settings.outage
    )
    await catalog.load()
    completion = Completion(jobs, worker.wake) if settings.sync.enabled else None
    provider = await answering.enter_async_context(
        _provider(
            settings,
            database=database,
            stash=stash,
            catalog=catalog,
            gaps=gaps,
            breaker=stash_breaker,
            completion=completion,
            traffic=base.traffic,
        )
    )

    preview = Preview(
        settings,
        stash=stash,
        plex=plex,
        catalog=catalog,
        ledger=ledger,
        learned=learned,
    )
    taker, hook_lines = await _hooks(
        settings,
        database=database,
        jobs=jobs,
        stash=stash,
        catalog=catalog,
        changes=changes,
        provider=provider,
        plugins=(
            plugins := PluginState(
                stash, stash_breaker, polls=settings.stash.poll_interval > 0
            )
        ),
        breaker=stash_breaker,
        wake=worker.wake,
    )
    parts = Parts(
        token=base.token,
        secrets=secrets,
        jobs=jobs,
        measures=measures,
        hooks=taker,
        wake=worker.wake,
        syncer=Syncer(stash, jobs),
        preview=preview,
        explainer=Explainer(
            settings,
            stash=stash,
            plex=plex,
            catalog=catalog,
            jobs=jobs,
            ledger=ledger,
            gaps=gaps,
            preview=preview,
        ),
        gaps=gaps,
        provider=provider,
        callers=await _callers(settings, database, plex),
        status=(
            status := Status(
                started_at=base.started_at,
                jobs=jobs,
                worker=worker,
                catalog=catalog,
                gaps=gaps,
                listener=listener,
                plex=plex_probe,
                plex_breaker=plex_breaker,
                stash=stash_probe,
                stash_breaker=stash_breaker,
                plugins=plugins,
                hook_lines=hook_lines,
                hooked=taker.hooked,
                pictures_breaker=covers.breaker,
                provider=base.traffic,
                outages=outages,
                reconciler=reconciler,
                runs=runs,
                schedule=schedule,
            )
        ),
        outages=outages,
        reconciler=reconciler,
        examine=partial(examine, settings, status.read),
        report=lambda: report(settings, secrets, examine(settings, status.read)),
        recovery=Recovery(jobs, stash, (stash_probe, plex_probe)),
        retention_days=settings.queue.dead_retention_days,
        ready=lambda: not stopping.is_set() and database.is_writable,
    )
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tasks.create_task(supervised("worker", worker.run, stopping), name="worker")
        stack.callback(worker.stop)
        stack.callback(tasks.create_task(_guarding(base.files, database)).cancel)
        _start(
            tasks,
            stack,
            stopping,
            {
                "outages": outages.run,
                "summary": summary.run,
                "measures": measures.watch_loop,
                "copies": partial(_copying, base.folder / DATABASE),
                "purge": partial(
                    _purging,
                    jobs,
                    gaps,
                    ledger,
                    catalog,
                    settings.queue.dead_retention_days,
                ),
                "disk": partial(_minding, database, base.folder, worker.wake),
                "catalog": catalog.run,
                "undelivered": partial(_once, partial(_catching_up, jobs, worker.wake))
                if settings.sync.enabled
                else None,
                "completion": completion.run if completion else None,
                "scans": scans.run,
                "owed covers": OwedCovers(
                    gaps,
                    stash,
                    jobs,
                    covers,
                    delivers=settings.sync.enabled,
                    wake=worker.wake,
                ).run,
                "plex probe": plex_probe.run,
                "stash probe": stash_probe.run,
                "listener": listener.run if settings.plex.notifications else None,
                "poll": changes.run,
                "hook lines": hook_lines.run,
                "plugins": plugins.run,
                "reconciler": reconciler.run,
                "first comparison": partial(_once, partial(_at_start, reconciler, runs))
                if settings.reconcile.on_start
                else None,
                "stash breaker": partial(_on_closing, stash_breaker, wake_held),
                "plex breaker": partial(_on_closing, plex_breaker, wake_held),
            },
        )
        await stack.enter_async_context(
            schedule.running(
                partial(reconciler.request, settings.reconcile.scope, reason="schedule")
            )
        )
        await base.door.hand_to(create_app(parts))
        if former is not None:
            await former.aclose()
            worker.wake()  # what the former application took in the meantime
        log.info(
            "daemon_started",
            version=__version__,
            listening=f"{in_url(settings.server.host)}:{settings.server.port}",
            data_dir=str(base.folder),
        )
        # What is here now stays: the collector need not stop everything to look at it.
        gc.freeze()
        if on_ready:
            on_ready()
        await stopping.wait()


def _start(
    tasks: asyncio.TaskGroup,
    stack: AsyncExitStack,
    stopping: asyncio.Event,
    helpers: Mapping[str, Callable[[], Awaitable[None]] | None],
) -> None:
    """Start helpers, by name; at the end of *stack* they are cancelled.

    What only reads is not waited for: a server may hang.
    """
    for name, run_helper in helpers.items():
        if run_helper:
            helper = supervised(name, run_helper, stopping)
            stack.callback(tasks.create_task(helper, name=name).cancel)


def _token(settings: ServerSettings) -> str:
    token = token_of(settings)
    if token is None:
        token = make_token(settings)
        log.info("token_made", file=str(token_file(settings)))
    return token


async def _client_identifier(database: Database) -> str:
    """Return what Plex knows us by; the same for the life of the data directory."""
    known = await database.fact(_CLIENT_IDENTIFIER)
    if known is None:
        known = str(uuid.uuid4())
        await database.set_fact(_CLIENT_IDENTIFIER, known)
    return known


async def _ask_plex(
    plex: PlexLibrary, catalog: Catalog, breaker: CircuitBreaker
) -> str:
    """Return Plex's version; after an outage only if it can be read as well.

    Another server than before makes the catalogue anew.
    """
    server = await plex.server()
    await catalog.note_machine(server.machine)
    if breaker.state is not State.CLOSED:
        await plex.prove()
    return server.version


def _breakers(
    settings: OutageSettings, stash: StashClient, plex: PlexConnection
) -> tuple[CircuitBreaker, CircuitBreaker]:
    """Return the breakers of Stash and of Plex, told of what reaches them."""

    def breaker(service: str) -> CircuitBreaker:
        return CircuitBreaker(
            service,
            threshold=settings.failure_threshold,
            open_seconds=settings.open_seconds,
        )

    of_stash, of_plex = breaker("Stash"), breaker("Plex")
    stash.contact, plex.contact = Contact(of_stash), Contact(of_plex)
    return of_stash, of_plex


async def _callers(
    settings: Settings, database: Database, plex: PlexLibrary
) -> Callers:
    """Return what tells who may call what asks for no token."""
    callers = Callers(
        settings.server.allowed_hosts, settings.provider, database=database, plex=plex
    )
    await callers.load()
    return callers


@asynccontextmanager
async def _provider(
    settings: Settings,
    *,
    database: Database,
    stash: StashClient,
    catalog: Catalog,
    gaps: Gaps,
    breaker: CircuitBreaker,
    completion: Completion | None,
    traffic: Traffic,
) -> AsyncIterator[Provider | None]:
    """Put together what answers Plex, if wanted, for the length of the block."""
    if not settings.provider.enabled:
        yield None
        return
    folder = settings.server.data_dir
    cache = DiskCache(folder / _IMAGES, settings.provider.image_cache_mb * _MEGABYTE)
    await cache.open()
    signer = Signer(await asyncio.to_thread(image_key, folder))
    async with Background.running() as background:
        reader = SceneReader(stash, catalog, breaker, background)
        yield Provider(
            settings=settings.provider,
            catalog=catalog,
            gaps=gaps,
            matcher=ProviderMatcher(
                settings,
                catalog=catalog,
                stash=stash,
                breaker=breaker,
                reader=reader,
                background=background,
            ),
            reader=reader,
            images=Images(
                database=database,
                stash=stash,
                cache=cache,
                signer=signer,
                poster=settings.provider.poster,
                background=background,
            ),
            translation=Translation(settings),
            completion=completion,
            traffic=traffic,
        )


def _changes(
    settings: Settings,
    *,
    database: Database,
    stash: StashClient,
    catalog: Catalog,
    jobs: JobStore,
    breaker: CircuitBreaker,
    compare: Callable[[str], Awaitable[bool]],
    wake: Callable[[], None],
) -> Changes:
    """Return what looks for changes that no hook tells of."""
    zone, imports = Zone(database), Imports(database, compare)
    poll = Poll(
        database,
        stash,
        catalog,
        jobs,
        zone=zone,
        moved=Moved(stash, catalog, jobs),
        vanished=Vanished(database, stash, catalog, jobs, compare),
        imports=imports,
    )
    return Changes(
        poll,
        stash,
        zone=zone,
        imports=imports,
        breaker=breaker,
        interval=settings.stash.poll_interval,
        wake=wake,
    )


async def _hooks(
    settings: Settings,
    *,
    database: Database,
    jobs: JobStore,
    stash: StashClient,
    catalog: Catalog,
    changes: Changes,
    provider: Provider | None,
    plugins: PluginState,
    breaker: CircuitBreaker,
    wake: Callable[[], None],
) -> tuple[HookTaker, HookLines]:
    """Return what takes hooks, and what hears of those that Stash's log tells."""
    hooked = LastTime(database, LAST_HOOK)
    await hooked.load()
    taker = HookTaker(
        jobs=jobs,
        sync=settings.sync,
        stash=stash,
        hooked=hooked,
        wake=wake,
        forget=provider.forget if provider else lambda _: None,
        tried=plugins.look_soon,
    )
    lines = HookLines(
        stash,
        taker,
        look=changes.look_soon,
        scenes_with=catalog.store.scenes_with_part,
    )
    breaker.listeners.append(lines.noticed)
    return taker, lines


async def _outage_log(
    database: Database,
    breakers: Sequence[CircuitBreaker],
    tell: Callable[[str], None],
) -> OutageLog:
    """Return the history that follows *breakers*, which go on as they were.

    *tell* is told whenever one of them opens or closes.
    """

    def told(_: Move | None = None) -> None:
        away = [one for one in breakers if one.state is not State.CLOSED]
        causes = "; ".join(str(one.error) for one in away)
        tell(f"Takes hooks; {causes}" if away else "Takes hooks; both servers answer")

    log = OutageLog(database)
    for breaker in breakers:
        await log.adopt(breaker)
        breaker.listeners.append(told)
    told()
    return log


async def _compare(reconciler: Reconciler, reason: str) -> bool:
    """Ask for a comparison that begins from now on; whether that was possible."""
    try:
        await reconciler.request("all", reason=reason, anew=True)
    except (StoreUnavailable, Restarting):
        return False
    return True


async def _once(do: Callable[[], Awaitable[None]]) -> None:
    """Do something that wants the database, as soon as that can be written."""
    while True:
        try:
            await do()
        except StoreUnavailable as error:
            log.warning("store_unavailable", error=str(error))
            await asyncio.sleep(_FULL_DISK_INTERVAL)
        else:
            return


async def _at_start(reconciler: Reconciler, runs: Runs) -> None:
    """Ask for a comparison if the last was over an hour ago, or none ever was."""
    done = [one for one in await runs.listed() if one.state == "done"]
    last = next((one for one in done if not one.dry_run), None)
    if last is None or not 0 <= time.time() - last.started_at < _OVERDUE:
        await reconciler.request("24h", reason="start")


async def _catching_up(jobs: JobStore, wake: Callable[[], None]) -> None:
    """Enqueue what was asked for while ``sync.enabled`` was false."""
    if count := await jobs.enqueue_undelivered():
        log.info("undelivered_enqueued", count=count)
        wake()


async def _copying(path: Path) -> None:
    """Copy the database every day."""
    while True:
        try:
            copy = await asyncio.to_thread(copy_if_due, path, now=time.time())
        except StoreUnavailable as error:
            log.warning("database_not_copied", error=str(error))
        else:
            if copy:
                log.info("database_copied", copy=str(copy))
        await asyncio.sleep(_COPY_INTERVAL)


async def _minding(database: Database, folder: Path, wake: Callable[[], None]) -> None:
    """Keep an eye on the disk: full or read-only, and taking writes again."""
    while True:
        well = database.is_writable
        await asyncio.sleep(_DISK_INTERVAL if well else _FULL_DISK_INTERVAL)
        if not await asyncio.to_thread(has_room, folder):
            database.is_writable = False
        elif not database.is_writable:
            with suppress(StoreUnavailable):
                await database.set_fact(_WRITTEN_AT, str(time.time()))
                wake()


async def _guarding(files: DataFiles, database: Database) -> None:
    """Look after our files; raises `DataDirGone` once one was deleted."""
    while True:
        await asyncio.sleep(_GLANCE)
        gone = await asyncio.to_thread(files.gone)
        if gone is None:
            database.lost = None  # it was away for a moment
            continue
        msg = (
            f"{gone} was deleted while the daemon ran, so that nothing it keeps"
            " would be there at the next start; it has to start anew"
        )
        if database.lost is not None:
            log.error("data_dir_gone", file=str(gone))
            raise DataDirGone(msg)
        # From now on nothing is taken that would be lost.
        database.is_writable, database.lost = False, msg


async def _purging(
    jobs: JobStore,
    gaps: Gaps,
    ledger: Ledger,
    catalog: Catalog,
    days: float,
) -> None:
    """Forget what is old, now and every hour: dead letters, gaps, what we wrote."""
    while True:
        try:
            before = time.time() - days * 24 * 3600
            if count := await jobs.clear_dead(Choice(before=before)):
                log.info("dead_letters_purged", count=count)
            await gaps.prune()
            if catalog.plex_complete and catalog.machine:
                await ledger.prune(catalog.machine)
        except StoreUnavailable as error:
            log.warning("store_unavailable", error=str(error))
        await asyncio.sleep(_PURGE_INTERVAL)


async def _on_closing(
    breaker: CircuitBreaker, wake_held: Callable[[], Awaitable[None]]
) -> None:
    """Wake the jobs that waited for a server when it is back."""
    while True:
        await breaker.changed()
        if breaker.state is State.CLOSED:
            # A full disk is no reason to end: what is held has a due time as well.
            with suppress(StoreUnavailable):
                await wake_held()
