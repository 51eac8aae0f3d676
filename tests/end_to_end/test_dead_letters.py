"""What was given up: seen, tried again, forgotten; by the API and the command line."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from stash2plex.cli import main
from stash2plex.db.database import DATABASE, Database
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.reconcile.test_reconcile import reconciled
from tests.running import running

# Who waits for Plex waits longer than any test.
QUEUE = {"max_attempts": 2, "dead_retention_days": 7, "not_found_base": 36_000.0}
QUEUE["not_found_cap"] = 36_000.0


@pytest.fixture
async def buried(stash, plex, tmp_path):
    """A daemon with three dead letters: two refused edits, one broken item."""
    for number in range(1, 5):
        sample(stash, plex, number)
    plex.status_of = {1: 409, 2: 409, 3: 500}
    settings = make_settings(stash, plex, tmp_path, queue=QUEUE)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1, 2, 3, 4)
        await daemon.until(lambda status: status["queue"]["dead"] == 3)
        yield daemon


async def listed(daemon):
    async with daemon.session.get(f"{daemon.url}/api/v1/dead") as answer:
        return (await answer.json())["dead"]


async def test_what_is_kept_of_a_dead_letter(buried):
    found = {one["id"]: one for one in await listed(buried)}

    assert set(found) == {1, 2, 3}
    assert found[1]["code"] == "request_rejected"
    assert found[1]["error"] == "Plex answered HTTP 409: Conflict"
    assert (found[1]["kind"], found[1]["attempts"]) == ("scene", 1)
    assert found[3]["attempts"] == 2
    assert found[3]["first_failed_at"] <= found[3]["failed_at"]
    assert found[3]["outage"] is None


async def test_tried_again_all_or_some(buried, plex):
    plex.status_of.clear()

    some = await buried.post("dead/retry", {"scene_ids": [1]}, 200)
    await buried.idle()
    assert some == {"retried": 1}
    assert {one["id"] for one in await listed(buried)} == {2, 3}
    assert await buried.post("dead/retry", {"codes": ["server_fault"]}, 200) == {
        "retried": 1
    }
    assert await buried.post("dead/retry", {}, 200) == {"retried": 1}
    await buried.idle()

    assert await listed(buried) == []
    assert all(item.text["title"].startswith("Title") for item in plex.items.values())


async def test_forgotten_some_or_all(buried):
    assert await buried.post("dead/clear", {"codes": ["nonsense"]}, 200) == {
        "cleared": 0
    }
    assert await buried.post("dead/clear", {"scene_ids": [1, 99]}, 200) == {
        "cleared": 1
    }
    assert await buried.post("dead/purge", {}, 200) == {"purged": 0}  # all are young
    assert await buried.post("dead/purge", {"days": 0}, 200) == {"purged": 2}
    assert await listed(buried) == []


@pytest.mark.parametrize(
    "body", [[], {"scene_ids": ["1"]}, {"days": -1}, {"codes": 5}, {"what": 1}]
)
async def test_choices_that_make_no_sense(buried, body):
    for route in ("dead/retry", "dead/clear", "dead/purge", "recover"):
        assert "code" in await buried.post(route, body, 400)
    assert len(await listed(buried)) == 3


async def test_old_ones_are_forgotten_by_themselves(stash, plex, tmp_path):
    sample(stash, plex)
    plex.status_of = {1: 409}
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
        assert len(await listed(daemon)) == 1
    async with Database.open(tmp_path / "data" / DATABASE) as database:
        await database.write("UPDATE job SET failed_at = failed_at - 31 * 86400")
    async with running(settings, stash, plex) as daemon:
        await daemon.until(lambda status: status["queue"]["dead"] == 0)


async def test_recovery_takes_what_died_of_an_outage_and_nothing_else(
    stash, plex, tmp_path
):
    for number in range(1, 4):
        sample(stash, plex, number)
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        plex.status_of = {1: 409, 2: 409, 3: 409}
        await daemon.deliver(1, 2, 3)
    async with Database.open(tmp_path / "data" / DATABASE) as database:
        await database.write(
            "UPDATE job SET error_code = 'service_unavailable' WHERE stash_id < 3"
        )
    plex.status_of.clear()
    stash.remove(2)
    async with running(settings, stash, plex) as daemon:
        assert await daemon.post("recover", {}, 200) == {"requeued": 1, "gone": 1}
        await daemon.idle()
        assert plex.items[1].text["title"] == "Title 1"
        assert [one["id"] for one in await listed(daemon)] == [3]
        assert await daemon.post("recover", {}, 200) == {"requeued": 0, "gone": 0}
        codes = {"codes": ["request_rejected"]}
        assert await daemon.post("recover", codes, 200) == {"requeued": 1, "gone": 0}
        await daemon.idle()
        assert await listed(daemon) == []


async def test_codes_widen_a_recovery(stash, plex, tmp_path):
    for number in range(1, 5):
        sample(stash, plex, number)
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        plex.status_of = dict.fromkeys(range(1, 5), 409)
        await daemon.deliver(1, 2, 3, 4)
    async with Database.open(tmp_path / "data" / DATABASE) as database:
        for scene_id, code, outage in (
            (1, "service_unavailable", None),
            (2, "server_fault", 9),  # fell into an outage
            (3, "request_rejected", 9),  # would have been refused anyway
            (4, "server_fault", None),
        ):
            await database.write(
                "UPDATE job SET error_code = ?, outage_id = ? WHERE stash_id = ?",
                code,
                outage,
                scene_id,
            )
    plex.status_of.clear()
    async with running(settings, stash, plex) as daemon:
        assert await daemon.post("recover", {}, 200) == {"requeued": 2, "gone": 0}
        await daemon.idle()
        assert {one["id"] for one in await listed(daemon)} == {3, 4}
        codes = {"codes": ["server_fault"]}
        assert await daemon.post("recover", codes, 200) == {"requeued": 1, "gone": 0}


async def test_recovery_waits_for_the_servers(buried, plex):
    plex.status_of.clear()
    plex.status = 503
    await buried.hook(4)
    await buried.until(lambda status: status["plex"]["breaker"] == "open")

    refused = await buried.post("recover", {}, 503)

    assert refused["code"] == "service_unavailable"
    told = "Plex is unavailable: HTTP 503, starting up; try again when it is well"
    assert refused["message"] == told
    assert {one["id"] for one in await listed(buried)} >= {1, 2}


async def test_the_queue_listed_hurried_and_dropped(buried, stash):
    stash.add("/media/late.mp4", scene_id=9, title="Late", tags=["t"])
    await buried.hook(9)
    await buried.until(lambda status: status["queue"]["waiting"] == 1)
    url = f"{buried.url}/api/v1/queue"
    async with buried.session.get(url) as answer:
        (job,) = (await answer.json())["jobs"]
    assert (job["id"], job["code"], job["lookups"]) == (
        9,
        "item_not_found",
        job["lookups"],
    )
    await buried.post("queue/process", {}, 200)
    await buried.until(
        lambda status: (
            status["queue"]["waiting"] == 1 and not status["queue"]["running"]
        )
    )

    assert await buried.post("queue/clear", None, 200) == {"cleared": 1}
    assert (await buried.status())["queue"]["waiting"] == 0


@pytest.fixture
def config(buried, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(
        f'[server]\nhost = "127.0.0.1"\nport = {buried.settings.server.port}\n'
        'token = "test-token"\n'
    )
    return file


async def command(*arguments):
    return await asyncio.to_thread(main, [str(one) for one in arguments])


async def test_the_commands(buried, config, plex, capsys):
    async def said(*arguments, status=0):
        assert await command("--config", config, *arguments) == status
        return capsys.readouterr().out

    out = await said("dead")
    assert out.startswith("3 dead letters\n")
    assert "scene 1: request_rejected, 1 attempt" in out
    document = json.loads(await said("dead", "list", "--json"))
    assert document["total"] == 3
    assert "0 old dead letters" in await said("dead", "purge")
    assert "1 dead letter forgotten." in await said("dead", "clear", "--scene", "2")
    plex.status_of.clear()
    assert "1 dead letter tried again." in await said(
        "dead", "retry", "--code", "server_fault"
    )
    await buried.idle()
    assert "0 dead letters tried again; 0 deleted scenes forgotten." in await said(
        "recover"
    )
    assert await said("queue") == "0 jobs\n"
    assert "0 jobs that waited due now." in await said("queue", "process")
    assert "0 jobs dropped" in await said("queue", "clear")
    assert await said("gaps", "--kind", "unmapped") == "0 gaps\n"
    assert await said("outages") == (
        "Plex: 0 outages, 100.000% available, mean time to repair unknown,"
        " between failures unknown\n"
    )


async def test_commands_without_a_daemon(tmp_path, capsys):
    file = tmp_path / "config.toml"
    file.write_text('[server]\nport = 1\ntoken = "x"\nhost = "127.0.0.1"\n')
    for name in ("dead", "queue", "recover", "gaps", "outages"):
        assert await command("--config", file, name) == 1
        assert "no daemon answers" in capsys.readouterr().err


async def test_a_poll_that_sees_the_same_edit_again_revives_nothing(
    stash, plex, tmp_path
):
    """A hook told of it, and what it came to is known."""
    settings = make_settings(stash, plex, tmp_path, stash={"poll_interval": 0.1})
    for number in range(1, 6):
        sample(stash, plex, number)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await polled(daemon, stash, 2)
        plex.status_of = dict.fromkeys(range(1, 6), 409)
        stash.clock = lambda: datetime.now(UTC) - timedelta(seconds=10)
        for number in range(1, 6):
            await stash.edit(number, title="Edited")
            await daemon.hook(number)
        await daemon.until(lambda s: s["queue"]["dead"] == 5)
        # A look at that very moment may have asked for them before they were dead.
        await polled(daemon, stash, 2)
        await daemon.until(lambda s: s["queue"]["dead"] == 5)
        failed = (await daemon.status())["deliveries"]["failed"]

        await polled(daemon, stash, 6)

        status = await daemon.status()
        assert status["queue"]["dead"] == 5
        assert status["deliveries"]["failed"] == failed
        # A later edit that no hook told of is another matter.
        stash.clock = lambda: datetime.now(UTC) + timedelta(seconds=10)
        stash.change(1, title="Once more")
        await daemon.until(lambda s: s["deliveries"]["failed"] > failed)


async def polled(daemon, stash, times):
    """Wait until Stash was asked for changes so many times more."""
    asked = stash.operations["Stash2PlexLook"]
    await stash.facts.until(lambda: stash.operations["Stash2PlexLook"] >= asked + times)


async def test_a_plex_that_asks_again_revives_nothing(
    stash, plex, tmp_path, monkeypatch
):
    monkeypatch.setattr("stash2plex.provider.completion._SETTLING", 0.05)
    settings = make_settings(stash, plex, tmp_path)
    sample(stash, plex)
    sample(stash, plex, 2)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        plex.status_of = {1: 409}
        await daemon.deliver(1)
        root = f"{daemon.url}/plex"
        for number in (1, 2):
            url = f"{root}/library/metadata/scene-{number}"
            async with daemon.session.get(url) as answer:
                assert answer.status == 200
        await daemon.until(lambda s: s["deliveries"]["written"] == 1)  # of the other
        await daemon.idle()

        status = await daemon.status()
        assert (status["queue"]["dead"], status["deliveries"]["failed"]) == (1, 1)


async def test_an_edit_while_the_last_attempt_ran_revives(stash, plex, tmp_path):
    """No hook told of it, and it is dated before the failure."""
    sample(stash, plex)
    settings = make_settings(stash, plex, tmp_path, queue={"max_attempts": 1})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
        plex.status_of, plex.latency = {1: 409}, 2.0  # it takes four seconds to fail
        stash.clock = lambda: datetime.now(UTC) - timedelta(seconds=30)
        stash.change(1, details="Refused")
        asked = stash.operations["Stash2PlexScenes"]
        await daemon.post("sync", {"scene_ids": [1]})
        await stash.facts.until(lambda: stash.operations["Stash2PlexScenes"] > asked)
        # In between; who waits for that second waits for nothing else.
        stash.clock = lambda: datetime.now(UTC) + timedelta(seconds=2)
        stash.change(1, details="Fine")
        await daemon.until(lambda s: s["queue"]["dead"] == 1)
        plex.status_of, plex.latency = {}, 0.0
        await reconciled(daemon)
        await daemon.idle()

    assert plex.items[1].text["summary"] == "Fine"
