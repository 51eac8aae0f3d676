"""The ledger's rows: of items that are gone they go, after a while."""

from __future__ import annotations

from dataclasses import replace

from stash2plex.catalog.matching import Confidence
from stash2plex.catalog.store import CatalogStore
from stash2plex.paths import PathMap
from stash2plex.plex.item import ItemEntry, ItemFile
from stash2plex.push.ledger import Entry, Ledger

DAY = 24 * 3600.0
ENTRY = Entry(
    machine="here",
    rating_key=1,
    file="/1.mp4",
    scene_id=1,
    confidence=Confidence.HIGH,
)


async def kept(database):
    rows = await database.fetch("SELECT machine, rating_key FROM ledger ORDER BY 1, 2")
    return [tuple(row) for row in rows]


async def test_rows_of_items_that_are_gone(database, clock):
    ledger = Ledger(database, now=clock)
    store = CatalogStore(database, PathMap(), "x")
    there = [
        ItemEntry(rating_key=k, section_id=1, files=(ItemFile(f"/{k}.mp4"),))
        for k in (1, 2)
    ]
    await store.put_items(there, 1)
    async with database.transaction() as transaction:
        for key in (1, 2, 3):
            entry = replace(ENTRY, rating_key=key, file=f"/{key}.mp4")
            await ledger.record(transaction, entry)
        await ledger.record(transaction, replace(ENTRY, machine="there"))
        clock.now += 1
        # What was 4 is 2 by now.
        await ledger.record(transaction, replace(ENTRY, rating_key=4, file="/4.mp4"))
        clock.now += 1
        await ledger.record(transaction, replace(ENTRY, rating_key=2, file="/4.mp4"))

    await ledger.prune("here")
    assert await kept(database) == [("here", k) for k in (1, 2, 3)] + [("there", 1)]

    clock.now += 80 * DAY
    await ledger.prune("here")
    await store.forget_items([2])
    clock.now += 20 * DAY
    await ledger.prune("here")
    assert await kept(database) == [("here", 1), ("here", 2)]

    # It came back: the time starts anew when it goes again.
    await store.put_items(there, 2)
    await ledger.prune("here")
    await store.forget_items([2])
    clock.now += 100 * DAY
    await ledger.prune("here")
    assert await kept(database) == [("here", 1), ("here", 2)]
    clock.now += 91 * DAY
    await ledger.prune("here")
    assert await kept(database) == [("here", 1)]
