"""Why a scene, an item or a path is, or is not, in step: one answer with all of it.

Everything comes from the parts that do the work: the matching that decides, the plan
that a delivery would carry out, the queue and the ledger. Nothing is changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from stash2plex.catalog.candidates import Candidate, candidates
from stash2plex.catalog.lost import why_lost
from stash2plex.errors import (
    AmbiguousMatch,
    InvalidRequest,
    Stash2PlexError,
    UnmappedPath,
)
from stash2plex.gates import NO_METADATA, refusal
from stash2plex.moments import iso
from stash2plex.paths import Mapped, PathMap, Unmapped, normal
from stash2plex.scene import MOST_SQLITE_HOLDS, Scene, SceneEntry, SceneFile

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog
    from stash2plex.catalog.gaps import Gap, Gaps
    from stash2plex.catalog.matching import Answer
    from stash2plex.config import Settings
    from stash2plex.plex.item import Item
    from stash2plex.plex.library import PlexLibrary
    from stash2plex.push.ledger import Entry, Ledger
    from stash2plex.push.preview import Difference, Preview
    from stash2plex.queue.store import Entry as Job
    from stash2plex.queue.store import JobStore
    from stash2plex.stash.client import StashClient

# An item that more scenes than this lay claim to is explained well enough by some.
_MOST_SCENES = 5
_NAMED = re.compile(
    r"(?i:(?P<kind>scene|plex|item))(?:\s*:\s*(?P<which>[^/\\]*)|\s+(?P<number>\d+))"
)


class State(StrEnum):
    """What it comes down to; see ``docs/errors.md``."""

    IN_SYNC = "in_sync"
    WAITING = "waiting"
    DIFFERS = "differs"
    KEPT_OUT = "kept_out"
    MISSING = "missing"
    AMBIGUOUS = "ambiguous"
    UNMAPPED = "unmapped"
    DEAD = "dead"
    GONE = "gone"
    ORPHAN = "orphan"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer in one sentence."""

    state: State
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedFile:
    """A file, its path on the other side, and the rule that leads there.

    *rule* is "" when there are no rules; *reason* says why there is no such path.
    *twins* are the items, or scenes, that have the path there.
    """

    path: str
    size: int | None
    mapped: str | None
    rule: str | None
    reason: str | None
    twins: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneStory:
    """All about one scene; *exists* is None when Stash could not be asked.

    *differences* are None when they could not be worked out; *notes* say why.
    """

    scene_id: int
    title: str = ""
    exists: bool | None = None
    updated_at: str = ""
    files: tuple[MappedFile, ...] = ()
    gate: str | None = None
    candidates: tuple[Candidate, ...] = ()
    answer: Answer = ()
    jobs: tuple[Job, ...] = ()
    gaps: tuple[Gap, ...] = ()
    deliveries: tuple[Entry, ...] = ()
    differences: tuple[Difference, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def queued(self) -> Job | None:
        """The job that waits or runs, if there is one."""
        return next((job for job in self.jobs if job.state != "dead"), None)

    @property
    def dead(self) -> Job | None:
        """The dead letter, if there is one."""
        return next((job for job in self.jobs if job.state == "dead"), None)

    @property
    def verdict(self) -> Verdict:
        """The first thing that stands in the way, or that all is well."""
        for judge in (_kept_out, _given_up, _unmatched, _waiting):
            if verdict := judge(self):
                return verdict
        return _compared(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemStory:
    """All about one item that the scenes do not tell."""

    rating_key: int
    section: str
    files: tuple[MappedFile, ...]
    bound: int | None
    scenes: tuple[int, ...]
    gaps: tuple[Gap, ...]
    why: str = ""  # no scene has its file, if that tells


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The whole answer; *paths* only for a path: as Stash's, and as Plex's."""

    query: str
    kind: str
    verdict: Verdict
    scenes: tuple[SceneStory, ...] = ()
    items: tuple[ItemStory, ...] = ()
    paths: tuple[MappedFile, MappedFile] | None = None
    machine: str | None = None


class Explainer:
    """Puts explanations together."""

    def __init__(
        self,
        settings: Settings,
        *,
        stash: StashClient,
        plex: PlexLibrary,
        catalog: Catalog,
        jobs: JobStore,
        ledger: Ledger,
        gaps: Gaps,
        preview: Preview,
    ) -> None:
        self._settings = settings
        self._stash = stash
        self._plex = plex
        self._catalog = catalog
        self._jobs = jobs
        self._ledger = ledger
        self._gaps = gaps
        self._preview = preview
        self._paths = PathMap(settings.path_rules)

    async def explain(self, query: str) -> Explanation:
        """Explain ``scene:7``, ``plex:42`` or a path; raises `InvalidRequest`.

        Also ``item:42``, and ``scene 7`` and ``item 42`` as lists and logs print them.
        """
        if not query.strip():
            raise InvalidRequest("give scene:ID, plex:RATINGKEY or a path")
        if named := _NAMED.fullmatch(query.strip()):
            number = _number(query, named["number"] or named["which"])
            is_scene = named["kind"].lower() == "scene"
            of = self._of_scene if is_scene else self._of_item
            return await of(query, number)
        return await self._of_path(query)

    async def _of_scene(self, query: str, scene_id: int) -> Explanation:
        story = await self._story(scene_id)
        return self._told(query, "scene", story.verdict, [story])

    async def _of_item(self, query: str, rating_key: int) -> Explanation:
        item, note = await self._item(rating_key)
        story = await self._item_story(rating_key, item)
        if item is None and note is None:
            verdict = Verdict(State.GONE, f"Plex has no item {rating_key}")
            return self._told(query, "item", verdict, [], [story] if story else [])
        if item is not None and item.is_trashed:
            message = f"the file of item {rating_key} is missing: it is in Plex's trash"
            verdict = Verdict(State.GONE, message)
            return self._told(query, "item", verdict, [], [story] if story else [])
        if story is None:
            verdict = Verdict(State.UNKNOWN, note or "Plex could not be asked")
            return self._told(query, "item", verdict, [])
        scenes = [await self._story(one) for one in story.scenes[:_MOST_SCENES]]
        return self._told(query, "item", _of_item(story, scenes), scenes, [story])

    async def _of_path(self, path: str) -> Explanation:
        store, key = self._catalog.store, self._paths.key_of_plex(path)
        as_stash = self._mapped(path, None, self._paths.to_plex(path))
        as_plex = self._mapped(path, None, self._paths.to_stash(path))
        keys = {key, self._paths.key_of_stash(path) or key}
        of_stash = [
            one.scene_id
            for one in await store.scene_files_named(path)
            if normal(one.path) == normal(path)
        ]
        of_stash += [one.scene_id for one in await store.scene_files_by_key(keys)]
        if not of_stash:
            of_stash = await self._scenes_at(path)
        items = {one.rating_key for one in await store.files_by_key(keys)}
        scenes = [
            await self._story(one)
            for one in list(dict.fromkeys(of_stash))[:_MOST_SCENES]
        ]
        stories = []
        for rating_key in sorted(items)[:_MOST_SCENES]:
            item, _ = await self._item(rating_key)
            if story := await self._item_story(rating_key, item):
                stories.append(story)
        if scenes:
            verdict = scenes[0].verdict
        elif stories:
            verdict = _of_item(stories[0], [])
        else:
            verdict = Verdict(State.UNKNOWN, "neither Stash nor Plex has this file")
        paths = (as_stash, as_plex)
        return self._told(path, "path", verdict, scenes, stories, paths=paths)

    def _told(
        self,
        query: str,
        kind: str,
        verdict: Verdict,
        scenes: Iterable[SceneStory],
        items: Iterable[ItemStory] = (),
        *,
        paths: tuple[MappedFile, MappedFile] | None = None,
    ) -> Explanation:
        return Explanation(
            query=query,
            kind=kind,
            verdict=verdict,
            scenes=tuple(scenes),
            items=tuple(items),
            paths=paths,
            machine=self._catalog.machine,
        )

    async def _scenes_at(self, path: str) -> list[int]:
        """Ask Stash for the scenes of a file that the catalogue does not have."""
        try:
            return [one.id for one in await self._stash.entries_at(path)]
        except Stash2PlexError:
            return []

    # --- a scene --------------------------------------------------------------

    async def _story(self, scene_id: int) -> SceneStory:
        notes: list[str] = []
        try:
            readings = await self._stash.scenes([scene_id])
            reading = readings[scene_id]
        except Stash2PlexError as error:
            readings, reading = {}, error
        differences: tuple[Difference, ...] | None = None
        if isinstance(reading, Scene):
            try:
                differences = tuple(await self._preview.of_readings(readings))
            except Stash2PlexError as error:
                notes.append(str(error))
        scene: SceneEntry | None = reading if isinstance(reading, Scene) else None
        exists: bool | None = isinstance(reading, Scene)
        if isinstance(reading, Stash2PlexError):
            notes.append(str(reading))
            exists = None
            known = await self._catalog.store.entries(ids=[scene_id], limit=1)
            scene = known[0][0] if known else None
        jobs = tuple(await self._jobs.of_scene(scene_id))
        gaps = await self._gaps.about([f"scene:{scene_id}"])
        machine = self._catalog.machine or ""
        deliveries = await self._ledger.of_scene(machine, scene_id)
        gate = None
        if isinstance(scene, Scene):
            gate = refusal(scene, self._settings.sync)
            reasons = {one.reason for one in differences or ()}
            if gate == NO_METADATA and differences is not None and gate not in reasons:
                gate = None  # it had some when it was delivered
        answer: Answer = ()
        found: list[Candidate] = []
        if scene is not None and len(scene.files) > 1:
            notes.append(
                f"it has {len(scene.files)} files: Stash makes one scene of copies of a"
                " video and links to it"
            )
        if scene is not None and scene.files:
            answer = (await self._catalog.compared([scene]))[scene_id]
            found = await candidates(
                scene, answer, self._catalog.store, self._paths, self._settings.match
            )
        return SceneStory(
            scene_id=scene_id,
            title=scene.title if scene else "",
            exists=exists,
            updated_at=scene.updated_at if scene else "",
            files=tuple(
                [await self._file(one) for one in scene.files] if scene else ()
            ),
            gate=gate,
            candidates=tuple(found),
            answer=answer,
            jobs=jobs,
            gaps=tuple(gaps),
            deliveries=tuple(deliveries),
            differences=differences,
            notes=tuple(notes),
        )

    async def _file(self, file: SceneFile) -> MappedFile:
        key = self._paths.key_of_stash(file.path)
        twins = await self._catalog.store.files_by_key([key] if key else [])
        return self._mapped(
            file.path,
            file.size,
            self._paths.to_plex(file.path),
            sorted({one.rating_key for one in twins}),
        )

    @staticmethod
    def _mapped(
        path: str,
        size: int | None,
        mapped: Mapped | Unmapped,
        twins: Sequence[int] = (),
    ) -> MappedFile:
        return MappedFile(
            path=path,
            size=size,
            mapped=mapped.path if isinstance(mapped, Mapped) else None,
            rule=mapped.rule if isinstance(mapped, Mapped) else None,
            reason=mapped.reason if isinstance(mapped, Unmapped) else None,
            twins=tuple(twins),
        )

    # --- an item --------------------------------------------------------------

    async def _item(self, rating_key: int) -> tuple[Item | None, str | None]:
        """Return the item as it is in Plex, or None and why it could not be read."""
        try:
            found = await self._plex.readable_items([rating_key])
        except Stash2PlexError as error:
            return None, str(error)
        return found.get(rating_key), None

    async def _item_story(self, rating_key: int, item: Item | None) -> ItemStory | None:
        store = self._catalog.store
        known = await store.files_of_item(rating_key)
        files = [(one.path, one.size) for one in (item.files if item else known)]
        place = await store.item_place(rating_key)
        if item is None and place is None:
            return None
        section_id, bound = place or (item.section_id if item else 0, None)
        titles = {one.id: one.title for one in self._catalog.sections}
        mapped = []
        scenes: dict[int, None] = {}
        for path, size in files:
            key = self._paths.key_of_plex(path)
            twins = [one.scene_id for one in await store.scene_files_by_key([key])]
            scenes |= dict.fromkeys(twins)
            to_stash = self._paths.to_stash(path)
            mapped.append(self._mapped(path, size, to_stash, sorted(set(twins))))
        scenes |= dict.fromkeys((await store.scenes_bound([rating_key])).values())
        why = {} if scenes else await why_lost(store, self._paths, dict(files))
        if not scenes:
            paths = [path for path, _ in files]
            scenes |= dict.fromkeys(sorted(await store.scenes_of_files(paths)))
        return ItemStory(
            rating_key=rating_key,
            section=titles.get(section_id, ""),
            files=tuple(mapped),
            bound=bound,
            scenes=tuple(scenes),
            gaps=tuple(await self._gaps.about([f"item:{rating_key}"])),
            why=next(iter(why.values()), ""),
        )


# --- verdicts ---------------------------------------------------------------------


def _kept_out(story: SceneStory) -> Verdict | None:
    if story.exists is False:
        return Verdict(State.GONE, f"Stash has no scene {story.scene_id}")
    if story.gate is not None:
        return Verdict(State.KEPT_OUT, f"the scene does not take part: {story.gate}")
    return None


def _given_up(story: SceneStory) -> Verdict | None:
    if story.dead is None or story.queued is not None:
        return None
    return Verdict(State.DEAD, f"given up: {story.dead.error} [{story.dead.code}]")


def _unmatched(story: SceneStory) -> Verdict | None:
    match story.answer:
        case AmbiguousMatch():
            state = State.AMBIGUOUS
        case UnmappedPath():
            state = State.UNMAPPED
        case Stash2PlexError():
            state = State.MISSING
        case _:
            return None
    again = f"; looked for again at {iso(story.queued.due_at)}" if story.queued else ""
    return Verdict(state, f"{story.answer}{again}")


def _waiting(story: SceneStory) -> Verdict | None:
    if (job := story.queued) is None:
        return None
    message = "it is being delivered at this moment"
    if job.state != "running":
        why = f", after {job.code}: {job.error}" if job.code else ""
        message = f"it waits to be delivered, due {iso(job.due_at)}{why}"
    return Verdict(State.WAITING, message)


def _compared(story: SceneStory) -> Verdict:
    if story.differences is None:
        reason = "; ".join(story.notes) or "nobody could be asked"
        return Verdict(State.UNKNOWN, reason)
    return _of_differences(story.differences)


def _of_differences(differences: Sequence[Difference]) -> Verdict:
    fields = sorted({one.field for each in differences for one in each.changes})
    if fields:
        return Verdict(State.DIFFERS, f"a delivery would change {', '.join(fields)}")
    unread = [o.reason for o in differences if o.reason and o.rating_key is None]
    if unread:
        return Verdict(State.UNKNOWN, unread[0])
    respected = sorted({name for one in differences for name in one.respected})
    left = (
        f", but for what somebody locked: {', '.join(respected)}" if respected else ""
    )
    pictures = [one.reason for one in differences if one.reason]
    lacking = f", but for a picture: {pictures[0]}" if pictures else ""
    return Verdict(State.IN_SYNC, f"Plex shows what Stash knows{left}{lacking}")


def _of_item(item: ItemStory, scenes: Sequence[SceneStory]) -> Verdict:
    for story in scenes:
        answer = story.answer
        if not isinstance(answer, Stash2PlexError) and any(
            one.rating_key == item.rating_key for one in answer
        ):
            return story.verdict
    if scenes:
        listed = " or ".join(str(one.scene_id) for one in scenes)
        return Verdict(
            State.ORPHAN,
            f"no scene gets this item, though scene {listed} could be meant:"
            f" {scenes[0].verdict.message}{f'; {item.why}' if item.why else ''}",
        )
    why = f": {item.why}" if item.why else ""
    return Verdict(State.ORPHAN, f"no scene of Stash has a file of this item{why}")


def _number(query: str, text: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text[:20]) <= MOST_SQLITE_HOLDS:
        return int(text[:20])
    raise InvalidRequest(f"{query[:40]!r} must be scene:ID, plex:RATINGKEY or a path")
