"""``python -m stash2plex``."""

from __future__ import annotations

import sys

from stash2plex.cli import main

if __name__ == "__main__":
    sys.exit(main())
