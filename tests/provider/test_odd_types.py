"""Answers of Stash whose members are of another type than its schema says."""

from __future__ import annotations

import json

import pytest

from tests.end_to_end.test_delivery import sample

ODD = [None, 5, -1.5, True, "text", [], [5], [None], {}, {"a": 1}]
MEMBERS = """title details date rating100 organized code director urls url studio
performers tags groups movies files paths stash_ids updated_at created_at o_counter
scene_markers galleries captions""".split()


@pytest.mark.parametrize("member", MEMBERS)
async def test_wrongly_typed_members_are_answered(daemon, log_lines, member):
    """With the scene or in the provider's form, and no more than one line each."""
    sample(daemon.stash, daemon.plex, 1, tags=["One"], performers=["P"])
    for value in ODD:
        daemon.stash.odd[1] = {member: value}
        log_lines.clear()
        for path in ("scene-1", "scene-1/images"):
            async with daemon.session.get(
                f"{daemon.url}/plex/library/metadata/{path}"
            ) as answer:
                document = json.loads(await answer.text())
            assert answer.status in {200, 404, 500}
            if answer.status == 500:
                assert set(document) == {"code", "message"}
            else:
                assert "MediaContainer" in document
        told = [one for one in log_lines if one["level"] in {"warning", "error"}]
        assert len(told) <= 2, (value, told)
        daemon.stash.odd.clear()
        await daemon.hook(1)
        await daemon.idle()


async def test_a_bug_in_reading_is_answered_and_told_of(daemon, monkeypatch, log_lines):
    async def broken(*_, **__):
        raise TypeError("a bug")

    monkeypatch.setattr("stash2plex.stash.client.StashClient.scenes", broken)
    async with daemon.session.get(
        f"{daemon.url}/plex/library/metadata/scene-1"
    ) as answer:
        assert answer.status == 500
        assert set(await answer.json()) == {"code", "message"}
    (told,) = [one for one in log_lines if "exception" in one]

    assert "TypeError: a bug" in told["exception"]
