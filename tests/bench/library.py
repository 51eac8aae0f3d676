"""Two libraries that are in step but for a few scenes, and the ledger that says so."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from stash2plex.catalog.matching import Confidence
from stash2plex.config import Settings
from stash2plex.db.database import Database
from stash2plex.pictures import bytes_hash
from stash2plex.plex.item import item_from
from stash2plex.push.changes import plan
from stash2plex.push.ledger import Entry, Ledger, WrittenPicture
from stash2plex.sandbox.items import video
from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.scenes import populate
from stash2plex.sandbox.stash import PretendStash
from stash2plex.sandbox.stash_resolvers import Root
from stash2plex.stash.answers import scene_from
from stash2plex.translation import Translation

# When every scene was changed last: the same in each process.
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
_BATCH = 2000
_SETTINGS = Settings()
_TRANSLATION = Translation(_SETTINGS)


def fill(stash: PretendStash, plex: PretendPlex, count: int, share: float) -> int:
    """Make *count* scenes and items, *share* of them in step; returns how many are."""
    clock, stash.clock = stash.clock, lambda: LONG_AGO
    populate(stash, plex, count, covers=False)
    stash.clock = clock
    synced = round(count * share)
    for number in range(1, synced + 1):
        entry = written(stash, plex, number)
        item = plex.items[number]
        item.text |= entry.text
        item.tags = {name: list(tags.left) for name, tags in entry.tags.items()}
        item.locked = set(entry.locked)
        for name in entry.pictures:
            item.choose(name, picture(number))
        item.updated_at = entry.written_until
    return synced


def picture(number: int) -> bytes:
    """Return what stands for the picture of a scene that was delivered."""
    return b"\xff\xd8\xff%d" % number


def written(stash: PretendStash, plex: PretendPlex, number: int) -> Entry:
    """Return what the ledger says of a scene that was delivered to its bare item."""
    shown = Root(stash, "http://localhost")._shown(stash.scenes[number])
    scene = scene_from(shown, "")
    item = item_from(video(plex.items[number], whole=True), 1)
    planned = plan(_TRANSLATION(scene), item, None, _SETTINGS.sync)
    return Entry(
        machine=plex.machine,
        rating_key=number,
        file=plex.items[number].files[0][0],
        scene_id=number,
        confidence=Confidence.HIGH,
        scene_updated_at=scene.updated_at,
        text=planned.text,
        tags=planned.tags,
        locked=planned.edit.locks,
        pictures={
            name: WrittenPicture(f"{number}:{shape}", "", bytes_hash(picture(number)))
            for name, shape in (("thumb", "crop"), ("art", "wide"))
        },
        written_from=int(LONG_AGO.timestamp()),
        written_until=int(LONG_AGO.timestamp()),
    )


async def seed(folder: Path, count: int, share: float) -> None:
    """Make a database whose ledger knows what `fill` put into Plex."""
    stash, plex = PretendStash(), PretendPlex()
    synced = round(count * share)
    stash.clock = lambda: LONG_AGO
    populate(stash, plex, synced, covers=False)
    folder.mkdir(parents=True)
    async with Database.open(folder / "stash2plex.db") as database:
        ledger = Ledger(database)
        for start in range(1, synced + 1, _BATCH):
            async with database.transaction(durable=False) as transaction:
                for number in range(start, min(start + _BATCH, synced + 1)):
                    entry = written(stash, plex, number)
                    await ledger.record(transaction, entry)
