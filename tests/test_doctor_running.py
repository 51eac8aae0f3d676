"""What ``check`` learns from the running daemon."""

from __future__ import annotations

import asyncio
import json
import unicodedata

import pytest

from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.running import running
from tests.test_terminal import told

QUICK = {"failure_threshold": 1, "probe_min": 60, "probe_max": 60}


@pytest.fixture
async def checked(stash, plex, tmp_path):
    """A daemon, and the findings of ``check`` as a command, by code."""
    sample(stash, plex)
    settings = make_settings(
        stash, plex, tmp_path, outage=QUICK, queue={"max_attempts": 1}
    )
    (tmp_path / "config.toml").write_text(
        f'[server]\nhost = "127.0.0.1"\nport = {settings.server.port}\n'
        'token = "test-token"\n'
        f'[stash]\nurl = "{stash.url}"\n'
        f'[plex]\nurl = "{plex.url}"\ntoken = "{plex.token}"\n'
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()

        async def check(**environment):
            _, out, _ = await told(tmp_path, "check", "--json", **environment)
            return {one["code"]: one for one in json.loads(out)}

        check.daemon = daemon
        yield check


async def test_a_daemon_that_is_well_adds_nothing(checked):
    found = await checked()

    assert found["daemon"]["level"] == "ok"
    assert found.keys().isdisjoint(
        {"outage", "dead_letters", "plex_denied", "daemon_version", "daemon_answers"}
    )


async def test_a_token_that_reads_but_may_not_write(checked, plex):
    """The token alone looks well; the daemon knows that every edit was refused."""
    plex.status_of[1] = 401
    await checked.daemon.post("sync", {"scene_ids": [1]})
    await checked.daemon.until(lambda s: s["plex"]["state"] == "denied")
    found = await checked()

    assert found["plex_owner"]["level"] == "ok"
    assert found["plex_denied"]["level"] == "fail"
    assert "refused" in found["plex_denied"]["message"]
    assert found["outage"]["level"] == "warn"
    assert "Plex is away for the daemon since" in found["outage"]["message"]


async def test_dead_letters_are_named(checked, plex):
    plex.status_of[1] = 409
    await checked.daemon.post("sync", {"scene_ids": [1]})
    await checked.daemon.until(lambda s: s["queue"]["dead"])
    found = await checked()

    assert found["dead_letters"]["message"] == "given up: 1 of what was to be delivered"
    assert "stash2plex dead" in found["dead_letters"]["fix"]


async def test_a_daemon_of_another_release(checked, monkeypatch):
    monkeypatch.setattr("stash2plex.web.status.__version__", "0.0.1")
    found = await checked()

    assert found["daemon_version"]["level"] == "warn"
    assert "the daemon that runs is 0.0.1" in found["daemon_version"]["message"]


async def test_a_daemon_that_does_not_answer(checked, tmp_path):
    config = tmp_path / "config.toml"
    text = await asyncio.to_thread(config.read_text)
    port = str(checked.daemon.settings.server.port)
    await asyncio.to_thread(config.write_text, text.replace(port, "1"))
    found = await checked()

    assert found["daemon_answers"]["level"] == "fail"


async def test_a_time_zone_that_is_none(checked):
    found = await checked(TZ="America/New York")

    assert found["timezone"]["level"] == "warn"
    assert "TZ = 'America/New York' is no time zone" in found["timezone"]["message"]
    assert "traceback" not in str(found)


@pytest.mark.parametrize(("ours", "theirs"), [("NFC", "NFD"), ("NFD", "NFC")])
async def test_files_in_another_form_of_unicode_are_in_stash(
    stash, plex, tmp_path, ours, theirs
):
    path = "/media/Café/Été.mp4"
    stash.add(unicodedata.normalize(ours, path), title="x", details="y")
    plex.add(unicodedata.normalize(theirs, path))
    async with running(make_settings(stash, plex, tmp_path), stash, plex) as daemon:
        await daemon.cataloged()
        found = {one["code"]: one for one in (await daemon.get("health"))["findings"]}

    for code in ("path_coverage", "path_coverage_plex"):
        assert found[code]["level"] == "ok", found[code]
