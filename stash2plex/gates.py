"""Which scenes take part, and which know too little to overwrite anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stash2plex.text import name_key

if TYPE_CHECKING:
    from stash2plex.config import SyncSettings
    from stash2plex.scene import Scene


# Why a scene that says nothing is not delivered, unless it did so before.
NO_METADATA = "no metadata yet"


def excluded_by(scene: Scene, sync: SyncSettings) -> str | None:
    """Return which setting keeps *scene* out, or None."""
    if sync.require_organized and not scene.organized:
        return "not organized"
    if sync.require_stash_id and not scene.stash_ids:
        return "no stash id"
    excluded = name_key(sync.exclude_tag.strip())
    if excluded and "tags" in scene.unknown:
        return "Stash does not tell its tags"
    if excluded and any(name_key(tag) == excluded for tag in scene.tags):
        return "excluded by tag"
    return None


def refusal(
    scene: Scene, sync: SyncSettings, *, was_delivered: bool = False
) -> str | None:
    """Return why *scene* is not delivered, or None.

    One that *was_delivered* may have lost its metadata since.
    """
    if not sync.enabled:
        return "sync.enabled is false"
    if not scene.files:
        return "no files"
    excluded = excluded_by(scene, sync)
    if excluded is None and says_nothing(scene) and not was_delivered:
        return NO_METADATA
    return excluded


def says_nothing(scene: Scene) -> bool:
    """Whether *scene* has no studio, performers, tags, details or date.

    Stash has not finished with it: writing it would empty what Plex shows.
    """
    return not any(
        (scene.studio, scene.performers, scene.tags, scene.details, scene.date)
    )


def gates_digest(sync: SyncSettings) -> str:
    """Return what distinguishes the settings that keep scenes out from others."""
    excluded = name_key(sync.exclude_tag.strip())
    return f"{sync.require_organized:d}{sync.require_stash_id:d}{excluded}"
