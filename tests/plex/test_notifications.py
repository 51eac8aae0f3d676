"""What Plex's notification socket says, and what comes of it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stash2plex.plex.notifications import ItemHint, OwnWrites, ScanEnded, hints_in
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.patience import patient
from tests.running import running


@pytest.fixture
def settings(stash, plex, tmp_path):
    return make_settings(stash, plex, tmp_path, plex={"notifications": True})


LIBRARY = "com.plexapp.plugins.library"


def frame(*entries, **container):
    return json.dumps(
        {"NotificationContainer": {"TimelineEntry": list(entries), **container}}
    )


def entry(**fields):
    return {"identifier": LIBRARY, "itemID": "7", "type": 1, "state": 5} | fields


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"state": 0, "metadataState": "created"}, [ItemHint(7)]),
        ({}, [ItemHint(7)]),
        ({"state": "5", "type": "1", "itemID": 7}, [ItemHint(7)]),
        ({"state": 9}, [ItemHint(7, is_gone=True)]),
        ({"state": 5, "queueSize": 3}, []),
        ({"state": 5, "mediaState": "analyzing"}, []),
        ({"state": 2}, []),
        ({"type": 18}, []),
        ({"identifier": "com.plexapp.system"}, []),
        ({"itemID": "x"}, []),
        ({"state": None}, []),
    ],
)
def test_entries_of_the_time_line(fields, wanted):
    assert list(hints_in(frame(entry(**fields)))) == wanted


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999", "1e30"])
@pytest.mark.parametrize("name", ["updatedAt", "itemID", "state", "type", "queueSize"])
async def test_absurd_numbers_end_nothing(daemon, stash, plex, log_lines, name, number):
    sample(stash, plex)
    await daemon.cataloged()
    await daemon.until(lambda s: s["plex"]["listening"])
    text = frame(entry(**{name: "@"})).replace('"@"', number)

    plex.tell(text, text)
    plex.add("/m/2.mp4")

    await daemon.until(lambda s: s["catalog"]["items"] == 2)
    assert (await daemon.status())["plex"]["listening"]
    assert "helper_crashed" not in {one["event"] for one in log_lines}


def test_the_end_of_a_scan():
    activity = {"event": "ended", "Activity": {"type": "library.update.section"}}
    container = {"ActivityNotification": [activity, {**activity, "event": "updated"}]}

    text = json.dumps({"NotificationContainer": container})

    assert list(hints_in(text)) == [ScanEnded()]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "{}",
        '{"NotificationContainer": 5}',
        '{"NotificationContainer": {"TimelineEntry": 5}}',
        '{"NotificationContainer": {"TimelineEntry": [5, null, {}]}}',
        "[" * 100_000,
    ],
)
def test_garbage_says_nothing(text):
    assert list(hints_in(text)) == []


@given(st.text())
def test_no_text_is_too_odd(text):
    list(hints_in(text))


def test_our_own_echo(clock):
    own = OwnWrites(now=clock)
    own.note(7)

    assert own.caused(ItemHint(7))
    assert not own.caused(ItemHint(8))
    assert not own.caused(ItemHint(7, is_gone=True))
    clock.now += 60
    assert not own.caused(ItemHint(7))


async def looked(plex, rating_key):
    """Wait until a hint about *rating_key* was acted on, and so all before it."""
    plex.tell(frame(entry(itemID=str(rating_key))))
    await plex.facts.until(
        lambda: any(
            str(rating_key) in path.partition("?")[0].rpartition("/")[2].split(",")
            for _, path in plex.requests
        )
    )


async def test_an_item_that_is_added_is_delivered_at_once(daemon, stash, plex):
    scene = stash.add("/media/late.mp4", title="Late", tags=["t"])
    await daemon.until(lambda status: status["plex"]["listening"])
    await daemon.cataloged()
    await daemon.hook(scene.id)
    await daemon.until(lambda status: status["queue"]["waiting"] == 1)
    started = time.monotonic()

    item = plex.add("/media/late.mp4")
    await plex.facts.until(lambda: item.text["title"] == "Late")

    assert time.monotonic() - started < patient(2)
    await daemon.idle()


async def test_an_item_that_comes_long_after_its_scene_was_given_up(
    stash, plex, tmp_path
):
    scene = stash.add("/media/late.mp4", title="Late", tags=["t"])
    queue = {"not_found_attempts": 1}
    settings = make_settings(
        stash, plex, tmp_path, queue=queue, plex={"notifications": True}
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.until(lambda status: status["plex"]["listening"])
        await daemon.cataloged()
        await daemon.deliver(scene.id)
        assert (await daemon.status())["gaps"]["missing_in_plex"] == 1

        item = plex.add("/media/late.mp4")

        await plex.facts.until(lambda: item.text["title"] == "Late")
        await daemon.until(lambda status: not status["gaps"]["missing_in_plex"])


async def test_our_own_writes_cause_no_read(daemon, stash, plex):
    for number in range(1, 21):
        sample(stash, plex, number)
    await daemon.until(lambda status: status["plex"]["listening"])
    await daemon.cataloged()
    await looked(plex, 98)  # and at what was added before
    await daemon.deliver(*range(1, 21))
    reads = plex.count("GET")
    await looked(plex, 99)

    assert plex.count("GET") == reads + 1


async def test_an_item_that_goes_leaves_the_catalogue(daemon, stash, plex):
    _, item = sample(stash, plex)
    await daemon.until(lambda status: status["plex"]["listening"])
    await daemon.until(lambda status: status["catalog"]["items"] == 1)

    plex.remove(item.rating_key)

    await daemon.until(lambda status: status["catalog"]["items"] == 0)


async def test_what_was_missed_while_the_link_was_broken(daemon, stash, plex):
    scene = stash.add("/media/late.mp4", title="Late", tags=["t"])
    await daemon.until(lambda status: status["plex"]["listening"])
    await daemon.cataloged()
    await daemon.hook(scene.id)
    await daemon.until(lambda status: status["queue"]["waiting"] == 1)
    plex.tells = False
    item = plex.add("/media/late.mp4")
    for socket in list(plex.sockets):
        await socket.close()

    await plex.facts.until(lambda: item.text["title"] == "Late")
    await daemon.until(lambda status: status["plex"]["listening"])
    await daemon.idle()


async def test_the_end_of_a_scan_makes_us_look(daemon, stash, plex):
    scene = stash.add("/media/late.mp4", title="Late", tags=["t"])
    await daemon.until(lambda status: status["plex"]["listening"])
    await daemon.cataloged()
    await daemon.hook(scene.id)
    await daemon.until(lambda status: status["queue"]["waiting"] == 1)
    plex.tells = False
    item = plex.add("/media/late.mp4")

    plex.tell_scan_ended()

    await plex.facts.until(lambda: item.text["title"] == "Late")
    await daemon.idle()


async def test_a_socket_that_floods_us_with_nonsense(daemon, stash, plex):
    sample(stash, plex)
    await daemon.until(lambda status: status["plex"]["listening"])
    await daemon.cataloged()
    await looked(plex, 98)
    before, asked = plex.count("GET"), len(plex.requests)
    plex.tell("\x00 garbage")
    plex.tell(frame(*(entry(itemID=str(number)) for number in range(10_000))))
    await daemon.deliver(1)
    # The first of so many are looked at, the rest is read as news.
    await plex.facts.until(
        lambda: any(",1999?" in path for _, path in plex.requests[asked:])
    )
    await looked(plex, 20_000)

    assert plex.items[1].text["title"] == "Title 1"
    assert plex.count("GET") - before < 30
    assert (await daemon.status())["plex"]["listening"]


async def test_switched_off(stash, plex, tmp_path):
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as daemon:
        status = await daemon.cataloged()

    assert not plex.sockets
    assert status["plex"]["listening"] is False


async def test_the_token_is_not_in_the_url(daemon, plex):
    await daemon.until(lambda status: status["plex"]["listening"])

    assert all(plex.token not in path for _, path in plex.requests)
