"""Plex is not asked for more than it can take."""

from __future__ import annotations

import asyncio

from stash2plex.health.pace import Pace


async def most_at_once(pace, count):
    running = most = 0

    async def one():
        nonlocal running, most
        async with pace.write():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001)
            running -= 1

    await asyncio.gather(*(one() for _ in range(count)))
    return most


async def test_no_more_writes_at_once_than_told():
    assert await most_at_once(Pace(3), 20) == 3


async def test_slow_answers_halve_it_and_quick_ones_bring_it_back():
    pace = Pace(4)
    for _ in range(30):
        pace.observe(0.01)
    for limit in (2, 1):
        for _ in range(3):
            pace.observe(2.0)
        assert pace.limit == limit
    assert await most_at_once(pace, 5) == 1
    for answer, pause in ((2.0, 2.0), (60.0, 5.0)):
        for _ in range(3):
            pace.observe(answer)
        assert pace.pause == pause

    for _ in range(20 * 4):
        pace.observe(0.01)

    assert (pace.limit, pace.pause) == (4, 0.0)


async def test_a_hiccup_slows_nothing_down():
    pace = Pace(4)
    for _ in range(10):
        for answer in (0.01, 3.0, 3.0, 0.01):
            pace.observe(answer)

    assert (pace.limit, pace.pause) == (4, 0.0)


async def test_a_server_that_always_is_slow_is_not_punished():
    pace = Pace(4)
    for _ in range(50):
        pace.observe(1.5)

    assert pace.limit == 4


async def test_writes_keep_their_distance():
    loop = asyncio.get_running_loop()
    pace = Pace(4, per_second=50)
    started = loop.time()

    await most_at_once(pace, 6)

    assert loop.time() - started >= 5 / 50
