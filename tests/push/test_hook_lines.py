"""Hooks inside Stash: lines of its log, from the real listener to the real delivery."""

from __future__ import annotations

import json
import time

import pytest

from stash2plex.plugin import HTTP_HOOKS, IN_PROCESS_HOOKS, PLUGIN_ID
from stash2plex.sandbox.subscriptions import LOG
from stash2plex.stash.hook_lines import said_in
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.patience import patient
from tests.running import running
from tests.upgrades.recorded import unpack_plugin

LEAD = f"[Plugin / {IN_PROCESS_HOOKS.name}] "
NOTHING = {"stash": {"poll_interval": 0}}
LOOK = "Stash2PlexLook"


def frame_of(*messages: str) -> str:
    """Return a frame as Stash writes it."""
    entries = [{"message": one} for one in messages]
    payload = {"data": {"loggingSubscribe": entries}}
    frame = {"payload": payload, "id": "1", "type": "next"}
    text = json.dumps(frame, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text + "\n"


def line(kind="Scene.Update.Post", number=1, lead=LEAD, **more) -> str:
    said = {"type": kind, "id": number} | more
    return f"{lead}stash2plexd 1 {json.dumps(said)}"


async def heard(stash) -> None:
    """Wait until Stash's log is listened to."""
    await stash.facts.until(lambda: LOG in stash.subscriptions.listening)


async def looked(stash) -> None:
    """Have Stash asked what changed: the first look only notes when it looked."""
    await heard(stash)
    await stash.subscriptions.hang_up(None)
    await stash.facts.until(lambda: stash.operations[LOOK])


async def edited_unheard(daemon, stash, scene) -> None:
    """Edit a scene while nobody can listen."""
    await looked(stash)
    stash.subscriptions.refused = True
    await stash.subscriptions.hang_up(None)
    await daemon.until(lambda status: not status["stash"]["hooks"]["listening"])
    await stash.edit(scene.id, title="Unheard")


# --- what a frame says ----------------------------------------------------------------


def test_lines_are_found_among_all_else():
    title = 'a "b" \\ <c> & 😀 \u2028'
    found = list(
        said_in(
            frame_of(
                "SQL [1ms]: SELECT '" + "x" * 9000 + "'",
                line(fields=[title]),
                "scanning 1 paths",
                line("Scene.Destroy.Post", 2, files={"path": f"/m/{title}.mp4"}),
            ),
            "v0.30.1",
        )
    )

    assert found == [
        {"type": "Scene.Update.Post", "id": 1, "fields": [title]},
        {
            "type": "Scene.Destroy.Post",
            "id": 2,
            "files": {"path": f"/m/{title}.mp4"},
        },
    ]


FORGED = {
    "not at the beginning": "x" + line(),
    "in a value of SQL": f"SQL [1ms]: UPDATE scenes SET title = '{line()}'",
    "a whole entry in a value": f'SQL: \'","message":"{line()}","x":"\'',
    "of another plugin": line(lead="[Plugin / other] "),
    "of a plugin named alike": line(lead=f"[Plugin / {IN_PROCESS_HOOKS.name}x] "),
    "without a lead": line(lead=""),
    "of another version": line().replace("stash2plexd 1", "stash2plexd 2"),
    "no JSON": f"{LEAD}stash2plexd 1 {{type",
    "not an object": f"{LEAD}stash2plexd 1 [1]",
    "deeply nested": f"{LEAD}stash2plexd 1 {'[' * 4000}",
    "nothing": f"{LEAD}stash2plexd 1 ",
    "too long": line(fields=["x" * 8192]),
    "without a name, in a release that has them": line(lead="[Plugin] "),
}


@pytest.mark.parametrize("message", FORGED.values(), ids=FORGED)
def test_what_is_not_ours_is_not_believed(message):
    assert list(said_in(frame_of(message), "v0.26.0")) == []
    assert len(list(said_in(frame_of(message, line(), message), "v0.26.0"))) == 1


@pytest.mark.parametrize("release", ["v0.24.3", "v0.25.1", "0.25.0", None])
def test_old_releases_do_not_name_the_plugin(release):
    assert list(said_in(frame_of(line(lead="[Plugin] ")), release)) == [
        {"type": "Scene.Update.Post", "id": 1}
    ]


@pytest.mark.parametrize("cut", range(0, 130, 7))
def test_a_frame_that_ends_too_soon(cut):
    frame = frame_of(line())
    assert list(said_in(frame[: len(frame) - cut], "v0.30.1")) in (
        [],
        [{"type": "Scene.Update.Post", "id": 1}],
    )


def test_a_frame_that_repeats_our_words_costs_next_to_nothing():
    """Anybody who may edit a scene may write them into its details."""
    frame = frame_of("SQL: " + "stash2plexd 1 " * 1_000_000)
    started = time.perf_counter()
    assert list(said_in(frame)) == []
    assert time.perf_counter() - started < patient(0.5)


def test_a_frame_of_a_listing_costs_next_to_nothing():
    """As Stash traces a page of 500 scenes, 775 kB, with and without a line of ours."""
    traced = ["SQL [61us]: SELECT ".ljust(1550, "x")] * 500
    quiet, busy = frame_of(*traced), frame_of(*traced, line())
    started = time.perf_counter()
    for _ in range(20):
        assert list(said_in(quiet)) == []
        assert len(list(said_in(busy))) == 1
    assert (time.perf_counter() - started) / 40 < patient(0.05)


# --- the whole way ----------------------------------------------------------------------


def following(stash, plex, folder, **sections):
    """Run a daemon that never polls by itself."""
    settings = make_settings(stash, plex, folder, **NOTHING, **sections)
    return running(settings, stash, plex)


@pytest.fixture
def scripted(stash):
    stash.put_plugin(IN_PROCESS_HOOKS.folder)
    return stash


async def test_a_save_reaches_plex_by_a_line_alone(scripted, plex, tmp_path):
    scene, item = sample(scripted, plex)
    async with following(scripted, plex, tmp_path) as d:
        await heard(scripted)
        await scripted.edit(scene.id, title="By a line", tags=["new"])
        await plex.facts.until(lambda: item.text["title"] == "By a line")
        status = await d.until(lambda status: status["stash"]["hooks"]["kinds"])

    hooks = status["stash"]["hooks"]
    assert hooks["kinds"] == ["in-process"]
    assert hooks["listening"]
    assert hooks["faults"] == []
    assert hooks["last_at"]
    assert item.tags["genre"] == ["new"]


async def test_old_releases_too(stash, plex, tmp_path):
    stash.become("v0.25.1")
    stash.put_plugin(IN_PROCESS_HOOKS.folder)
    scene, item = sample(stash, plex)
    async with following(stash, plex, tmp_path):
        await heard(stash)
        await stash.edit(scene.id, title="By a line")
        await plex.facts.until(lambda: item.text["title"] == "By a line")


async def test_a_deleted_scene_is_believed_only_after_stash_was_asked(
    scripted, plex, tmp_path
):
    scene, item = sample(scripted, plex)
    async with following(scripted, plex, tmp_path) as d:
        await d.deliver(scene.id)
        await heard(scripted)
        scripted.log.write("trace", line("Scene.Destroy.Post", scene.id))
        await d.until(lambda status: status["deliveries"]["unchanged"] == 1)
        assert (await d.get("gaps"))["total"] == 0
        assert item.text["title"] == scene.title


async def test_a_bulk_edit_is_taken_as_one(scripted, plex, tmp_path):
    scenes = [sample(scripted, plex, number) for number in range(1, 401)]
    async with following(scripted, plex, tmp_path) as d:
        await d.cataloged()
        await heard(scripted)
        scripted.log.gathered = 0.2
        for scene, _ in scenes:
            await scripted.edit(scene.id, rating100=80)
        await plex.facts.until(
            lambda: all(
                float(one.text.get("userRating") or 0) == 8 for _, one in scenes
            )
        )


async def test_after_each_connection_stash_is_asked_what_changed(
    scripted, plex, tmp_path
):
    """With no polls at all; what was said while nobody listened is found."""
    scene, item = sample(scripted, plex)
    async with following(scripted, plex, tmp_path) as d:
        await edited_unheard(d, scripted, scene)
        scripted.subscriptions.refused = False
        await plex.facts.until(lambda: item.text["title"] == "Unheard")


async def test_no_socket_gets_through(scripted, plex, tmp_path):
    scripted.subscriptions.refused = True
    async with following(scripted, plex, tmp_path) as d:
        status = await d.until(lambda status: status["stash"]["hooks"]["faults"])

    (fault,) = status["stash"]["hooks"]["faults"]
    assert fault["code"] == "stash_socket"
    assert "no WebSocket gets through: HTTP 400" in fault["message"]
    assert "install-plugin --via-stash --hooks http" in fault["fix"]


async def test_a_flood_of_tags_becomes_one_poll(scripted, plex, tmp_path):
    scene, item = sample(scripted, plex)
    tag = scripted.entity("tag", "Old")
    scripted.change(scene.id, tags=["Old"])
    async with following(scripted, plex, tmp_path) as d:
        await d.deliver(scene.id)
        await heard(scripted)
        await d.until(lambda status: status["stash"]["hooks"]["listening"])
        scripted.rename("tag", tag, "New")
        before = scripted.asked
        for number in range(1000, 3000):
            scripted.log.write("trace", line("Tag.Update.Post", number))
        await plex.facts.until(lambda: item.tags["genre"] == ["New"])
        await d.idle()
        assert scripted.asked - before < 150

        # A merge shows in no time of change at all.
        old = scripted.entity("tag", "Old")
        scripted.change(scene.id, tags=["Old"])
        await d.deliver(scene.id)
        scripted.log.write("trace", line("Tag.Update.Post", 999))
        scripted.merge_entities("tag", old, tag)
        await scripted.fire("Tag.Merge.Post", tag, {"source": [str(old)]})
        await plex.facts.until(lambda: item.tags["genre"] == ["New"])

        # What is gone tells no time of change: it is believed where scenes had it.
        scripted.remove_entity("tag", tag)
        for number in range(1000, 1100):
            scripted.log.write("trace", line("Tag.Destroy.Post", number))
        scripted.log.write("trace", line("Tag.Destroy.Post", tag))
        await plex.facts.until(lambda: not item.tags["genre"])


async def test_a_flood_that_goes_on_becomes_few_polls(scripted, plex, tmp_path):
    sample(scripted, plex)
    async with following(scripted, plex, tmp_path) as d:
        await d.cataloged()
        await looked(scripted)
        await heard(scripted)
        before = scripted.operations[LOOK]
        for number in range(400):
            scripted.log.write("trace", line("Tag.Update.Post", 5000 + number))
            scripted.log.write("trace", line("Plugin.Ping.Post", 1))
            if number % 20 == 0:
                await d.status()
        asked = scripted.operations
        assert asked[LOOK] - before <= 2
        assert asked["Stash2PlexPlugins"] < 10


async def test_a_look_that_fails_is_repeated_with_no_polls(
    scripted, plex, tmp_path, monkeypatch
):
    """What was said while nobody listened, of a Stash that could not read then."""
    monkeypatch.setattr("stash2plex.reconcile.changes._AGAIN", 0.1)
    scene, item = sample(scripted, plex)
    async with following(scripted, plex, tmp_path) as d:
        await edited_unheard(d, scripted, scene)
        failed = scripted.failed_questions
        scripted.fails_reading = "database is locked"
        scripted.subscriptions.refused = False
        await scripted.facts.until(lambda: scripted.failed_questions > failed)
        scripted.fails_reading = ""
        await plex.facts.until(lambda: item.text["title"] == "Unheard")


async def test_a_socket_that_breaks_at_once_is_left_alone_longer_each_time(
    scripted, plex, tmp_path
):
    scripted.subscriptions.fault = "no"  # it says so, and completes
    sample(scripted, plex)
    async with following(scripted, plex, tmp_path) as d:
        began = scripted.subscriptions.taken
        await d.cataloged()
        started = time.monotonic()
        await scripted.facts.until(lambda: scripted.subscriptions.taken >= began + 3)
        assert time.monotonic() - started > 2.5  # one second, then two


async def test_a_group_s_save_is_one_change(scripted, plex, tmp_path):
    scene, item = sample(scripted, plex)
    scripted.change(scene.id, groups=["Old"])
    group = scripted.entity("group", "Old")
    fields = {"fields": {"collections": True}}
    async with following(scripted, plex, tmp_path, sync=fields) as d:
        await d.deliver(scene.id)
        await heard(scripted)
        scripted.rename("group", group, "New")
        await scripted.fire("Movie.Update.Post", group, {"id": str(group)}, ["name"])
        answer = await d.hook(group, kind="Movie.Update.Post")
        assert answer["reason"] == "the same is told of its group"
        await scripted.fire("Group.Update.Post", group, {"id": str(group)}, ["name"])
        await plex.facts.until(lambda: "New" in item.tags.get("collection", []))


async def test_movies_are_what_groups_were_called(stash, plex, tmp_path):
    stash.become("v0.26.2")
    settings = make_settings(stash, plex, tmp_path)
    async with running(settings, stash, plex) as d:
        await d.cataloged()
        answer = await d.hook(1, kind="Movie.Update.Post")

    assert answer["outcome"] == "queued"


@pytest.mark.parametrize("other", ["http", "old"])
async def test_both_kinds_of_hooks_cause_one_write(scripted, plex, tmp_path, other):
    """The old plugin has hooks of its own until it is updated."""
    scene, item = sample(scripted, plex)
    old = unpack_plugin("0.1.0", tmp_path)
    scripted.put_plugin(HTTP_HOOKS.folder if other == "http" else old)
    async with following(scripted, plex, tmp_path) as d:
        token = {"daemonUrl": d.url, "daemonToken": "test-token"}
        scripted.plugin_settings[PLUGIN_ID] = token
        await d.deliver(scene.id)
        await heard(scripted)
        before = (await d.status())["deliveries"]["written"]
        await scripted.edit(scene.id, title="Told twice")
        await plex.facts.until(lambda: item.text["title"] == "Told twice")
        status = await d.idle()

    assert status["deliveries"]["written"] == before + 1
    assert status["stash"]["hooks"]["kinds"] == ["in-process", "http"]
    codes = [one["code"] for one in status["stash"]["hooks"]["faults"]]
    assert codes == ["plugin_hooks_twice"]
    assert scripted.plugin_log == []


async def test_nothing_of_the_log_is_kept(scripted, plex, tmp_path, capfd):
    secret = "a value that SQL holds"
    sample(scripted, plex)
    async with following(scripted, plex, tmp_path, log={"level": "debug"}) as d:
        await heard(scripted)
        scripted.log.write("trace", f"SQL: {secret}")
        scripted.log.write("trace", f"{LEAD}stash2plexd 1 {secret}")
        scripted.log.write("trace", line("Scene.Update.Post", 1, odd=secret))
        await d.until(lambda status: status["stash"]["hooks"]["last_at"])
    files = [one for one in tmp_path.rglob("*") if one.is_file()]

    assert files
    assert not any(secret.encode() in one.read_bytes() for one in files)
    assert secret not in "".join(capfd.readouterr())


async def test_what_was_installed_is_seen_once_it_was_tried(stash, plex, tmp_path):
    async with following(stash, plex, tmp_path) as d:
        await d.until(lambda status: status["stash"]["hooks"]["kinds"] == [])
        await heard(stash)
        stash.put_plugin(IN_PROCESS_HOOKS.folder)
        await stash.run_plugin(IN_PROCESS_HOOKS.id, {"nonce": "x"})
        status = await d.until(lambda status: status["stash"]["hooks"]["kinds"])

    assert status["stash"]["hooks"]["faults"] == []
    assert status["stash"]["hooks"]["last_at"] is None


async def test_a_reader_that_is_too_slow_loses_batches_without_a_sign(stash):
    """So the daemon looks by itself, now and then."""
    stash.log.gathered = 0.0
    queue, _ = stash.log.subscribe()
    for number in range(300):
        stash.log.write("trace", f"line {number}")

    assert queue.qsize() == 100
