"""What the last release left is opened: nothing is written, uploaded or lost."""

from __future__ import annotations

import os

import pytest

from stash2plex.config_file import load
from stash2plex.plugin import PLUGIN_ID
from tests.conftest import free_port
from tests.reconcile.test_reconcile import reconciled
from tests.running import running
from tests.upgrades.__main__ import BARE, MISSING, PENDING, REFUSED, SCENES
from tests.upgrades.recorded import unpack

RELEASES = ["0.1.0"]
IN_STEP = set(range(1, SCENES + 1)) - {PENDING, REFUSED}
EDITS = ("PUT", "POST", "DELETE")


@pytest.fixture(params=RELEASES)
def left(request, stash, plex, tmp_path, monkeypatch):
    """Settings of the release, read by today's code, and its servers."""
    unpack(request.param, tmp_path, stash, plex)
    monkeypatch.setenv("STASH2PLEX_STASH__URL", stash.url)
    monkeypatch.setenv("STASH2PLEX_PLEX__URL", plex.url)
    monkeypatch.setenv("STASH2PLEX_SERVER__PORT", str(free_port()))
    plex.status_of[REFUSED] = 400  # for the same reason as then
    return load(tmp_path / "config.toml", os.environ)


async def test_nothing_is_written_on_the_first_run(left, stash, plex):
    shown = {key: plex.items[key].picture("thumb") for key in IN_STEP}
    async with running(left, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.until(lambda s: s["deliveries"]["written"] == 1)  # what was due
        await reconciled(daemon)
        await daemon.post("sync", {"scene_ids": sorted(IN_STEP)})
        status = await daemon.until(_settled)

    assert {key for key, one in plex.items.items() if one.writes} == {PENDING}
    assert plex.count("POST") == 0
    assert {key: plex.items[key].picture("thumb") for key in IN_STEP} == shown
    assert status["deliveries"]["unchanged"] == len(IN_STEP)
    # Nor does an unchanged picture cost a list.
    assert not [path for _, path in plex.requests if path.endswith(("posters", "arts"))]


async def test_no_job_is_lost(left, stash, plex):
    async with running(left, stash, plex) as daemon:
        await daemon.until(lambda s: s["deliveries"]["written"] == 1 and _settled(s))
        queue = await daemon.get("queue")
        dead = await daemon.get("dead")

    assert plex.items[PENDING].text["title"] == "Changed while Plex was away"
    assert {job["id"] for job in queue["jobs"]} == {MISSING}
    assert {job["id"] for job in dead["dead"]} == {REFUSED}


async def test_a_new_cover_takes_the_place_of_the_old(left, stash, plex):
    """What the old release uploaded is known again, and what was there before is not."""
    stash.change(BARE, cover=stash.scenes[1].cover)
    stash.change(1, cover=None)
    async with running(left, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.post("sync", {"scene_ids": [1, BARE]})
        await daemon.until(_settled)

    assert plex.items[1].picture("thumb") is None
    assert plex.items[1].picture("art") is None
    assert plex.items[BARE].picture("art") == stash.scenes[BARE].cover


async def test_the_old_plugin_is_understood(left, stash, plex, tmp_path):
    """It stays in Stash until it is installed anew."""
    for manifest in (tmp_path / "plugin").rglob("*.yml"):
        stash.put_plugin(manifest.parent)
    async with running(left, stash, plex) as daemon:
        stash.plugin_settings[PLUGIN_ID] = {
            "daemonUrl": daemon.url,
            "daemonToken": left.server.token.get_secret_value(),
        }
        await daemon.cataloged()
        await stash.edit(2, title="From the old plugin")
        await plex.facts.until(
            lambda: plex.items[2].text["title"] == "From the old plugin"
        )


def _settled(status):
    """Whether nothing is left to do but to wait for the scene that Plex lacks."""
    return status["queue"]["waiting"] == 1 and not (
        status["queue"]["queued"] or status["queue"]["running"]
    )
