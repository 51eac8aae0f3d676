"""Whatever fails, nothing is lost, and nothing waits for what failed."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import free_port, make_settings
from tests.end_to_end.test_delivery import sample
from tests.reconcile.test_reconcile import reconciled
from tests.running import running


@pytest.fixture
async def ready(daemon, stash, plex):
    """A daemon that has read both libraries of ten scenes."""
    for number in range(1, 11):
        sample(stash, plex, number)
    await daemon.cataloged()
    return daemon


def delivered(plex, *keys):
    return all(plex.items[key].text["title"] == f"Title {key}" for key in keys)


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_an_outage_of_plex_costs_nothing(ready, plex, status):
    plex.status = status
    await ready.post("sync", {"scene_ids": list(range(1, 11))})
    down = await ready.until(lambda found: found["plex"]["breaker"] != "closed")
    assert down["queue"]["dead"] == 0
    assert down["plex"]["breaker"] in {"open", "half_open"}
    assert down["catalog"]["items"] == 10

    plex.status = None
    after = await ready.idle()

    assert delivered(plex, *range(1, 11))
    assert after["plex"]["breaker"] == "closed"
    assert after["queue"]["dead"] == 0
    await ready.until(
        lambda found: found["plex"]["state"] == "up" and found["plex"]["error"] is None
    )


@pytest.mark.parametrize("garbage", [b"<MediaContainer><Vid", b"<html/>", b""])
async def test_answers_that_cannot_be_read_are_an_outage(ready, plex, garbage):
    plex.garbles = garbage
    await ready.post("sync", {"scene_ids": [1]})
    await ready.until(lambda found: found["plex"]["state"] == "down")

    plex.garbles = None
    status = await ready.idle()

    assert delivered(plex, 1)
    assert status["queue"]["dead"] == 0


async def test_an_outage_of_stash_costs_nothing(ready, stash, plex):
    stash.status = 502
    await ready.post("sync", {"scene_ids": list(range(1, 11))})
    down = await ready.until(lambda found: found["stash"]["state"] == "down")
    assert down["queue"]["dead"] == 0
    assert plex.count("PUT") == 0

    stash.status = None
    await ready.idle()

    assert delivered(plex, *range(1, 11))


async def test_a_refused_token_stops_everything_and_resumes_by_itself(ready, plex):
    right, plex.token = plex.token, "changed"
    await ready.post("sync", {"scene_ids": list(range(1, 11))})
    status = await ready.until(lambda found: found["plex"]["state"] == "denied")

    assert status["plex"]["error"].startswith("Plex refused the token: HTTP 401")
    assert status["queue"]["dead"] == 0
    refused = plex.refused[401]
    assert refused < 10

    plex.token = right
    await ready.idle()

    assert delivered(plex, *range(1, 11))


async def test_a_token_that_may_not_write_stops_everything(ready, plex):
    plex.shared_token = True
    await ready.post("sync", {"scene_ids": list(range(1, 11))})
    await ready.until(lambda found: found["plex"]["breaker"] != "closed")
    plex.shared_token = False

    status = await ready.idle()

    assert delivered(plex, *range(1, 11))
    assert status["queue"]["dead"] == 0


async def test_a_refused_key_of_stash_is_named(ready, stash, plex):
    stash.api_key = "new-key"
    await ready.post("sync", {"scene_ids": [1]})
    status = await ready.until(lambda found: found["stash"]["state"] == "denied")
    assert status["queue"]["dead"] == 0

    stash.api_key = ""
    await ready.idle()

    assert delivered(plex, 1)


async def test_one_broken_item_is_its_own_problem(ready, plex):
    plex.status_of[3] = 500

    await ready.post("sync", {"scene_ids": list(range(1, 11))})
    status = await ready.until(lambda found: found["queue"]["dead"] == 1)

    assert delivered(plex, 1, 2, 4, 5, 6, 7, 8, 9, 10)
    assert status["plex"]["breaker"] == "closed"
    assert plex.refused[500] == 5


async def test_an_item_that_spoils_the_batch_read_is_its_own_problem(ready, plex):
    plex.unreadable = {3}

    await ready.post("sync", {"scene_ids": list(range(1, 11))})
    status = await ready.until(lambda found: found["queue"]["dead"] == 1)

    assert delivered(plex, 1, 2, 4, 5, 6, 7, 8, 9, 10)
    assert status["plex"]["breaker"] == "closed"
    plex.unreadable = set()
    await ready.deliver(3)
    assert delivered(plex, 3)


async def test_a_plex_that_cannot_read_anything_is_down(ready, plex):
    plex.unreadable = set(range(1, 11))
    await ready.post("sync", {"scene_ids": list(range(1, 11))})
    await ready.until(lambda found: found["plex"]["breaker"] != "closed")

    plex.unreadable = set()
    status = await ready.idle()

    assert delivered(plex, *range(1, 11))
    assert status["queue"]["dead"] == 0


async def test_a_server_that_stumbles_over_everything_is_down(ready, plex):
    plex.status_of = dict.fromkeys(range(1, 11), 500)
    await ready.post("sync", {"scene_ids": list(range(1, 11))})
    await ready.until(lambda found: found["plex"]["breaker"] != "closed")

    plex.status_of = {}
    status = await ready.idle()

    assert delivered(plex, *range(1, 11))
    assert status["queue"]["dead"] == 0


async def test_a_refused_edit_is_a_dead_letter_until_the_scene_changes(
    ready, stash, plex
):
    plex.status_of[3] = 409
    await ready.deliver(3, 4)
    status = await ready.status()
    assert status["queue"]["dead"] == 1
    assert status["deliveries"]["failed"] == 1
    assert delivered(plex, 4)

    plex.status_of = {}
    await ready.hook(3)
    status = await ready.idle()

    assert delivered(plex, 3)
    assert status["queue"]["dead"] == 0


async def test_a_graphql_error_of_one_scene_is_its_own_problem(ready, stash, plex):
    stash.failing[2] = "Internal system error"

    await ready.post("sync", {"scene_ids": [1, 2, 3]})
    status = await ready.until(lambda found: found["queue"]["dead"] == 1)

    assert delivered(plex, 1, 3)
    assert status["stash"]["state"] == "up"
    stash.failing.clear()
    await ready.deliver(2)
    assert delivered(plex, 2)


async def test_a_stash_that_fails_every_scene_is_down(ready, stash, plex):
    stash.failing = dict.fromkeys(range(1, 11), "database is not open")
    await ready.post("sync", {"scene_ids": list(range(1, 11))})
    await ready.until(lambda found: found["stash"]["state"] == "down")

    stash.failing = {}
    status = await ready.idle()

    assert delivered(plex, *range(1, 11))
    assert status["queue"]["dead"] == 0


async def test_a_performer_job_waits_for_stash_too(ready, stash, plex):
    stash.change(1, performers=["P"])
    stash.status = 503
    await ready.hook(1, "Performer.Update.Post")
    await ready.until(lambda found: found["stash"]["state"] == "down")

    stash.status = None
    await ready.idle()

    assert plex.items[1].tags["actor"] == ["P"]


async def test_a_file_plex_does_not_have_yet_is_found_when_it_comes(
    stash, plex, tmp_path
):
    stash.add("/media/new.mp4", scene_id=77, title="New", details="x")
    patient = {"not_found_attempts": 500, "not_found_cap": 0.3}
    settings = make_settings(stash, plex, tmp_path, queue=patient)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.post("sync", {"scene_ids": [77]})
        status = await daemon.until(lambda found: found["queue"]["waiting"] == 1)
        assert status["gaps"]["missing_in_plex"] == 0

        item = plex.add("/media/new.mp4")
        status = await daemon.idle()

    assert item.text["title"] == "New"
    assert status["queue"]["dead"] == 0


async def test_a_listing_that_fails_holds_up_only_who_needs_it(ready, stash, plex):
    stash.add("/media/nowhere.mp4", scene_id=77, title="New", details="x")
    plex.read_status_of["/library/sections"] = 500

    await ready.post("sync", {"scene_ids": [1, 2, 77]})
    await ready.until(lambda found: found["deliveries"]["written"] == 2)

    assert delivered(plex, 1, 2)


async def test_a_bad_item_of_a_trial_does_not_keep_the_circuit_open(ready, plex):
    plex.status = 503
    plex.status_of[1] = 500
    await ready.post("sync", {"scope": "all"})
    await ready.hook(1)
    await ready.until(lambda found: found["plex"]["breaker"] == "open")

    plex.status = None
    await ready.until(lambda found: found["queue"]["dead"] == 1)
    await ready.idle()

    assert delivered(plex, *range(2, 11))


async def test_a_file_that_changed_scenes_is_not_contested(ready, stash, plex):
    await ready.deliver(1, 2)
    stash.scenes[1].files = []
    stash.change(2, title="Both")
    stash.scenes[2].files.append(("/media/1.mp4", 1))

    await ready.deliver(2)

    assert [plex.items[key].text["title"] for key in (1, 2)] == ["Both", "Both"]


async def test_a_proxy_that_answers_404_erases_nothing(ready, plex):
    plex.status = 404
    await ready.post("sync", {"scene_ids": [1]})
    await plex.facts.until(lambda: plex.refused[404] > 2)
    assert (await ready.status())["catalog"]["items"] == 10

    plex.status = None
    await ready.idle()

    assert delivered(plex, 1)


async def test_a_file_plex_never_gets_ends_as_a_gap(stash, plex, tmp_path):
    stash.add("/media/new.mp4", scene_id=77, title="New", details="x")
    settings = make_settings(stash, plex, tmp_path, queue={"not_found_attempts": 3})
    async with running(settings, stash, plex) as daemon:
        status = await daemon.deliver(77)
        assert status["gaps"]["missing_in_plex"] == 1
        assert status["queue"]["dead"] == 0
        assert status["plex"]["breaker"] == "closed"


async def test_a_deliberate_subset_makes_no_gaps(stash, plex, tmp_path):
    stash.add("/media/new.mp4", scene_id=77, title="New", details="x")
    settings = make_settings(stash, plex, tmp_path, match={"not_found": "skip"})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        status = await daemon.deliver(77)

    assert status["gaps"]["missing_in_plex"] == 0
    assert status["deliveries"]["skipped"] == 1


async def test_an_item_that_moved_is_not_written_by_its_old_name(ready, stash, plex):
    """The rating key now belongs to another file, as after a rebuilt library."""
    plex.items[5].files = [("/media/stranger.mp4", 1)]
    again = plex.add("/media/5.mp4", rating_key=500, size=5)

    await ready.post("sync", {"scene_ids": [5]})
    await plex.facts.until(lambda: again.writes or plex.count() > 1000)

    assert plex.items[5].writes == 0
    assert again.text["title"] == "Title 5"


async def test_an_item_that_is_gone_is_looked_for_again(ready, stash, plex):
    del plex.items[5]
    again = plex.add("/media/5.mp4", rating_key=500, size=5)

    await ready.deliver(5)

    assert again.text["title"] == "Title 5"


async def test_another_plex_voids_the_catalogue(stash, plex, tmp_path):
    sample(stash, plex, 1)
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
    plex.machine = "another-machine"
    plex.items.clear()
    other = plex.add("/media/1.mp4", rating_key=1000)
    async with running(settings, stash, plex) as daemon:
        await daemon.until(lambda found: found["plex"]["version"])
        await daemon.deliver(1)

    assert other.text["title"] == "Title 1"


async def test_an_unknown_library_holds_everything_and_says_so(stash, plex, tmp_path):
    sample(stash, plex, 1)
    settings = make_settings(stash, plex, tmp_path, plex={"libraries": ["Nope"]})
    async with running(settings, stash, plex) as daemon:
        await daemon.hook(1)
        status = await daemon.until(lambda found: found["plex"]["error"])

    assert "no movie library 'Nope'; it has 'Scenes'" in status["plex"]["error"]
    assert status["queue"]["dead"] == 0
    assert status["plex"]["state"] == "up"


async def test_a_plex_that_starts_up_is_waited_for(stash, plex, tmp_path):
    sample(stash, plex, 1)
    plex.status = 503
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await daemon.hook(1)
        await plex.facts.until(lambda: plex.refused[503] > 3)
        async with daemon.session.get(f"{daemon.url}/readyz") as answer:
            assert answer.status == 200

        plex.status = None
        await daemon.idle()

    assert delivered(plex, 1)


async def test_a_hanging_plex_does_not_delay_the_end(stash, plex, tmp_path):
    sample(stash, plex, 1)
    settings = make_settings(stash, plex, tmp_path)
    loop = asyncio.get_running_loop()
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        plex.hangs = True
        await daemon.hook(1)
        await daemon.until(lambda found: found["queue"]["running"] == 1)
        started = loop.time()
    assert loop.time() - started < 9
    plex.hangs = False

    async with running(settings, stash, plex) as daemon:
        await daemon.idle()
    assert delivered(plex, 1)


async def test_a_slow_item_does_not_hold_up_others(ready, stash, plex):
    """Two batches go at once: a hook is not stuck behind one that hangs."""
    plex.latency = 0.05
    await ready.post("sync", {"scope": "all"})
    await ready.hook(10)
    await ready.idle()

    assert delivered(plex, *range(1, 11))


async def test_a_plex_that_answers_its_root_alone_is_down(stash, plex, tmp_path):
    """One edit is enough: it costs no attempt, and is an outage."""
    sample(stash, plex)
    sample(stash, plex, 2)
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        plex.read_status_of["/library"] = 500
        await daemon.hook(1)
        status = await daemon.until(lambda s: s["plex"]["breaker"] == "open")
        assert status["queue"]["dead"] == 0
        (job,) = (await daemon.get("queue"))["jobs"]
        assert job["attempts"] == 0
        # The root's answer does not end it.
        asked = len(plex.requests)
        await plex.facts.until(lambda: len(plex.requests) > asked + 6)
        assert (await daemon.status())["plex"]["breaker"] != "closed"

        plex.read_status_of.clear()
        status = await daemon.idle()

        assert (status["queue"]["dead"], plex.items[1].text["title"]) == (0, "Title 1")
        (outage,) = (await daemon.get("outages"))["outages"]
        assert "reading failed: Plex: HTTP 500" in outage["cause"]
        assert outage["ended_at"]


async def test_a_stash_whose_database_is_locked_is_down(daemon, stash, plex):
    sample(stash, plex)
    await daemon.cataloged()
    stash.fails_reading = "database is locked"
    await daemon.hook(1)
    status = await daemon.until(lambda s: s["stash"]["state"] == "down")
    assert status["queue"]["dead"] == 0

    stash.fails_reading = ""
    status = await daemon.idle()

    assert (status["queue"]["dead"], plex.items[1].text["title"]) == (0, "Title 1")
    (outage,) = (await daemon.get("outages"))["outages"]
    assert "database is locked" in outage["cause"]


async def test_a_comparison_revives_what_a_server_stumbled_over(ready, plex):
    plex.status_of = {1: 500, 2: 409}
    await ready.deliver(1, 2, 3)
    assert (await ready.status())["queue"]["dead"] == 2
    plex.status_of = {}

    await reconciled(ready)
    await ready.idle()

    # What was refused is still refused as far as anybody knows.
    (dead,) = (await ready.get("dead"))["dead"]
    assert dead["id"] == 2
    assert delivered(plex, 1, 3)


async def test_a_comparison_revives_a_performer_that_stash_stumbled_over(
    daemon, stash, plex, monkeypatch
):
    monkeypatch.setattr("stash2plex.stash.listings._IDS", 100)
    sample(stash, plex, performers=["Ann"])
    await daemon.cataloged()
    await daemon.deliver(1)
    stash.rename("performer", 1, "Anna")
    stash.repeats_pages = True
    for number in range(2, 150):
        stash.add(f"/media/{number}.mp4", performers=[1])
    await daemon.hook(1, "Performer.Update.Post", ["name"])
    await daemon.until(lambda s: s["queue"]["dead"] == 1)
    await daemon.until(lambda s: s["queue"]["running"] == s["queue"]["queued"] == 0)
    stash.repeats_pages = False

    await reconciled(daemon)

    await daemon.until(lambda s: s["queue"]["dead"] == 0)


async def test_a_library_that_is_not_ours_proves_nothing(stash, plex, tmp_path):
    plex.sections = {1: "Holidays", 2: "Scenes"}
    plex.read_status_of = {"/library/sections/1/all": 500}
    for number in (1, 2):
        stash.add(
            f"/media/{number}.mp4", size=number, title=f"Title {number}", code="x"
        )
        stash.change(number, details="x")
        plex.add(f"/media/{number}.mp4", size=number, section=2)
    plex.status_of = {1: 500}
    settings = make_settings(stash, plex, tmp_path, plex={"libraries": ["Scenes"]})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        status = await daemon.deliver(1, 2)

    assert (status["queue"]["dead"], status["plex"]["breaker"]) == (1, "closed")
    assert delivered(plex, 2)


async def test_a_field_that_plex_did_not_take_is_written_again(
    daemon, stash, plex, monkeypatch
):
    """It answers 200, and shows what it did before."""
    _, item = sample(stash, plex)
    await daemon.cataloged()
    await daemon.deliver(1)
    take = plex._set_text
    monkeypatch.setattr(
        plex,
        "_set_text",
        lambda item, values: take(
            item, {k: v for k, v in values.items() if k != "summary"}
        ),
    )
    stash.change(1, title="New", details="New text")
    await daemon.deliver(1)
    assert (item.text["title"], item.text["summary"]) == ("New", "Text")
    monkeypatch.setattr(plex, "_set_text", take)

    await daemon.deliver(1)

    assert item.text["summary"] == "New text"


@pytest.mark.parametrize("service", ["Plex", "Stash"])
async def test_a_first_start_without_a_server(stash, plex, tmp_path, service):
    """Refused connections count wherever they happen, with nothing to deliver."""
    closed = f"http://127.0.0.1:{free_port()}"
    # A probe a minute would take its time; here the catalogue and others notice it.
    settings = make_settings(
        stash,
        plex,
        tmp_path,
        outage={"failure_threshold": 5, "probe_min": 60, "probe_max": 60},
        stash={"poll_interval": 0.2, **({"url": closed} if service == "Stash" else {})},
        **({"plex": {"url": closed}} if service == "Plex" else {}),
    )
    async with running(settings, stash, plex) as daemon:
        status = await daemon.until(lambda s: s["outages"]["current"], seconds=20)
        name = service.lower()

        assert status["outages"]["current"]["service"] == service
        assert status[name]["state"] == "down"
        assert status[name].get("breaker", "open") == "open"
        assert "connection refused" in status[name]["error"]
