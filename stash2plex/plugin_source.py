"""The plugins as Stash installs them: zips, and an index that names them.

The daemon serves all of it, so that one URL entered in Stash installs the plugins that
fit the running release. They are the same byte for byte wherever they are made.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from stash2plex import __released__, __version__
from stash2plex.plugin import PLUGINS, Plugin

INDEX = "index.yml"
SOURCE_NAME = "stash2plex"
_REGULAR = 0o100644
# The oldest time that a zip can hold: it is no news when the files were written.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ENTRY = re.compile(r'^- id: (\S+)$(?:\n  .*)*?\n  version: "([^"]+)"$', re.MULTILINE)


def zip_name(plugin: Plugin) -> str:
    """Return the name of the zip of a plugin, beside the index."""
    return f"{plugin.id}.zip"


def zip_bytes(plugin: Plugin) -> bytes:
    """Return the zip; its entries are stored, as no two zlibs compress alike."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(plugin.files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, whatever this is
            entry.external_attr = _REGULAR << 16  # Stash takes the mode from here
            archive.writestr(entry, (plugin.folder / name).read_bytes())
    return file.getvalue()


def index_text() -> str:
    """Return the index: a YAML list, with dates as Stash reads them.

    "Update available" means a later date; the version is only shown.
    """
    return "".join(_entry(one) for one in PLUGINS)


def versions_in(index: str) -> Mapping[str, str]:
    """Return the versions that an index of ours offers, by plugin."""
    return dict(_ENTRY.findall(index))


def _entry(plugin: Plugin) -> str:
    digest = hashlib.sha256(zip_bytes(plugin)).hexdigest()
    return (
        f"- id: {plugin.id}\n"
        f"  name: {plugin.name}\n"
        f"  version: {json.dumps(f'{__version__}-{digest[:7]}')}\n"
        f"  date: {json.dumps(__released__)}\n"
        f"  path: {zip_name(plugin)}\n"
        f"  sha256: {digest}\n"
        f"  requires: []\n"
        f"  metadata:\n"
        f"    description: {json.dumps(plugin.description)}\n"
    )


def write(folder: Path) -> None:
    """Write zips and index into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in PLUGINS:
        (folder / zip_name(one)).write_bytes(zip_bytes(one))
    (folder / INDEX).write_text(index_text(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
