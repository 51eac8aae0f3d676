"""The daemon with a wall clock that can be set: a number on standard input steps it."""

from __future__ import annotations

import sys
import threading
import time

_real_time = time.time
_steps = [0.0]


def _shifted() -> float:
    return _real_time() + _steps[-1]


def _obey() -> None:
    for line in sys.stdin:
        _steps.append(_steps[-1] + float(line))


if __name__ == "__main__":
    # Before anything of ours is imported: it may keep the function.
    time.time = _shifted
    threading.Thread(target=_obey, daemon=True).start()
    from stash2plex.cli import main
    from stash2plex.push import owed

    # A storm is shorter than what a share may be away for.
    owed._FIRST_WAIT, owed._LONGEST_WAIT = 0.5, 2.0
    sys.exit(main(sys.argv[1:]))
