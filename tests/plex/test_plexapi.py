"""python-plexapi, the client of others, looks at what we wrote to the pretend Plex."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from plexapi.server import PlexServer

from stash2plex.sandbox.scenes import cover
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import PICTURES, sample
from tests.running import running


def look(url, token):
    server = PlexServer(url, token)
    (movie,) = server.library.section("Scenes").all()
    movie.reload()
    return {
        "title": movie.title,
        "genres": [one.tag for one in movie.genres],
        "actors": [one.tag for one in movie.roles],
        "locked": {one.name for one in movie.fields},
        "posters": [(one.ratingKey, one.selected) for one in movie.posters()],
        "arts": [(one.ratingKey, one.selected) for one in movie.arts()],
    }


async def test_plexapi_sees_what_we_wrote(stash, plex, tmp_path):
    _, item = sample(stash, plex, cover=cover(1), performers=["Ann"])
    settings = make_settings(stash, plex, tmp_path, sync=PICTURES)
    async with running(settings, stash, plex) as daemon:
        await daemon.deliver(1)

    seen = await asyncio.to_thread(look, plex.url, plex.token)

    assert seen["title"] == "Title 1"
    assert (seen["genres"], seen["actors"]) == (["a", "b"], ["Ann"])
    assert seen["locked"] == item.locked
    assert seen["posters"] == [(item.shown("thumb"), True)]
    assert seen["arts"] == [(item.shown("art"), True)]
    assert item.shown("art").startswith("upload://art/")


def test_plexapi_is_not_imported_at_start():
    code = (
        "import sys, stash2plex.daemon, stash2plex.cli; print('plexapi' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"
