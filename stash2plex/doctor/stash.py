"""Stash: reachable, of a release that we know, with a clock like ours."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial

from stash2plex.config import Settings
from stash2plex.doctor.finding import Finding
from stash2plex.errors import (
    AccessDenied,
    NotWorking,
    PictureUnreadable,
    SchemaMismatch,
    Stash2PlexError,
)
from stash2plex.pictures import NotAPicture, shaped_aside
from stash2plex.queue.job import PARTS
from stash2plex.scene import Scene, SceneEntry
from stash2plex.stash.client import StashClient
from stash2plex.stash.connection import TOO_OLD
from stash2plex.stash.pictures import PictureAnswer
from stash2plex.stash.plugins import StashPlugins

# How many scenes are looked at.
_SAMPLE = 500
# Clocks may differ by so much, seconds.
_SKEW = 120.0
# So many scenes are searched for pictures.
_PICTURED = 20
_PICTURES_FIX = "look at Stash's log; pictures need the same stash.api_key"
_NEVER = "9999-01-01T00:00:00Z"


async def examine(stash: StashClient, settings: Settings) -> tuple[list[Finding], bool]:
    """Look at the server; returns findings, and whether it can be asked for more."""
    try:
        version = await stash.probe()
    except Stash2PlexError as error:
        code = "stash_reachable"
        fix = f"does this machine or container reach Stash at {settings.stash.url}?"
        if isinstance(error, AccessDenied):
            code = "stash_access"
            fix = "set stash.api_key; or does another server answer at stash.url?"
        elif isinstance(error, SchemaMismatch):
            code, fix = "stash_version", TOO_OLD
        elif isinstance(error, NotWorking):
            code, fix = "stash_ready", f"open Stash's page at {settings.stash.url}"
            if "cannot read" in str(error):
                fix = "is there room on Stash's disk? its log tells more"
        return [Finding(code, "fail", str(error), fix)], False
    try:
        stash.refuse_if_too_old()
    except SchemaMismatch as error:
        return [Finding("stash_version", "fail", str(error), TOO_OLD)], False
    answers = Finding("stash", "ok", f"Stash {version or 'of unknown version'} answers")
    schema = await _schema(stash)
    clock = _clock(stash.server_time, time.time())
    return [answers, schema, *([clock] if clock else [])], schema.level != "fail"


async def _schema(stash: StashClient) -> Finding:
    """Have Stash check every document that is sent to it, whatever it finds."""
    code = "stash_schema"
    try:
        await stash.prove()
        await stash.scenes([1], pictures=True)
        async for _ in stash.entries(updated_since=_NEVER):
            break
        await stash.look(_NEVER, counted=True)
        await stash.changed_entries(_NEVER)
        await stash.changed_files(_NEVER)
        for kind in PARTS:
            await stash.changed_parts(kind, _NEVER)
            async for _ in stash.scenes_of(kind, 1):
                break
        await stash.entries_hashed("0" * 16)
        await stash.scenes_hashed(["0" * 16], whole=True)
        await stash.entries_known_as("none")
        await stash.scenes_of_file("none", ["/none"])
        await stash.folders()
        async for _ in stash.ids():
            break
        await stash.studios_or_groups(["none"])
        await StashPlugins(stash).installed()
    except SchemaMismatch as error:
        fix = "update Stash, or stash2plex, whichever is older"
        return Finding(code, "fail", str(error), fix)
    except Stash2PlexError as error:
        return Finding(code, "fail", str(error), "look at Stash's log")
    if stash.missing:
        lacks = ", ".join(stash.missing)
        message = f"this Stash lacks {lacks}; what they told stays as it is in Plex"
        return Finding(code, "warn", message, "update stash2plex")
    return Finding(code, "ok", "Stash offers every field that is asked for")


def _clock(theirs: float | None, ours: float) -> Finding | None:
    code = "stash_clock"
    if theirs is None:
        return None
    skew = theirs - ours
    if abs(skew) <= _SKEW:
        return Finding(code, "ok", "Stash's clock agrees with ours")
    way = "ahead of" if skew > 0 else "behind"
    message = f"Stash's clock is {abs(skew):,.0f} s {way} ours"
    return Finding(code, "warn", message, "set both clocks, by NTP for example")


async def some_scenes(stash: StashClient) -> list[SceneEntry]:
    """Return some scenes, the oldest ones."""
    scenes: list[SceneEntry] = []
    async for page in stash.entries():
        scenes += page
        if len(scenes) >= _SAMPLE:
            break
    return scenes[:_SAMPLE]


async def pictures(stash: StashClient, scenes: list[SceneEntry]) -> Finding:
    """Try one picture of each kind: of a scene, a performer and a studio."""
    code = "pictures"
    if not scenes:
        return Finding(code, "ok", "Stash has no scenes yet, so no pictures")
    latest = [one.id for one in scenes[-_PICTURED:]]
    try:
        read = (await stash.scenes(latest, pictures=True)).values()
    except Stash2PlexError as error:
        return Finding(code, "warn", f"scenes cannot be read: {error}", _PICTURES_FIX)
    found = [one for one in read if isinstance(one, Scene)][::-1]
    wrong, well, fix = [], [], _PICTURES_FIX
    for what, fetch in _one_of_each(stash, found).items():
        try:
            answer = await fetch()
            if answer.data is not None:
                await shaped_aside(answer.data, "original")
                well.append(f"{what} ({len(answer.data):,} bytes)")
            elif not what.startswith("the cover"):
                wrong.append(f"{what}: Stash cannot read it")
        except PictureUnreadable as error:
            wrong.append(f"{what}: {error}")
            fix = "mount the folder of Stash's blobs (blobs_path in its config.yml)"
        except (Stash2PlexError, NotAPicture) as error:
            wrong.append(f"{what}: {error}")
    if wrong:
        return Finding(code, "warn", "; ".join(wrong), fix)
    if not well:
        return Finding(code, "ok", "the scenes that were looked at have no pictures")
    return Finding(code, "ok", f"pictures arrive: {', '.join(well)}")


def _one_of_each(
    stash: StashClient, scenes: list[Scene]
) -> dict[str, Callable[[], Awaitable[PictureAnswer]]]:
    """Return how to fetch a picture of each kind that *scenes* have."""
    found: dict[str, Callable[[], Awaitable[PictureAnswer]]] = {}
    if shown := next((one for one in scenes if one.screenshot), None):
        found[f"the cover of scene {shown.id}"] = partial(stash.cover, shown.id)
    people = (one for scene in scenes for one in scene.performers if one.image)
    if person := next(people, None):
        name = f"the picture of performer {person.id}"
        found[name] = partial(stash.picture, person.image)
    if scene := next((one for one in scenes if one.studio_image), None):
        name = f"the picture of studio {scene.studio_id}"
        found[name] = partial(stash.picture, scene.studio_image)
    return found
