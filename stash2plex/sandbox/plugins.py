"""Plugins of the pretend Stash: found in folders, run as processes or inside of it.

Of a manifest only what our own plugins use is understood.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stash2plex.sandbox.hook_script import line_of
from stash2plex.sandbox.stash_log import StashLog

_LEVELS = {"t": "trace", "d": "debug", "i": "info", "w": "warn", "e": "error"}
_TRIGGER = re.compile(r"^ +- (\w+\.\w+\.Post)$", re.MULTILINE)
_KEY = r"^{}: (.*)$"
# Stash v0.25 and older do not say which plugin it is that logs from a script.
_NAMELESS = re.compile(r"v0\.2[45]\b")


@dataclass(frozen=True, slots=True)
class PluginResult:
    """What a plugin made of its run; an *error* that is "" is one as well."""

    output: Any = None
    error: str | None = None


@dataclass(slots=True)
class PretendPlugin:
    """A plugin in *folder*; *source* is the index it came from, None for a copy."""

    folder: Path
    enabled: bool = True
    source: str | None = None
    package_version: str | None = None
    local_path: str = "stash2plex"  # of its source
    id: str = field(init=False)
    manifest: str = field(init=False)

    def __post_init__(self) -> None:
        (file,) = self.folder.glob("*.yml")
        self.id, self.manifest = file.stem, file.read_text(encoding="utf-8")

    def value(self, key: str) -> str:
        """Return what stands for a key at the top of the manifest, "" for nothing."""
        found = re.search(_KEY.format(key), self.manifest, re.MULTILINE)
        return found[1].partition(" #")[0].strip('"') if found else ""

    @property
    def triggers(self) -> frozenset[str]:
        """The types of hooks that it wants."""
        hooks = self.manifest.partition("\nhooks:\n")[2]
        return frozenset(_TRIGGER.findall(re.split(r"^\w", hooks, flags=re.M)[0]))

    def command(self, python: str, *, folder: Path | None) -> list[str]:
        """Return how it is run; relative to *folder* where Stash was started there."""
        base = self.folder.relative_to(folder) if folder else self.folder
        words = [one.strip().strip('"') for one in self.value("exec")[1:-1].split(",")]
        return [python, *(one.replace("{pluginDir}", str(base)) for one in words[1:])]


class PluginRuns:
    """Runs plugins as Stash does, and puts what they say into its *log*."""

    def __init__(self, log: StashLog) -> None:
        self._log = log
        # What Stash calls Python; None where there is none.
        self.python: str | None = sys.executable
        # What plugins wrote, as they wrote it.
        self.said: list[str] = []

    async def run(
        self,
        plugin: PretendPlugin,
        message: Mapping[str, Any],
        *,
        folder: Path | None,
        release: str,
    ) -> PluginResult:
        """Run a plugin with *message* and wait for it, all of its output included.

        With *folder*, that is where Stash was started, and paths are relative to it.
        """
        name = plugin.value("name")
        if plugin.value("interface") == "js":
            lead = "[Plugin] " if _NAMELESS.match(release) else f"[Plugin / {name}] "
            self._log.write("trace", lead + line_of(message["args"]))
            return PluginResult("ok")
        if self.python is None:
            told = 'exec: "python3": executable file not found in $PATH'
            return PluginResult(error=f"error running plugin: {told}")
        command = plugin.command(self.python, folder=folder)
        paths = [os.environ.get("PYTHONPATH", ""), str(plugin.folder.parent.absolute())]
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await process.communicate(json.dumps(message).encode())
        except asyncio.CancelledError:  # Stash kills it when nobody waits any more
            process.kill()
            await process.wait()
            raise
        lines = err.decode("utf-8", "replace").splitlines()
        self.said += lines
        for line in lines:
            self._write(f"[Plugin / {name}] ", line, plugin.value("errLog"))
        output, error = _understood(out.decode("utf-8", "replace"))
        if error is None and process.returncode:
            output, error = None, f"exit status {process.returncode}"
        return PluginResult(output, error)

    def _write(self, lead: str, line: str, unmarked: str) -> None:
        """Log a line of a plugin's; progress is none."""
        level, text = {"warning": "warn"}.get(unmarked, unmarked), line
        if line[:1] == "\x01" and line[2:3] == "\x02":
            level, text = _LEVELS.get(line[1], ""), line[3:]
        if level:
            self._log.write(level, lead + text)


def _understood(printed: str) -> tuple[Any, str | None]:
    """Return output and error; what is no JSON object is the output as it is."""
    try:
        found = json.loads(printed)
    except ValueError:
        return printed, None
    if not isinstance(found, dict):
        return printed, None
    named = {key.lower(): value for key, value in found.items()}
    return named.get("output"), named.get("error")
