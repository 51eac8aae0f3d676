"""Stash's page with our plugin in it, served over HTTP for a real browser.

The page is a stand-in; what answers it is not: GraphQL goes to the pretend Stash, which
runs the real plugin as a process, which asks the real daemon.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from stash2plex.plugin import PLUGIN_ID, TASKS
from stash2plex.sandbox.server import Facts, serving
from stash2plex.sandbox.stash import PretendStash

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
# As Stash sends it with every page.
_POLICY = (
    "connect-src data: 'self' ws: wss:; img-src data: *; script-src 'self'"
    " http://www.gstatic.com https://www.gstatic.com 'unsafe-inline' 'unsafe-eval';"
    " style-src 'self' 'unsafe-inline'; style-src-elem 'self' 'unsafe-inline';"
    " media-src 'self' blob:; child-src 'none'; object-src 'none'; form-action 'self';"
)
_PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><base href="/">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Stash</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/stash.css"></head>
<body><div id="root"></div><script src="/stash.js"></script></body></html>"""
_HOP = {"host", "content-length", "connection", "accept-encoding", "origin", "referer"}


Texts = dict[str, tuple[str, str]]


def bundle(folder: Path) -> Texts:
    """Return all scripts and style sheets by path, with their types."""
    script = folder / "stash.js"
    subprocess.run(
        [
            MODULES / ".bin" / "esbuild",
            HERE / "stash_page.js",
            "--bundle",
            "--log-level=error",
            # React's own warnings are failures here.
            '--define:process.env.NODE_ENV="development"',
            f"--outfile={script}",
        ],
        check=True,
        timeout=60,
    )
    styles = (MODULES / "bootstrap/dist/css/bootstrap.min.css", HERE / "stash_page.css")
    return {
        "/stash.js": (script.read_text(), "text/javascript"),
        "/stash.css": ("\n".join(one.read_text() for one in styles), "text/css"),
        f"/plugin/{PLUGIN_ID}/javascript": (
            plugin_files("javascript"),
            "text/javascript",
        ),
        f"/plugin/{PLUGIN_ID}/css": (plugin_files("css"), "text/css"),
    }


def plugin_files(kind: str) -> str:
    """Join the plugin's files of a *kind* in the manifest's order, as Stash does."""
    manifest = (TASKS.folder / f"{PLUGIN_ID}.yml").read_text()
    block = re.search(rf"^  {kind}:\n((?:    - \S+\n)+)", manifest, re.MULTILINE)
    assert block, f"the manifest lists no {kind}"
    names = re.findall(r"- (\S+)", block[1])
    return "\n".join((TASKS.folder / name).read_text() for name in names)


@dataclass(slots=True)
class Site:
    """Where the page is, and how many of its questions have no answer yet."""

    url: str = ""
    unanswered: int = 0
    facts: Facts = field(default_factory=Facts)

    def count(self, change: int) -> None:
        """Note a question, or its answer."""
        self.unanswered += change
        self.facts.changed()


@asynccontextmanager
async def page_of(stash: PretendStash, texts: Texts) -> AsyncIterator[Site]:
    """Serve the page of *stash* for the length of the block."""
    site = Site()

    async def text(request: web.Request) -> web.Response:
        body, kind = texts[request.path]
        return web.Response(text=body, content_type=kind)

    async def page(request: web.Request) -> web.Response:
        if request.path.startswith("/plugin/"):  # these are the server's own
            raise web.HTTPNotFound
        headers = {"Content-Security-Policy": _POLICY}
        return web.Response(text=_PAGE, content_type="text/html", headers=headers)

    async def graphql(request: web.Request) -> web.Response:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in _HOP
        }
        site.count(1)
        try:
            async with session.post(
                f"{stash.url}/graphql", data=await request.read(), headers=headers
            ) as answer:
                return web.Response(
                    body=await answer.read(),
                    status=answer.status,
                    content_type=answer.content_type,
                )
        finally:
            site.count(-1)

    app = web.Application()
    app.add_routes([web.get(path, text) for path in texts])
    app.add_routes([web.post("/graphql", graphql), web.get("/{tail:.*}", page)])
    async with aiohttp.ClientSession() as session, serving(app) as site.url:
        yield site
