"""Whatever changes in a real Stash reaches Plex: by a hook, a poll, or a comparison."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from stash2plex.plugin import HTTP_HOOKS, IN_PROCESS_HOOKS, TASKS
from stash2plex.sandbox.scenes import cover
from tests.stash_real.server import RealStash, make_video
from tests.stash_real.world import World, make_videos, world

# Scenes as if nobody had changed them for days, in the zone of their Stash.
DAYS_AGO = "2026-02-01T10:00:00{}"
ZONES = {"Asia/Tokyo": "+09:00", "America/Los_Angeles": "-08:00"}


class Seen(World):
    """A world with the videos that the events are about, and the scenes of them."""

    paths: list[Path]
    ids: dict[str, int]
    names: dict[str, str]

    def take(self) -> tuple[Path, int]:
        """Return a video that no event had yet, and its scene."""
        path = self.paths.pop()
        return path, self.ids[str(path)]

    def shows(self, path: Path, **texts: str) -> Callable[[], bool]:
        item = self.item(path)
        return lambda: all(item.text.get(k) == v for k, v in texts.items())

    def tagged(self, path: Path, kind: str, *names: str) -> Callable[[], bool]:
        item = self.item(path)
        return lambda: set(names) <= set(map(str, item.tags.get(kind, [])))

    def untagged(self, path: Path, kind: str, name: str) -> Callable[[], bool]:
        item = self.item(path)
        return lambda: name not in map(str, item.tags.get(kind, []))


@dataclass(frozen=True)
class Event:
    """Something that somebody does in Stash; returns what must be true of Plex then.

    *hooked* if a hook tells of it, *polled* if the times of changes do; what neither
    does is found by a comparison.
    """

    do: Callable[[Seen], Awaitable[Callable[[], bool]]]
    hooked: bool
    polled: bool


EVENTS: dict[str, Event] = {}


def event(*, hooked: bool, polled: bool) -> Callable[..., None]:
    def registered(do: Callable[[Seen], Awaitable[Callable[[], bool]]]) -> None:
        EVENTS[do.__name__] = Event(do, hooked, polled)

    return registered


@event(hooked=True, polled=True)
async def a_scene_is_edited(w):
    path, scene = w.take()
    await w.stash.update(scene, title="Edited", details="Words", date="2020-05-06")
    return w.shows(path, title="Edited", summary="Words", studio="Studio 1")


@event(hooked=True, polled=True)
async def a_scene_is_rated(w):
    path, scene = w.take()
    await w.stash.update(scene, rating100=80)
    item = w.item(path)
    return lambda: float(item.text.get("userRating") or 0) == 8.0


@event(hooked=True, polled=True)
async def a_cover_is_uploaded(w):
    path, scene = w.take()
    data = base64.b64encode(cover(7)).decode()
    await w.stash.update(scene, cover_image=f"data:image/jpeg;base64,{data}")
    item = w.item(path)
    return lambda: item.picture("art") == cover(7)


@event(hooked=True, polled=True)
async def scenes_are_updated_as_a_list(w):
    path, scene = w.take()
    await w.stash.ask(
        "mutation U($i: [SceneUpdateInput!]!) { scenesUpdate(input: $i) { id } }",
        i=[{"id": str(scene), "title": "Of a list"}],
    )
    return w.shows(path, title="Of a list")


@event(hooked=True, polled=True)
async def scenes_are_edited_in_bulk(w):
    (one, first), (other, second) = w.take(), w.take()
    await w.stash.ask(
        "mutation U($i: BulkSceneUpdateInput!) { bulkSceneUpdate(input: $i) { id } }",
        i={
            "ids": [str(first), str(second)],
            "tag_ids": {"ids": [w.names["Tag"]], "mode": "ADD"},
        },
    )
    checks = w.tagged(one, "genre", "Tag"), w.tagged(other, "genre", "Tag")
    return lambda: all(check() for check in checks)


@event(hooked=False, polled=True)
async def scenes_are_tagged_automatically(w):
    path, _ = w.take()
    await w.stash.create("performer", path.stem)
    await w.stash.job(
        "mutation A($i: AutoTagMetadataInput!) { metadataAutoTag(input: $i) }",
        i={"performers": ["*"]},
    )
    return w.tagged(path, "actor", path.stem)


@event(hooked=False, polled=True)
async def a_cover_is_made_from_the_current_time(w):
    path, scene = w.take()
    before = w.item(path).picture("art")
    await w.stash.ask(
        "mutation M($id: ID!) { sceneGenerateScreenshot(id: $id, at: 0.7) }",
        id=str(scene),
    )
    item = w.item(path)
    return lambda: item.picture("art") not in {None, before}


@event(hooked=True, polled=True)
async def a_new_video_is_scanned(w):
    path = await make_video(w.stash.media / "new.mp4", 900)
    w.show(path)
    await w.stash.scan()
    scene = (await w.stash.scenes())[str(path)]
    await w.stash.update(scene, title="New", details="x")
    return w.shows(path, title="New")


@event(hooked=True, polled=True)
async def a_copy_of_a_video_is_scanned(w):
    path, scene = w.take()
    copy = path.with_name(f"copy of {path.name}")
    shutil.copy(path, copy)
    w.show(copy)
    await w.stash.scan()
    assert (await w.stash.scenes())[str(copy)] == scene
    return w.shows(copy, title=f"Title {scene}")


@event(hooked=True, polled=True)
async def a_video_is_moved(w):
    path, scene = w.take()
    moved = w.stash.media / "moved" / path.name
    moved.parent.mkdir(exist_ok=True)
    path.rename(moved)
    await w.stash.scan()
    assert (await w.stash.scenes())[str(moved)] == scene
    w.show(moved)
    return w.shows(moved, title=f"Title {scene}")


@event(hooked=False, polled=True)
async def a_folder_is_renamed(w):
    path, scene = w.take()
    folder = w.stash.media / "folder"
    folder.mkdir()
    path.rename(folder / path.name)
    await w.stash.scan()
    renamed = folder.rename(w.stash.media / "renamed") / path.name
    await w.stash.scan()
    assert (await w.stash.scenes())[str(renamed)] == scene
    w.show(renamed)
    return w.shows(renamed, title=f"Title {scene}")


@event(hooked=False, polled=True)
async def scenes_are_merged(w):
    (_, kept), (path, gone) = w.take(), w.take()
    await w.stash.ask(
        "mutation M($i: SceneMergeInput!) { sceneMerge(input: $i) { id } }",
        i={"source": [str(gone)], "destination": str(kept)},
    )
    return w.shows(path, title=f"Title {kept}")


@event(hooked=True, polled=True)
async def a_scene_is_destroyed_and_scanned_anew(w):
    path, scene = w.take()
    await w.stash.ask(
        "mutation D($i: SceneDestroyInput!) { sceneDestroy(input: $i) }",
        i={"id": str(scene), "delete_file": False},
    )
    await w.stash.scan()
    again = (await w.stash.scenes())[str(path)]
    assert again != scene
    await w.stash.update(again, title="Anew", details="x")
    return w.shows(path, title="Anew")


@event(hooked=False, polled=True)
async def a_file_is_assigned_to_another_scene(w):
    (path, scene), (_, kept) = w.take(), w.take()
    copy = path.with_name(f"second of {path.name}")
    shutil.copy(path, copy)
    w.show(copy)
    await w.stash.scan()
    await w.until(w.shows(copy, title=f"Title {scene}"))
    found = await w.stash.ask(
        "query F($id: ID!) { findScene(id: $id) { files { id path } } }", id=str(scene)
    )
    (file,) = (f for f in found["findScene"]["files"] if f["path"] == str(copy))
    await w.stash.ask(
        "mutation A($i: AssignSceneFileInput!) { sceneAssignFile(input: $i) }",
        i={"scene_id": str(kept), "file_id": file["id"]},
    )
    return w.shows(copy, title=f"Title {kept}")


async def renamed(w, kind, shown, **given):
    """Give a scene a part of some *kind*, and the part another name."""
    path, scene = w.take()
    key = await w.stash.create(kind, "Before")
    await w.stash.update(scene, **{name: of(key) for name, of in given.items()})
    assert await w.until(shown(path, "Before"))
    name = kind.capitalize()
    await w.stash.ask(
        f"mutation U($i: {name}UpdateInput!) {{ {kind}Update(input: $i) {{ id }} }}",
        i={"id": key, "name": "After"},
    )
    return shown(path, "After")


@event(hooked=True, polled=True)
async def a_performer_is_renamed(w):
    def shown(path, name):
        return w.tagged(path, "actor", name)

    return await renamed(w, "performer", shown, performer_ids=lambda key: [key])


@event(hooked=True, polled=True)
async def a_studio_is_renamed(w):
    def shown(path, name):
        return w.shows(path, studio=name)

    return await renamed(w, "studio", shown, studio_id=lambda key: key)


@event(hooked=True, polled=True)
async def a_tag_is_renamed(w):
    def shown(path, name):
        return w.tagged(path, "genre", name)

    return await renamed(w, "tag", shown, tag_ids=lambda key: [key])


@event(hooked=True, polled=True)
async def a_group_is_renamed(w):
    kind = "group" if await w.stash.has("Scene", "groups") else "movie"

    def shown(path, name):
        return w.tagged(path, "collection", name)

    given = {f"{kind}s": lambda key: [{f"{kind}_id": key}]}
    return await renamed(w, kind, shown, **given)


@event(hooked=True, polled=True)
async def a_tag_is_destroyed(w):
    path, scene = w.take()
    key = await w.stash.create("tag", "Doomed")
    await w.stash.update(scene, tag_ids=[key, w.names["Tag"]])
    await w.until(w.tagged(path, "genre", "Doomed"))
    await w.stash.ask(
        "mutation D($i: TagDestroyInput!) { tagDestroy(input: $i) }", i={"id": key}
    )
    return w.untagged(path, "genre", "Doomed")


async def destroyed(w, kind, shown, gone, **given):
    """Give a scene a part of some *kind*, and delete that."""
    path, scene = w.take()
    key = await w.stash.create(kind, "Doomed")
    await w.stash.update(scene, **{name: of(key) for name, of in given.items()})
    assert await w.until(shown(path))
    name = kind.capitalize()
    await w.stash.ask(
        f"mutation D($i: {name}DestroyInput!) {{ {kind}Destroy(input: $i) }}",
        i={"id": key},
    )
    return gone(path)


@event(hooked=True, polled=True)
async def a_performer_is_destroyed(w):
    return await destroyed(
        w,
        "performer",
        lambda path: w.tagged(path, "actor", "Doomed"),
        lambda path: w.untagged(path, "actor", "Doomed"),
        performer_ids=lambda key: [key],
    )


@event(hooked=True, polled=True)
async def a_studio_is_destroyed(w):
    def gone(path):
        item = w.item(path)
        return lambda: not item.text.get("studio")

    return await destroyed(
        w,
        "studio",
        lambda path: w.shows(path, studio="Doomed"),
        gone,
        studio_id=lambda key: key,
        details=lambda _: "Words",
    )


@event(hooked=True, polled=True)
async def a_group_is_destroyed(w):
    kind = "group" if await w.stash.has("Scene", "groups") else "movie"
    return await destroyed(
        w,
        kind,
        lambda path: w.tagged(path, "collection", "Doomed"),
        lambda path: w.untagged(path, "collection", "Doomed"),
        **{f"{kind}s": lambda key: [{f"{kind}_id": key}]},
    )


# The tag keeps its time of change, and so do its scenes: counts tell.
@event(hooked=True, polled=True)
async def tags_are_merged(w):
    path, scene = w.take()
    key = await w.stash.create("tag", "Merged away")
    other = await w.stash.create("tag", "Merged into")
    await w.stash.update(scene, tag_ids=[key])
    await w.until(w.tagged(path, "genre", "Merged away"))
    await w.stash.ask(
        "mutation M($i: TagsMergeInput!) { tagsMerge(input: $i) { id } }",
        i={"source": [key], "destination": other},
    )
    return w.tagged(path, "genre", "Merged into")


@event(hooked=False, polled=True)
async def performers_are_merged(w):
    path, scene = w.take()
    if not await w.stash.has("Mutation", "performerMerge"):
        return lambda: True
    key = await w.stash.create("performer", "Merged away")
    other = await w.stash.create("performer", "Merged into")
    await w.stash.update(scene, performer_ids=[key])
    await w.until(w.tagged(path, "actor", "Merged away"))
    await w.stash.ask(
        "mutation M($i: PerformerMergeInput!) { performerMerge(input: $i) { id } }",
        i={"source": [key], "destination": other},
    )
    return w.tagged(path, "actor", "Merged into")


@event(hooked=False, polled=True)
async def a_file_is_moved_by_stash(w):
    path, scene = w.take()
    found = await w.stash.ask(
        "query F($id: ID!) { findScene(id: $id) { files { id } } }", id=str(scene)
    )
    folder = w.stash.media / "moved by stash"
    folder.mkdir()
    await w.stash.ask(
        "mutation M($i: MoveFilesInput!) { moveFiles(input: $i) }",
        i={
            "ids": [found["findScene"]["files"][0]["id"]],
            "destination_folder": str(folder),
        },
    )
    moved = folder / path.name
    w.show(moved)
    return w.shows(moved, title=f"Title {scene}")


@event(hooked=False, polled=True)
async def one_of_two_files_is_cleaned_away(w):
    path, scene = w.take()
    copy = path.with_name(f"other {path.name}")
    shutil.copy(path, copy)
    await w.stash.scan()
    copy.unlink()
    await w.stash.clean()
    assert str(copy) not in await w.stash.scenes()
    return w.shows(path, title=f"Title {scene}")


@event(hooked=True, polled=True)
async def what_plex_does_not_show_changes_nothing(w):
    path, scene = w.take()
    writes = w.item(path).writes
    before = dict(w.item(path).text)
    tag = w.names["Tag"]
    await w.stash.ask(
        "mutation M($i: SceneMarkerCreateInput!) { sceneMarkerCreate(input: $i) { id } }",
        i={"scene_id": str(scene), "title": "m", "seconds": 0.5, "primary_tag_id": tag},
    )
    await w.stash.ask(
        "mutation O($id: ID!) { sceneIncrementO(id: $id) }", id=str(scene)
    )
    await w.stash.ask(
        "mutation A($id: ID!) { sceneSaveActivity(id: $id, resume_time: 0.5) }",
        id=str(scene),
    )
    await w.stash.update(scene, organized=True)
    await w.stash.scan(scanGeneratePhashes=True)
    await w.compared()
    item = w.item(path)
    return lambda: item.text == before and item.writes == writes


# The last: it makes clean up what others left behind.
@event(hooked=True, polled=True)
async def a_video_is_deleted_and_cleaned(w):
    path, scene = w.take()
    before = dict(w.item(path).text)
    path.unlink()
    await w.stash.clean()
    assert scene not in (await w.stash.scenes()).values()
    item = w.item(path)
    # A scene that is gone never changes Plex.
    return lambda: item.text == before


async def described(stash: RealStash, zone: str) -> dict[str, str]:
    """Scan, describe every scene, and make all of that seem days old."""
    await stash.scan()
    names = {
        "Tag": await stash.create("tag", "Tag"),
        "Studio": await stash.create("studio", "Studio 1"),
    }
    for scene in set((await stash.scenes()).values()):
        await stash.update(scene, title=f"Title {scene}", studio_id=names["Studio"])
    await stash.stop()
    when = DAYS_AGO.format(ZONES[zone])
    stash.change_database(
        *(
            f"UPDATE {table} SET created_at = '{when}', updated_at = '{when}'"
            for table in ("scenes", "files", "tags", "studios")
        )
    )
    await stash.start()
    return names


TOKYO, LOS_ANGELES = ZONES


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("zone", "hooks"),
    [
        (TOKYO, (IN_PROCESS_HOOKS,)),
        (LOS_ANGELES, (IN_PROCESS_HOOKS, HTTP_HOOKS)),
        (TOKYO, ()),
        (LOS_ANGELES, ()),
    ],
    ids=lambda one: one if isinstance(one, str) else f"hooks-{len(one)}",
)
async def test_every_event_reaches_plex(tmp_path, plex, zone, hooks):
    """By hooks alone, with no poll; or by polls alone."""
    stash = RealStash(tmp_path / "stash", zone)
    paths = await make_videos(stash, 40)
    await stash.start()
    try:
        names = await described(stash, zone)
        for path in paths:
            plex.add(str(path), size=path.stat().st_size)
        interval = 0 if hooks else 1
        given = {"stash": {"poll_interval": interval}}
        async with world(stash, plex, tmp_path, **given) as made:
            made.__class__ = Seen
            made.paths, made.names = list(paths), names
            made.ids = await stash.scenes()
            if hooks:
                await made.install_plugins(TASKS, *hooks)
            run = await made.compared()
            assert run["state"] == "done"
            assert await made.until(
                lambda: all(
                    item.text.get("studio") == "Studio 1"
                    for item in plex.items.values()
                ),
                60,
            )
            late, lost = [], []
            for name, one in EVENTS.items():
                check = await one.do(made)
                fast = one.hooked if hooks else one.polled
                if fast and await made.until(check):
                    continue
                if fast:
                    late.append(name)
                # Stash may come to it later itself.
                for _ in range(3):
                    await made.compared()
                    if await made.until(check, 5):
                        break
                else:
                    lost.append(name)
            status = await made.daemon.status()
            assert (lost, late) == ([], [])
            assert status["queue"]["dead"] == 0
            assert status["stash"]["state"] == "up"
    finally:
        await stash.stop()
