"""Whether a disk takes writes, told without writing."""

from __future__ import annotations

from pathlib import Path

from stash2plex.data_dir import has_room, held


def test_what_others_could_read_is_taken_from_them(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("not ours")
    outside.chmod(0o644)
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("stash2plex.db", "token"):
        (folder / name).write_text("private")
        (folder / name).chmod(0o664)
    (folder / "words.key").symlink_to(outside)
    (folder / "other").write_text("somebody's")
    (folder / "other").chmod(0o644)
    with held(folder):
        modes = {one.name: one.stat().st_mode & 0o777 for one in folder.iterdir()}

    assert modes["stash2plex.db"] == modes["token"] == 0o600
    assert modes["other"] == 0o644
    assert outside.stat().st_mode & 0o777 == 0o644


def test_a_disk_with_room(tmp_path):
    assert has_room(tmp_path)


def test_one_without(tmp_path):
    assert not has_room(Path("/proc"))  # it has no free space at all
    assert not has_room(tmp_path / "nowhere")
