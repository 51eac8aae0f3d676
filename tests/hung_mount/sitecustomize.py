"""Makes a folder hang, as a hard NFS mount whose server is away does.

Whoever looks at a path below $HUNG_FOLDER waits in the kernel for a writer of
$HUNG_FOLDER.pipe, as long as the file $HUNG_FOLDER.hangs is there, and makes
$HUNG_FOLDER.waits. Python imports this at its start where this folder is on PYTHONPATH.
"""

from __future__ import annotations

import os

FOLDER = os.environ["HUNG_FOLDER"]
_lstat, _scandir, _open = os.lstat, os.scandir, os.open


def _wait(path: object) -> None:
    if str(path).startswith(FOLDER + "/"):
        try:
            _lstat(f"{FOLDER}.hangs")
        except FileNotFoundError:
            return
        os.close(_open(f"{FOLDER}.waits", os.O_CREAT | os.O_WRONLY))
        os.close(_open(f"{FOLDER}.pipe", os.O_RDONLY))


def lstat(path, **more):  # type: ignore[no-untyped-def]
    _wait(path)
    return _lstat(path, **more)


def scandir(path="."):  # type: ignore[no-untyped-def]
    _wait(f"{path}/")
    return _scandir(path)


os.lstat, os.scandir = lstat, scandir
