"""Whether a disk takes writes, told without writing."""

from __future__ import annotations

from pathlib import Path

from stash2plex.data_dir import has_room


def test_a_disk_with_room(tmp_path):
    assert has_room(tmp_path)


def test_one_without(tmp_path):
    assert not has_room(Path("/proc"))  # it has no free space at all
    assert not has_room(tmp_path / "nowhere")
