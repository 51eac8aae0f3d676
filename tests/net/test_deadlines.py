"""Servers that answer for ever, or without end."""

from __future__ import annotations

import asyncio
import gzip
import resource
import time

import pytest

from stash2plex.errors import AnswerTooLarge, ServerFault, ServiceUnavailable
from stash2plex.net.answers import LARGEST_BODY
from stash2plex.plex.connection import PlexConnection
from stash2plex.plex.library import PlexLibrary
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.patience import patient
from tests.running import running


@pytest.fixture
def server(section, stash, plex):
    plex.token = "plex-token"
    return {"plex": plex, "stash": stash}[section]


async def test_an_answer_that_trickles_is_given_up(asking, server):
    server.line.how = "trickle"
    async with asking(server.url, timeout=0.3) as ask:
        began = time.monotonic()
        with pytest.raises(ServiceUnavailable, match="no answer in time"):
            await ask()
    assert time.monotonic() - began < patient(5)


async def test_a_trickling_plex_keeps_no_job_running(stash, plex, tmp_path):
    sample(stash, plex)
    settings = make_settings(stash, plex, tmp_path, plex={"timeout": 0.3})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        plex.line.how = "trickle"
        await daemon.hook(1)
        status = await daemon.until(lambda s: s["plex"]["state"] == "down")
        await daemon.until(lambda s: s["queue"]["running"] == 0)
        assert status["queue"]["dead"] == 0
        plex.line.how = ""
        await daemon.idle()
    assert plex.items[1].text["title"] == "Title 1"


async def test_a_probe_is_held_up_by_nothing(plex, settings):
    """All that may be asked at once hangs."""
    slow = settings.plex.model_copy(update={"concurrency": 2, "timeout": 20})
    plex.add("/a.mp4")
    async with PlexConnection.open(slow, "c") as connection:
        library = PlexLibrary(connection, ())
        plex.hangs = True
        hanging = [asyncio.create_task(library.items([1])) for _ in range(8)]
        await plex.facts.until(lambda: plex.in_flight == 2)
        plex.hangs = False
        assert (await library.server()).machine == plex.machine
        for one in hanging:
            one.cancel()


async def test_a_bomb_is_not_unpacked(asking, server):
    server.line.how = "bomb"
    server.line.bomb = gzip.compress(b"<MediaContainer>" + b" " * 300 * 1024 * 1024, 6)
    assert len(server.line.bomb) < 400_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with asking(server.url) as ask:
        with pytest.raises(ServerFault, match="larger than 64 MB"):
            await ask()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 3 * LARGEST_BODY


async def test_a_page_that_is_too_large_is_asked_for_in_halves(
    stash, plex, plex_library, stash_client, monkeypatch
):
    for number in range(1, 301):
        sample(stash, plex, number, details="x" * 300)
    monkeypatch.setattr("stash2plex.net.answers.LARGEST_BODY", 40_000)

    items = [one async for page, _ in plex_library.entries(1) for one in page]
    scenes = [one async for page in stash_client.entries() for one in page]
    whole = await stash_client.scenes(range(1, 301))

    assert [one.rating_key for one in items] == list(range(1, 301))
    assert [one.id for one in scenes] == list(range(1, 301))
    assert all(whole[number].title == f"Title {number}" for number in range(1, 301))
    with pytest.raises(AnswerTooLarge):
        await plex_library.items(range(1, 301))
    assert len(await plex_library.readable_items(range(1, 301))) == 300
