"""An edit of one item as the request targets that carry it.

PMS takes edits in the query string only. Everything goes in one PUT of at most 8,000
bytes, else in several: by field, and a long list of tags in chunks. Removals have
requests of their own. ``type`` and ``id`` are always there: an edit without ``id``
changes every item of the library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote

_MOVIE = 1
# A proxy with default buffers refuses more than 8 KB of request line.
PACKED = 8_000
# Recordings say that 33 to 40 KB fail; nobody measured what is between.
LONGEST = 30_000
# What a target has beside the value of its one field, bytes.
_AROUND = 200


class Removal(StrEnum):
    """How the names in ``genre[].tag.tag-`` are written before they are joined.

    Some servers decode each name once more than the query, others take it as it is. A
    comma is encoded in any case: a server would remove both halves of the name.
    """

    ESCAPED = "escaped"  # what would break the list is percent-encoded
    PLAIN = "plain"

    def write(self, tag: str) -> str:
        """Return a name as it stands in a list."""
        if self is Removal.PLAIN and "," not in tag:
            return tag
        return tag.replace("%", "%25").replace(",", "%2C").replace("+", "%2B")

    @property
    def other(self) -> Removal:
        """The form to try where this one removed nothing."""
        return Removal.PLAIN if self is Removal.ESCAPED else Removal.ESCAPED


@dataclass(frozen=True, slots=True)
class TagEdit:
    """A list of tags: *names* is the complete list wanted, *removed* what must go.

    *added* are those of *names* that the item lacks; without any, no names are sent.
    *respelled* are tags that the item has in another spelling than one of *added*: they
    go first, since a server keeps the spelling of a tag that an item has.
    """

    names: tuple[str, ...]
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    respelled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What to change about an item, by Plex's field names."""

    text: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, TagEdit] = field(default_factory=dict)
    locks: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.text or self.tags or self.locks)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are changed or locked, sorted."""
        return tuple(sorted({*self.text, *self.tags, *self.locks}))

    def of(self, name: str) -> Edit:
        """Return the part of it that is about one field."""
        return Edit(
            text={name: self.text[name]} if name in self.text else {},
            tags={name: self.tags[name]} if name in self.tags else {},
            locks=self.locks & {name},
        )

    def __or__(self, other: Edit) -> Edit:
        return Edit(
            text={**self.text, **other.text},
            tags={**self.tags, **other.tags},
            locks=self.locks | other.locks,
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """One request: its target, and the part of the edit that it carries out."""

    target: str
    edit: Edit

    @property
    def adds(self) -> frozenset[str]:
        """The lists of tags that it adds to."""
        return frozenset(name for name, one in self.edit.tags.items() if one.added)


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a server wants its edits; see `stash2plex.push.learned`.

    *packed* is the most bytes of a target that carries several fields. A server that
    *replaces* lists is sent each of them whole, in a request of its own if need be.
    """

    packed: int = PACKED
    removal: Removal = Removal.ESCAPED
    replaces: bool = False


# Parameters, and the part of an edit that they carry out.
_Part = tuple[str, Edit]


def pieces(
    section_id: int, rating_key: int, edit: Edit, style: Style = Style()
) -> list[Piece]:
    """Return the PUTs that carry out *edit*, usually one.

    Additions come before removals, but after those of other spellings.
    """
    start = f"/library/sections/{section_id}/all?type={_MOVIE}&id={rating_key}"
    room = style.packed - len(start)
    respelled = {
        name: TagEdit((), one.respelled)
        for name, one in edit.tags.items()
        if one.respelled
    }
    packed = _packed(_removals(Edit(tags=respelled), style, room), room)
    packed += _packed(_additions(edit, style, room), room)
    packed += _packed(_removals(edit, style, room), room)
    return [Piece(start + parameters, part) for parameters, part in packed]


def longest_text(line: int = LONGEST) -> int:
    """Return the encoded bytes that a text may have in a target of *line* bytes."""
    return line - _AROUND


def encoded_size(text: str) -> int:
    """Return the bytes that *text* takes in a target."""
    return len(quote(text, safe=""))


def _packed(parts: Iterable[_Part], room: int) -> list[_Part]:
    """Put parts together, as many as there is *room* for."""
    found: list[_Part] = []
    for parameters, part in parts:
        for number, (others, edit) in enumerate(found):
            # A list that needs several requests is not put together again.
            apart = edit.tags.keys() & part.tags.keys()
            if not apart and len(others) + len(parameters) <= room:
                found[number] = (others + parameters, edit | part)
                break
        else:
            found.append((parameters, part))
    return found


def _additions(edit: Edit, style: Style, room: int) -> Iterator[_Part]:
    for name in edit.fields:
        part = edit.of(name)
        lock = _lock(part, name)
        if name in part.text:
            yield _parameter(f"{name}.value", part.text[name]) + lock, part
        elif name not in part.tags:
            yield lock, part
        elif part.tags[name].added:
            for chunk in _chunks(name, part.tags[name], style, room - len(lock)):
                parameters = "".join(
                    _parameter(f"{name}[{index}].tag.tag", tag) for index, tag in chunk
                )
                names = tuple(tag for _, tag in chunk)
                tags = {name: TagEdit(names, (), names)}
                yield parameters + lock, Edit(tags=tags, locks=part.locks)


def _chunks(
    name: str, edit: TagEdit, style: Style, room: int
) -> Iterator[list[tuple[int, str]]]:
    """Yield tags with their indexes, so that it is right whether Plex adds or replaces.

    Both are reported, so the complete list is sent as long as it fits. Where it does
    not, only a server that adds can be given it in chunks.
    """
    whole = list(enumerate(edit.names))
    sizes = [len(_parameter(f"{name}[{index}].tag.tag", tag)) for index, tag in whole]
    if sum(sizes) <= room or style.replaces:
        yield whole
        return
    chunk: list[tuple[int, str]] = []
    used = 0
    added = set(edit.added)
    for (index, tag), size in zip(whole, sizes, strict=True):
        if tag not in added:
            continue
        if chunk and used + size > room:
            yield chunk
            chunk, used = [], 0
        chunk.append((index, tag))
        used += size
    yield chunk


def _removals(edit: Edit, style: Style, room: int) -> Iterator[_Part]:
    for name, tags in sorted(edit.tags.items()):
        locks = edit.locks & {name}
        lock = _lock(edit, name)
        start = f"{name}[].tag.tag-"
        left = room - len(_parameter(start, "")) - len(lock)
        for names in _removed_together(tags.removed, style.removal, left):
            listed = ",".join(style.removal.write(tag) for tag in names)
            part = Edit(tags={name: TagEdit((), names)}, locks=locks)
            yield _parameter(start, listed) + lock, part


def _removed_together(
    names: Sequence[str], form: Removal, room: int
) -> Iterator[tuple[str, ...]]:
    """Yield names to remove in one request, as many as there is *room* for."""
    together: list[str] = []
    for tag in names:
        joined = ",".join(form.write(one) for one in [*together, tag])
        if together and encoded_size(joined) > room:
            yield tuple(together)
            together = []
        together.append(tag)
    if together:
        yield tuple(together)


def _lock(edit: Edit, name: str) -> str:
    return _parameter(f"{name}.locked", "1") if name in edit.locks else ""


def _parameter(name: str, value: str) -> str:
    return f"&{quote(name, safe='')}={quote(value, safe='')}"
