"""The plugin as Stash installs it: a zip, and an index that names it.

The daemon serves both, so that one URL entered in Stash installs the plugin that fits
the running release. Both are the same byte for byte wherever they are made.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path

from stash2plex import __released__, __version__
from stash2plex.plugin import FILES, PLUGIN_ID, plugin_folder

INDEX = "index.yml"
ZIP = f"{PLUGIN_ID}.zip"
SOURCE_NAME = "stash2plex"
_REGULAR = 0o100644
# The oldest time that a zip can hold: it is no news when the files were written.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def zip_bytes() -> bytes:
    """Return the zip; its entries are stored, as no two zlibs compress alike."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(FILES):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, whatever this is
            entry.external_attr = _REGULAR << 16  # Stash takes the mode from here
            archive.writestr(entry, (plugin_folder() / name).read_bytes())
    return file.getvalue()


def index_text(zipped: bytes) -> str:
    """Return the index: a YAML list, with a date as Stash reads it.

    "Update available" means a later date; the version is only shown.
    """
    digest = hashlib.sha256(zipped).hexdigest()
    description = "Tells the stash2plex daemon what changed, so that Plex shows it"
    return (
        f"- id: {PLUGIN_ID}\n"
        f"  name: Stash to Plex (daemon)\n"
        f"  version: {json.dumps(f'{__version__}-{digest[:7]}')}\n"
        f"  date: {json.dumps(__released__)}\n"
        f"  path: {ZIP}\n"
        f"  sha256: {digest}\n"
        f"  requires: []\n"
        f"  metadata:\n"
        f"    description: {json.dumps(description)}\n"
    )


def write(folder: Path) -> None:
    """Write zip and index into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    zipped = zip_bytes()
    (folder / ZIP).write_bytes(zipped)
    (folder / INDEX).write_text(index_text(zipped), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
