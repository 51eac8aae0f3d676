"""Running a plugin as Stash does: a process of its own, JSON in, JSON out."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PLUGIN_ID = "stash2plexd"


@dataclass(frozen=True, slots=True)
class PluginResult:
    """What a plugin made of its run; an *error* that is "" is one as well."""

    output: Any = None
    error: str | None = None
    log: list[str] = field(default_factory=list)


async def run_plugin(
    shim: Path, message: Mapping[str, Any], *, folder: Path | None
) -> PluginResult:
    """Run *shim* with *message* and wait for it, all of its output included.

    With *folder*, that is where Stash was started, and paths are relative to it.
    """
    script = shim.relative_to(folder) if folder else shim
    paths = [os.environ.get("PYTHONPATH", ""), str(shim.parent.parent.absolute())]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        str(script),
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
    output, error = _understood(out.decode("utf-8", "replace"))
    if error is None and process.returncode:
        output, error = None, f"exit status {process.returncode}"
    return PluginResult(output, error, err.decode("utf-8", "replace").splitlines())


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
