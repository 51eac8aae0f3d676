"""An edit of one item as the request targets that carry it.

PMS takes edits in the query string only, so everything is one PUT unless the target
would exceed 8 KB: then it is split by field. ``type`` and ``id`` are always there: an
edit without ``id`` changes every item of the library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

_MOVIE = 1
# Nothing between 10 and 33 KB is documented to work; below this everything is.
MAX_TARGET = 8 * 1024


@dataclass(frozen=True, slots=True)
class TagEdit:
    """A list of tags: *names* is the complete list wanted, *removed* what must go."""

    names: tuple[str, ...]
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What to change about an item, by Plex's field names."""

    text: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, TagEdit] = field(default_factory=dict)
    locks: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.text or self.tags or self.locks)


def targets(section_id: int, rating_key: int, edit: Edit) -> list[str]:
    """Return the targets of the PUTs that carry out *edit*, usually one."""
    start = f"/library/sections/{section_id}/all?type={_MOVIE}&id={rating_key}"
    found: list[str] = []
    for parameters in _by_field(edit):
        for number, target in enumerate(found):
            if len(target) + len(parameters) <= MAX_TARGET:
                found[number] += parameters
                break
        else:
            found.append(start + parameters)
    return found


def _by_field(edit: Edit) -> Iterable[str]:
    names = sorted({*edit.text, *edit.tags, *edit.locks})
    for name in names:
        parameters = ""
        if name in edit.text:
            parameters += _parameter(f"{name}.value", edit.text[name])
        if name in edit.tags:
            parameters += _tags(name, edit.tags[name])
        if name in edit.locks:
            parameters += _parameter(f"{name}.locked", "1")
        yield parameters


def _tags(name: str, edit: TagEdit) -> str:
    """Write a list so that it is right whether Plex adds to or replaces the old one.

    Both readings are reported, so the complete list is sent, and what must go is
    named too. Names may contain commas: each is encoded before they are joined.
    """
    parameters = "".join(
        _parameter(f"{name}[{index}].tag.tag", tag)
        for index, tag in enumerate(edit.names)
    )
    if edit.removed:
        joined = ",".join(quote(tag, safe="") for tag in edit.removed)
        parameters += _parameter(f"{name}[].tag.tag-", joined)
    return parameters


def _parameter(name: str, value: str) -> str:
    return f"&{quote(name, safe='')}={quote(value, safe='')}"
