"""What the provider answers: match, metadata and images, as documents.

Knows nothing of HTTP but the base that image URLs start with.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from stash2plex import __version__
from stash2plex.catalog.gaps import Gaps
from stash2plex.errors import Stash2PlexError, StoreUnavailable
from stash2plex.gap_kinds import GapKind
from stash2plex.movie import Field, Movie
from stash2plex.provider import documents
from stash2plex.provider.documents import Document
from stash2plex.provider.hints import MOVIE, Hints
from stash2plex.provider.matching import Candidate, Decision, ProviderMatcher
from stash2plex.scene import Scene

if TYPE_CHECKING:
    from stash2plex.catalog.catalog import Catalog
    from stash2plex.config import ProviderSettings
    from stash2plex.provider.completion import Completion
    from stash2plex.provider.images import Images
    from stash2plex.provider.scenes import SceneReader
    from stash2plex.provider.traffic import Traffic
    from stash2plex.translation import Translation

log = structlog.get_logger()

_SURE, _OFFERED = 100, 86


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """The parts that answer Plex. *completion* is None when nothing is pushed."""

    settings: ProviderSettings
    catalog: Catalog
    gaps: Gaps
    matcher: ProviderMatcher
    reader: SceneReader
    images: Images
    translation: Translation
    completion: Completion | None
    traffic: Traffic

    def root(self) -> Document:
        """Return what the provider says of itself."""
        return documents.root_document(
            self.settings.identifier, self.settings.title, __version__
        )

    async def match(self, hints: Hints, base: str, caller: str) -> list[Document]:
        """Return the scenes that a file may be: one or none, or a list for a person.

        *caller* is who asks, by address.

        Raises Stash's errors when only it could tell: a "no" would be for ever.
        """
        if hints.type != MOVIE:
            return []
        decision = await self.matcher.decide(hints)
        chosen = decision.candidates if hints.manual else _certain(decision)
        if chosen:
            self.traffic.matched += 1
        else:
            self.traffic.unmatched += 1
        if hints.path:
            await self._note_gap(hints, decision, caller)
        log.info(
            "match_answered",
            file=hints.path,
            manual=hints.manual,
            scenes=[one.scene_id for one in chosen],
            how=chosen[0].how if chosen else None,
            steps=decision.steps if not chosen else None,
        )
        return [
            documents.trimmed(found, hints.trimming)
            for found in await self._search_results(chosen, decision.certain, base)
        ]

    async def metadata(
        self, scene_id: int, base: str, trimming: Mapping[str, str]
    ) -> Document | None:
        """Return all about a scene, None if Stash has none of this id."""
        scene = await self.reader.scene(scene_id)
        if self.completion is not None and (
            # A scene that is gone: the job takes it out of the catalogue.
            scene is not None or await self.catalog.store.scene_rows([scene_id])
        ):
            self.completion.add(scene_id)
        if scene is None:
            return None
        movie = self.translation(scene)
        pictures = await self.images.pictures_of(scene, base, look=_has_cover(movie))
        document = documents.metadata_document(
            scene_id, movie, pictures, self.settings.identifier
        )
        return documents.trimmed(document, trimming)

    async def pictures(self, scene_id: int, base: str) -> list[Document] | None:
        """Return every picture of a scene, None if Stash has none of this id."""
        scene = await self.reader.scene(scene_id)
        if scene is None:
            return None
        movie = self.translation(scene)
        pictures = await self.images.pictures_of(scene, base, look=_has_cover(movie))
        return documents.images(movie, pictures)

    def forget(self, scene_id: int | None = None) -> None:
        """Read a scene (or all) afresh next time: it changed in Stash."""
        self.reader.forget(scene_id)
        self.images.forget(scene_id)

    async def _search_results(
        self, chosen: list[Candidate], certain: Candidate | None, base: str
    ) -> list[Document]:
        ids = [one.scene_id for one in chosen]
        scenes: dict[int, Scene] = {}
        # Without the scene itself, what the catalogue has of it is enough.
        with suppress(Stash2PlexError):
            scenes = await self.matcher.known_scenes(ids)
        unread = [one for one in ids if one not in scenes]
        rows = await self.catalog.store.scene_rows(unread) if unread else {}
        found: list[Document] = []
        for one in chosen:
            document: Document = {}
            if scene := scenes.get(one.scene_id):
                document = await self._search_result(scene, base)
            elif row := rows.get(one.scene_id):
                document = documents.reference(
                    row.id, row.title, row.date, self.settings.identifier
                )
            if document:  # else it vanished this moment
                found.append({**document, "score": _told_score(one, certain)})
        return found

    async def _search_result(self, scene: Scene, base: str) -> Document:
        poster = await self.images.poster_of(scene, base)
        return documents.match_document(
            scene.id, self.translation(scene), poster, self.settings.identifier
        )

    async def _note_gap(self, hints: Hints, decision: Decision, caller: str) -> None:
        """Show at once what Plex has and Stash certainly has not."""
        path = decision.place or hints.path
        detail = "; ".join(decision.steps)
        with suppress(StoreUnavailable):  # Plex's answer does not wait for that
            if decision.certain or (decision.excluded and not decision.is_ambiguous):
                await self.gaps.close_file(path, decision.keys)
                return
            kind = GapKind.MISSING_IN_STASH
            if decision.is_ambiguous:
                ids = ", ".join(str(one.scene_id) for one in decision.candidates)
                kind, detail = GapKind.AMBIGUOUS, f"scene {ids}?"
            elif decision.is_unmapped:
                kind = GapKind.UNMAPPED
            await self.gaps.record_file(
                kind,
                path,
                detail,
                keys=decision.keys,
                item=decision.item,
                caller=caller,
            )


def _told_score(one: Candidate, certain: Candidate | None) -> int:
    """Return what Plex is told: it takes anything above 85 for a match, 100 for sure.

    The order of those that are only offered stays.
    """
    if certain is not None and one.scene_id == certain.scene_id:
        return _SURE
    return _OFFERED + one.score * (_SURE - 1 - _OFFERED) // _SURE


def _has_cover(movie: Movie) -> bool:
    return not movie.managed.isdisjoint({Field.POSTER, Field.BACKGROUND})


def _certain(decision: Decision) -> list[Candidate]:
    return [decision.certain] if decision.certain else []
