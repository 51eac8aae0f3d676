"""Hosts that mean the machine or container that names them, and how URLs have them."""

from __future__ import annotations

import ipaddress

# Listening there is listening everywhere; nobody can be reached there.
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - what is not reachable
# A network of IPv6 is handed out whole, so its addresses are one caller's.
_NETWORK = 64
# What stands in instructions for an address that only their reader knows.
HERE = "<address of this machine>"


def is_loopback(host: str | None) -> bool:
    """Whether *host* means the machine or container that says it."""
    if host in {"localhost", "localhost.localdomain"}:
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def is_here(host: str) -> bool:
    """Whether *host* tells nothing of where others reach it."""
    return host in _EVERYWHERE or is_loopback(host)


def asked_from_here(host: str) -> str:
    """Return where this machine reaches what listens on *host*, as URLs have it."""
    return "127.0.0.1" if host in _EVERYWHERE else in_url(host)


def caller_of(address: str) -> str:
    """Return what tells a caller from others: an address, or a network of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), _NETWORK), strict=False))


def without_login(url: str) -> str:
    """Return a URL without the name and password that it may hold, however misspelt."""
    before, found, after = url.rpartition("@")
    schemes = [one for one in ("http://", "https://") if before.startswith(one)]
    return "".join(schemes) + after if found else url


def in_url(host: str) -> str:
    """Return *host* as URLs have it: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
