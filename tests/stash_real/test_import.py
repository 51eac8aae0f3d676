"""Imports into a real Stash, which keep the times that are in their files."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from stash2plex.provider.oshash import oshash
from tests.stash_real.server import RealStash, real_stash
from tests.stash_real.world import make_videos, world

pytestmark = pytest.mark.timeout(600)


def change(folder: Path, before: str, after: str) -> None:
    """Give the scene of a title another one in its file; its time stays."""
    for file in (folder / "scenes").glob("*.json"):
        document = json.loads(file.read_text())
        if document.get("title") == before:
            document["title"] = after
            file.write_text(json.dumps(document))
            return
    raise AssertionError(f"no scene {before!r} was exported")


async def exported(stash: RealStash) -> Path:
    await stash.job("mutation { metadataExport }")
    return stash.folder / "metadata"


async def test_an_import_of_everything(tmp_path, plex):
    """It empties the database first: scenes have other numbers then."""
    folder = tmp_path / "stash"
    (folder / "metadata").mkdir(parents=True)
    async with real_stash(folder, metadata=folder / "metadata") as stash:
        paths = await make_videos(stash, 6)
        await stash.scan()
        for path in paths:
            plex.add(str(path), size=path.stat().st_size)
        for name, key in (await stash.scenes()).items():
            title = f"Of {Path(name).stem}"
            await stash.update(key, title=title, details="x")
        async with world(stash, plex, tmp_path) as made:
            await made.compared()
            item = made.item(paths[2])
            before = item.text["title"]
            metadata = await exported(stash)
            await asyncio.to_thread(change, metadata, before, "Imported")
            await stash.job("mutation { metadataImport }")
            assert await made.until(lambda: item.text["title"] == "Imported", 30)
            await made.compared()
            shown = {plex.items[key].text["title"] for key in plex.items}
            others = {f"Of {path.stem}" for path in paths} - {before}
            assert shown == {*others, "Imported"}


async def test_the_hash_of_small_files(tmp_path):
    """Stash takes as many whole words as there are, from either end."""
    async with real_stash(tmp_path / "stash") as stash:
        paths = await make_videos(stash, 3)
        for length, path in zip((30_001, 50_004, 65_535), paths, strict=True):
            await asyncio.to_thread(cut, path, length)
        await stash.scan()
        answer = await stash.ask(
            "{ findScenes(filter: {per_page: -1})"
            ' { scenes { files { path fingerprint(type: "oshash") } } } }'
        )
        known = {
            file["path"]: file["fingerprint"]
            for scene in answer["findScenes"]["scenes"]
            for file in scene["files"]
        }
        ours = {str(one): await asyncio.to_thread(oshash, one) for one in paths}
        assert known == ours
        assert all(ours.values())


def cut(path: Path, length: int) -> None:
    """Make a video so long, by leaving out of what follows it."""
    data = path.read_bytes()
    assert len(data) > length
    path.write_bytes(data[:length])
