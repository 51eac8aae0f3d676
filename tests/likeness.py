"""What scenes of a storm look like, and whether Plex shows it."""

from __future__ import annotations

import random
from typing import Any

from stash2plex.sandbox.items import PretendItem
from stash2plex.sandbox.stash import PretendScene, PretendStash

WORDS = "amber quiet golden distant velvet winter hidden northern".split()


def some_fields(chance: random.Random, number: int) -> dict[str, Any]:
    """Return fields of a scene, some of them empty, but never all that count."""
    return {
        "title": f"Title {number}",
        "details": chance.choice(
            ("", " ".join(chance.sample(WORDS, 3)) + f" {number}")
        ),
        "studio": chance.choice(("", "North", "South")),
        "date": chance.choice(
            ("", f"20{chance.randint(10, 25)}-0{chance.randint(1, 9)}-11")
        ),
        "rating100": chance.choice((None, *range(20, 101, 20))),
        "performers": chance.sample(WORDS, chance.randint(0, 3)),
        "tags": chance.sample(WORDS, chance.randint(1, 4)),
    }


def unlike(
    stash: PretendStash, scene: PretendScene, item: PretendItem
) -> dict[str, Any]:
    """Return what an item shows, and what its scene says, of fields that differ."""
    names = stash.names
    wanted = {
        "title": scene.title,
        "summary": scene.details,
        "studio": names["studio"][scene.studio] if scene.studio else "",
        "originallyAvailableAt": scene.date,
        "userRating": f"{scene.rating100 / 10:.1f}" if scene.rating100 else "",
        "actor": {names["performer"][key] for key in scene.performers},
        "genre": {names["tag"][key] for key in scene.tags},
    }
    shown = {
        name: set(item.tags.get(name, ()))
        if isinstance(value, set)
        else item.text.get(name, "")
        for name, value in wanted.items()
    }
    return {
        name: (shown[name], value)
        for name, value in wanted.items()
        if shown[name] != value
    }
