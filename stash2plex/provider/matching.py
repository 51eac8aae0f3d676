"""Which scene a file of Plex is: certain, or a ranked list, each with its reason.

The order is that of certainty: a guid that names the scene, the path through the path
rules, the end of the path, the file name, the file's hash, and, for a person who
chooses, the title. The catalogue is asked first; before "no" is said Stash itself is,
since Plex remembers a "no" until somebody matches the item by hand.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stash2plex.errors import ServiceUnavailable, Stash2PlexError
from stash2plex.gates import excluded_by
from stash2plex.health.breaker import CircuitBreaker, State
from stash2plex.movie import stash_box
from stash2plex.paths import Mapped, PathMap, file_name, normal
from stash2plex.provider import titles
from stash2plex.provider.hints import Hints
from stash2plex.provider.oshash import MediaRoots, hashes_in
from stash2plex.scene import Scene, scene_of_guid, scene_of_rating_key
from stash2plex.text import name_key

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog
    from stash2plex.catalog.store import StashFile
    from stash2plex.config import Settings
    from stash2plex.provider.scenes import SceneReader
    from stash2plex.stash.client import StashClient

MOST_SHOWN = 20
_MOST_TITLES = 200
_LOOKUPS_AT_ONCE = 4
_SAME_DURATION = 1.0  # seconds
_FOLDER_AND_NAME = 2  # parts of a path
_STASH_BOX_ID = re.compile(
    r"([a-z][a-z0-9+.-]*)://([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})",
    re.IGNORECASE,
)
_FOREIGN = frozenset({"imdb", "tmdb", "tvdb", "plex", "local"})
_SCORES = {
    "guid": 100,
    "path": 100,
    "end of the path": 95,
    "hash": 98,
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
    *excluded* which scenes a setting keeps out.
    """

    candidates: list[Candidate] = field(default_factory=list)
    certain: Candidate | None = None
    steps: list[str] = field(default_factory=list)
    excluded: dict[int, str] = field(default_factory=dict)
    is_unmapped: bool = False

    @property
    def is_ambiguous_file(self) -> bool:
        """Whether several scenes have as good a claim to the file."""
        return self.certain is None and any(
            one.how not in {"title", "guid"} for one in self.candidates
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
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._store = catalog.store
        self._stash = stash
        self._breaker = breaker
        self._reader = reader
        self._paths = PathMap(settings.path_rules)
        self._roots = MediaRoots(settings.provider.media_roots)
        self._lookups = asyncio.Semaphore(_LOOKUPS_AT_ONCE)

    async def decide(self, hints: Hints) -> Decision:
        """Find the scene of a file; raises Stash's errors when only it could tell."""
        decision = Decision()
        await self._by_guid(hints, decision)
        if hints.path and decision.certain is None:
            await self._by_file(hints, decision)
        if hints.manual:
            await self._by_title(hints, decision)
        await self._keep_out(decision)
        ranked: dict[int, Candidate] = {}
        for one in sorted(decision.candidates, key=lambda c: (-c.score, c.scene_id)):
            ranked.setdefault(one.scene_id, one)
        decision.candidates = list(ranked.values())[:MOST_SHOWN]
        return decision

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
            scheme, value = known[1].lower(), known[2].lower()
            async with self._asking():
                entries = await self._stash.entries_known_as(value)
            await self._catalog.note_scenes(entries)
            ids = [one.id for one in entries]
            readings = await self._reader.read(ids)
            fitting = [
                key
                for key, one in readings.items()
                if isinstance(one, Scene)
                and any(
                    box.id.lower() == value and stash_box(box.endpoint) == scheme
                    for box in one.stash_ids
                )
            ]
            self._settle(decision, "guid", fitting, f"{scheme} knows it by this id")

    async def _exists(self, scene_id: int) -> bool:
        try:
            return await self._reader.present(scene_id) is not None
        except Stash2PlexError:
            if scene_id in await self._store.scene_rows([scene_id]):
                return True
            raise

    # --- by file --------------------------------------------------------------

    async def _by_file(self, hints: Hints, decision: Decision) -> None:
        asked_before = len(decision.steps)
        await self._in_catalogue(hints, self.places(hints.path), decision)
        if decision.certain is not None:
            return
        await self._catalog.look_for_folders()
        places = self.places(hints.path)
        twins = [self._paths.to_stash(place) for place in places]
        decision.is_unmapped = self._paths.has_rules and not any(
            isinstance(twin, Mapped) for twin in twins
        )
        # Whatever is not certain, Stash may have put right since it was read.
        del decision.steps[asked_before:]
        before, decision.candidates = decision.candidates, []
        paths = [twin.path for twin in twins if isinstance(twin, Mapped)]
        try:
            await self._ask_stash(hints, paths, {one.scene_id for one in before})
            decision.steps.append("Stash was asked about the file")
            await self._in_catalogue(hints, places, decision)
            if not decision.candidates:
                await self._by_hash(hints, places, decision)
        except Stash2PlexError:
            if not (hints.manual and before):
                raise
            decision.candidates = before

    def places(self, path: str) -> list[str]:
        """Return where a file may be, as Plex sees it, the likeliest first.

        *path* is relative to one of the library's folders, says Plex, with or without a
        slash before it; in one sample of its own it starts with that folder's name.
        """
        relative = path.lstrip("/")
        first = relative.partition("/")[0]
        found: list[str] = []
        for folder in map(normal, self._catalog.folders):
            base = folder.rstrip("/")
            if path.startswith(f"{base}/"):
                found.insert(0, path)
            found.append(f"{base}/{relative}")
            parent, _, name = base.rpartition("/")
            if name == first:
                found.append(f"{parent}/{relative}")
        return list(dict.fromkeys([*found, path, f"/{relative}"]))

    def likely_place(self, path: str) -> str:
        """Return where a file is, as Plex sees it, as far as that is certain."""
        folders = self._catalog.folders
        if len(folders) != 1 or path.startswith(f"{normal(folders[0]).rstrip('/')}/"):
            return path
        return f"{normal(folders[0]).rstrip('/')}/{path.lstrip('/')}"

    async def _ask_stash(
        self, hints: Hints, paths: Sequence[str], doubtful: set[int]
    ) -> None:
        """Bring the catalogue up to date about one file and those who claim it."""
        name = file_name(hints.path)
        other = [one for one in paths if file_name(one) != name]
        async with self._asking():
            entries = await self._stash.entries_of_file(name, other)
        wanted = {name_key(file_name(one)) for one in (name, *other)}
        await self._catalog.note_scenes(
            [
                one
                for one in entries
                if any(name_key(file_name(file.path)) in wanted for file in one.files)
            ]
        )
        others = sorted(doubtful - {one.id for one in entries})
        for key in others:
            self._reader.forget(key)
        readings = await self._reader.read(others)
        await self._catalog.note_scenes(
            [one for one in readings.values() if isinstance(one, Scene)]
        )
        gone = [key for key, reading in readings.items() if reading is None]
        if gone:
            await self._store.forget_scenes(gone)

    async def _in_catalogue(
        self, hints: Hints, places: Sequence[str], decision: Decision
    ) -> None:
        """Look a file up by path, then by the end of it, then by name."""
        keys = {self._paths.key_of_plex(place) for place in places}
        exact = await self._store.scene_files_by_key(keys)
        if exact:
            ids = [file.scene_id for file in exact]
            self._settle(decision, "path", ids, f"it has {exact[0].path}")
            return
        decision.steps.append("path: no scene has a file there")
        named = await self._namesakes(hints, keys)
        parts = hints.path.strip("/").split("/")
        common = {id(one): _common_end(one, parts) for one in named}
        whole = [one for one in named if common[id(one)] == len(parts)]
        if whole and len(parts) >= _FOLDER_AND_NAME:
            ids = [one.scene_id for one in whole]
            self._settle(
                decision, "end of the path", ids, f"{whole[0].path} ends alike"
            )
            return
        if self._settings.match.fallback != "basename":
            decision.steps.append("name: match.fallback is none")
            return
        await self._by_name(hints, keys, named, common, decision)

    async def _namesakes(self, hints: Hints, keys: Iterable[str]) -> list[StashFile]:
        """Return Stash's files of this name that are not elsewhere in Plex already."""
        named = await self._store.scene_files_named(hints.path)
        if hints.duration is not None:
            named = [
                one
                for one in named
                if one.duration is None
                or abs(one.duration - hints.duration) <= _SAME_DURATION
            ]
        own = [one.key for one in named if one.key]
        at_home = {one.key for one in await self._store.files_by_key(own)} - set(keys)
        relative = f"/{hints.path.lstrip('/')}"
        return [
            one
            for one in named
            if one.key not in at_home or (one.key or "").endswith(relative)
        ]

    async def _by_name(
        self,
        hints: Hints,
        keys: Iterable[str],
        named: Sequence[StashFile],
        common: dict[int, int],
        decision: Decision,
    ) -> None:
        name = file_name(hints.path)
        size = hints.size or await self._size_in_plex(keys)
        if size:
            sized = [one.scene_id for one in named if one.size == size]
            if sized:
                self._settle(decision, "name and size", sized, f"{name}, {size} bytes")
                return
            named = [one for one in named if not one.size]
        longest = max((common[id(one)] for one in named), default=0)
        nearest = {one.scene_id for one in named if common[id(one)] == longest}
        all_of_them = {one.scene_id for one in named}
        if longest >= _FOLDER_AND_NAME and len(nearest) == 1 < len(all_of_them):
            self._settle(decision, "folder and name", nearest, "its folder agrees too")
        elif named:
            self._settle(decision, "name", all_of_them, f"it has a file {name}")
        else:
            decision.steps.append(f"name: no free scene has a file {name}")

    async def _size_in_plex(self, keys: Iterable[str]) -> int | None:
        """Return the file's size, if Plex listed it already."""
        sizes = {one.size for one in await self._store.files_by_key(keys)}
        return sizes.pop() if len(sizes) == 1 else None

    async def _by_hash(
        self, hints: Hints, places: Sequence[str], decision: Decision
    ) -> None:
        """Look up a hash that stands in the name, or the file's own if it is here."""
        hashes = hashes_in(file_name(hints.path))
        if computed := await self._roots.hash_of(places):
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
        known = {one.scene_id for one in decision.candidates}
        words = titles.words_of(hints.title)
        rows = await self._store.titles_like(words, hints.date, _MOST_TITLES)
        for scene_id, title, date in rows:
            points = titles.with_time(
                titles.score(hints.title, title),
                same_date=bool(hints.date) and date == hints.date,
                same_year=hints.year is not None and date[:4] == str(hints.year),
            )
            if scene_id not in known and titles.is_worth_showing(points):
                decision.candidates.append(
                    Candidate(scene_id, points, "title", f"its title is {title!r}")
                )
        decision.steps.append(f"title: {len(rows)} scenes share a word or the day")

    # --- small things -----------------------------------------------------------

    def _settle(
        self, decision: Decision, how: str, scene_ids: Iterable[int], reason: str
    ) -> None:
        """Note what a step found; one scene is certain, several are a choice."""
        ids = sorted(set(scene_ids))
        found = [Candidate(key, _SCORES[how], how, reason) for key in ids]
        decision.candidates += found
        listed = ", ".join(map(str, ids)) or "none"
        decision.steps.append(f"{how}: scene {listed}")
        if len(found) == 1 or (found and not self._settings.match.strict):
            decision.certain = found[0]

    async def _keep_out(self, decision: Decision) -> None:
        """Drop the scenes that a setting leaves alone."""
        sync = self._settings.sync
        if not (sync.require_organized or sync.require_stash_id or sync.exclude_tag):
            return
        ids = [one.scene_id for one in decision.candidates]
        scenes = await self.known_scenes(ids)
        for key in ids:
            scene = scenes.get(key)
            reason = excluded_by(scene, sync) if scene else "gone from Stash"
            if reason:
                decision.excluded[key] = reason
        decision.candidates = [
            one for one in decision.candidates if one.scene_id not in decision.excluded
        ]
        if decision.certain and decision.certain.scene_id in decision.excluded:
            decision.certain = None

    async def known_scenes(self, scene_ids: Sequence[int]) -> dict[int, Scene]:
        """Return scenes whole: read a moment ago, or before their last change was.

        What is not known so is read from Stash.

        Raises Stash's error about the first one that nobody knows.
        """
        found = self._reader.fresh(scene_ids)
        unread = [one for one in scene_ids if one not in found]
        if not unread:
            return found
        rows = await self._store.scene_rows(unread)
        found |= {
            key: row.document
            for key, row in rows.items()
            if row.document and row.is_current
        }
        readings = await self._reader.read([one for one in unread if one not in found])
        for key, reading in readings.items():
            if isinstance(reading, Scene):
                found[key] = reading
            elif isinstance(reading, Stash2PlexError):
                known = rows[key].document if key in rows else None
                if known is None:
                    raise reading
                found[key] = known
        return found

    def _asking(self) -> asyncio.Semaphore:
        """Take a turn at asking Stash; raises `ServiceUnavailable` while it is down."""
        if self._breaker.state is State.OPEN:
            raise ServiceUnavailable("Stash", "it did not answer a moment ago")
        return self._lookups


def _common_end(file: StashFile, parts: Sequence[str]) -> int:
    """Return how many parts at the end of a path are the same, in either spelling."""
    return max(
        _same_parts(normal(path).split("/"), parts)
        for path in (file.path, file.key or file.path)
    )


def _same_parts(own: Sequence[str], parts: Sequence[str]) -> int:
    count = 0
    for one, other in zip(reversed(own), reversed(parts), strict=False):
        if name_key(one) != name_key(other):
            break
        count += 1
    return count
