"""``stash2plex demo --servers``: the pretend Stash and Plex, and no daemon.

For trying everything else on: they stay until told to end.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
import tempfile
import urllib.request
import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urljoin

from rich.console import Console

from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.scenes import PLEX_ROOT, populate
from stash2plex.sandbox.server import serving
from stash2plex.sandbox.stash import PretendStash

_TIMEOUT = 10.0  # Stash's
_EDIT = r"mutation { sceneUpdate(input: {id: 1, title: \"New\"}) { id } }"
_TOLD = """\
A pretend Stash is at {stash}, without a key,
and a pretend Plex at {plex}, with the token {token}.

stash2plex init --stash-url {stash} --plex-url {plex} --plex-token {token}

makes a configuration for them in this folder, and this edits a scene in Stash:

curl {stash}/graphql -H 'Content-Type: application/json' \\
  -d '{{"query": "{edit}"}}'

Ctrl-C ends them."""


async def run_servers(console: Console, *, scenes: int) -> int:
    """Serve both, with *scenes* scenes that Plex knows by their files alone."""
    stash, plex = PretendStash(), PretendPlex()
    plex.locations[1] = [PLEX_ROOT]
    populate(stash, plex, scenes)
    with tempfile.TemporaryDirectory(prefix="stash2plex-") as folder:
        stash.installer = installer(Path(folder))
        async with serving(stash.app) as stash.url, serving(plex.app) as plex.url:
            told = _TOLD.format(
                stash=stash.url, plex=plex.url, token=plex.token, edit=_EDIT
            )
            console.print(told, markup=False, soft_wrap=True)
            await asyncio.Event().wait()
    return 0


def installer(plugins: Path) -> Callable[[str, str], Awaitable[tuple[Path, str]]]:
    """Return what the pretend Stash installs plugins into *plugins* with."""

    async def install(plugin_id: str, source: str) -> tuple[Path, str]:
        return await asyncio.to_thread(_install, plugins, plugin_id, source)

    return install


def _install(plugins: Path, plugin_id: str, source: str) -> tuple[Path, str]:
    """Install a plugin of ours from the index at *source*."""
    index = _fetched(source).decode()
    entry = re.search(rf"^- id: {plugin_id}\n((?:  .*\n)+)", index, re.MULTILINE)
    if entry is None:
        raise LookupError(f"{source} offers no {plugin_id}")
    told = dict(re.findall(r'^  (path|sha256|version): "?([^"\s]+)"?$', entry[1], re.M))
    zipped = _fetched(urljoin(source, told["path"]))
    if hashlib.sha256(zipped).hexdigest() != told["sha256"]:
        raise ValueError(f"{source}: the zip is another than its index says")
    folder = plugins / plugin_id
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        archive.extractall(folder)
    return folder, told["version"]


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310 - ours
        content: bytes = answer.read()
    return content
