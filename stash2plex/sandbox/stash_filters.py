"""What Stash's filters find: LIKE for paths, text for times, one of AND, OR and NOT.

A filter becomes a predicate over scenes once, which is then asked for each of them.
All habits are measured unless one says otherwise.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

if TYPE_CHECKING:
    from stash2plex.sandbox.stash import PretendScene

Predicate = Callable[["PretendScene"], bool]
Criterion = Mapping[str, Any]

# From so many filters within each other on, Stash's SQL is too deep for its database.
_TOO_DEEP = {"AND": 29, "OR": 29, "NOT": 22}
_COMBINED = ("AND", "OR", "NOT")
_MISSING: Mapping[str, Predicate] = {
    "cover": lambda scene: scene.cover is None,
    "title": lambda scene: not scene.title,
    "date": lambda scene: not scene.date,
    "studio": lambda scene: scene.studio is None,
    "performers": lambda scene: not scene.performers,
    "tags": lambda scene: not scene.tags,
    "movie": lambda scene: not scene.groups,
    "group": lambda scene: not scene.groups,
    "stash_id": lambda scene: not scene.stash_ids,
    "phash": lambda _: True,
}


def like(value: str) -> re.Pattern[str]:
    """SQL's LIKE: _ and % are wildcards, ASCII letters match in either case."""
    parts = {"_": ".", "%": ".*"}
    pattern = "".join(parts.get(char, re.escape(char)) for char in value)
    return re.compile(pattern, re.IGNORECASE | re.ASCII | re.DOTALL)


def time_text(moment: datetime) -> str:
    """Write a time as Stash stores it: RFC 3339, in the zone of the day."""
    return moment.isoformat().replace("+00:00", "Z")


def sql_error(reason: str, wanted: Any) -> GraphQLError:
    """Return what Stash says over SQL that fails: all of it, with its values."""
    return GraphQLError(
        "error querying aggregate fields: executing query: SELECT COUNT(DISTINCT"
        " temp.id) as total FROM (SELECT DISTINCT scenes.id FROM scenes LEFT JOIN"
        " scenes_files ON scenes_files.scene_id = scenes.id WHERE ...) as temp"
        f" [[{wanted}]]: {reason}"
    )


def panic(reason: str) -> GraphQLError:
    """Return what Stash says when one of its resolvers panics."""
    return GraphQLError(f"Internal system error. Error <{reason}>")


NIL = panic("runtime error: invalid memory address or nil pointer dereference").message


class Filters:
    """Compiles filters, with the studios and tags above each other."""

    def __init__(self, parents: Mapping[int, int]) -> None:
        self._parents = parents  # of studios

    def compiled(self, wanted: Mapping[str, Any]) -> Predicate:
        """Return the predicate of a scene filter; raises as Stash does."""
        _measure(wanted, {})
        return self._compiled(wanted)

    def _compiled(self, wanted: Mapping[str, Any]) -> Predicate:
        both = [name for name in _COMBINED if wanted.get(name) is not None]
        if len(both) > 1:
            msg = f"cannot have {both[0]} and {both[1]} in the same filter"
            raise GraphQLError(msg)
        own = [
            self._criterion(name, value)
            for name, value in wanted.items()
            if name not in _COMBINED and value is not None
        ]
        if not both:
            return _all(own)
        other = self._compiled(wanted[both[0]])
        if both[0] == "NOT":
            return _all([*own, lambda scene: not other(scene)])
        if both[0] == "AND" or not own:
            return _all([*own, other])
        here = _all(own)
        return lambda scene: here(scene) or other(scene)

    def _criterion(self, name: str, value: Any) -> Predicate:
        if name == "studios":
            return self._studios(value)
        if name not in _CRITERIA:
            msg = f"the pretend Stash has no filter {name}"
            raise GraphQLError(msg)
        return _CRITERIA[name](value)

    def _studios(self, criterion: Criterion) -> Predicate:
        ids = _ids(criterion, checked=True)
        depth = criterion.get("depth") or 0

        def among(key: int | None) -> bool:
            steps = 0
            while key is not None:
                if key in ids:
                    return True
                if depth >= 0 and steps >= depth:
                    return False
                steps, key = steps + 1, self._parents.get(key)
            return False

        match criterion["modifier"]:
            case "IS_NULL":
                return lambda scene: scene.studio is None
            case "NOT_NULL":
                return lambda scene: scene.studio is not None
            case "EXCLUDES":
                return lambda scene: not among(scene.studio)
        return lambda scene: not ids or among(scene.studio)


def _measure(wanted: Mapping[str, Any], depths: dict[str, int]) -> None:
    """Raise what the database says of filters that are too deep in each other."""
    for name in _COMBINED:
        if (inner := wanted.get(name)) is not None:
            deeper = {**depths, name: depths.get(name, 1) + 1}
            if sum(deeper.values()) - len(deeper) + 1 > _TOO_DEEP[name] - 1:
                raise sql_error("parser stack overflow", wanted)
            _measure(inner, deeper)


def _all(tests: Sequence[Predicate]) -> Predicate:
    if len(tests) == 1:
        return tests[0]
    return lambda scene: all(test(scene) for test in tests)


def _number(
    criterion: Criterion, value_of: Callable[[PretendScene], int | None]
) -> Predicate:
    value, other = criterion["value"], criterion.get("value2")
    tests: dict[str, Callable[[int], bool]] = {
        "EQUALS": lambda own: own == value,
        "NOT_EQUALS": lambda own: own != value,
        "GREATER_THAN": lambda own: own > value,
        "LESS_THAN": lambda own: own < value,
        "BETWEEN": lambda own: value <= own <= (other or 0),
        "NOT_BETWEEN": lambda own: not value <= own <= (other or 0),
        "NOT_NULL": lambda _: True,
    }
    modifier = criterion["modifier"]
    if modifier == "IS_NULL":
        return lambda scene: value_of(scene) is None
    if modifier not in tests:
        raise panic(f"unsupported numeric modifier type {modifier}")
    test = tests[modifier]

    def passes(scene: PretendScene) -> bool:
        own = value_of(scene)
        return own is not None and test(own)

    return passes


def _text_of_any(
    criterion: Criterion, values_of: Callable[[PretendScene], Sequence[str]]
) -> Predicate:
    """Compare text: it is enough when one of the values passes, or none must."""
    modifier, value = criterion["modifier"], criterion["value"]
    passes: Callable[[str], Any]
    match modifier:
        case "IS_NULL":
            return lambda scene: not values_of(scene)
        case "NOT_NULL":
            return lambda scene: bool(values_of(scene))
        case "EQUALS" | "NOT_EQUALS":
            passes = like(value).fullmatch
        case "INCLUDES" | "EXCLUDES":
            words = [like(f"%{word}%").fullmatch for word in _words(value)]
            if not words:
                return lambda _: True
            passes = partial(_any_passes, words)
        case "MATCHES_REGEX" | "NOT_MATCHES_REGEX":
            passes = _regex(value).search
        case _:
            raise panic("unsupported string filter modifier")
    if modifier in {"NOT_EQUALS", "EXCLUDES", "NOT_MATCHES_REGEX"}:
        return lambda scene: not any(map(passes, values_of(scene)))
    return lambda scene: any(map(passes, values_of(scene)))


def _any_passes(tests: Sequence[Callable[[str], Any]], text: str) -> bool:
    return any(test(text) for test in tests)


def _words(value: str) -> list[str]:
    """Split at blanks; what is in double quotes stays together."""
    try:
        return shlex.split(value.replace("'", r"\'"))
    except ValueError:
        return value.split()


def _regex(value: str) -> re.Pattern[str]:
    """Compile what Go would; it has no look-around."""
    if "(?=" in value or "(?!" in value:
        at = value.index("(?")
        msg = f"invalid or unsupported Perl syntax: `{value[at : at + 3]}`"
        raise GraphQLError(f"error parsing regexp: {msg}")
    try:
        return re.compile(value)
    except re.error:
        msg = f"error parsing regexp: missing closing ): `{value}`"
        raise GraphQLError(msg) from None


def is_moment(moment: datetime, criterion: Criterion | None) -> bool:
    """Compare text against text, whatever zones the two were written in."""
    return not criterion or is_time(time_text(moment), criterion)


def is_time(own: str, criterion: Criterion) -> bool:
    """Compare a time as it is stored, as text."""
    value = criterion["value"]
    other = criterion.get("value2") or ""
    tests: dict[str, Callable[[], bool]] = {
        "GREATER_THAN": lambda: own > value,
        "LESS_THAN": lambda: own < value,
        "EQUALS": lambda: own == value,
        "NOT_EQUALS": lambda: own != value,
        "BETWEEN": lambda: value <= own <= other,
        "NOT_BETWEEN": lambda: not value <= own <= other,
        "NOT_NULL": lambda: True,
        "IS_NULL": lambda: False,
    }
    return tests[criterion["modifier"]]()


def _time(
    criterion: Criterion, moment_of: Callable[[PretendScene], datetime]
) -> Predicate:
    return lambda scene: is_moment(moment_of(scene), criterion)


def _files(wanted: Mapping[str, Any]) -> Predicate:
    tests: list[Predicate] = []
    for name, criterion in wanted.items():
        match name:
            case "updated_at":
                tests.append(_time(criterion, lambda scene: scene.files_updated_at))
            case "path":
                tests.append(_text_of_any(criterion, _paths))
            case "basename":
                tests.append(
                    _text_of_any(
                        criterion,
                        lambda one: [path.rpartition("/")[2] for path in _paths(one)],
                    )
                )
    return _all(tests)


def _stash_id(criterion: Criterion) -> Predicate:
    endpoint, wanted = criterion.get("endpoint"), criterion.get("stash_id")
    known = like(wanted or "")

    def passes(scene: PretendScene) -> bool:
        own = scene.stash_ids if endpoint in {None, "", STASH_BOX} else []
        match criterion["modifier"]:
            case "IS_NULL":
                return not own
            case "NOT_NULL":
                return bool(own)
        return any(known.fullmatch(one) for one in own)

    return passes


STASH_BOX = "https://stashdb.org/graphql"


def _ids(criterion: Criterion, *, checked: bool) -> set[int]:
    """Return ids; those of *checked* criteria go into the SQL as they are."""
    ids = set()
    for one in criterion.get("value") or []:
        if str(one).isdecimal():
            ids.add(int(one))
        elif checked:
            raise sql_error(f"no such column: {one}", criterion["value"])
    return ids


def _entities(criterion: Criterion, name: str) -> Predicate:
    ids = _ids(criterion, checked=name != "performers")

    def own(scene: PretendScene) -> set[int]:
        return set(getattr(scene, name))

    match criterion["modifier"]:
        case "IS_NULL":
            return lambda scene: not own(scene)
        case "NOT_NULL":
            return lambda scene: bool(own(scene))
        case "EXCLUDES":
            return lambda scene: not ids & own(scene)
        case "INCLUDES_ALL":
            return lambda scene: ids <= own(scene)
        case "EQUALS":
            return lambda scene: ids == own(scene)
    return lambda scene: not criterion.get("value") or bool(ids & own(scene))


def _missing(word: str) -> Predicate:
    if word not in _MISSING:
        raise sql_error(f"no such column: scenes.{word}", word)
    return _MISSING[word]


def _paths(scene: PretendScene) -> list[str]:
    return [path for path, _ in scene.files]


def _given(text: str) -> list[str]:
    return [text] if text else []


_CRITERIA: Mapping[str, Callable[[Any], Predicate]] = {
    "path": lambda value: _text_of_any(value, _paths),
    "title": lambda value: _text_of_any(value, lambda one: _given(one.title)),
    "oshash": lambda value: _text_of_any(value, lambda one: one.hashes),
    "created_at": lambda value: _time(value, lambda one: one.created_at),
    "updated_at": lambda value: _time(value, lambda one: one.updated_at),
    "files_filter": _files,
    "organized": lambda value: lambda scene: scene.organized == value,
    "is_missing": _missing,
    "stash_id_endpoint": _stash_id,
    "performers": lambda value: _entities(value, "performers"),
    "tags": lambda value: _entities(value, "tags"),
    "groups": lambda value: _entities(value, "groups"),
    "movies": lambda value: _entities(value, "groups"),
    "id": lambda value: _number(value, lambda one: one.id),
    "rating100": lambda value: _number(value, lambda one: one.rating100),
    "file_count": lambda value: _number(value, lambda one: len(one.files)),
}
