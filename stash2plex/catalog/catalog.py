"""The catalogue as a service: filled in the background, asked by deliveries.

A listing replaces what it covers only when it was read to its end: a server that
fails half-way erases nothing. Until both libraries were listed once, look-ups ask
the servers about the one file in question.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from stash2plex.catalog.brake import STASH, Brake
from stash2plex.catalog.documents import Documents
from stash2plex.catalog.matching import Answer, Matcher
from stash2plex.catalog.store import CatalogStore
from stash2plex.config import MatchSettings, PathRule
from stash2plex.db.database import Database
from stash2plex.errors import (
    AmbiguousMatch,
    Braked,
    CatalogIncomplete,
    ItemNotFound,
    LibraryNotFound,
    OddAnswer,
    StaleCatalog,
    Stash2PlexError,
    UnsteadyListing,
)
from stash2plex.moments import iso
from stash2plex.paths import Mapped, PathMap, file_name
from stash2plex.plex.item import Item, ItemEntry, Section
from stash2plex.plex.library import PlexLibrary
from stash2plex.scene import Scene, SceneEntry
from stash2plex.stash.client import StashClient

log = structlog.get_logger()

# Facts kept in the store.
_MACHINE = "plex_machine"
_PLEX_COMPLETE = "catalog_plex_complete"
_STASH_COMPLETE = "catalog_stash_complete"
_RULES = "path_rules"
_FOLDERS = "plex_folders"
_REFRESHED_AT = "catalog_refreshed_at"
_NEWS_READ = "plex_news_read"
LIBRARIES = "plex_libraries"  # their numbers, by the title that is configured
READ_ALL = "stash_read_all"  # since when a comparison is to read all scenes whole

# Plex is asked for news at most this often because of a scene that it lacks, seconds.
_NEWS_INTERVAL = 5.0
# So many scenes of a batch are looked for by name as long as Plex was not listed.
_LOOKED_UP = 5
# How often an unknown file makes us ask where the libraries are, seconds.
_FOLDERS_INTERVAL = 1.0
# Plex's clock against its own rows: how far back news may be dated, seconds.
_OVERLAP = 300
# An import gives so many scenes other numbers or files at least: their share.
_IMPORTED = 0.1
# A listing that changed while it was read is read again, this often at most.
_LISTINGS = 3
# At most so often is everything listed because an item was gone, seconds.
_LISTING_INTERVAL = 60.0
# Scenes read again in one request because others claim their items.
_MOST_RIVALS = 50
# Items asked for in one request because Plex does not list their file any more.
_MOST_DOUBTED = 50
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 60.0
# Another one has all keys and names of files worked out anew.
_KEY_FORM = 2


class Catalog:
    """What both libraries hold."""

    def __init__(
        self,
        database: Database,
        stash: StashClient,
        plex: PlexLibrary,
        *,
        match: MatchSettings,
        rules: Sequence[PathRule],
        identifier: str,
        on_complete: Callable[[], Awaitable[None]],
        on_moved: Callable[[Sequence[int]], Awaitable[object]],
    ) -> None:
        self._on_moved = on_moved
        self._database = database
        self._stash = stash
        self._plex = plex
        self._paths = PathMap(rules)
        self._rules = _digest(rules)
        self._on_complete = on_complete
        self._identifier = identifier
        self.store = CatalogStore(database, self._paths, identifier)
        self.documents = Documents(database)
        self.brake = Brake(database)
        self._matcher = Matcher(self.store, match, self._paths)
        self._requested = asyncio.Event()
        self._requested.set()
        self._seen = 0
        self._asked_for_news = float("-inf")
        self._asked_for_folders = float("-inf")
        self._listed_at = float("-inf")
        # Files of items that were gone since the last listing, by key.
        self._lost: set[str] = set()
        self._soon: asyncio.TimerHandle | None = None
        # Scenes whose files turned up in Plex, and nobody was told yet.
        self._untold: set[int] = set()
        self._movie_sections: set[int] = set()
        # What did not stand still while it was listed last, as the brake names it.
        self.unsteady: list[str] = []
        self._asking = asyncio.Lock()
        self._listing = asyncio.Lock()
        # Whether the first listing of this run went well, while it is under way.
        self._first: asyncio.Future[bool] | None = None
        self._was_listed = False
        # Whether that one tells of files that moved, and whether any listing showed
        # that so many scenes have other numbers or files as after an import.
        self._first_follows = False
        self._is_renumbered = False
        self._adopting = asyncio.Lock()
        self._server_number = 0
        self.machine: str | None = None
        self.sections: list[Section] = []
        # Where the libraries are, as Plex sees it; None before it ever said so.
        self.folders: tuple[str, ...] | None = None
        self.plex_complete = False
        self.stash_complete = False
        self.refreshed_at: str | None = None
        self.error: str | None = None

    async def load(self) -> None:
        """Learn from the store where the last run ended; before anything else."""
        self.machine = await self._database.fact(_MACHINE)
        self.refreshed_at = await self._database.fact(_REFRESHED_AT)
        self.plex_complete = bool(await self._database.fact(_PLEX_COMPLETE))
        self.stash_complete = bool(await self._database.fact(_STASH_COMPLETE))
        if known := await self._database.fact(LIBRARIES):
            self._plex.known |= json.loads(known)
        if folders := await self._database.fact(_FOLDERS):
            self.folders = tuple(json.loads(folders))
        self._seen = await self.store.last_seen()
        await self.brake.load()
        if await self._database.fact(_RULES) != self._rules:
            await self.store.rekey()
            await self._database.set_fact(_RULES, self._rules)

    def request(self) -> None:
        """Ask for both libraries to be listed anew."""
        self._requested.set()

    def _request_soon(self) -> None:
        """Ask for a listing, once for all who do so within a minute."""
        wait = self._listed_at + _LISTING_INTERVAL - time.monotonic()
        loop = asyncio.get_running_loop()
        if wait <= 0:
            self.request()
        elif self._soon is None or self._soon.when() <= loop.time():
            self._soon = loop.call_later(wait, self.request)

    async def run(self) -> None:
        """List both libraries whenever asked to, until cancelled."""
        wait = _FIRST_WAIT
        while True:
            await self._requested.wait()
            self._requested.clear()
            try:
                await self.refresh()
            except Braked as error:
                # Listing it all again would not help.
                self.error = str(error)
                log.error("brake_pulled", error=str(error))  # noqa: TRY400 - no bug
            except Stash2PlexError as error:
                self.error = str(error)
                show = log.error if isinstance(error, LibraryNotFound) else log.warning
                show("catalog_refresh_failed", error=str(error), again_in=wait)
                await self._sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
                self._requested.set()
            except Exception:
                self._requested.set()  # who is started again goes on with it
                raise
            else:
                wait = _FIRST_WAIT

    def take_renumbered(self) -> bool:
        """Whether a listing showed what only an import does, since this was asked."""
        found, self._is_renumbered = self._is_renumbered, False
        return found

    async def refresh(
        self, *, force: bool = False, follow: bool = True, join: bool = True
    ) -> None:
        """List both libraries; forgets nothing when a server fails, which is raised.

        Nor when so much is gone that the brake holds (`Braked`), unless by *force*.
        Without *follow* nobody is told of files that moved. Who may *join* is served by
        the first listing of a run while that is under way.
        """
        may_join = join and not force and (self._first_follows or not follow)
        if self._first is not None and may_join and await asyncio.shield(self._first):
            return
        async with self._listing:
            if self._was_listed:
                await self._refresh(force=force, follow=follow)
                return
            self._first = asyncio.get_running_loop().create_future()
            self._first_follows = follow
            try:
                await self._refresh(force=force, follow=follow)
                self._was_listed = True
            finally:
                first, self._first = self._first, None
                first.set_result(self._was_listed)

    async def _refresh(self, *, force: bool, follow: bool) -> None:
        started = self._listed_at = time.monotonic()
        self._seen += 1
        self.unsteady = []
        await self.ensure_machine()
        # All that is gone is forgotten in the end, or nothing is.
        forgets = await asyncio.gather(
            self._list_plex(force=force, follow=follow),
            self._list_stash(force=force, follow=follow),
            return_exceptions=True,
        )
        for one in forgets:
            if isinstance(one, BaseException):
                raise one
        for one in forgets:
            if not isinstance(one, BaseException):
                await one()
        if force or not self.unsteady:  # else it was not asked about all
            await self.brake.release(agreed=force)
        self.error = None
        self.refreshed_at = iso(datetime.now(UTC))
        await self._database.set_fact(_REFRESHED_AT, self.refreshed_at)
        counts = await self.store.counts()
        log.info(
            "catalog_refreshed",
            scenes=counts[0],
            items=counts[1],
            seconds=round(time.monotonic() - started, 1),
        )
        await self._on_complete()

    async def ensure_machine(self) -> str:
        """Return the identifier of the Plex server that the catalogue is of."""
        if self.machine is None:
            server = await self._plex.server()
            await self._adopt(server.machine)
        return self.machine or ""

    async def note_machine(self, machine: str) -> None:
        """Start anew if *machine* is another Plex server than the catalogue's."""
        if self.machine is not None and await self._adopt(machine):
            self.request()

    async def _adopt(self, machine: str) -> bool:
        async with self._adopting:
            if machine == self.machine:
                return False
            if self.machine is not None:
                log.warning("plex_replaced", former=self.machine, machine=machine)
            # A listing under way would mix two servers.
            self._server_number += 1
            await self.store.forget_plex()
            await self._set_plex_complete(complete=False)
            await self._database.set_fact(_MACHINE, machine)
            if self.machine is not None:  # its numbers are not this server's
                self._plex.known.clear()
                await self._database.set_fact(LIBRARIES, "{}")
            self.machine = machine
            return True

    async def match(self, scenes: Sequence[SceneEntry]) -> dict[int, Answer]:
        """Find the items of *scenes*, which were just read from Stash.

        A scene that cannot be decided yet, or because a server fails, is answered with
        `CatalogIncomplete` or the server's error; the others are not held up by it.
        """
        await self.store.put_scenes(scenes, self._seen)
        answers = await self._matcher.match(scenes)
        answers |= await self._look_further(scenes, answers)
        answers |= await self._check_others(scenes, answers)
        undecided = [
            key for key, answer in answers.items() if not self._decides(answer)
        ]
        incomplete = CatalogIncomplete("the libraries are still being read")
        return answers | dict.fromkeys(undecided, incomplete)

    async def compared(
        self,
        scenes: Sequence[SceneEntry],
        contested: dict[int, tuple[str, str]] | None = None,
    ) -> dict[int, Answer]:
        """Find the items of *scenes* in what was listed, as `Matcher.match` does.

        No server is asked.
        """
        return await self._matcher.match(scenes, contested)

    async def _look_further(
        self, scenes: Sequence[SceneEntry], answers: dict[int, Answer]
    ) -> dict[int, Answer]:
        """Ask Plex about the scenes that it lacks, as far as we know."""
        missing = [one for one in scenes if _is_missing(answers[one.id])]
        if not missing:
            return {}
        try:
            if self.plex_complete:
                await self._look_for_news({one.id for one in missing})
            else:
                # The most urgent come first; the others had better wait.
                await self._look_up(missing[:_LOOKED_UP])
        except Stash2PlexError as error:
            log.warning("catalog_refresh_failed", error=str(error), again_in=None)
            return dict.fromkeys((one.id for one in missing), error)
        return await self._matcher.match(missing)

    async def _check_others(
        self, scenes: Sequence[SceneEntry], answers: dict[int, Answer]
    ) -> dict[int, Answer]:
        """Ask Stash about scenes that may claim the same items."""
        try:
            again = await self._recheck_rivals(scenes)
            if not self.stash_complete:
                again |= await self._read_claims(scenes, answers)
        except Stash2PlexError as error:
            return dict.fromkeys(_doubtful(answers), error)
        if not again:
            return {}
        sure = [one for one in scenes if not _is_failure(answers[one.id])]
        return await self._matcher.match(sure)

    async def note_scenes(self, scenes: Sequence[SceneEntry]) -> None:
        """Correct the rows of scenes that were just read."""
        await self.store.put_scenes(scenes, self._seen)

    async def note_read(self, entries: Sequence[SceneEntry]) -> None:
        """Correct the rows of scenes, and remember those read whole, with pictures."""
        await self.note_scenes(entries)
        whole = [one for one in entries if isinstance(one, Scene)]
        await self.documents.put(whole, pictured=True)

    async def note_readings(
        self, readings: Mapping[int, Scene | Stash2PlexError | None]
    ) -> None:
        """Correct the rows of scenes that were read, and forget those that are gone."""
        await self.note_scenes([r for r in readings.values() if isinstance(r, Scene)])
        await self.forget_scenes({k for k, r in readings.items() if r is None})

    async def forget_scenes(self, gone: Set[int]) -> None:
        """Drop scenes that Stash does not have any more, unless they are too many."""
        if gone and await self.may_forget_scenes(gone):
            await self.store.forget_scenes(gone)

    async def may_forget_scenes(self, gone: Set[int]) -> bool:
        """Whether so many scenes may be gone.

        Those that nobody knew do not count, nor those that others took the place of.
        """
        replaced = await self.store.replaced(gone)
        known = (await self.store.scene_rows(gone)).keys() - replaced
        if not known:
            return True
        scenes, _ = await self.store.counts()
        return await self.brake.allows_deletion(STASH, scenes, len(known))

    def _decides(self, answer: Answer) -> bool:
        """Whether *answer* can be trusted, with as much as was listed so far."""
        match answer:
            case AmbiguousMatch() | CatalogIncomplete():
                return True
            case Stash2PlexError():
                return self.plex_complete and self.stash_complete
            case matches:
                return self.stash_complete or all(one.how == "path" for one in matches)

    async def _recheck_rivals(self, scenes: Sequence[SceneEntry]) -> bool:
        """Read scenes that stand in another's way; whether any row was corrected.

        Files move from scene to scene in Stash without a word.
        """
        rivals = await self._matcher.rivals(scenes)
        if not rivals:
            return False
        await self.note_readings(
            await self._stash.scenes(sorted(rivals)[:_MOST_RIVALS])
        )
        return True

    async def look_for_folders(self) -> None:
        """Ask Plex where its libraries are now, unless that was done a moment ago.

        A server that fails leaves what was known.
        """
        if time.monotonic() - self._asked_for_folders < _FOLDERS_INTERVAL:
            return
        try:
            await self._current_sections()
        except Stash2PlexError as error:
            log.warning("catalog_refresh_failed", error=str(error), again_in=None)
        else:
            self._asked_for_folders = time.monotonic()

    async def look_for_file(self, name: str) -> None:
        """Bring the rows of items with a file of this name up to date.

        Raises Plex's errors.
        """
        await self.ensure_machine()
        listed: set[int] = set()
        for section in self.sections or await self._current_sections():
            found = await self._plex.entries_named(section.id, name)
            listed |= {one.rating_key for one in await self._put_news(found)}
        known = {one.rating_key for one in await self.store.files_named(name)}
        if not (gone := sorted(known - listed)[:_MOST_DOUBTED]):
            return
        # Perhaps they are; perhaps this Plex does not honour the filter.
        items, odd = await self._read_items(gone)
        there = [one for one in items.values() if not one.is_trashed]
        await self.store.put_items(there, self._seen)
        await self._forget_items(set(gone) - odd - {one.rating_key for one in there})

    async def refresh_items(self, rating_keys: Sequence[int]) -> None:
        """Read items anew, and look at the scenes whose files turned up with them."""
        if not self.plex_complete:
            return  # they are being listed anyway
        found, odd = await self._read_items(rating_keys)
        kept = {one.id for one in self.sections}
        entries = [one for one in found.values() if one.section_id in kept]
        await self._put_news(entries)
        known = await self.store.items_among(rating_keys)
        await self._forget_items(known - found.keys() - odd)

    async def _read_items(
        self, rating_keys: Sequence[int]
    ) -> tuple[dict[int, Item], set[int]]:
        """Read items in one request; and which of them are there, but make no sense."""
        odd: set[int] = set()
        while wanted := [key for key in rating_keys if key not in odd]:
            try:
                return await self._plex.items(wanted), odd
            except OddAnswer as error:
                if error.thing not in wanted:
                    raise
                odd.add(error.thing)
        return {}, odd

    async def known_items(self, rating_keys: Sequence[int]) -> list[int]:
        """Return those of *rating_keys* that the catalogue has, sorted."""
        return sorted(await self.store.items_among(rating_keys))

    async def _forget_items(self, gone: Set[int]) -> None:
        """Drop items that Plex does not have any more, unless they are too many.

        A listing tells whether those are gone then.
        """
        if gone and not self.sections:  # the brake knows libraries by their titles
            with suppress(Stash2PlexError):
                await self._current_sections()
        for section_id, (count, keys) in (await self.store.by_library(gone)).items():
            what = self._named(section_id)
            if await self.brake.allows_deletion(what, count, len(keys)):
                await self.store.forget_items(keys)

    async def take_news(self) -> None:
        """Read what Plex added or changed, and look at scenes whose files turned up."""
        if self.plex_complete:
            async with self._asking:
                await self._read_news()

    async def _put_news(
        self,
        entries: Sequence[ItemEntry],
        *,
        tell: bool = True,
        but: Set[int] = frozenset(),
        forget: bool = True,
    ) -> list[ItemEntry]:
        """Correct the rows of items, and look at the scenes whose files turned up.

        Not *but* those that are being looked at, nor unless we *tell*. Who could not be
        told is next time: what is in the rows is no news any more. Items whose files
        are gone are as good as gone: they are left out of what is returned, and
        forgotten now unless a listing does so at its end.
        """
        trashed = {one.rating_key for one in entries if one.is_trashed}
        entries = [one for one in entries if not one.is_trashed]
        if trashed and forget:
            await self._forget_items(await self.store.items_among(trashed))
        new = await self.store.unknown_files(entries) if self.plex_complete else ()
        self._untold |= await self.store.scenes_of_files(new) if new else set()
        await self.store.put_items(entries, self._seen)
        if tell and (scenes := frozenset(self._untold)):
            if others := sorted(scenes - but):
                await self._on_moved(others)
            self._untold -= scenes
        return entries

    async def _read_news(self, but: Set[int] = frozenset()) -> None:
        """Read what Plex added or changed since that was read to its end."""
        sections = await self._current_sections()
        now = self._plex.clock or await self.store.newest_item_time()
        read = await self._database.fact(_NEWS_READ)
        since = int(read) if read else await self.store.newest_item_time()
        since = max(0, min(since, int(time.time())) - _OVERLAP)
        for section in sections:
            async for page, _ in self._plex.entries(section.id, since):
                await self._put_news(page, but=but)
        await self._database.set_fact(_NEWS_READ, str(now))
        self._asked_for_news = time.monotonic()

    async def forget_item(self, rating_key: int) -> None:
        """Drop an item that Plex does not have any more; look what else changed.

        Raises `Braked` if so many others went as well that it is not believed.
        """
        files = await self.store.files_of_item(rating_key)
        self._lost |= {file.key for file in files}
        await self._forget_items({rating_key})
        self._request_soon()
        if await self.store.items_among([rating_key]):
            raise Braked(
                f"item {rating_key} is gone from Plex, as too many others are; see"
                " stash2plex reconcile --force"
            )

    async def note_item(self, item: ItemEntry) -> None:
        """Correct the row of an item that was just read, and look at its new files."""
        await self._put_news([item])

    async def _look_for_news(self, asking: Set[int]) -> None:
        """Read what Plex added or changed, unless that was done a moment ago.

        Other scenes than those *asking* may have waited for it, and nobody else tells
        them: once it is read it is no news any more.
        """
        async with self._asking:
            if time.monotonic() - self._asked_for_news < _NEWS_INTERVAL:
                return
            await self._read_news(asking)

    async def _look_up(self, scenes: Sequence[SceneEntry]) -> None:
        """Ask Plex for the files of *scenes* by name, before it was listed."""
        for name in sorted({file_name(f.path) for one in scenes for f in one.files}):
            await self.look_for_file(name)

    async def _read_claims(
        self, scenes: Sequence[SceneEntry], answers: dict[int, Answer]
    ) -> bool:
        """Ask Stash who else has a file of the items found, before it was listed."""
        asked: list[SceneEntry] = []
        for scene in scenes:
            answer = answers[scene.id]
            if isinstance(answer, Stash2PlexError):
                continue
            own = {self._paths.key_of_stash(file.path) for file in scene.files}
            for match in answer:
                for file in await self.store.files_of_item(match.rating_key):
                    twin = self._paths.to_stash(file.path)
                    if file.key not in own and isinstance(twin, Mapped):
                        asked += await self._stash.entries_at(twin.path)
        await self.store.put_scenes(asked, self._seen)
        return bool(asked)

    async def _current_sections(self) -> list[Section]:
        movies = await self._plex.movie_sections()
        self._movie_sections = {one.id for one in movies}
        # A provider may be asked by libraries that are not kept in step.
        asking = [one for one in movies if one.agent == self._identifier] or movies
        folders = tuple(dict.fromkeys(p for one in asking for p in one.locations))
        if folders != self.folders:
            self.folders = folders
            await self._database.set_fact(_FOLDERS, json.dumps(folders))
        before = dict(self._plex.known)
        self.sections = self._plex.chosen(movies)
        if self._plex.known != before:
            await self._database.set_fact(LIBRARIES, json.dumps(self._plex.known))
        return self.sections

    async def _list_plex(
        self, *, force: bool, follow: bool
    ) -> Callable[[], Awaitable[None]]:
        """List all libraries; returns what forgets the items that are gone."""
        server_number, seen = self._server_number, self._seen
        known = await self.store.item_sections()
        sections = await self._current_sections()
        now = self._plex.clock
        steady = [
            one for one in sections if await self._list_section(one, follow=follow)
        ]
        self.unsteady += [self._named(one.id) for one in sections if one not in steady]
        if server_number != self._server_number:
            raise StaleCatalog("another Plex server took over while it was listed")
        kept = [one.id for one in sections]
        if not force:
            await self._check_plex(steady, sections, known)

        async def forget_gone() -> None:
            lost, self._lost = self._lost, set()
            files = await self.store.files_by_key(lost)
            moved = len({one.rating_key for one in files})
            for section in steady:
                gone, more = await self.store.forget_unseen_items(section.id, seen)
                moved += more
                if gone > more:
                    log.info("items_gone", library=section.title, items=gone - more)
            if moved:
                log.info("items_rekeyed", items=moved)
            await self.store.forget_other_sections(kept)
            if now and follow and len(steady) == len(sections):
                await self._database.set_fact(_NEWS_READ, str(now))
            await self._set_plex_complete(complete=True)

        return forget_gone

    async def _check_plex(
        self, steady: Sequence[Section], sections: Sequence[Section], known: Set[int]
    ) -> None:
        """Ask the brake about each library, and about those that vanished whole."""
        listed, kept = ({one.id for one in found} for found in (steady, sections))
        lacks_some = bool(self._plex.missing(sections))
        for section_id, before, gone in await self.store.unseen_items(
            self._seen, known
        ):
            what = self._named(section_id)
            if section_id in listed:
                await self.brake.check(what, before, gone)
            elif section_id not in kept and (
                section_id not in self._movie_sections or lacks_some
            ):
                # It went, or has another title than `plex.libraries` says.
                await self.brake.check(what, before, before)

    def _named(self, section_id: int) -> str:
        """Return what the brake calls a library."""
        titles = {one.id: repr(one.title) for one in self.sections}
        return f"Plex's library {titles.get(section_id, f'number {section_id}')}"

    async def _list_section(self, section: Section, *, follow: bool) -> bool:
        """List one library; whether it stood still, so that what is missing is gone."""
        shown: set[int] = set()
        for _ in range(_LISTINGS):
            totals: set[int] = set()
            odd: set[int] = set()
            shown = set()
            with suppress(UnsteadyListing):
                async for page, total in self._plex.entries(section.id, odd=odd):
                    totals.add(total)
                    shown |= {one.rating_key for one in page}
                    await self._put_news(page, tell=follow, forget=False)
                # What makes no sense is there all the same.
                await self.store.note_items_seen(odd, self._seen)
                if totals <= {len(shown | odd)}:
                    return True
        # What was not shown may be there all the same.
        log.warning("listing_unsteady", library=section.title, items=len(shown))
        return False

    async def _list_stash(
        self, *, force: bool, follow: bool
    ) -> Callable[[], Awaitable[None]]:
        """List all scenes; returns what forgets those that are gone."""
        seen, other = self._seen, 0
        odd: set[int] = set()
        try:
            async for page in self._stash.entries(odd=odd):
                known = follow and self.stash_complete
                moved = await self.store.put_scenes(page, seen)
                other += len(moved)
                # The next poll could not tell any more, and their times do not.
                if moved and known:
                    await self._on_moved(moved)
        except UnsteadyListing as error:
            log.warning("listing_unsteady", library=STASH, error=str(error))
            self.unsteady.append(STASH)
            return _nothing
        # What makes no sense is there all the same.
        await self.store.note_scenes_seen(odd, seen)
        before, gone, replaced = await self.store.unseen_scenes(seen)
        other += replaced
        if is_renumbered := other > before * _IMPORTED:
            # Their times tell nothing then.
            await self._database.set_fact(READ_ALL, str(time.time()))
        if not force:
            await self.brake.check(STASH, before, gone)

        async def forget_gone() -> None:
            gone = await self.store.forget_unseen_scenes(seen)
            self._is_renumbered |= is_renumbered
            if gone:
                log.info("scenes_gone", scenes=gone)
            if not self.stash_complete:
                self.stash_complete = True
                await self._database.set_fact(_STASH_COMPLETE, "1")

        return forget_gone

    async def _set_plex_complete(self, *, complete: bool) -> None:
        self.plex_complete = complete
        await self._database.set_fact(_PLEX_COMPLETE, "1" if complete else "")

    async def _sleep(self, seconds: float) -> None:
        """Wait, or until `request`."""
        try:
            async with asyncio.timeout(seconds):
                await self._requested.wait()
        except TimeoutError:
            return


async def _nothing() -> None:
    """Forget nothing."""


def _doubtful(answers: dict[int, Answer]) -> list[int]:
    """Return the scenes whose answer is anything but a match by path."""
    return [
        key
        for key, answer in answers.items()
        if isinstance(answer, Stash2PlexError)
        or any(match.how != "path" for match in answer)
    ]


def _is_failure(answer: Answer) -> bool:
    return isinstance(answer, Stash2PlexError) and not isinstance(answer, ItemNotFound)


def _is_missing(answer: Answer) -> bool:
    return isinstance(answer, ItemNotFound) and not isinstance(answer, AmbiguousMatch)


def _digest(rules: Sequence[PathRule]) -> str:
    rows = [_KEY_FORM, *(rule.model_dump() for rule in rules)]
    canonical = json.dumps(rows, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
