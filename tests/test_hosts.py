"""What hosts mean, by the machine that names them."""

from __future__ import annotations

import pytest

from stash2plex.hosts import asked_from_here, is_here, is_loopback


@pytest.mark.parametrize(
    ("host", "loopback", "here", "asked"),
    [
        ("", False, True, "127.0.0.1"),
        ("0.0.0.0", False, True, "127.0.0.1"),
        ("::", False, True, "127.0.0.1"),
        ("localhost", True, True, "localhost"),
        ("127.0.1.1", True, True, "127.0.1.1"),
        ("::1", True, True, "[::1]"),
        ("fe80::7", False, False, "[fe80::7]"),
        ("192.168.1.5", False, False, "192.168.1.5"),
        ("nas", False, False, "nas"),
        ("127.evil.example", False, False, "127.evil.example"),
    ],
)
def test_hosts(host, loopback, here, asked):
    assert is_loopback(host) is loopback
    assert is_here(host) is here
    assert asked_from_here(host) == asked
