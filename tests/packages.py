"""Installing a plugin from a package source as Stash does (its pkg/pkg)."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
import stat
import zipfile
from datetime import datetime
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from urllib.request import urlopen

import yaml


def fetch(url: str) -> bytes:
    """Read a URL, of a file or over HTTP, with Stash's ten seconds."""
    with urlopen(url, timeout=10) as answer:  # noqa: S310 - file: is meant too
        return answer.read()


def read_index(text: bytes) -> list[dict]:
    """Parse an index; one wrong date spoils all of it."""
    listed = yaml.safe_load(text)
    assert isinstance(listed, list)
    for one in listed:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", one["date"]), one["date"]
        datetime.strptime(one["date"], "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007
    return listed


def install(source: str, plugin_id: str, plugins_path: Path, local_path: str) -> Path:
    """Install a package; returns its folder."""
    (found,) = [one for one in read_index(fetch(source)) if one["id"] == plugin_id]
    url = found["path"]
    if not urlsplit(url).scheme:
        url = urljoin(source, url)
    zipped = fetch(url)
    assert hashlib.sha256(zipped).hexdigest() == found["sha256"], "checksum"
    folder = plugins_path / local_path / plugin_id
    manifest = folder / "manifest"
    if manifest.exists():  # an update: what the old one brought goes first
        for name in yaml.safe_load(manifest.read_text())["files"]:
            (folder / name).unlink()
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        for entry in archive.infolist():
            target = folder / entry.filename
            target.write_bytes(archive.read(entry))
            target.chmod(stat.S_IMODE(entry.external_attr >> 16))
            names.append(entry.filename)
    manifest.write_text(
        yaml.safe_dump(
            {
                "id": plugin_id,
                "name": found["name"],
                "version": found["version"],
                "date": found["date"],
                "source_repository": source,
                "files": names,
            }
        )
    )
    return folder


def installer(plugins_path: Path):
    """Return what the pretend Stash installs plugins with."""

    def work(plugin_id: str, source: str) -> tuple[Path, str]:
        folder = install(source, plugin_id, plugins_path, "stash2plex")
        (manifest,) = folder.glob("*.yml")
        assert manifest.stem == plugin_id
        told = yaml.safe_load((folder / "manifest").read_text())
        return folder, told["version"]

    async def run(plugin_id: str, source: str) -> tuple[Path, str]:
        return await asyncio.to_thread(work, plugin_id, source)

    return run
