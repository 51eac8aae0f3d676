"""Made-up scenes for the demo and the benchmarks: the same for the same number."""

from __future__ import annotations

import io
import random
from functools import lru_cache

from PIL import Image, ImageDraw

from stash2plex.sandbox.plex import PretendPlex
from stash2plex.sandbox.stash import PretendStash

# Where the pretend Plex sees what the pretend Stash has under /data.
PLEX_ROOT = "/media/videos"
_ADJECTIVES = ("Amber", "Quiet", "Golden", "Distant", "Velvet", "Winter", "Hidden")
_NOUNS = ("Harbour", "Garden", "Letters", "Mirror", "Orchard", "Station", "Island")
_STUDIOS = ("Northlight", "Blue Door", "Kestrel Films", "Paper Moon")
_NAMES = ("Ada", "Bea", "Cleo", "Dora", "Esme", "Fay", "Gia", "Hana", "Iris", "June")
_SURNAMES = ("Moss", "Vale", "Stone", "Hart", "Quinn", "Reyes", "Lund")
_TAGS = tuple(
    """
    Outdoor Interview Travel Night Documentary Vintage Dialogue Costume Music Dance
    Comedy Drama Beach City Rain Snow
    """.split()
)


def populate(
    stash: PretendStash,
    plex: PretendPlex | None,
    count: int,
    *,
    first: int = 1,
    covers: bool = True,
    stash_root: str = "/data",
    plex_root: str = PLEX_ROOT,
) -> None:
    """Put *count* scenes into Stash, and their files, bare, into Plex (if any)."""
    for number in range(first, first + count):
        chance = random.Random(number)
        title = f"{chance.choice(_ADJECTIVES)} {chance.choice(_NOUNS)} {number}"
        studio = chance.choice(_STUDIOS)
        name = f"{studio}/{title.lower().replace(' ', '.')}.mp4"
        size = 10_000_000 + number
        stash.add(
            f"{stash_root}/{name}",
            size=size,
            title=title,
            details=f"{title}, a film by {studio}.\nShot on location.",
            studio=studio,
            date=f"{chance.randint(1995, 2025)}-{chance.randint(1, 12):02}-10",
            rating100=chance.randrange(20, 101, 20),
            code=f"{studio[:2].upper()}-{number:04}",
            director=_person(chance),
            performers=sorted({_person(chance) for _ in range(chance.randint(1, 4))}),
            tags=sorted(chance.sample(_TAGS, chance.randint(2, 8))),
            cover=cover(number) if covers else None,
        )
        if plex is not None:
            plex.add(f"{plex_root}/{name}", size=size)


@lru_cache(maxsize=4096)
def cover(number: int) -> bytes:
    """Draw a small 16:9 JPEG that looks different for every *number*."""
    chance = random.Random(f"cover {number}")
    picture = Image.new("RGB", (320, 180), _colour(chance))
    draw = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y = chance.randrange(320), chance.randrange(180)
        radius = chance.randrange(15, 80)
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, fill=_colour(chance))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=80)
    return written.getvalue()


def _person(chance: random.Random) -> str:
    return f"{chance.choice(_NAMES)} {chance.choice(_SURNAMES)}"


def _colour(chance: random.Random) -> tuple[int, int, int]:
    return chance.randrange(256), chance.randrange(256), chance.randrange(256)
