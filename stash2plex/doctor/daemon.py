"""The daemon itself: its data directory, its port, and what it was told to do."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from stash2plex.catalog import brake
from stash2plex.config import ServerSettings, Settings
from stash2plex.data_dir import has_room, holder
from stash2plex.db.database import DATABASE, read_fact
from stash2plex.doctor.finding import Finding
from stash2plex.hosts import in_url
from stash2plex.zones import system_zone

_MEGABYTE = 1024 * 1024
# What the database, its copies and a log want beyond the pictures, bytes.
_SPARE = 500 * _MEGABYTE


def examine(settings: Settings) -> list[Finding]:
    """Look at this machine; asks no server."""
    return list(_findings(settings))


def _findings(settings: Settings) -> Iterator[Finding]:
    folder = settings.server.data_dir
    if foreign := _foreign(folder):
        yield foreign
        return
    yield (usable := _data_dir(folder))
    if usable.level == "ok":
        yield _disk_space(folder, settings.provider.image_cache_mb * _MEGABYTE)
    yield _daemon(settings.server)
    if braked := _brake(settings):
        yield braked
    if strange := _time_zone(settings):
        yield strange
    if not settings.sync.enabled:
        message = "sync.enabled is false: nothing is written to Plex"
        yield Finding("sync_enabled", "warn", message, "set sync.enabled = true")


def _foreign(folder: Path) -> Finding | None:
    """Say that what the daemon keeps is another user's, who should ask."""
    try:
        readable = not folder.exists() or os.access(folder, os.R_OK | os.X_OK)
        owner = folder.stat().st_uid if folder.exists() else os.getuid()
        files = [folder / DATABASE] if readable else []
        readable = readable and all(
            os.access(one, os.R_OK) for one in files if one.exists()
        )
    except OSError:
        readable, owner = False, None
    if readable:
        return None
    whose = f"the user {owner}" if owner not in {None, os.getuid()} else "another user"
    message = f"{str(folder)!r} belongs to {whose}, so it could not be looked at"
    return Finding("data_dir", "fail", message, "run this as the user of the daemon")


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _data_dir(folder: Path) -> Finding:
    code, fix = "data_dir", "make it writable for the user the daemon runs as"
    parent = _existing(folder)
    if not parent.is_dir():
        return Finding(
            code, "fail", f"{str(parent)!r} is not a folder", "set server.data_dir"
        )
    if not os.access(parent, os.R_OK | os.W_OK | os.X_OK):
        return Finding(code, "fail", f"{str(parent)!r} cannot be written", fix)
    if not has_room(parent):
        fix = "free some space, or mount it for writing"
        return Finding(code, "fail", f"the disk of {str(parent)!r} takes no more", fix)
    state = "is writable" if parent == folder else "can be made"
    return Finding(code, "ok", f"{str(folder)!r} {state}")


def _disk_space(folder: Path, cache: int) -> Finding:
    free = shutil.disk_usage(_existing(folder)).free
    told = f"{free // _MEGABYTE:,} MB are free for {str(folder)!r}"
    if free < cache + _SPARE:
        fix = "free some space, or make provider.image_cache_mb smaller"
        wanted = (cache + _SPARE) // _MEGABYTE
        return Finding("disk_space", "warn", f"{told}; {wanted:,} are wanted", fix)
    return Finding("disk_space", "ok", told)


def _daemon(server: ServerSettings) -> Finding:
    """Say whether the daemon runs, or something else stands in its place."""
    code = "daemon"
    if (process := holder(server.data_dir)) is not None:
        return Finding(code, "ok", f"the daemon runs (process {process or 'unknown'})")
    if hindrance := _hindrance(server.host, server.port):
        return Finding(code, "fail", *hindrance)
    message = f"the daemon does not run with data_dir {str(server.data_dir)!r}"
    return Finding(code, "warn", message, "start it: stash2plex run")


def _hindrance(host: str, port: int) -> tuple[str, str] | None:
    """Return why the daemon could not listen there and what to do, None if it could."""
    where, family = f"{in_url(host)}:{port}", socket.AF_INET
    if ":" in host:
        family = socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            told = f"something else listens on {where}, so the daemon cannot"
            return told, "stop it, or set server.port"
        if error.errno == errno.EACCES:
            return f"{where} is for root alone", "set server.port to 1024 or more"
        told = f"server.host {host!r} is no address of this machine"
        return told, "set one, or 0.0.0.0 for all"
    return None


def _time_zone(settings: Settings) -> Finding | None:
    """Say that times of day are in UTC because the system's zone is none."""
    wrong = None if settings.reconcile.timezone else system_zone()[1]
    if wrong is None:
        return None
    message = f"{wrong}, so times of day are in UTC"
    fix = "set TZ, or reconcile.timezone, to a name such as Europe/Berlin, unquoted"
    return Finding("timezone", "warn", message, fix)


def _brake(settings: Settings) -> Finding | None:
    """Say that a comparison was stopped, or that scenes may not clear Plex, if so."""
    file = settings.server.data_dir / DATABASE
    if reason := read_fact(file, brake.FACT):
        fix = "mount the share, then: stash2plex reconcile"
        return Finding("brake", "fail", reason, fix)
    if reason := read_fact(file, brake.EMPTIED):
        fix = "restore Stash from a copy; or agree: stash2plex reconcile --force"
        return Finding("brake", "fail", reason, fix)
    return None
