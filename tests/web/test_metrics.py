"""Metrics: what Prometheus reads, and that nothing private is in it."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.reconcile.test_reconcile import reconciled
from tests.running import running

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana.json"
PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


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
    plex.status_of[2] = 409
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
        for key, status in (("scene-1", 200), ("scene-99", 404)):
            url = f"{daemon.url}/plex/library/metadata/{key}"
            async with daemon.session.get(url) as answer:
                assert answer.status == status
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
    assert found["stash2plex_server_request_seconds_count", "ok", "plex"] > 0
    assert found["stash2plex_server_request_seconds_count", "failed", "plex"] == 1
    assert found["stash2plex_server_request_seconds_count", "ok", "stash"] > 0
    assert found["stash2plex_reconcile_seconds_count", "all"] == 1
    assert "stash2plex_event_loop_lag_seconds_count" in text
    assert found["stash2plex_provider_answer_seconds_count", "ok", "metadata"] == 1
    assert found["stash2plex_provider_answer_seconds_count", "refused", "metadata"] == 1
    assert all(name.startswith("stash2plex_") for name, *_ in found)
    for private in ("secret", "private", "media", "test-token", "127.0.0.1"):
        assert private not in text


async def test_the_dashboard_asks_for_what_there_is(daemon):
    """Each metric of the Grafana file exists, with the labels it goes by."""
    await daemon.cataloged()
    _, text = await read(daemon)
    dashboard = json.loads(await asyncio.to_thread(DASHBOARD.read_text))
    asked = " ".join(
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    )
    names = set(re.findall(r"stash2plex_\w+", asked))
    known = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    later = {
        "stash2plex_reconcile_last_duration_seconds",
        "stash2plex_reconcile_last_end_seconds",
        "stash2plex_reconcile_last_success",
    }
    assert {re.sub("_(bucket|count)$", "", one) for one in names} - later <= known
    assert len(names) > 15


def test_the_dashboard_shows_every_metric_that_is_documented():
    documented = set(
        re.findall(r"^\| `(stash2plex_\w+)`", PAGE.read_text(), re.MULTILINE)
    )
    shown = DASHBOARD.read_text()

    assert documented
    assert {one for one in documented if one not in shown} == set()
