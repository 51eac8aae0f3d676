"""The parts on which the rest relies must be covered whole, branches too.

Run after the test suite: ``python tests/complete_coverage.py``.
"""

from __future__ import annotations

import sys

import coverage

WHOLE = (
    "stash2plex/movie.py",
    "stash2plex/gates.py",
    "stash2plex/paths.py",
    "stash2plex/text.py",
    "stash2plex/push/changes.py",
    "stash2plex/queue/*.py",
)


def main() -> int:
    data = coverage.Coverage()
    data.load()
    percent = data.report(include=list(WHOLE), show_missing=True, skip_covered=True)
    if percent < 100:
        print("these parts must be covered whole", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
