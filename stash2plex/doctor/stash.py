"""Stash: reachable, of a release that we know, with a clock like ours."""

from __future__ import annotations

import time

from stash2plex.config import Settings
from stash2plex.doctor.finding import Finding
from stash2plex.errors import (
    AccessDenied,
    NotWorking,
    SchemaMismatch,
    Stash2PlexError,
)
from stash2plex.queue.job import PARTS
from stash2plex.scene import Scene, SceneEntry
from stash2plex.stash.client import StashClient
from stash2plex.stash.connection import TOO_OLD
from stash2plex.stash.plugins import StashPlugins

# How many scenes are looked at.
_SAMPLE = 500
# Clocks may differ by so much, seconds.
_SKEW = 120.0
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
        await stash.changed_entries(_NEVER)
        for kind in PARTS:
            await stash.changed_parts(kind, _NEVER)
            async for _ in stash.scenes_of(kind, 1):
                break
        await stash.entries_hashed("0" * 16)
        await stash.entries_known_as("none")
        await stash.scenes_of_file("none", ["/none"])
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
    """Say whether a cover can be fetched."""
    code = "pictures"
    if not scenes:
        return Finding(code, "ok", "Stash has no scenes yet, so no pictures")
    scene_id = scenes[-1].id
    try:
        scene = (await stash.scenes([scene_id]))[scene_id]
        if not isinstance(scene, Scene) or not scene.screenshot:
            return Finding(code, "ok", f"scene {scene_id} has no cover to try")
        answer = await stash.picture(scene.screenshot)
    except Stash2PlexError as error:
        fix = "look at Stash's log; covers need the same stash.api_key"
        return Finding(code, "warn", f"cover of scene {scene_id}: {error}", fix)
    if answer.data is None:
        message = f"Stash has no cover of scene {scene_id} but a placeholder"
        return Finding(code, "ok", message)
    message = f"the cover of scene {scene_id} arrives, {len(answer.data):,} bytes"
    return Finding(code, "ok", message)
