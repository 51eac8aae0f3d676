"""Metrics: what Prometheus reads, and that nothing private is in it."""

from __future__ import annotations

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.reconcile.test_reconcile import reconciled
from tests.running import running


async def read(daemon):
    """The samples by name and labels, asked for without a token."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{daemon.url}/metrics") as answer,
    ):
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        text = await answer.text()
    samples = {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }
    return samples, text


async def test_the_status_in_numbers(stash, plex, tmp_path):
    for number in (1, 2):
        sample(stash, plex, number)
    stash.add("/media/secret name.mp4", title="A private title", details="x")
    plex.status_of[2] = 400
    settings = make_settings(
        stash, plex, tmp_path, queue={"not_found_base": 36e3, "not_found_cap": 36e3}
    )
    async with running(settings, stash, plex) as daemon:
        first, _ = await read(daemon)
        assert ("stash2plex_reconcile_last_success",) not in first
        await daemon.cataloged()
        await daemon.post("sync", {"scope": "all"})
        await daemon.until(
            lambda status: (
                status["queue"]["waiting"] == status["queue"]["dead"] == 1
                and not status["queue"]["running"]
            )
        )
        await reconciled(daemon)
        await daemon.until(lambda status: status["stash"]["state"] == "up")
        found, text = await read(daemon)

    assert found["stash2plex_jobs", "dead"] == 1
    assert found["stash2plex_jobs", "waiting"] == 1
    assert found["stash2plex_oldest_job_seconds",] >= 0
    assert found["stash2plex_deliveries_total", "written"] == 1
    assert found["stash2plex_server_state", "stash", "up"] == 1
    assert found["stash2plex_server_state", "plex", "down"] == 0
    assert found["stash2plex_breaker", "closed"] == 1
    assert found["stash2plex_gaps", "missing_in_plex"] == 1
    assert found["stash2plex_catalog_entries", "scenes"] == 3
    assert found["stash2plex_reconcile_last_success",] == 1
    assert found["stash2plex_brake",] == 0
    assert all(name.startswith("stash2plex_") for name, *_ in found)
    for private in ("secret", "private", "media", "test-token", "127.0.0.1"):
        assert private not in text
