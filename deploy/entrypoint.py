#!/usr/bin/env python3
"""What the container starts: becomes the right user, then the command.

Started as root it takes on PUID and PGID (1000 unless told), started with --user it
stays who it is. It passes signals on and reaps what others leave behind, so that no
init is needed. ``healthcheck`` asks the daemon whether it takes hooks.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import NoReturn

CONFIG = "/config/config.toml"
DATA = "/data"
PORT = 9898
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def main() -> NoReturn:
    arguments = sys.argv[1:] or ["run"]
    if arguments[0] == "healthcheck":
        sys.exit(healthcheck())
    become_user()
    if arguments[0] == "run":
        demand_a_place_for_data()
    if arguments[0] != "--config" and config_file().exists():
        arguments = ["--config", str(config_file()), *arguments]
    code = run(["stash2plex", *arguments])
    if code == 0 and "init" in arguments and "--help" not in arguments:
        print("Here that means: docker compose up -d, and then")
        print("  docker compose exec stash2plex entrypoint install-plugin --via-stash")
    sys.exit(code)


def config_file() -> Path:
    return Path(os.environ.get("STASH2PLEX_CONFIG") or CONFIG)


def data_folder() -> Path:
    return Path(os.environ.get("STASH2PLEX_SERVER__DATA_DIR") or DATA)


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
        complain(f"{data} cannot be given to {user}:{group}: {error.strerror}")
    try:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    except OSError:
        complain(
            f"the capabilities SETUID and SETGID are needed to become {user}:{group};"
            " or start the container with --user"
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


def complain(message: str) -> NoReturn:
    sys.exit(f"stash2plex: {message}")


def run(command: list[str]) -> int:
    """Run *command* as its init would: signals passed on, orphans reaped."""
    early: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _: object) -> None:
        if child is None:
            early.append(number)
        else:
            child.send_signal(number)

    for one in PASSED_ON:
        signal.signal(one, pass_on)
    try:
        child = subprocess.Popen(command)  # noqa: S603 - it is ours
    except OSError as error:
        complain(f"{command[0]} cannot be started: {error.strerror}")
    for one in early:
        child.send_signal(one)
    while True:
        process, status = os.wait()
        if process == child.pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


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
    if given := os.environ.get(variable):
        return given
    try:
        if file := os.environ.get(f"{variable}_FILE"):
            return Path(file).read_text(encoding="utf-8-sig").strip()
        settings = tomllib.loads(config_file().read_text(encoding="utf-8"))
        return str(settings.get("server", {}).get(key, default))
    except (OSError, ValueError):
        return default


if __name__ == "__main__":
    main()
