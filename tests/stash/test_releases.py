"""Releases of Stash: too old, other than a moment ago, and of the future."""

from __future__ import annotations

import pytest

from stash2plex.errors import AccessDenied, NotWorking, SchemaMismatch
from stash2plex.paths import normal
from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.reconcile.test_reconcile import reconciled
from tests.running import running

QUESTIONS = {
    "scenes": lambda client: client.scenes([1]),
    "entries": lambda client: anext(client.entries()),
    "changed_entries": lambda client: client.changed_entries("2000"),
    "changed_parts": lambda client: client.changed_parts("group", ""),
    "scenes_of": lambda client: anext(client.scenes_of("group", 1)),
    "entries_at": lambda client: client.entries_at("/media/1.mp4"),
    "scenes_of_file": lambda client: client.scenes_of_file("1.mp4"),
    "studios_or_groups": lambda client: client.studios_or_groups(["A group"]),
    "image_url": lambda client: client.image_url("performer", 1),
    "lacks_cover": lambda client: client.lacks_cover(1),
}


def described(stash):
    """Put a scene with everything into *stash*."""
    return stash.add(
        "/media/1.mp4",
        title="Title 1",
        code="C",
        details="Details",
        director="A director",
        date="2020-02-03",
        rating100=80,
        studio="A studio",
        performers=["A performer"],
        tags=["A tag"],
        groups=["A group"],
        stash_ids=["one"],
    )


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    ("before", "after"), [("v0.30.1", "v0.25.1"), ("v0.25.1", "v0.30.1")]
)
async def test_another_release_behind_our_back(
    stash, stash_client, question, before, after
):
    described(stash)
    stash.become(before)
    ask = QUESTIONS[question]
    first = await ask(stash_client)
    stash.become(after)

    assert await ask(stash_client) == first


async def test_what_fits_no_dialect_is_told_plainly(stash, stash_client):
    described(stash)
    await stash_client.probe()
    stash.become("v0.31.0", without=("Scene.files",))
    wanted = (
        r'Stash v0\.31\.0 does not understand our query \(Cannot query field "files" on'
        r' type "Scene".*\); is it older than v0\.25, or newer than we know\?'
    )
    with pytest.raises(SchemaMismatch, match=wanted):
        await stash_client.scenes([1])


async def test_a_field_that_only_the_path_names(stash, stash_client):
    described(stash)
    await stash_client.probe()
    stash.become("v0.31.0", without=("SceneFilterType.created_at",))
    with pytest.raises(SchemaMismatch, match=r"variable\.scenes\.AND\.OR\.created_at"):
        await anext(stash_client.entries(updated_since="2000"))


async def test_one_before_v025_reads_but_is_too_old(stash, stash_client):
    described(stash)
    stash.become("v0.24.3")
    assert (await stash_client.scenes([1]))[1].title == "Title 1"
    with pytest.raises(SchemaMismatch, match=r"Stash v0\.24\.3 is too old; update"):
        stash_client.refuse_if_too_old()


# What may be gone one day, and what of Plex then stays as it is.
GONE = {
    "Scene.director": {"director"},
    "Scene.code": {"tagline"},
    "Scene.details": {"summary"},
    "Scene.date": {"originallyAvailableAt"},
    "Scene.rating100": {"userRating"},
    "Scene.title": {"title"},
    "Scene.studio": {"studio", "collection"},
    "Scene.performers": {"actor"},
    "Scene.tags": {"genre"},
    "Scene.stash_ids": set(),
    "Scene.organized": set(),
    "Scene.created_at": set(),
    "VideoFile.size": set(),
    "VideoFile.duration": set(),
    "ScenePathsType.screenshot": set(),
    "Studio.image_path": set(),
    "Performer.image_path": set(),
    "Query.findGroups": set(),
    "Query.findPerformers": set(),
    "Query.systemStatus": set(),
    "SceneFilterType.is_missing": set(),
    "SceneFilterType.files_filter": set(),
    "SceneFilterType.updated_at": set(),
    "SceneFilterType.path": set(),
    "SceneFilterType.oshash": set(),
    "SceneFilterType.stash_id_endpoint": set(),
    "SceneFilterType.tags": set(),
    "SceneFilterType.groups": set(),
    "StudioFilterType.updated_at": set(),
    "Tag.updated_at": set(),
    "GroupFilterType.name": set(),
}
SHOWN = {
    "title": "Title 1",
    "summary": "Details",
    "studio": "A studio",
    "originallyAvailableAt": "2020-02-03",
    "tagline": "C",
}


@pytest.mark.parametrize("field", GONE)
async def test_a_field_that_is_gone_costs_that_field_alone(
    stash, plex, tmp_path, field
):
    described(stash)
    item = plex.add("/media/1.mp4")
    fields = {"tagline": True, "director": True, "poster": False, "background": False}
    settings = make_settings(
        stash, plex, tmp_path, sync={"fields": fields}, stash={"poll_interval": 1}
    )
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
        written = dict(item.text)
        assert {name: written[name] for name in SHOWN} == SHOWN
        tags = {name: list(names) for name, names in item.tags.items()}

        stash.become("v0.31.0", without=(field,))
        polls = stash.operations["Stash2PlexLook"]
        stash.change(
            1,
            title="Other",
            code="D",
            details="Others",
            director="Another",
            date="2021-02-03",
            studio="Another studio",
            performers=["Another performer"],
            tags=["Another tag"],
        )
        await daemon.deliver(1)
        if field != "SceneFilterType.updated_at":  # polls cannot do without
            await stash.facts.until(
                lambda: stash.operations["Stash2PlexLook"] >= polls + 2
            )
        run = await reconciled(daemon)
        status = await daemon.idle()

        kept = GONE[field]
        assert run["state"] == "done"
        assert status["queue"]["dead"] == 0
        assert status["stash"]["state"] == "up"
        assert (await daemon.get("outages"))["outages"] == []
        for name in SHOWN:
            assert (item.text[name] == written[name]) == (name in kept), name
        for name in ("genre", "actor", "director"):
            shown = [str(one) for one in item.tags[name]]
            before = [str(one) for one in tags[name]]
            assert (shown == before) == (name in kept), name


@pytest.mark.parametrize(
    ("date", "shown"),
    [
        ("2021-02-03T10:20:30Z", "2021-02-03"),
        ("2021-02-03 10:20", "2021-02-03"),
        ("spring 2021", "2020-02-03"),
        ("2021-13-40", "2020-02-03"),
        ("", ""),
    ],
)
async def test_a_date_in_a_form_that_we_do_not_know_is_left_alone(
    daemon, stash, plex, date, shown
):
    sample(stash, plex, 1)
    stash.change(1, date="2020-02-03")
    await daemon.cataloged()
    await daemon.deliver(1)
    stash.change(1, date=date)
    await daemon.deliver(1)
    assert plex.items[1].text.get("originallyAvailableAt", "") == shown


async def test_the_names_of_what_is_missing(stash, stash_client):
    stash.become("v0.31.0", without=("Scene.director", "Query.findGroups"))
    await stash_client.probe()
    assert stash_client.missing == ["Scene.director", "Query.findGroups"]


@pytest.mark.parametrize("release", ["v0.24.3", "v0.25.1", "v0.27.2", "v0.30.1"])
async def test_known_releases_lack_nothing(stash, stash_client, release):
    stash.become(release)
    await stash_client.probe()
    assert stash_client.missing == []


@pytest.mark.parametrize("release", ["v0.27.2", "v0.30.1"])
async def test_more_patterns_than_filters_may_be_nested(stash, stash_client, release):
    """Its database takes some 28 filters within each other."""
    stash.become(release)
    paths = [f"/media/über {number}/a_b.mp4" for number in range(15)]
    stash.add(paths[14], title="The last")
    found = await stash_client.scenes_of_file("other.mp4", paths)
    assert [one.title for one in found] == ["The last"]
    assert [normal(file.path) for file in found[0].files] == [normal(paths[14])]


async def test_a_refused_socket_is_a_refusal(stash, stash_client):
    stash.wants_login = True
    with pytest.raises(AccessDenied, match="Stash now wants a login"):
        await anext(stash_client.scans(lambda: None))


async def test_a_probe_learns_another_release(stash, stash_client):
    """With nothing to deliver nobody else does."""
    assert await stash_client.prove() == "v0.30.1"
    stash.become("v0.31.0", without=("Query.systemStatus",))
    assert await stash_client.prove() == "v0.31.0"
    stash.become("v0.30.1")
    stash.state = "NEEDS_MIGRATION"
    with pytest.raises(NotWorking, match="waits for its database to be migrated"):
        await stash_client.prove()


@pytest.mark.parametrize("state", ["REPAIRING", None, ["OK"]])
async def test_a_state_that_nobody_knows_decides_nothing(
    stash, stash_client, monkeypatch, state
):
    await stash_client.prove()

    async def told(dialect):
        return "v0.30.1", state if isinstance(state, str) else ""

    monkeypatch.setattr(stash_client, "_state", told)
    await stash_client.prove()
    stash.fails_reading = "disk I/O error"
    with pytest.raises(NotWorking, match=r"cannot read its database.*disk I/O error"):
        await stash_client.prove()
