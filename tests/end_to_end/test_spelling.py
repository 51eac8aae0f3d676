"""Names that differ in spelling only: case, the German ß, and what nobody sees."""

from __future__ import annotations

import pytest

from tests.conftest import make_settings
from tests.end_to_end.test_delivery import sample
from tests.reconcile.test_reconcile import reconciled
from tests.running import running

LISTS = {
    "performers": ["jane doe"],
    "tags": ["outdoor"],
    "studio": "studio x",
    "groups": ["series y"],
    "director": "someone",
}


async def corrected(daemon, stash, *, by):
    """Correct the case of every name, and have that noticed."""
    for kind in ("performer", "tag", "studio", "group"):
        (key,) = stash.names[kind]
        stash.rename(kind, key, stash.names[kind][key].title())
        if by == "hook":
            await daemon.hook(key, f"{kind.capitalize()}.Update.Post", ["name"])
    stash.scenes[1].director = "Someone"
    if by == "edit":
        await daemon.deliver(1)
    await daemon.until(lambda s: s["deliveries"]["written"] == 2)
    await daemon.idle()


@pytest.mark.parametrize("twice", [True, False])
@pytest.mark.parametrize("replaces", [True, False])
@pytest.mark.parametrize("by", ["hook", "edit", "poll"])
async def test_corrected_case_reaches_lists(stash, plex, tmp_path, by, replaces, twice):
    plex.habits.replaces_tags = replaces
    plex.habits.decodes_removed_twice = twice
    _, item = sample(stash, plex, **LISTS)
    interval = 0.2 if by == "poll" else 0
    settings = make_settings(stash, plex, tmp_path, stash={"poll_interval": interval})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
        await corrected(daemon, stash, by=by)

    assert item.tags == {
        "actor": ["Jane Doe"],
        "genre": ["Outdoor"],
        "director": ["Someone"],
        "collection": ["Studio X", "Series Y"],
    }
    assert item.text["studio"] == "Studio X"


async def test_a_first_spelling_that_plex_keeps_is_left_alone(daemon, stash, plex):
    plex.habits.keeps_first_spelling = True
    _, item = sample(stash, plex, **LISTS)
    await daemon.cataloged()
    await daemon.deliver(1)
    await corrected(daemon, stash, by="edit")
    assert item.tags["actor"] == ["jane doe"]
    assert item.text["studio"] == "Studio X"

    writes = item.writes
    for _ in range(2):
        await daemon.deliver(1)
        run = await reconciled(daemon)
        assert run["gaps"]["drift"] == 0
    assert item.writes == writes
    # Nor is a spelling that other items brought along.
    stash.add("/media/2.mp4", performers=["JANE DOE"], title="Two")
    plex.add("/media/2.mp4")
    stash.names["performer"][2] = "JANE DOE"
    await reconciled(daemon)
    await daemon.deliver(2)
    assert plex.items[2].tags["actor"] == ["jane doe"]
    writes = plex.items[2].writes
    await daemon.deliver(2)
    assert plex.items[2].writes == writes


@pytest.mark.parametrize("name", ["100% real, y", "a+b", "50%2C off"])
@pytest.mark.parametrize("twice", [True, False])
async def test_corrected_case_of_awkward_names(daemon, stash, plex, name, twice):
    """A name with a comma cannot be removed everywhere, so it may stay as it was."""
    plex.habits.decodes_removed_twice = twice
    _, item = sample(stash, plex, tags=[name, "other"])
    await daemon.cataloged()
    await daemon.deliver(1)
    (key, *_) = stash.names["tag"]
    stash.rename("tag", key, name.upper())

    status = await daemon.deliver(1)

    assert status["queue"]["dead"] == 0
    wanted = name if "," in name and not twice else name.upper()
    assert sorted(item.tags["genre"]) == sorted([wanted, "other"])
    writes = item.writes
    await daemon.deliver(1)
    assert item.writes == writes


async def test_another_spelling_by_a_person_is_drift(daemon, stash, plex):
    _, item = sample(stash, plex, **LISTS)
    await daemon.cataloged()
    await daemon.deliver(1)
    item.tags["actor"] = ["JANE DOE"]
    item.updated_at += 100

    run = await reconciled(daemon)
    await daemon.idle()

    assert run["gaps"]["drift"] == 1
    assert item.tags["actor"] == ["jane doe"]


async def test_weiss_is_not_weisz(daemon, stash, plex):
    _, item = sample(stash, plex, performers=["Weiss", "Wei\u00df"], studio="Weiss")
    await daemon.cataloged()
    await daemon.deliver(1)
    assert item.tags["actor"] == ["Weiss", "Wei\u00df"]

    stash.change(1, performers=["Wei\u00df"], studio="Wei\u00df")
    await daemon.deliver(1)

    assert item.tags["actor"] == ["Wei\u00df"]
    assert item.tags["collection"] == ["Wei\u00df"]


async def test_names_that_nobody_sees_are_none(daemon, stash, plex):
    _, item = sample(
        stash,
        plex,
        title="\u200b\ufeff",
        tags=["Blonde", "Blonde\u200b", "\ufeff", "\u3164"],
        studio="\u200b",
    )
    await daemon.cataloged()

    await daemon.deliver(1)

    assert item.text["title"] == "1"  # the name of its file
    assert item.tags["genre"] == ["Blonde"]
    assert "collection" not in item.tags
    assert "studio" not in item.text


async def test_a_persons_spelling_stays_with_respect_locks(stash, plex, tmp_path):
    _, item = sample(stash, plex, performers=["jane doe"])
    settings = make_settings(stash, plex, tmp_path, sync={"respect_locks": True})
    async with running(settings, stash, plex) as daemon:
        await daemon.cataloged()
        await daemon.deliver(1)
        item.tags["actor"] = ["Jane Doe"]
        item.updated_at += 100
        assert (await reconciled(daemon))["gaps"]["drift"] == 0
        stash.change(1, title="Other")
        await daemon.deliver(1)

    assert item.tags["actor"] == ["Jane Doe"]
    assert item.text["title"] == "Other"


async def test_a_kept_spelling_is_remembered_when_the_list_changes(daemon, stash, plex):
    plex.habits.keeps_first_spelling = True
    _, item = sample(stash, plex, performers=["jane doe"])
    await daemon.cataloged()
    await daemon.deliver(1)
    stash.rename("performer", 1, "Jane Doe")
    await daemon.deliver(1)
    stash.change(1, performers=["Jane Doe", "Bob"])
    await daemon.deliver(1)
    assert item.tags["actor"] == ["jane doe", "Bob"]

    writes = item.writes
    await daemon.deliver(1)
    await daemon.deliver(1)

    assert item.writes == writes
