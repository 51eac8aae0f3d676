"""``python -m stash2plex``."""

from __future__ import annotations

from stash2plex.cli import console

if __name__ == "__main__":
    console()
