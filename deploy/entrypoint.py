#!/usr/bin/env python3
"""What the container starts: becomes the right user, then the command.

Started as root it takes on PUID and PGID (1000 unless told), started with --user it
stays who it is. It passes signals on and reaps what others leave behind, so that no
init is needed. A daemon that falls silent is ended, as systemd would, since Docker
starts again what ended and not what is unhealthy. ``healthcheck`` asks the daemon
whether it takes hooks.
"""

from __future__ import annotations

import codecs
import os
import select
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import NoReturn

CONFIG = "/config/config.toml"
DATA = "/data"
PORT = 9898
# The event loop says at least twice in this time that it turns, seconds; who is silent
# for longer has so long to say where it hangs.
SILENCE, LAST_WORDS = 120.0, 10.0
# How often the child is looked at while it says nothing, seconds.
GLANCE = 10.0
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def main() -> NoReturn:
    arguments = sys.argv[1:] or ["run"]
    if arguments[0] == "healthcheck":
        sys.exit(healthcheck())
    become_user()
    if arguments[0] == "run":
        demand_a_place_for_data()
    file, command = named(arguments)
    makes_one = command[:1] == ["init"] and "--help" not in command
    if makes_one:
        demand_a_place_for_configuration(file)
    if file == config_file() and arguments[0] != "--config" and file.exists():
        arguments = ["--config", str(file), *arguments]
    code = run(["stash2plex", *arguments])
    if code == 0 and makes_one:
        print("Here that means: docker compose up -d, and then")
        print("  docker compose exec stash2plex entrypoint install-plugin --via-stash")
    sys.exit(code)


def named(arguments: list[str]) -> tuple[Path, list[str]]:
    """Return the configuration file that is meant, and the command with its own."""
    match arguments:
        case ["--config", file, *command]:
            return Path(file), command
        case [first, *command] if first.startswith("--config="):
            return Path(first.partition("=")[2]), command
        case _:
            return config_file(), arguments


def given(name: str) -> str:
    """Return a variable; a blank one counts as unset."""
    value = os.environ.get(name, "")
    return value if value.strip() else ""


def config_file() -> Path:
    return Path(given("STASH2PLEX_CONFIG") or CONFIG)


def data_folder() -> Path:
    return Path(given("STASH2PLEX_SERVER__DATA_DIR") or DATA)


def become_user() -> None:
    """Drop root for PUID and PGID; what root left in /data changes hands.

    The folder of the configuration does too if it is root's, as Docker makes it.
    """
    if os.getuid() != 0:
        return
    user, group = number("PUID"), number("PGID")
    if user == 0:
        return
    data = data_folder()
    try:
        if data.is_dir():
            for one in (data, *data.rglob("*")):
                # Never through a link: it may lead anywhere in the container.
                if not one.is_symlink() and one.lstat().st_uid != user:
                    os.chown(one, user, group, follow_symlinks=False)
        folder = config_file().parent
        if folder.is_dir() and folder.stat().st_uid == 0:
            with suppress(OSError):  # mounted read-only, which is fine
                os.chown(folder, user, group)
    except OSError as error:
        complain(
            f"{data} cannot be given to {user}:{group}: {error.strerror}; that takes"
            " the capabilities CHOWN and DAC_OVERRIDE. Add them (cap_add), or start the"
            f" container with --user {user}:{group} and give it a folder of theirs"
        )
    try:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    except OSError:
        complain(
            f"the capabilities SETUID and SETGID are needed to become {user}:{group};"
            f" add them (cap_add), or start the container with --user {user}:{group}"
        )


def number(name: str) -> int:
    text = os.environ.get(name) or "1000"
    # The largest one means "nobody" to the kernel.
    if not (text.isascii() and text.isdecimal()) or not int(text[:20]) < 2**32 - 1:
        complain(f"{name} = {text!r} must be the number of a user or group")
    return int(text)


def demand_a_place_for_data() -> None:
    """End in one line if nothing can be kept."""
    data = data_folder()
    if not data.is_dir() or not os.access(data, os.W_OK | os.X_OK):
        complain(
            f"{data} cannot be written by {os.getuid()}:{os.getgid()}; mount a folder"
            " there that belongs to it, or set PUID and PGID"
        )


def demand_a_place_for_configuration(file: Path) -> None:
    """End in one line if ``init`` could not write what it makes."""
    folder = file.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        complain(
            f"{folder} cannot be written by {os.getuid()}:{os.getgid()}; mount a folder"
            " there that is writable for it: the one of PUID and PGID, or of --user"
        )


def complain(message: str) -> NoReturn:
    sys.exit(f"stash2plex: {message}")


def run(command: list[str]) -> int:
    """Run *command* as its init would: signals passed on, orphans reaped.

    One that says that it is alive, and then does not any more, is ended.
    """
    early: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _: object) -> None:
        if child is None:
            early.append(number)
        else:
            send(child, number)

    for one in PASSED_ON:
        signal.signal(one, pass_on)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    bell, hammer = socket.socketpair()  # a signal makes the one ring the other
    with bell, hammer, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        for one in (bell, hammer):
            one.setblocking(False)
        signal.set_wakeup_fd(hammer.fileno())
        try:
            child = subprocess.Popen(command, env=os.environ | told_where(ear))  # noqa: S603 - it is ours
        except OSError as error:
            complain(f"{command[0]} cannot be started: {error.strerror}")
        for number in early:
            send(child, number)
        return outlived(child, ear, bell)


def send(child: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal; Popen's own way would take the exit status away."""
    with suppress(ProcessLookupError):
        os.kill(child.pid, number)


def told_where(ear: socket.socket) -> dict[str, str]:
    """Return what tells a child where to say that it is alive, see sd_notify(3).

    Without a name: the kernel makes one that needs no file.
    """
    ear.bind("")
    return {
        "NOTIFY_SOCKET": "@" + ear.getsockname()[1:].decode(),
        "WATCHDOG_USEC": str(int(SILENCE * 1e6)),
    }


def outlived(
    child: subprocess.Popen[bytes], ear: socket.socket, bell: socket.socket
) -> int:
    """Wait for the end of *child*, and bring it about once it is silent.

    Returns its exit status.
    """
    heard, silent, killed = False, 0.0, False
    looked_at = time.monotonic()
    while True:
        # A signal, such as that of its end, is a reason to look as well.
        ready, _, _ = select.select([ear, bell], [], [], GLANCE)
        # A container that was paused, or a machine that slept, was not silent.
        now = time.monotonic()
        silent += min(now - looked_at, 2 * GLANCE)
        looked_at = now
        if bell in ready:
            bell.recv(4096)
        if ear in ready and b"WATCHDOG=1" in ear.recv(4096):
            heard, silent = True, 0.0
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 1
            if process == 0:
                break
            if process == child.pid:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
        if heard and silent > (LAST_WORDS if killed else SILENCE):
            if not killed:
                print(
                    f"stash2plex: silent for {SILENCE:.0f} s; it is ended", flush=True
                )
            # The first has Python say where every thread is.
            send(child, signal.SIGKILL if killed else signal.SIGABRT)
            silent, killed = 0.0, True


def healthcheck() -> int:
    """Ask /readyz; 0 when hooks are taken."""
    try:
        url = f"http://{host()}:{server('port', str(PORT))}/readyz"
        # No proxy: Docker hands on those of its client.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        direct.open(url, timeout=4).close()
    except (OSError, ValueError, HTTPException) as error:
        print(f"not ready: {error}")
        return 1
    return 0


def host() -> str:
    """Return an address that the daemon listens on."""
    told = server("host", "0.0.0.0")  # noqa: S104 - asked of, not listened on
    if told in {"", "0.0.0.0", "::"}:  # noqa: S104
        return "127.0.0.1"
    return f"[{told}]" if ":" in told else told


def server(key: str, default: str) -> str:
    """Return a server setting; what is wrong with a file the daemon tells itself."""
    variable = f"STASH2PLEX_SERVER__{key.upper()}"
    if value := given(variable):
        return value
    try:
        if file := given(f"{variable}_FILE"):
            data = Path(file).read_bytes()
            wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            return data.decode("utf-16" if wide else "utf-8-sig").strip()
        settings = tomllib.loads(config_file().read_text(encoding="utf-8-sig"))
        return str(settings.get("server", {}).get(key, default))
    except (OSError, ValueError):
        return default


if __name__ == "__main__":
    main()
