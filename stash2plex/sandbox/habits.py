"""The habits of a real Plex Media Server, and how sure each of them is.

*Measured*: seen on a real server, in a recording or a dated live measurement.
*Reported*: an author who works with real servers says so, or two contradict each other.
*Assumed*: nobody says; the pretend server has to do something.

A habit that two authors report differently, or that nobody could verify, is a switch:
the tests run under both. `documented` lists all of them for ``docs/plex.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any


class Certainty(StrEnum):
    """How a habit is known."""

    MEASURED = "measured"
    REPORTED = "reported"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Habit:
    """One habit; *switch* names the attribute of `Habits`, "" if there is none."""

    text: str
    certainty: Certainty
    switch: str = ""


def _switch(default: Any, certainty: Certainty, text: str) -> Any:
    return field(default=default, metadata={"certainty": certainty, "text": text})


@dataclass(slots=True)
class Habits:
    """What a test can switch; the defaults are the best-known readings."""

    replaces_tags: bool = _switch(
        False,
        Certainty.REPORTED,
        "A list of tags adds to the item's tags; else it replaces them.",
    )
    keeps_first_spelling: bool = _switch(
        False,
        Certainty.ASSUMED,
        "A tag has the spelling that the server saw first, whatever is sent; else only"
        " as long as the item has it. Case makes no other tag in either case.",
    )
    decodes_removed_twice: bool = _switch(
        True,
        Certainty.REPORTED,
        "Each name in `genre[].tag.tag-` is decoded once more than the query; else"
        " the names are taken as they are, and a name that was encoded twice"
        " removes nothing.",
    )
    upload_selects_known: bool = _switch(
        False,
        Certainty.MEASURED,
        "An upload of bytes that the item already has does not select them; a fresh"
        " upload is selected.",
    )
    upload_selects_fresh: bool = _switch(
        True,
        Certainty.REPORTED,
        "A fresh upload is selected by itself.",
    )
    upload_locks: bool = _switch(
        False,
        Certainty.ASSUMED,
        "An upload alone locks the picture; else only a selection does.",
    )
    refresh_selects: bool = _switch(
        True,
        Certainty.ASSUMED,
        "A refresh selects the agent's picture where the picture is not locked.",
    )
    deletion_has_no_type: bool = _switch(
        True,
        Certainty.MEASURED,
        "A deletion is told as `type: -1, state: 5`; else with its real type and"
        " `state: 9`.",
    )
    starts_with_400: bool = _switch(
        True,
        Certainty.MEASURED,
        "While it starts up, reads answer and a write is HTTP 400 with a text that"
        " says so; else everything is HTTP 503.",
    )
    long_target_status: int = _switch(
        400,
        Certainty.MEASURED,
        "A request line that is too long is HTTP 400; a proxy answers 414.",
    )
    longest_target: int | None = _switch(
        32 * 1024,
        Certainty.REPORTED,
        "33 to 40 KB of request line fail; where between 10 and 33 KB the limit is,"
        " nobody measured.",
    )
    shows_day_before: bool = _switch(
        False,
        Certainty.REPORTED,
        "A date is shown as the day before the one it was given; reported of agents, in"
        " summer time.",
    )
    joins_equal_guids: bool = _switch(
        True,
        Certainty.REPORTED,
        "The next scan joins items of an equal guid into one with several media; the"
        " lower rating key stays.",
    )
    largest_upload: int | None = _switch(
        None,
        Certainty.REPORTED,
        "Pictures over 10 MB are refused with HTTP 500; Plex's own documents say 100"
        " MB.",
    )
    renamed_keeps_key: bool = _switch(
        False,
        Certainty.REPORTED,
        "A file renamed on disk comes back under a new rating key, without locks and"
        " edits.",
    )
    frames_of_new_film: bool = _switch(
        True,
        Certainty.MEASURED,
        "A new film causes some 150 frames on the notification socket.",
    )


_FIXED = (
    Habit(
        "The number in `thumb` and `art` paths is the item's `updatedAt`; every saved"
        " change of the row bumps it.",
        Certainty.MEASURED,
    ),
    Habit(
        'The picture shown is the candidate with `selected="1"` in `…/posters` and'
        " `…/arts`.",
        Certainty.MEASURED,
    ),
    Habit(
        "An upload is named `upload://posters/<sha1>` or `upload://art/<sha1>`.",
        Certainty.MEASURED,
    ),
    Habit(
        "`PUT …/poster?url=<ratingKey>` selects a candidate and locks the picture.",
        Certainty.MEASURED,
    ),
    Habit(
        "Removing the picture shown brings back the agent's, if there is one.",
        Certainty.ASSUMED,
    ),
    Habit("Trashed items stay in listings, with `deletedAt`.", Certainty.REPORTED),
    Habit(
        "`PUT /:/prefs` answers 200 for names that do not exist.", Certainty.MEASURED
    ),
    Habit(
        "`X-Plex-Container-Start` without `-Size`, or the other way round, is refused.",
        Certainty.ASSUMED,
    ),
    Habit("A library's `hidden` is 0, 1 or 2.", Certainty.MEASURED),
    Habit("`/activities` always has a row of the butler.", Certainty.MEASURED),
    Habit(
        "A request without a token for an unknown `Host` is HTTP 401.",
        Certainty.MEASURED,
    ),
    Habit(
        "A listing shows at most two genres, directors and collections and three"
        " actors, and no locks.",
        Certainty.MEASURED,
    ),
    Habit(
        "An edit without `id` changes every item of the library.", Certainty.REPORTED
    ),
    Habit(
        "`titleSort` can be edited; it stays when the title changes, and is shown where"
        " it is not the title.",
        Certainty.REPORTED,
    ),
    Habit("Every answer has the header `X-Plex-Protocol: 1.0`.", Certainty.MEASURED),
    Habit("In the `file` filter a comma means “or”.", Certainty.MEASURED),
)


def documented() -> Iterator[Habit]:
    """Yield every habit, those that a test can switch first."""
    for one in fields(Habits):
        yield Habit(one.metadata["text"], one.metadata["certainty"], one.name)
    yield from _FIXED
