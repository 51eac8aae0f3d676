"""Scenes without metadata that were delivered with some, and whether they clear Plex.

Stash is the truth, so an emptied scene clears what it was delivered with. But a Stash
that was set up anew, or put back from a copy, is full of empty scenes; it must never
clear a library. So only the scene that was delivered does, in a later state of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from stash2plex.movie import Field
from stash2plex.push.changes import TAG_NAMES, TEXT_NAMES
from stash2plex.stash.answers import parsed_time

if TYPE_CHECKING:
    from stash2plex.catalog.matching import Match
    from stash2plex.paths import PathMap
    from stash2plex.push.ledger import Entry
    from stash2plex.scene import Scene

# What `stash2plex.gates.says_nothing` looks at.
_TEXT = [TEXT_NAMES[one] for one in (Field.STUDIO, Field.DATE, Field.SUMMARY)]
_TAGS = [TAG_NAMES[one] for one in (Field.PERFORMERS, Field.TAGS)]


def may_clear(
    scene: Scene, match: Match, entry: Entry | None, paths: PathMap, ahead: float
) -> bool:
    """Whether *scene* is the one that *entry* tells of, and not an earlier state.

    The *match* led to the item. Stash's clock is *ahead* of ours by so many seconds.
    """
    if entry is None or not entry.delivered_at or entry.scene_id != scene.id:
        return False
    # No path may tell: then what led to the item led to it when it was written, too.
    if entry.former_file or (match.how == "path" and not _has(scene, entry, paths)):
        return False
    created, changed = parsed_time(scene.created_at), parsed_time(scene.updated_at)
    if created is None or changed is None:
        return False
    delivered_at = entry.delivered_at + ahead
    # An earlier release remembered neither; then the times of the delivery have to do.
    known = parsed_time(entry.scene_created_at)
    if created != known and (known or created.timestamp() > delivered_at):
        return False
    before = parsed_time(entry.scene_changed_at)
    return changed >= before if before else changed.timestamp() >= delivered_at


def _has(scene: Scene, entry: Entry, paths: PathMap) -> bool:
    own = {paths.key_of_stash(file.path) for file in scene.files}
    return paths.key_of_plex(entry.file) in own


def said_something(entries: Iterable[Entry]) -> bool:
    """Whether a scene was delivered with metadata, so that it turned empty since."""
    return any(
        any(entry.text.get(name) for name in _TEXT)
        or any(entry.tags[name].left for name in _TAGS if name in entry.tags)
        for entry in entries
    )
