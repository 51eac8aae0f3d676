"""What may vanish at once, and what may not."""

from __future__ import annotations

import pytest

from stash2plex.catalog.brake import Brake
from stash2plex.errors import Braked


@pytest.mark.parametrize(
    ("before", "gone"),
    [(1000, 0), (1000, 200), (10_000, 2000), (300, 100), (0, 0), (100, 99)],
)
async def test_what_may_vanish(database, before, gone):
    brake = Brake(database)
    await brake.check("Stash", before, gone)

    assert brake.reason is None


@pytest.mark.parametrize(
    ("before", "gone"), [(1000, 201), (300, 101), (1, 1), (100, 100), (5000, 5000)]
)
async def test_what_may_not(database, before, gone):
    brake = Brake(database)
    with pytest.raises(
        Braked, match=rf"shows {before - gone} where there were {before}"
    ):
        await brake.check("Stash", before, gone)
    again = Brake(database)
    await again.load()
    assert again.reason == brake.reason
    assert not await again.allows_deletion("Stash", before)
    await again.release()

    assert await again.allows_deletion("Stash", before)


async def test_deletions_within_an_hour_add_up(database, clock):
    brake = Brake(database, now=clock)
    for left in range(1000, 800, -1):
        assert await brake.allows_deletion("Stash", left)
    assert await brake.allows_deletion(
        "Plex's library 'A'", 800
    )  # the other side's is another
    assert not await brake.allows_deletion("Stash", 800)
    assert "Stash lost 201 of 1000 within an hour" in brake.reason
    # What is left is compared with what there was, not with what was left to forget.
    with pytest.raises(Braked, match="shows 790 where there were 1000"):
        await brake.check("Stash", 800, 10)


async def test_deletions_over_days_do_not(database, clock):
    brake = Brake(database, now=clock)
    for left in range(1000, 500, -1):
        assert await brake.allows_deletion("Stash", left)
        clock.now += 60
