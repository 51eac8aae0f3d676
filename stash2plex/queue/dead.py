"""Which dead letters nothing happened to since: what made them is still there."""

from __future__ import annotations

from collections.abc import Mapping

from stash2plex.stash.answers import parsed_time

# Stash's clock is told in whole seconds.
_ROUNDED = 1.0


def unchanged_since(
    due_at: Mapping[int, float], changed_at: Mapping[int, str], ahead: float
) -> set[int]:
    """Return the dead letters whose scene, or so on, did not change since it was tried.

    *due_at* is in unix seconds of our clock; *changed_at* is as Stash writes it,
    whose clock is *ahead* of ours by so many seconds.
    """
    return {
        key
        for key, due in due_at.items()
        if key not in changed_at
        or (moment := parsed_time(changed_at[key])) is None
        or moment.timestamp() <= due + ahead + _ROUNDED
    }
