"""Which item a scene owns, and how the catalogue is kept."""

from __future__ import annotations

import asyncio

import pytest

from stash2plex.catalog.catalog import Catalog
from stash2plex.catalog.matching import Confidence
from stash2plex.config import MatchSettings, PathRule
from stash2plex.errors import (
    AmbiguousMatch,
    Braked,
    CatalogIncomplete,
    ItemNotFound,
    ServiceUnavailable,
    StaleCatalog,
    UnmappedPath,
)
from stash2plex.scene import SceneEntry, SceneFile
from tests.patience import patient

RULE = PathRule(name="r", stash="^/data/(?P<x>.+)$", plex="^/media/(?P<x>.+)$")


async def nobody_minds(_): ...


def make(
    database, stash_client, plex_library, rules=(RULE,), on_complete=None, **match
):
    async def complete():
        if on_complete:
            on_complete.set()

    return Catalog(
        database,
        stash_client,
        plex_library,
        match=MatchSettings(**match),
        rules=rules,
        identifier="tv.plex.agents.custom.test",
        on_complete=complete,
        on_moved=nobody_minds,
    )


@pytest.fixture
async def catalog(database, stash_client, plex_library):
    return make(database, stash_client, plex_library)


async def match(catalog, scene):
    entry = SceneEntry(
        id=scene.id,
        files=tuple(
            SceneFile(path=path, size=size or None) for path, size in scene.files
        ),
    )
    return (await catalog.match([entry]))[scene.id]


def keys(answer):
    return [one.rating_key for one in answer]


async def test_by_mapped_path_of_every_file(catalog, stash, plex):
    scene = stash.add("/data/a.mp4", "/data/b.mp4")
    plex.add("/media/a.mp4")
    plex.add("/media/b.mp4")
    plex.add("/other/a.mp4")
    await catalog.refresh()

    answer = await match(catalog, scene)

    assert keys(answer) == [1, 2]
    assert {one.confidence for one in answer} == {Confidence.HIGH}
    assert answer[0].file == "/media/a.mp4"


@pytest.mark.parametrize(
    ("size", "confidence"), [(1000, Confidence.HIGH), (0, Confidence.LOW)]
)
async def test_by_name_when_no_path_matches(catalog, stash, plex, size, confidence):
    scene = stash.add("/elsewhere/A.mp4", size=size)
    plex.add("/media/sub/a.mp4", size=1000)
    await catalog.refresh()

    (found,) = await match(catalog, scene)

    assert (found.rating_key, found.confidence) == (1, confidence)


async def test_sizes_that_differ_speak_against_it(catalog, stash, plex):
    scene = stash.add("/elsewhere/a.mp4", size=1)
    plex.add("/media/a.mp4", size=2)
    await catalog.refresh()

    assert isinstance(await match(catalog, scene), UnmappedPath)


async def test_a_name_is_not_taken_from_the_scene_that_has_it_by_path(
    catalog, stash, plex
):
    stash.add("/data/a.mp4")
    scene = stash.add("/data/copy/a.mp4")
    plex.add("/media/a.mp4")
    await catalog.refresh()

    assert isinstance(await match(catalog, scene), ItemNotFound)


async def test_several_candidates_are_ambiguous(
    database, stash_client, plex_library, stash, plex
):
    scene = stash.add("/elsewhere/a.mp4")
    plex.add("/media/1/a.mp4")
    plex.add("/media/2/a.mp4")
    strict = make(database, stash_client, plex_library)
    await strict.refresh()

    answer = await match(strict, scene)
    assert isinstance(answer, AmbiguousMatch)
    assert "items 1, 2" in str(answer)

    lax = make(database, stash_client, plex_library, strict=False)
    await lax.load()
    assert keys(await match(lax, scene)) == [1]


async def test_a_name_two_scenes_share_is_ambiguous(
    database, stash_client, plex_library, stash, plex
):
    first = stash.add("/x/a.mp4")
    second = stash.add("/y/a.mp4")
    plex.add("/media/a.mp4")
    strict = make(database, stash_client, plex_library)
    await strict.refresh()
    for scene in (first, second):
        assert isinstance(await match(strict, scene), AmbiguousMatch)

    lax = make(database, stash_client, plex_library, strict=False)
    await lax.load()
    assert keys(await match(lax, first)) == [1]
    assert isinstance(await match(lax, second), AmbiguousMatch)


async def test_an_item_two_scenes_claim(
    database, stash_client, plex_library, stash, plex
):
    first, second = stash.add("/data/a.mp4"), stash.add("/data/b.mp4")
    plex.add("/media/a.mp4", "/media/b.mp4")
    own = plex.add("/media/a.mp4")
    strict = make(database, stash_client, plex_library)
    await strict.refresh()

    assert keys(await match(strict, first)) == [own.rating_key]
    answer = await match(strict, second)
    assert isinstance(answer, AmbiguousMatch)
    assert "also belongs to scene 1" in str(answer)

    lax = make(database, stash_client, plex_library, strict=False)
    await lax.load()
    assert keys(await match(lax, first)) == [1, 2]
    assert isinstance(await match(lax, second), AmbiguousMatch)


async def test_one_ambiguous_file_does_not_hide_another(catalog, stash, plex):
    scene = stash.add("/x/a.mp4", "/x/b.mp4")
    plex.add("/media/1/a.mp4")
    plex.add("/media/2/a.mp4")
    plex.add("/media/b.mp4")
    await catalog.refresh()

    assert keys(await match(catalog, scene)) == [3]


async def test_without_fallback_only_paths_count(
    database, stash_client, plex_library, stash, plex
):
    scene = stash.add("/elsewhere/a.mp4")
    plex.add("/media/a.mp4")
    catalog = make(database, stash_client, plex_library, fallback="none")
    await catalog.refresh()

    assert isinstance(await match(catalog, scene), UnmappedPath)


async def test_before_the_listing_plex_is_asked_for_the_file(catalog, stash, plex):
    scene = stash.add("/data/a, b.mp4", title="T")
    plex.add("/media/a, b.mp4")
    other = stash.add("/data/none.mp4")

    answer = await match(catalog, scene)
    assert keys(answer) == [1]
    assert isinstance(await match(catalog, other), CatalogIncomplete)


async def test_before_the_listing_a_name_alone_is_not_trusted(catalog, stash, plex):
    scene = stash.add("/elsewhere/a.mp4")
    plex.add("/media/a.mp4")

    assert isinstance(await match(catalog, scene), CatalogIncomplete)


async def test_before_the_listing_stash_is_asked_who_else_claims(catalog, stash, plex):
    stash.add("/data/b.mp4", scene_id=1)
    scene = stash.add("/data/a.mp4", scene_id=2)
    plex.add("/media/a.mp4", "/media/b.mp4")

    assert isinstance(await match(catalog, scene), AmbiguousMatch)


async def test_news_is_read_when_a_scene_is_missing(catalog, stash, plex):
    plex.add("/media/old.mp4")
    await catalog.refresh()
    scene = stash.add("/data/new.mp4")
    plex.add("/media/new.mp4")
    before = plex.count()

    assert keys(await match(catalog, scene)) == [2]
    asked = plex.count() - before
    assert asked == 3  # the libraries, what changed, what was added

    other = stash.add("/data/never.mp4")
    assert isinstance(await match(catalog, other), ItemNotFound)
    assert plex.count() - before == asked  # not again so soon


async def test_what_left_the_libraries_leaves_the_catalogue(catalog, stash, plex):
    for number in range(3):
        stash.add(f"/data/{number}.mp4")
        plex.add(f"/media/{number}.mp4")
    await catalog.refresh()
    assert await catalog.store.counts() == (3, 3)

    stash.remove(2)
    plex.remove(2)
    await catalog.refresh()

    assert await catalog.store.counts() == (2, 2)


async def test_a_failing_server_erases_nothing(catalog, stash, plex):
    for number in range(3):
        stash.add(f"/data/{number}.mp4")
        plex.add(f"/media/{number}.mp4")
    await catalog.refresh()
    for fault in ("plex", "stash"):
        plex.read_status_of = (
            {"/library/sections/1/all": 503} if fault == "plex" else {}
        )
        stash.status = 503 if fault == "stash" else None
        with pytest.raises(ServiceUnavailable):
            await catalog.refresh()

    assert await catalog.store.counts() == (3, 3)


async def test_a_library_that_is_gone_takes_its_items(catalog, stash, plex):
    plex.sections[2] = "More"
    plex.add("/media/a.mp4", section=2)
    await catalog.refresh()
    assert (await catalog.store.counts())[1] == 1

    del plex.sections[2]
    with pytest.raises(Braked):
        await catalog.refresh()
    assert (await catalog.store.counts())[1] == 1
    await catalog.refresh(force=True)

    assert (await catalog.store.counts())[1] == 0


async def test_changed_rules_re_key_without_reading(
    database, stash_client, plex_library, stash, plex
):
    for number in range(1200):
        stash.add(f"/data/{number}.mp4")
    scene = stash.scenes[7]
    plex.add("/films/6.mp4")
    first = make(database, stash_client, plex_library, fallback="none")
    await first.load()
    await first.refresh()
    assert isinstance(await match(first, scene), ItemNotFound)
    before = (plex.count(), sum(stash.operations.values()))

    moved = PathRule(name="r", stash="^/data/(?P<x>.+)$", plex="^/films/(?P<x>.+)$")
    second = make(database, stash_client, plex_library, (moved,), fallback="none")
    await second.load()

    assert keys(await match(second, scene)) == [1]
    assert (plex.count(), sum(stash.operations.values())) == before
    rows = await database.fetch(
        "SELECT count(*) AS n FROM stash_file WHERE key LIKE '/films/%'"
    )
    assert rows[0]["n"] == 1200


async def test_a_server_replaced_while_it_is_listed_leaves_no_mixture(
    catalog, stash, plex
):
    plex.add("/media/a.mp4")
    await catalog.refresh()
    plex.latency = 0.05
    listing = asyncio.create_task(catalog.refresh())
    before = plex.count()
    await plex.facts.until(lambda: plex.count() > before)

    await catalog.note_machine("another")

    with pytest.raises(StaleCatalog):
        await listing
    assert not catalog.plex_complete
    await catalog.refresh()
    assert catalog.plex_complete


async def test_the_first_start_lists_once(catalog, plex):
    plex.add("/media/a.mp4")
    await catalog.refresh()
    await catalog.note_machine(plex.machine)

    assert catalog._requested.is_set()  # from the start; nobody asked again
    assert sum("/all?" in path for _, path in plex.requests) == 1


async def test_the_service_tries_until_it_succeeds(
    database, stash_client, plex_library, stash, plex
):
    completed = asyncio.Event()
    catalog = make(database, stash_client, plex_library, on_complete=completed)
    stash.add("/data/a.mp4")
    stash.status = 503
    task = asyncio.create_task(catalog.run())
    await plex.facts.until(plex.count)
    await stash.facts.until(lambda: stash.asked)
    assert not completed.is_set()

    stash.status = None
    await asyncio.wait_for(completed.wait(), patient(10))
    task.cancel()
    await asyncio.wait([task])

    assert (await catalog.store.counts())[0] == 1
