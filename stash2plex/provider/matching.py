"""Which scene a file of Plex is: certain, or a ranked list, each with its reason.

The order is that of certainty: a guid that names the scene, the path through the path
rules, the end of the path, the file name, the file's hash, and, for a person who
chooses, the title. A path that the catalogue knows is enough; before anything weaker,
or a "no", Stash itself is asked, since Plex remembers what it is told.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stash2plex.catalog.spelling import belongs
from stash2plex.errors import CatalogIncomplete, Stash2PlexError
from stash2plex.gates import excluded_by
from stash2plex.health.breaker import CircuitBreaker
from stash2plex.movie import stash_box
from stash2plex.paths import PathMap, file_name
from stash2plex.provider import titles
from stash2plex.provider.hints import Hints
from stash2plex.provider.media_roots import MediaRoots
from stash2plex.provider.namesakes import is_named, namesakes_of, parts_of
from stash2plex.provider.oshash import hashes_in
from stash2plex.provider.places import Places, places_of
from stash2plex.scene import Scene, scene_of_guid, scene_of_rating_key

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog
    from stash2plex.catalog.scenes import StashFile
    from stash2plex.config import Settings
    from stash2plex.provider.background import Background
    from stash2plex.provider.scenes import SceneReader
    from stash2plex.stash.client import StashClient

MOST_SHOWN = 20
_MOST_TITLES = 200
_LOOKUPS_AT_ONCE = 8
_MOST_TAKEN = 10_000
_MOST_DOUBTED = 50
# How often a decision is made anew because Stash says something else by now.
_ROUNDS = 3
_FOLDER_AND_NAME = 2  # parts of a path
# Over paths of so many characters rules take their time.
_LONG = 300
_STASH_BOX_ID = re.compile(
    r"([a-z][a-z0-9+.-]*)://([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})",
    re.IGNORECASE,
)
_FOREIGN = frozenset({"imdb", "tmdb", "tvdb", "plex", "local"})
_SCORES = {
    "guid": 100,
    "path": 100,
    "hash": 98,
    "end of the path": 95,
    "name and size": 90,
    "folder and name": 85,
    "name": 80,
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A scene that a file may be: *score* is 0 to 100, *reason* is for people."""

    scene_id: int
    score: int
    how: str
    reason: str


@dataclass(slots=True)
class Decision:
    """What came of a match request.

    *candidates* is ranked, best first; *certain* is the one that an automatic match
    takes. *steps* says what each step found, in the order they were taken, and
    *excluded* which scenes a setting keeps out. *place* is the file's path in Plex as
    far as it is known, *item* its rating key if Plex listed it already. *is_unmapped*
    says that no path rule covers it wherever it is, *is_mapped* that one does. *keys*
    are those of the places where it may be.
    """

    candidates: list[Candidate] = field(default_factory=list)
    certain: Candidate | None = None
    steps: list[str] = field(default_factory=list)
    excluded: dict[int, str] = field(default_factory=dict)
    place: str = ""
    item: int | None = None
    is_unmapped: bool = False
    is_mapped: bool = False
    keys: frozenset[str] = frozenset()

    @property
    def is_ambiguous(self) -> bool:
        """Whether several scenes have as good a claim to the file.

        A name alone is no claim when the rules say where the file would be.
        """
        strong = {"path", "hash"} if self.is_mapped else _SCORES.keys() - {"guid"}
        return self.certain is None and any(
            one.how in strong for one in self.candidates
        )


class ProviderMatcher:
    """Decides match requests."""

    def __init__(
        self,
        settings: Settings,
        *,
        catalog: Catalog,
        stash: StashClient,
        breaker: CircuitBreaker,
        reader: SceneReader,
        background: Background,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._store = catalog.store
        self._stash = stash
        self._breaker = breaker
        self._reader = reader
        self._background = background
        self._paths = PathMap(settings.path_rules)
        self._roots = MediaRoots(settings.provider.media_roots)
        self._lookups = asyncio.Semaphore(_LOOKUPS_AT_ONCE)
        self._long_path = asyncio.Lock()
        # Questions to Stash under way: who asks the same shares the answer.
        self._asked: dict[Places, asyncio.Task[None]] = {}
        # Scenes that were the answer lately: Plex has an item of them by now.
        self._taken: dict[int, None] = {}

    async def decide(self, hints: Hints) -> Decision:
        """Find the scene of a file; raises Stash's errors when only it could tell."""
        decision = Decision()
        for _ in range(_ROUNDS):
            decision = await self._decide(hints)
            if not await self._is_outdated(decision, manual=hints.manual):
                break
        if decision.certain and not hints.manual:
            self._taken[decision.certain.scene_id] = None
            while len(self._taken) > _MOST_TAKEN:
                del self._taken[next(iter(self._taken))]
        return decision

    async def _decide(self, hints: Hints) -> Decision:
        decision = Decision()
        failure: Stash2PlexError | None = None
        try:
            await self._by_guid(hints, decision)
        except Stash2PlexError as error:
            failure = error
        if hints.path and (decision.certain is None or hints.manual):
            try:
                await self._by_file(hints, decision)
            except Stash2PlexError as error:
                failure = error
        if hints.manual:
            await self._by_title(hints, decision)
        enough = decision.certain or (hints.manual and decision.candidates)
        if failure and not enough:
            raise failure
        ranked: dict[int, Candidate] = {}
        for one in sorted(decision.candidates, key=lambda c: (-c.score, c.scene_id)):
            ranked.setdefault(one.scene_id, one)
        decision.candidates = list(ranked.values())[:MOST_SHOWN]
        await self._keep_out(decision)
        return decision

    async def _is_outdated(self, decision: Decision, *, manual: bool) -> bool:
        """Whether Stash knows better by now; then the catalogue does too.

        What was read for this Plex is about to ask for.
        """
        chosen = decision.candidates if manual else [decision.certain]
        ids = [one.scene_id for one in chosen if one]
        readings = await self._reader.read_patiently(ids)
        gone = {key for key, reading in readings.items() if reading is None}
        await self._catalog.forget_scenes(gone)
        certain = decision.certain
        if manual or certain is None or certain.how != "path":
            return bool(gone)
        scene = readings.get(certain.scene_id)
        if not isinstance(scene, Scene) or self._has(scene, decision.keys):
            return bool(gone)
        await self._catalog.note_scenes([scene])
        return True

    def _has(self, scene: Scene, keys: Iterable[str]) -> bool:
        own = {self._paths.key_of_stash(file.path) for file in scene.files}
        return not own.isdisjoint(keys)

    # --- by guid --------------------------------------------------------------

    async def _by_guid(self, hints: Hints, decision: Decision) -> None:
        """Take a guid of ours, or a stash-box id, at its word."""
        identifier = self._settings.provider.identifier
        named = scene_of_guid(hints.guid, identifier)
        if named is None and hints.manual:
            # The title is the only box a person can type into.
            typed = hints.title.strip()
            named = scene_of_guid(typed, identifier) or scene_of_rating_key(typed)
        if named is not None:
            if await self._exists(named):
                self._settle(decision, "guid", [named], "the guid names it")
            else:
                decision.steps.append(f"guid: Stash has no scene {named}")
            return
        known = _STASH_BOX_ID.fullmatch(hints.guid)
        if known and known[1].lower() not in _FOREIGN:
            await self._by_stash_box(known[1].lower(), known[2].lower(), decision)

    async def _by_stash_box(
        self, scheme: str, stash_id: str, decision: Decision
    ) -> None:
        async with self._asking():
            entries = await self._stash.entries_known_as(stash_id)
        await self._catalog.note_scenes(entries)
        readings = await self._reader.read([one.id for one in entries])
        fitting = [
            key
            for key, scene in readings.items()
            if isinstance(scene, Scene)
            and any(
                one.id.lower() == stash_id and stash_box(one.endpoint) == scheme
                for one in scene.stash_ids
            )
        ]
        self._settle(decision, "guid", fitting, f"{scheme} knows it by this id")

    async def _exists(self, scene_id: int) -> bool:
        reading = (await self._reader.read_patiently([scene_id]))[scene_id]
        if isinstance(reading, Stash2PlexError):
            if scene_id in await self._store.scene_rows([scene_id]):
                return True
            raise reading
        return reading is not None

    # --- by file --------------------------------------------------------------

    async def _by_file(self, hints: Hints, decision: Decision) -> None:
        folders = tuple(self._catalog.folders or ())
        places = await self._places(hints)
        keys = list(places.keys)
        decision.place, decision.keys = places.certain, frozenset(keys)
        exact = await self._at(hints, keys)
        if len({file.scene_id for file in exact}) == 1:
            self._settle_path(decision, exact)
            return
        await self._catalog.look_for_folders()
        if self._catalog.folders is None:
            raise CatalogIncomplete("Plex has not said yet where its libraries are")
        if tuple(self._catalog.folders) != folders:
            places = await self._places(hints)
        await self._by_asking(hints, places, decision, exact)

    async def _by_asking(
        self,
        hints: Hints,
        places: Places,
        decision: Decision,
        doubtful: Sequence[StashFile],
    ) -> None:
        """Ask Stash, and Plex when it comes to names, and look again."""
        keys, odd = list(places.keys), list(places.odd_keys)
        everywhere = [*keys, *odd]
        decision.place, decision.keys = places.certain, frozenset(everywhere)
        decision.is_unmapped = places.is_unmapped
        try:
            await self._ask_stash(places, {file.scene_id for file in doubtful})
        except Stash2PlexError:
            self._offer(hints, decision, "path", doubtful, "it had the file")
            raise
        decision.steps.append("Stash was asked about the file")
        if exact := await self._at(hints, keys):
            self._settle_path(decision, exact)
            return
        await self._catalog.look_for_file(file_name(hints.path))
        meant = await self._meant(everywhere)
        await self._note_item(meant, decision)
        readings = [key for key in meant if key in odd]
        if exact := await self._store.scene_files_by_key(readings):
            self._settle_path(decision, exact)
            return
        unclear = await self._store.scene_files_by_key(keys)
        ids = [file.scene_id for file in unclear]
        self._settle(
            decision, "path", ids, "another folder has the name too", is_certain=False
        )
        await self._by_name(hints, places, meant, decision)
        if decision.certain is None:
            await self._by_hash(hints, (*places.likely, *places.odd), decision)

    async def _at(self, hints: Hints, keys: list[str]) -> list[StashFile]:
        """Return Stash's files at *keys*, as far as Plex can mean them."""
        exact = await self._store.scene_files_by_key(keys)
        if len({file.path for file in exact}) > 1:
            exact = await self._spelled_alike(hints, keys, exact)
        if exact and len(keys) > 1:
            return await self._asked_about(hints, keys, exact)
        return exact

    async def _spelled_alike(
        self, hints: Hints, keys: list[str], exact: list[StashFile]
    ) -> list[StashFile]:
        """Return those of *exact* that are the file, if Plex has the others too."""
        kept: list[StashFile] = []
        end = hints.spelling.replace("\\", "/")
        for key in keys:
            theirs = [file for file in exact if file.key == key]
            in_plex = {one.path for one in await self._store.files_by_key([key])}
            listed = (p for p in in_plex if p.replace("\\", "/").endswith(end))
            own = next(listed, end)
            kept += [
                file
                for file in theirs
                if belongs(
                    own,
                    file.path,
                    likes_of_one=in_plex | {own},
                    likes_of_other=[one.path for one in theirs],
                )
            ]
        return kept

    def _settle_path(self, decision: Decision, exact: Sequence[StashFile]) -> None:
        ids = [file.scene_id for file in exact]
        decision.place = exact[0].key or decision.place
        self._settle(decision, "path", ids, f"it has {exact[0].path!r}")

    async def _places(self, hints: Hints) -> Places:
        """Return where the file may be; rules take their time over long paths.

        One at a time, in a thread: between two rules others have their turn.
        """
        folders = self._catalog.folders or ()
        if len(hints.path) < _LONG:
            return places_of(hints.path, folders, self._paths)
        async with self._long_path:
            return await asyncio.to_thread(places_of, hints.path, folders, self._paths)

    async def _note_item(self, keys: Sequence[str], decision: Decision) -> None:
        """Learn which item of Plex is asked about, if it is listed by now."""
        listed = await self._store.files_by_key(keys)
        if len({file.rating_key for file in listed}) == 1:
            decision.place, decision.item = listed[0].path, listed[0].rating_key

    async def _ask_stash(self, places: Places, doubtful: set[int]) -> None:
        """Bring the catalogue up to date about one file and those who claim it."""
        asking = self._asked.get(places)
        if asking is None:
            asking = self._background.start(self._ask(places, doubtful))
            self._asked[places] = asking
            asking.add_done_callback(lambda _: self._asked.pop(places, None))
        await asyncio.shield(asking)

    async def _ask(self, places: Places, doubtful: set[int]) -> None:
        name = file_name(places.name)
        async with self._asking():
            scenes = await self._stash.scenes_of_file(name, places.twins)
        names = {name, *map(file_name, places.twins)}
        found = [
            one
            for one in scenes
            if any(is_named(file.path, names) for file in one.files)
        ]
        await self._reader.keep(found)
        # Who had the name before, and was not found by it now, has changed too.
        known = {one.scene_id for one in await self._store.scene_files_named(name)}
        others = sorted((known | doubtful) - {one.id for one in found})[:_MOST_DOUBTED]
        for key in others:
            self._reader.forget(key)
        if others:
            await self._catalog.note_readings(await self._reader.read(others))

    async def _asked_about(
        self, hints: Hints, keys: list[str], exact: list[StashFile]
    ) -> list[StashFile]:
        """Return those of *exact* that Plex can mean, when several folders may hold it.

        A library of several folders can have one relative name twice, only one of
        which Stash knows; Plex tells which it has, and which it has not matched yet.
        """
        scenes = {file.scene_id for file in exact}
        if len(scenes) == 1 and scenes.isdisjoint(self._taken):
            known = await self._store.unbound_among(keys)
            if known.keys().isdisjoint(file.key for file in exact):
                return exact  # it was not in Plex before, so it is the new one
        await self._catalog.look_for_file(file_name(hints.path))
        known = await self._store.unbound_among(keys)
        meant = await self._meant(keys)
        if len(known) > 1 and len(meant) > 1 and len(scenes) == 1:
            return []  # the other may be meant just as well
        return [file for file in exact if file.key in meant]

    async def _meant(self, keys: list[str]) -> list[str]:
        """Return those of *keys* that Plex can be asking about.

        It asks about what it has, and most likely about what is not matched yet.
        """
        known = await self._store.unbound_among(keys)
        unbound = [key for key, is_unbound in known.items() if is_unbound]
        return unbound or list(known) or keys

    async def _by_name(
        self, hints: Hints, places: Places, keys: Sequence[str], decision: Decision
    ) -> None:
        namesakes = await namesakes_of(hints, keys, self._store)
        parts = parts_of(hints.path)
        decision.is_mapped = places.is_mapped
        alike = namesakes.sharing(parts) if len(parts) >= _FOLDER_AND_NAME else []
        if self._paths.has_rules:
            # What a rule maps belongs where the rule says, whatever its end.
            alike = [one for one in alike if one.key is None]
        if alike:
            ids = [one.scene_id for one in alike]
            reason = f"{alike[0].path!r} ends alike"
            alone = namesakes.share_alone(alike, parts)
            self._settle(decision, "end of the path", ids, reason, is_certain=alone)
            if decision.certain is not None:
                return
        name = file_name(hints.path)
        if self._settings.match.fallback != "basename":
            decision.steps.append("name: match.fallback is none")
        elif sized := namesakes.sized():
            ids = [one.scene_id for one in sized]
            reason = f"{name!r}, {namesakes.size} bytes"
            alone = namesakes.are_alone(sized, by_size=True)
            self._settle(decision, "name and size", ids, reason, is_certain=alone)
        elif unsized := namesakes.unsized():
            ids = [one.scene_id for one in unsized]
            reason = f"it has a file {name!r}"
            alone = namesakes.are_alone(unsized, by_size=False)
            self._settle(decision, "name", ids, reason, is_certain=alone)
        else:
            decision.steps.append(f"name: no free scene has a file {name!r}")
        nearest = namesakes.nearest(parts)
        self._offer(hints, decision, "folder and name", nearest, "its folder agrees")
        self._offer(hints, decision, "name", namesakes.everywhere, "it has the name")

    async def _by_hash(
        self, hints: Hints, places: Sequence[str], decision: Decision
    ) -> None:
        """Look up a hash that stands in the name, or the file's own if it is here."""
        hashes = hashes_in(file_name(hints.path))
        computed, silent = await self._roots.hash_of(places)
        decision.steps += [f"hash: {folder} does not answer" for folder in silent]
        if computed:
            hashes.insert(0, computed)
        for one in hashes:
            async with self._asking():
                entries = await self._stash.entries_hashed(one)
            if entries:
                await self._catalog.note_scenes(entries)
                ids = [entry.id for entry in entries]
                self._settle(decision, "hash", ids, f"its oshash is {one}")
                return
            decision.steps.append(f"hash: no scene has {one}")

    # --- by title -------------------------------------------------------------

    async def _by_title(self, hints: Hints, decision: Decision) -> None:
        words = titles.words_of(hints.title)
        rows = await self._store.titles_like(words, hints.date, _MOST_TITLES)
        ranked = await asyncio.to_thread(titles.ranked, hints, rows)
        decision.candidates += [
            Candidate(scene_id, points, "title", f"its title is {title!r}")
            for scene_id, points, title in ranked
        ]
        decision.steps.append(f"title: {len(rows)} scenes share a word or the day")

    # --- small things -----------------------------------------------------------

    def _settle(
        self,
        decision: Decision,
        how: str,
        scene_ids: Iterable[int],
        reason: str,
        *,
        is_certain: bool = True,
    ) -> None:
        """Note what a step found; one scene is certain, several are a choice.

        Unless *is_certain* even one is none, since others may as well be meant. When
        the matching is not strict, the first of all is taken.
        """
        ids = sorted(set(scene_ids))
        found = [Candidate(key, _SCORES[how], how, reason) for key in ids]
        decision.candidates += found
        listed = ", ".join(map(str, ids)) or "none"
        decision.steps.append(f"{how}: scene {listed}")
        if found and (
            (is_certain and len(found) == 1) or not self._settings.match.strict
        ):
            decision.certain = decision.certain or found[0]

    def _offer(
        self,
        hints: Hints,
        decision: Decision,
        how: str,
        files: Sequence[StashFile],
        reason: str,
    ) -> None:
        """Show a person what is not certain."""
        if hints.manual:
            ids = sorted({file.scene_id for file in files})
            decision.candidates += [
                Candidate(key, _SCORES[how] - 1, how, reason) for key in ids
            ]

    async def _keep_out(self, decision: Decision) -> None:
        """Drop the scenes that a setting leaves alone."""
        sync = self._settings.sync
        if not (sync.require_organized or sync.require_stash_id or sync.exclude_tag):
            return
        scenes = await self.known_scenes([one.scene_id for one in decision.candidates])
        for key, scene in scenes.items():
            if reason := excluded_by(scene, sync):
                decision.excluded[key] = reason
        decision.candidates = [
            one for one in decision.candidates if one.scene_id not in decision.excluded
        ]
        if decision.certain and decision.certain.scene_id in decision.excluded:
            decision.certain = None

    async def known_scenes(self, scene_ids: Sequence[int]) -> dict[int, Scene]:
        """Return scenes as they are in Stash, else as they were last read.

        What is gone from Stash is left out. Raises Stash's error about the first one
        that was never read.
        """
        readings = await self._reader.read_patiently(scene_ids)
        found = {k: one for k, one in readings.items() if isinstance(one, Scene)}
        failed = {k: e for k, e in readings.items() if isinstance(e, Stash2PlexError)}
        for key, error in failed.items():
            known = await self._catalog.documents.get(key)
            if known is None:
                raise error
            found[key] = known
        return found

    def _asking(self) -> asyncio.Semaphore:
        """Take a turn at asking Stash; raises `ServiceUnavailable` while it is down."""
        self._breaker.refuse_while_open()
        return self._lookups
