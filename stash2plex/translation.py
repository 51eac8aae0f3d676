"""Scenes to movies, with the user's settings; see `stash2plex.movie`."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from stash2plex.movie import Field, Movie

if TYPE_CHECKING:
    from stash2plex.config import Settings
    from stash2plex.scene import Scene


# Settings that decide whether a scene is delivered, not how.
_GATES = {"enabled", "require_organized", "require_stash_id", "exclude_tag"}


def settings_digest(settings: Settings) -> str:
    """Return what names all settings that what Plex is to show depends on."""
    told = {
        "sync": settings.sync.model_dump(mode="json", exclude=_GATES),
        "poster": settings.provider.poster,
        "content_rating": settings.provider.content_rating,
    }
    canonical = json.dumps(told, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


class Translation:
    """What push writes and what the provider serves."""

    def __init__(self, settings: Settings) -> None:
        self.managed = frozenset(
            one for one in Field if getattr(settings.sync.fields, one)
        )
        self._max_tags = settings.sync.max_tags
        self._content_rating = settings.provider.content_rating

    def __call__(self, scene: Scene) -> Movie:
        return Movie.from_scene(
            scene,
            managed=self.managed,
            max_tags=self._max_tags,
            content_rating=self._content_rating,
        )
