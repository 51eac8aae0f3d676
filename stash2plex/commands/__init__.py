"""What each command does; `stash2plex.cli` reads its arguments."""

from __future__ import annotations
