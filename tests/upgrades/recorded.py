"""What a release left behind: its files, and the servers that it had been run with.

An archive holds ``config.toml``, ``data/``, ``plugin/`` and ``servers.json``, which is
what both pretend servers held when the daemon ended.
"""

from __future__ import annotations

import base64
import json
import zipfile
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from stash2plex.sandbox.items import PretendItem
from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.stash import PretendScene, PretendStash

SERVERS = "servers.json"


def archive(release: str) -> Path:
    """Return where what *release* left is kept."""
    return Path(__file__).parent / f"release-{release}.zip"


def unpack_plugin(release: str, folder: Path) -> Path:
    """Lay out the plugin of *release*, if it was one alone; returns its folder."""
    with zipfile.ZipFile(archive(release)) as packed:
        for name in packed.namelist():
            if name.startswith("plugin/"):
                packed.extract(name, folder)
    return folder / "plugin"


def pack(target: Path, folder: Path, stash: PretendStash, plex: PretendPlex) -> None:
    """Write everything in *folder*, and what the servers hold, into *target*."""
    servers = {
        "scenes": [asdict(one) for one in stash.scenes.values()],
        "names": {
            kind: {str(key): name for key, name in names.items()}
            for kind, names in stash.names.items()
        },
        "changed_at": [[*key, at] for key, at in stash.changed_at.items()],
        "sections": {str(key): title for key, title in plex.sections.items()},
        "locations": {str(key): paths for key, paths in plex.locations.items()},
        "items": [asdict(one) for one in plex.items.values()],
    }
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(SERVERS, json.dumps(servers, default=_plain, indent=1))
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.write(file, file.relative_to(folder))


def unpack(release: str, folder: Path, stash: PretendStash, plex: PretendPlex) -> None:
    """Lay out what *release* left in *folder*, and fill the servers as they were."""
    with zipfile.ZipFile(archive(release)) as packed:
        packed.extractall(folder)
    held = json.loads((folder / SERVERS).read_text(), object_hook=_restored)
    for scene in held["scenes"]:
        scene["files"] = [tuple(file) for file in scene["files"]]
        stash.add(None, scene_id=scene["id"])
        stash.scenes[scene["id"]] = PretendScene(**scene)
    stash.names = {
        kind: {int(key): name for key, name in names.items()}
        for kind, names in held["names"].items()
    }
    stash.changed_at = {(kind, key): at for kind, key, at in held["changed_at"]}
    plex.sections = {int(key): title for key, title in held["sections"].items()}
    plex.locations = {int(key): paths for key, paths in held["locations"].items()}
    for item in held["items"]:
        item["files"] = [tuple(file) for file in item["files"]]
        item["locked"] = set(item["locked"])
        plex.items[item["rating_key"]] = PretendItem(**item | {"writes": 0})


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            return {"base64": base64.b64encode(value).decode()}
        case datetime():
            return {"time": value.isoformat()}
        case set():
            return sorted(value)
    raise TypeError(value)


def _restored(value: dict[str, Any]) -> Any:
    match value:
        case {"base64": str(text)}:
            return base64.b64decode(text)
        case {"time": str(text)}:
            return datetime.fromisoformat(text)
    return value
