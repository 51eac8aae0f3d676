"""What Stash is asked about its library: scenes, listings, changes, pictures.

Nothing of it is changed. Every failure leaves as one of our errors.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    Callable,
    Iterable,
    Sequence,
)
from dataclasses import replace
from typing import Any

import structlog

from stash2plex.errors import (
    AnswerTooLarge,
    PictureUnreadable,
    PictureUnusable,
    ServerFault,
    ServiceUnavailable,
    Stash2PlexError,
)
from stash2plex.scene import Scene, SceneEntry
from stash2plex.stash import queries
from stash2plex.stash.answers import picture_of
from stash2plex.stash.connection import WRONG_URL, Sessions
from stash2plex.stash.dialect import Dialect
from stash2plex.stash.files import StashFiles, spelled
from stash2plex.stash.hook_lines import hook_lines
from stash2plex.stash.listings import StashListings
from stash2plex.stash.look import HashedFile, rows_of
from stash2plex.stash.pictures import SVG, PictureAnswer, StashPictures
from stash2plex.stash.scans import StashEvent, scans
from stash2plex.text import name_key

log = structlog.get_logger()

# Names that are looked for in one request.
_NAMES = 20
UNREADABLE = (
    "Stash has a cover of this scene and cannot read it: is the folder of its blobs"
    " there, and is its storage type the one that they were written with?"
)


class StashClient(StashListings):
    """One Stash server, and its library."""

    def __init__(self, sessions: Sessions) -> None:
        super().__init__(sessions)
        self._pictures = StashPictures(self)
        self._files = StashFiles(self)
        # The ETag of what is shown of a scene without a cover, once it was seen.
        self._placeholder: str | None = None
        # Told of the cover of a scene whether it could be read.
        self.on_cover: Callable[[int, bool], None] = lambda _, __: None

    async def scenes(
        self, scene_ids: Sequence[int], *, pictures: bool = False
    ) -> dict[int, Scene | Stash2PlexError | None]:
        """Read scenes in one request: None is gone, an error concerns that one only.

        With *pictures*, also where those of performers and studios are.
        """
        if not scene_ids:
            return {}
        try:
            return await self.fitting(
                lambda dialect: self._scenes(dialect, scene_ids, pictures=pictures)
            )
        except AnswerTooLarge as error:
            if len(scene_ids) == 1:
                return {scene_ids[0]: error}
            half = len(scene_ids) // 2
            first = await self.scenes(scene_ids[:half], pictures=pictures)
            return first | await self.scenes(scene_ids[half:], pictures=pictures)

    def scans(
        self, on_listening: Callable[[], None]
    ) -> AsyncGenerator[StashEvent, None]:
        """Yield when a scan or an import is over; see `stash2plex.stash.scans`."""
        return scans(self, on_listening)

    def hook_lines(
        self, on_listening: Callable[[], None]
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Yield what our script in Stash says; see `stash2plex.stash.hook_lines`."""
        return hook_lines(self, on_listening)

    async def entries_at(self, path: str) -> list[SceneEntry]:
        """Return the scenes that have this file, in whatever form of Unicode."""
        return await self._files.scenes_at(path)

    async def scenes_of_file(
        self, name: str, paths: Iterable[str] = ()
    ) -> list[SceneEntry]:
        """Return the scenes with a file of this *name*, or at one of *paths*.

        Whole scenes with where their pictures are, but for a name that many have; see
        `StashFiles.scenes_named`.
        """
        return await self._files.scenes_named(name, paths)

    async def scenes_with(self, files: Sequence[HashedFile]) -> list[SceneEntry]:
        """Return the scenes that have *files*."""
        return await self._files.scenes_with(files)

    async def scenes_hashed(
        self, hashes: Sequence[str], *, whole: bool
    ) -> list[SceneEntry]:
        """Return the first scene of each oshash, in one request.

        The *whole* of them with where their pictures are, or what a listing tells.
        """

        async def ask(dialect: Dialect) -> list[SceneEntry]:
            query = queries.scenes_by_hash(dialect, len(hashes), whole=whole)
            given = {f"h{number}": one for number, one in enumerate(hashes)}
            answer = await self.ask(query, **given)
            found = [
                self.shown(row, dialect, whole=whole) for row in answer.values() if row
            ]
            return list({one.id: one for one in found if one}.values())

        return await self.fitting(ask)

    async def whole_scenes(self, scenes: dict[str, Any], most: int) -> list[SceneEntry]:
        """Return what a filter finds, at most so many, with where all pictures are."""

        async def ask(dialect: Dialect) -> list[SceneEntry]:
            chosen = self.first_page() | {"per_page": most}
            query = queries.whole_scenes(dialect)
            answer = await self.ask(query, filter=chosen, scenes=scenes)
            rows = rows_of(answer, "findScenes", "scenes")
            found = (self.shown(row, dialect, whole=True) for row in rows)
            return [one for one in found if one]

        return await self.fitting(ask)

    async def image_url(self, kind: str, entity_id: int) -> str:
        """Return where the picture of a performer or studio is, "" without one.

        Only this tells a picture from the one that stands for none.
        """

        async def ask(dialect: Dialect) -> str:
            name = kind.capitalize()
            if not (
                dialect.has(f"Query.find{name}") and dialect.has(f"{name}.image_path")
            ):
                return ""
            answer = await self.ask(queries.image_of(kind), id=str(entity_id))
            found = answer.get("found")
            return picture_of(found, self.settings.url) if found else ""

        return await self.fitting(ask)

    async def lacks_cover(self, scene_id: int) -> bool | None:
        """Whether a scene has no cover; None where this release cannot tell.

        Asked by a filter, which knows better than the picture: Stash shows the same
        placeholder for a cover that it cannot read.
        """

        async def ask(dialect: Dialect) -> bool | None:
            if not dialect.filters("is_missing"):
                return None
            wanted = {
                "id": {"modifier": "EQUALS", "value": scene_id},
                "is_missing": "cover",
            }
            answer = await self.ask(queries.COUNT, scenes=wanted)
            return bool((answer.get("findScenes") or {}).get("count"))

        return await self.fitting(ask)

    async def studios_or_groups(self, names: Iterable[str]) -> set[str]:
        """Return which of *names* a studio or a group has, whatever their case."""
        wanted = list(dict.fromkeys(names))
        found: set[str] = set()
        for start in range(0, len(wanted), _NAMES):
            batch = wanted[start : start + _NAMES]
            found |= await self.fitting(lambda dialect: self._named(dialect, batch))  # noqa: B023 - awaited at once
        return found

    async def _named(self, dialect: Dialect, names: Sequence[str]) -> set[str]:
        if not dialect.named:
            return set()
        query = queries.studios_and_groups_named(dialect, len(names))
        variables = {f"n{n}": spelled(name) for n, name in enumerate(names)}
        answer = await self.ask(query, **variables)
        found: set[str] = set()
        for number, name in enumerate(names):
            rows = [
                row
                for kind in dialect.named
                for row in rows_of(answer, f"{kind[0]}{number}", "parts")
            ]
            keys = {name_key(str(row.get("name"))) for row in rows if row}
            found |= {name} if name_key(name) in keys else set()
        return found

    async def entries_hashed(self, oshash: str) -> list[SceneEntry]:
        """Return the scenes that have a file with this oshash (16 hex digits)."""
        return await self._find({"oshash": {"modifier": "EQUALS", "value": oshash}})

    async def entries_known_as(self, stash_id: str) -> list[SceneEntry]:
        """Return the scenes that some stash-box calls *stash_id*."""
        wanted = {"modifier": "EQUALS", "stash_id": stash_id}
        return await self._find({"stash_id_endpoint": wanted})

    async def entries_present(self, scene_ids: Sequence[int]) -> set[int]:
        """Return which of *scene_ids* Stash has; an error of one counts as there."""
        readings = await self.scenes(scene_ids)
        return {key for key, reading in readings.items() if reading is not None}

    def url_of(self, path: str) -> str:
        """Return the URL of *path* on this server; it carries no key."""
        return f"{self.settings.url}{path}"

    async def picture(self, url: str, etag: str = "") -> PictureAnswer:
        """Fetch a picture's bytes, unless it still is the one that *etag* names."""
        return await self._pictures.fetch(url, etag)

    async def cover(
        self, scene_id: int, etag: str = "", *, notes: bool = True
    ) -> PictureAnswer:
        """Fetch the cover of a scene, as `picture` does.

        Raises `PictureUnreadable` for one that Stash has, and cannot show. `on_cover`
        is told, if that is to be noted.
        """
        answer = await self.picture(self.url_of(f"/scene/{scene_id}/screenshot"), etag)
        if answer.data is not None or answer.unchanged:
            if notes:
                self.on_cover(scene_id, True)
            return answer
        lacks = await self.lacks_cover(scene_id)
        if lacks is not False:
            self._placeholder = answer.svg if lacks else self._placeholder
            return replace(answer, is_certain=lacks is not None)
        if answer.svg and await self._is_a_picture(answer.svg):
            raise PictureUnusable(f"the cover in Stash: {SVG}", etag=answer.svg)
        if notes:
            self.on_cover(scene_id, False)
        raise PictureUnreadable(UNREADABLE)

    async def _is_a_picture(self, svg: str) -> bool:
        """Whether an SVG file is certainly not what is shown for no cover."""
        if await self._known_placeholder() in {None, svg}:
            return False
        self._placeholder = None  # it may be that of another release
        return await self._known_placeholder() not in {None, svg}

    async def _known_placeholder(self) -> str | None:
        """Return the ETag of what is shown for no cover, None if no scene lacks one.

        Nobody can tell it from a cover that is an SVG file then.
        """
        if self._placeholder is None:
            wanted = {"is_missing": "cover"}
            chosen = self.first_page() | {"per_page": 1}
            query = queries.entries(await self.dialect())
            answer = await self.ask(query, filter=chosen, scenes=wanted)
            for row in rows_of(answer, "findScenes", "scenes"):
                found = await self.picture(
                    self.url_of(f"/scene/{row['id']}/screenshot")
                )
                self._placeholder = found.svg or None
        return self._placeholder

    async def _scenes(
        self, dialect: Dialect, scene_ids: Sequence[int], *, pictures: bool
    ) -> dict[int, Scene | Stash2PlexError | None]:
        query = queries.scenes_by_id(dialect, len(scene_ids), pictures=pictures)
        variables = {f"i{number}": str(id) for number, id in enumerate(scene_ids)}
        data, failed = await self.ask_partly(query, variables)
        answers: dict[int, Scene | Stash2PlexError | None] = {}
        for number, scene_id in enumerate(scene_ids):
            alias = f"s{number}"
            if alias in failed:
                answers[scene_id] = ServerFault("Stash", failed[alias])
            elif alias not in data:
                raise ServiceUnavailable("Stash", WRONG_URL)
            elif data[alias] is None:
                answers[scene_id] = None
            else:
                answers[scene_id] = self.understood(data[alias], dialect)
        return answers
