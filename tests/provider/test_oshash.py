"""The hash that OpenSubtitles defines and Stash computes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stash2plex.provider.oshash import hashes_in, oshash


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        # size, and the words of the first and last 64 KiB: all zero, then all one.
        (bytes(131072), "0000000000020000"),
        ((1).to_bytes(8, "little") * 16384, f"{131072 + 16384:016x}"),
        (b"\xff" * 131072, f"{(131072 - 16384) % 2**64:016x}"),
        # A file shorter than 128 KiB counts its middle twice.
        ((1).to_bytes(8, "little") * 4, f"{32 + 8:016x}"),
        # Of a small file, whole words from either end: here two that overlap.
        (b"\x01" + bytes(9), f"{10 + 1:016x}"),
        (bytes(9) + b"\x01", f"{10 + 2**56:016x}"),
        # Stash has no hash for a file of eight bytes or fewer.
        (bytes(8), ""),
        (b"\x01" + bytes(65536), f"{65537 + 1:016x}"),
        (b"", ""),
    ],
)
def test_known_files(tmp_path, content, wanted):
    file = tmp_path / "a.mp4"
    file.write_bytes(content)

    assert oshash(file) == wanted


@given(st.binary(min_size=2, max_size=300))
def test_it_is_always_sixteen_hex_digits(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("x") / "a"
    file.write_bytes(content * 8)

    assert hashes_in(oshash(file)) == [oshash(file)]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.d94ff5a0c4a0f8f3.mp4", ["d94ff5a0c4a0f8f3"]),
        ("[D94FF5A0C4A0F8F3] d94ff5a0c4a0f8f3", ["d94ff5a0c4a0f8f3"]),
        (
            "d94ff5a0c4a0f8f3_0123456789abcdef.mkv",
            ["d94ff5a0c4a0f8f3", "0123456789abcdef"],
        ),
        ("d94ff5a0c4a0f8f30.mp4", []),
        ("xd94ff5a0c4a0f8f3.mp4", []),
        ("d94ff5a0-c4a0f8f3.mp4", []),
    ],
)
def test_hashes_in_names(name, wanted):
    assert hashes_in(name) == wanted
