"""The pretend Plex is as awkward as the real one: its habits, one by one."""

from __future__ import annotations

import aiohttp
import pytest

from stash2plex.sandbox.habits import Certainty, Habits, documented
from stash2plex.sandbox.scenes import cover


@pytest.fixture
async def ask(plex):
    headers = {"X-Plex-Token": plex.token}
    async with aiohttp.ClientSession(plex.url, headers=headers) as session:

        async def asked(method, path, **how):
            async with session.request(method, path, **how) as answer:
                return answer.status, await answer.text()

        yield asked


def test_every_switch_is_documented_with_how_sure_it_is():
    told = list(documented())
    assert {one.switch for one in told} - {""} == set(Habits.__slots__)
    assert all(one.text and one.certainty in Certainty for one in told)


async def test_the_number_in_a_path_is_the_time_of_the_row(plex, ask):
    item = plex.add("/a.mp4")
    item.provided |= {"thumb": cover(1), "art": cover(2)}
    plex.clock = lambda: 1_900_000_000.0
    for change in ("title.value=x", "studio.value=y"):
        await ask("PUT", f"/library/sections/1/all?type=1&id=1&{change}")
        _, text = await ask("GET", "/library/metadata/1?skipRefresh=1")
        assert 'thumb="/library/metadata/1/thumb/1900000000"' in text
        assert 'art="/library/metadata/1/art/1900000000"' in text


async def test_unknown_preferences_are_taken(ask):
    assert (await ask("PUT", "/:/prefs?NoSuchThing=1"))[0] == 200


async def test_a_butler_is_always_active(ask):
    assert 'type="butler"' in (await ask("GET", "/activities"))[1]


async def test_libraries_say_whether_they_are_hidden(plex, ask):
    plex.sections |= {2: "More", 3: "Else"}
    _, text = await ask("GET", "/library/sections")
    assert all(f'hidden="{number}"' in text for number in range(3))


@pytest.mark.parametrize("one", ["Start", "Size"])
async def test_a_page_needs_both_numbers(ask, one):
    path = "/library/sections/1/all?type=1"
    headers = {f"X-Plex-Container-{one}": "0"}
    assert (await ask("GET", path, headers=headers))[0] == 400


async def test_a_stranger_under_an_unknown_name_is_refused(plex):
    async with aiohttp.ClientSession(plex.url) as session:
        for host, status in (("127.0.0.1:1", 200), ("evil.example", 401)):
            async with session.get("/identity", headers={"Host": host}) as answer:
                assert answer.status == status


async def test_an_edit_may_be_too_long(plex, ask):
    plex.add("/a.mp4")
    for limit, status in ((8 * 1024, 400), (16 * 1024, 414), (None, 0)):
        plex.habits.longest_target = limit
        plex.habits.long_target_status = status
        path = "/library/sections/1/all?type=1&id=1&summary.value=" + "x" * 20_000
        assert (await ask("PUT", path))[0] == (status or 200)


async def test_a_refresh_shows_the_agents_pictures_unless_locked(plex, ask):
    for key, locked in ((1, False), (2, True)):
        item = plex.add(f"/{key}.mp4")
        item.provided["thumb"] = cover(1)
        item.choose("thumb", cover(2))
        if not locked:
            item.locked.clear()
        await ask("PUT", f"/library/metadata/{key}/refresh")
    assert plex.items[1].picture("thumb") == cover(1)
    assert plex.items[2].picture("thumb") == cover(2)
