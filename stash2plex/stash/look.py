"""What a look at Stash shows: what changed since a moment, and the newest of it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gql import GraphQLRequest

from stash2plex.errors import ServiceUnavailable
from stash2plex.scene import SceneEntry, SceneFile
from stash2plex.stash import queries
from stash2plex.stash.answers import NO_SENSE, file_from, id_of
from stash2plex.stash.connection import WRONG_URL
from stash2plex.stash.dialect import Dialect

# Performers, studios, tags or groups in one page.
PARTS = 1000
# Scenes with several files, or none, that a look may show; of more it tells nothing.
_MOST_UNEVEN = 5000
# Of so many at most the files are asked for as well: they cost Stash ten times as much.
MOST_WITH_PATHS = 500
# What Stash calls a job that imports, of which nothing else tells.
IMPORTING = "Importing"
_NEWEST = {"per_page": 1, "page": 1, "sort": "id", "direction": "DESC"}


@dataclass(slots=True, kw_only=True)
class Page:
    """A page of a listing of scenes; *last* is the highest id on it.

    *odd* are the ids of rows that make no sense.
    """

    last: int
    is_last: bool
    entries: list[SceneEntry] = field(default_factory=list)
    odd: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class PartTimes:
    """When a performer, studio, tag or group changed and was made, as Stash writes it.

    *made* is "" where it does not tell.
    """

    changed: str
    made: str = ""


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A file on its own; *oshash* is "" where Stash has none.

    *changed* is when its row was changed last, as Stash writes it.
    """

    file: SceneFile
    oshash: str = ""
    changed: str = ""


@dataclass(frozen=True, slots=True)
class Newest:
    """How many there are, None if that was not asked, and the highest id or 0."""

    count: int | None
    id: int


@dataclass(slots=True, kw_only=True)
class Look:
    """What one request told.

    *scenes* is a first page by id, *files* are those of scenes that changed, and
    *all_files* says whether these are all of them. *parts* and *newest* are by kind;
    *uneven* are the scenes with several files or none, each with the paths of its
    files if these were asked for; None if that is not known.
    """

    scenes: Page
    files: list[HashedFile]
    all_files: bool
    parts: dict[str, dict[int, PartTimes]]
    # Kinds of which more changed than one page holds.
    more_parts: list[str]
    newest: dict[str, Newest]
    uneven: dict[int, frozenset[str] | None] | None
    is_importing: bool


class Lister(Protocol):
    """What is needed of a client to look."""

    async def ask(self, query: GraphQLRequest, **variables: Any) -> dict[str, Any]:
        """Ask, and return the answer."""

    def first_page(self) -> dict[str, Any]:
        """Return what a first page of scenes is, by id."""

    def page_from(self, found: Any, dialect: Dialect, size: int, after: int) -> Page:
        """Return what a page of scenes says."""


async def look(
    stash: Lister, dialect: Dialect, since: str, *, counted: bool, paths: bool
) -> Look:
    """Return what changed since; *counted* and *paths* are those of `queries.look`.

    *since* is compared by Stash as text. What a release lacks is not asked for. Raises
    Stash's errors; `AnswerTooLarge` asks for smaller pages.
    """
    later = {"modifier": "GREATER_THAN", "value": since}
    page = stash.first_page()
    size: int = page["per_page"]
    given: dict[str, Any] = {
        "page": page,
        "scenes": {"updated_at": later},
        "newest": _NEWEST,
    }
    if dialect.finds_files:
        given["files"] = changed(since)
    if counted and dialect.filters("file_count"):
        given["many"] = page | {"per_page": _MOST_UNEVEN}
    if dialect.listed:
        given["parts"] = page | {"per_page": PARTS}
        given |= {f"{kind}s": {"updated_at": later} for kind in dialect.listed}
    answer = await stash.ask(
        queries.look(dialect, counted=counted, paths=paths), **given
    )
    files = files_from(answer["files"]) if dialect.finds_files else []
    parts = {kind: parts_from(answer.get(f"{kind}s")) for kind in dialect.listed}
    newest = {
        kind: _newest(answer.get(f"newest_{kind}"), "parts") for kind in dialect.listed
    }
    newest["scene"] = _newest(answer.get("newest_scene"), "scenes")
    jobs = answer.get("jobs") or ()
    return Look(
        scenes=stash.page_from(answer.get("scenes"), dialect, size, 0),
        files=files,
        all_files=not dialect.finds_files
        or len(rows_of(answer["files"], "files")) < size,
        parts=parts,
        more_parts=[kind for kind, found in parts.items() if len(found) >= PARTS],
        newest=newest,
        uneven=_uneven(answer.get("uneven")) if "many" in given else None,
        is_importing=any(
            str((one or {}).get("description")).startswith(IMPORTING) for one in jobs
        ),
    )


def changed(since: str) -> dict[str, Any]:
    """Return a filter for the files of scenes, not of pictures, that changed since."""
    return {
        "updated_at": {"modifier": "GREATER_THAN", "value": since},
        "scene_count": {"modifier": "GREATER_THAN", "value": 0},
    }


def rows_of(answer: Any, *names: str) -> list[Any]:
    """Return the rows of a listing; what an answer has under *names*."""
    found: Any = answer
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, list):
        raise ServiceUnavailable("Stash", WRONG_URL)
    return found


def parts_from(found: Any) -> dict[int, PartTimes]:
    """Return what a page of performers, studios, tags or groups says, by id."""
    rows = rows_of(found, "parts")
    parts = {
        key: PartTimes(str(one.get("updated_at")), str(one.get("created_at") or ""))
        for one in rows
        if (key := id_of(one))
    }
    if rows and not parts:
        raise ServiceUnavailable("Stash", WRONG_URL)
    return parts


def files_from(found: Any) -> list[HashedFile]:
    """Return the files of a page; those that make no sense are left out."""
    files = []
    for row in rows_of(found, "files"):
        try:
            files.append(
                HashedFile(file_from(row), _oshash(row), str(row.get("updated_at")))
            )
        except NO_SENSE:
            continue
    return files


def _oshash(row: Mapping[str, Any]) -> str:
    prints: Sequence[Mapping[str, Any]] = row.get("fingerprints") or ()
    values = (one.get("value") for one in prints if one.get("type") == "oshash")
    return str(next(values, None) or "")


def _newest(found: Any, name: str) -> Newest:
    ids = [key for row in rows_of(found, name) if (key := id_of(row))]
    count = found.get("count")
    return Newest(count if isinstance(count, int) else None, max(ids, default=0))


def _uneven(found: Any) -> dict[int, frozenset[str] | None] | None:
    rows = rows_of(found, "scenes")
    if len(rows) >= _MOST_UNEVEN:
        return None
    return {key: _paths(row) for row in rows if (key := id_of(row))}


def _paths(row: Mapping[str, Any]) -> frozenset[str] | None:
    files = row.get("files")
    if not isinstance(files, list):
        return None
    return frozenset(str(one.get("path")) for one in files if isinstance(one, dict))
