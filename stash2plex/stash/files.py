"""Which scenes have a file: asked by its name and its hash, which costs Stash little.

A filter by path makes Stash put together the path of every file that it has. Releases
before v0.29 find no files without their scenes, and small files have no hash: they are
asked in that way all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from stash2plex.paths import file_name, normal
from stash2plex.scene import SceneEntry
from stash2plex.stash import queries
from stash2plex.stash.look import HashedFile, files_from, rows_of
from stash2plex.text import both_forms

if TYPE_CHECKING:
    from stash2plex.stash.client import StashClient
    from stash2plex.stash.dialect import Dialect

# Whole scenes, and files, of one name that are read at once.
_NAMESAKES = 20
# Filters within each other: Stash's database takes some 28 of them.
_DEEPEST = 20


def spelled(text: str) -> str:
    """Return *text* for LIKE; each ``%`` of it would cost Stash much, ``_`` nothing."""
    return text.replace("%", "_")


class StashFiles:
    """Looks for files in one Stash."""

    def __init__(self, stash: StashClient) -> None:
        self._stash = stash

    async def scenes_at(self, path: str) -> list[SceneEntry]:
        """Return the scenes that have this file, in whatever form of Unicode."""
        wanted = normal(path)
        found = await self._having([file_name(path)], at=wanted, whole=False)
        if found is None:
            found = await self._entries(self._patterns([path]))
        return [
            one for one in found if any(normal(f.path) == wanted for f in one.files)
        ]

    async def scenes_named(
        self, name: str, paths: Iterable[str] = ()
    ) -> list[SceneEntry]:
        """Return the scenes with a file of this *name*, or at one of *paths*.

        Whole scenes with where their pictures are; when many have the name, only what
        a listing tells of those. More may be found than was asked for: Stash compares
        with LIKE. Names are asked for in both Unicode forms, since Stash keeps what
        the disk said.
        """
        if not (await self._stash.dialect()).filters("path"):
            return []
        places = list(paths)
        names = list(dict.fromkeys([name, *map(file_name, places)]))
        found = await self._having(names, whole=True)
        return await self._by_path(name, places) if found is None else found

    async def scenes_with(self, files: Sequence[HashedFile]) -> list[SceneEntry]:
        """Return the scenes that have *files*, as far as Stash tells."""
        found: list[SceneEntry] = []
        hashed = [one for one in files if one.oshash]
        for start in range(0, len(hashed), _NAMESAKES):
            batch = hashed[start : start + _NAMESAKES]
            found += await self._by_hash(batch, whole=False)
        had = {file.path for one in found for file in one.files}
        left = [one.file.path for one in files if one.file.path not in had]
        return found + await self._entries(self._patterns(left))

    # --- by name and hash -------------------------------------------------------

    async def _having(
        self, names: Sequence[str], *, at: str = "", whole: bool
    ) -> list[SceneEntry] | None:
        """Return the scenes with files of *names*, or None if that cannot be told."""
        files = await self._files(names)
        if files is None:
            return None
        files = [one for one in files if not at or normal(one.file.path) == at]
        if len(files) > _NAMESAKES or not all(one.oshash for one in files):
            return None
        found = await self._by_hash(files, whole=whole)
        had = {file.path for one in found for file in one.files}
        # Another scene's file may have the same hash: Stash shows the first one only.
        return found if all(one.file.path in had for one in files) else None

    async def _files(self, names: Sequence[str]) -> list[HashedFile] | None:
        """Return the files that have one of *names*, None if that cannot be told.

        Or if they are too many.
        """
        forms = [form for one in names for form in both_forms(spelled(one))]
        wanted = list(dict.fromkeys([*map(spelled, names), *forms]))
        found: list[HashedFile] = []
        for start in range(0, len(wanted), _DEEPEST):
            page = await self._page_named(wanted[start : start + _DEEPEST])
            if page is None:
                return None
            found += page
        return found

    async def _page_named(self, patterns: Sequence[str]) -> list[HashedFile] | None:
        chosen = self._stash.first_page()

        async def ask(dialect: Dialect) -> list[HashedFile] | None:
            if not dialect.finds_files:
                return None
            named = _any_of("basename", patterns)
            query = queries.files(dialect)
            answer = await self._stash.ask(query, filter=chosen, files=named)
            found = answer.get("findFiles")
            is_all = len(rows_of(found, "files")) < chosen["per_page"]
            return files_from(found) if is_all else None

        return await self._stash.fitting(ask)

    async def _by_hash(
        self, files: Sequence[HashedFile], *, whole: bool
    ) -> list[SceneEntry]:
        hashes = list(dict.fromkeys(one.oshash for one in files))
        return await self._stash.scenes_hashed(hashes, whole=whole) if hashes else []

    # --- by path ------------------------------------------------------------------

    async def _by_path(self, name: str, paths: Iterable[str]) -> list[SceneEntry]:
        exact = self._patterns(paths)
        named = self._patterns([name], below="%/")
        wanted = [*named, *exact]
        found: list[SceneEntry] = []
        for start in range(0, len(wanted), _DEEPEST):
            found += await self._whole(wanted[start : start + _DEEPEST])
        if len(found) < _NAMESAKES:
            return found
        for start in range(0, len(exact), _DEEPEST):
            found += await self._whole(exact[start : start + _DEEPEST])
        return [*await self._entries(named), *found]

    async def _whole(self, patterns: Sequence[str]) -> list[SceneEntry]:
        scenes = _any_of("path", patterns)
        return list(await self._stash.whole_scenes(scenes, _NAMESAKES))

    async def _entries(self, patterns: Sequence[str]) -> list[SceneEntry]:
        """Return all scenes that have a file like one of *patterns*."""
        found: list[SceneEntry] = []
        if not (await self._stash.dialect()).filters("path"):
            return found
        for start in range(0, len(patterns), _DEEPEST):
            scenes = _any_of("path", patterns[start : start + _DEEPEST])
            async for page in self._stash.pages(scenes):
                found += page.entries
        return found

    def _patterns(self, paths: Iterable[str], *, below: str = "") -> list[str]:
        """Return what finds *paths*, in both Unicode forms and native separators.

        Or what ends in them, with ``%/`` as *below*.
        """
        native = [
            one for path in paths for one in self._native(f"{below}{spelled(path)}")
        ]
        forms = (form for one in native for form in both_forms(one))
        return list(dict.fromkeys([*native, *forms]))

    def _native(self, pattern: str) -> list[str]:
        """Return a pattern for a path with the separators that this server uses.

        Both, as long as it showed no path.
        """
        return [
            pattern.replace("/", one) for one in sorted(self._stash.separators or "/\\")
        ]


def _any_of(name: str, patterns: Sequence[str]) -> dict[str, Any]:
    """Return a filter for one of *patterns*, at most `_DEEPEST` of them."""
    found: dict[str, Any] = {}
    for value in patterns:
        own = {name: {"modifier": "EQUALS", "value": value}}
        found = own | ({"OR": found} if found else {})
    return found
