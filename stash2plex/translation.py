"""Scenes to movies, with the user's settings; see `stash2plex.movie`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stash2plex.movie import Field, Movie

if TYPE_CHECKING:
    from stash2plex.config import Settings
    from stash2plex.scene import Scene


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
