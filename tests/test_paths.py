"""PathMap: there and back, every refusal, every spelling."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stash2plex.config import PathRule
from stash2plex.paths import Mapped, PathMap, RuleError, Unmapped, normal

ARCHIVE = PathRule(
    name="archive",
    stash=r"^/data/archive/(?P<year>\d{4})/(?P<rest>.+)$",
    plex=r"^/media/by-year/(?P<rest>.+)\.d/(?P<year>\d{4})$",
)
DATA = PathRule(
    name="data", stash="^/data/(?P<rest>.+)$", plex="^/media/all/(?P<rest>.+)$"
)
WINDOWS = PathRule(
    name="windows",
    stash=r"^D:\\Video\\(?P<rest>.+)$",
    plex="^/mnt/video/(?P<rest>.+)$",
    ignore_case=True,
)
TEMPLATED = PathRule(
    name="templated",
    stash=r"^/(?:pool|tank)/(?P<rest>.+?)(?:\.copy)?$",
    stash_template="/pool/{rest}",
    plex="^/plex/(?P<rest>.+)$",
)
EVERY = (ARCHIVE, WINDOWS, TEMPLATED, DATA)

parts = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="/\\"), min_size=1
)
rests = st.lists(parts, min_size=1, max_size=4).map("/".join)


@given(rests)
def test_whatever_maps_there_maps_back(rest):
    paths = PathMap(EVERY)
    for root in ("/data/archive/2020", "/data", "D:\\video", "/pool", "/tank"):
        path = f"{root}/{rest}"
        mapped = paths.to_plex(path)
        if isinstance(mapped, Mapped):
            back = paths.to_stash(mapped.path)
            assert isinstance(back, Mapped)
            assert back.path.casefold() == normal(path).casefold()
            assert back.rule == mapped.rule
            assert paths.key_of_stash(path) == paths.key_of_plex(mapped.path)


@given(rests)
def test_whatever_maps_from_plex_maps_back(rest):
    paths = PathMap(EVERY)
    for path in (
        f"/media/by-year/{rest}.d/1999",
        f"/media/all/{rest}",
        f"/mnt/video/{rest}",
        f"/plex/{rest}",
    ):
        mapped = paths.to_stash(path)
        if isinstance(mapped, Mapped):
            back = paths.to_plex(mapped.path)
            assert isinstance(back, Mapped)
            assert back.path == normal(path)


@given(st.text(max_size=60))
def test_no_path_at_all_breaks_it(path):
    paths = PathMap(EVERY)

    assert paths.to_plex(path)
    assert paths.to_stash(path)
    assert paths.key_of_plex(path) is not None


def test_the_contract_example():
    paths = PathMap([ARCHIVE])

    assert paths.to_plex("/data/archive/2020/a b [1] 'x'.mp4") == Mapped(
        "/media/by-year/a b [1] 'x'.mp4.d/2020", "archive"
    )
    assert paths.to_stash("/media/by-year/x.d/1999") == Mapped(
        "/data/archive/1999/x", "archive"
    )


def test_without_rules_both_sides_see_the_same_path():
    paths = PathMap()

    assert not paths.has_rules
    assert paths.to_plex("/a\\b.mp4") == Mapped("/a/b.mp4", "")
    assert paths.key_of_stash("/a/b.mp4") == "/a/b.mp4"


def test_the_first_rule_that_matches_wins():
    assert PathMap([ARCHIVE, DATA]).to_plex("/data/archive/2020/x") == Mapped(
        "/media/by-year/x.d/2020", "archive"
    )
    assert PathMap([ARCHIVE, DATA]).to_plex("/data/other/x") == Mapped(
        "/media/all/other/x", "data"
    )


def test_a_path_that_would_come_back_as_another_is_not_mapped():
    shadowing = PathRule(
        name="all", stash="^/data/(?P<rest>.+)$", plex="^/media/(?P<rest>.+)$"
    )
    shadowed = PathRule(
        name="old", stash="^/old/(?P<rest>.+)$", plex="^/media/old/(?P<rest>.+)$"
    )

    wrong, right = PathMap([shadowing, shadowed]), PathMap([shadowed, shadowing])

    answer = wrong.to_plex("/old/x.mp4")
    assert isinstance(answer, Unmapped)
    assert "'/data/old/x.mp4'" in answer.reason
    assert "more specific rule first" in answer.reason
    assert right.to_plex("/old/x.mp4") == Mapped("/media/old/x.mp4", "old")
    assert isinstance(right.to_plex("/data/old/x.mp4"), Unmapped)


def test_a_rule_that_no_rule_maps_back_says_so():
    one_way = PathRule(
        name="one-way",
        stash="^/a/(?P<r>.+)$",
        plex="^/b/(?P<r>.+)$",
        plex_template="/c/{r}",
    )

    answer = PathMap([one_way]).to_plex("/a/x")

    assert isinstance(answer, Unmapped)
    assert "no rule maps that back" in answer.reason


def test_a_group_that_took_no_part_cannot_be_written():
    optional = PathRule(
        name="opt",
        stash="^/a/(?P<x>q)?(?P<r>.+)$",
        stash_template="/a/{x}{r}",
        plex="^/b/(?P<x>q)/(?P<r>.+)$",
    )

    answer = PathMap([optional]).to_plex("/a/zzz")

    assert isinstance(answer, Unmapped)
    assert "cannot write it" in answer.reason


def test_windows_paths_ignore_slashes_and_case():
    paths = PathMap([WINDOWS])

    assert paths.to_plex("d:\\VIDEO\\Sub\\A.mp4") == Mapped(
        "/mnt/video/Sub/A.mp4", "windows"
    )
    assert paths.key_of_stash("D:/video/sub/a.MP4") == paths.key_of_plex(
        "/mnt/video/Sub/A.mp4"
    )
    assert PathMap([DATA]).key_of_plex("/media/all/A") != PathMap([DATA]).key_of_plex(
        "/media/all/a"
    )


def test_nfd_and_nfc_are_one_path():
    composed, decomposed = "/data/caf\u00e9.mp4", "/data/cafe\u0301.mp4"
    paths = PathMap([DATA])

    assert unicodedata.normalize("NFD", composed) == decomposed
    assert paths.key_of_stash(decomposed) == paths.key_of_plex(
        "/media/all/caf\u00e9.mp4"
    )


def test_a_newline_in_a_name_is_no_end():
    assert PathMap([DATA]).to_plex("/data/a\nb.mp4") == Mapped(
        "/media/all/a\nb.mp4", "data"
    )


@pytest.mark.parametrize(
    ("stash", "plex", "more", "reason"),
    [
        ("^/a(", "/b", {}, "stash is not a regular expression"),
        ("/a", "^/b[", {}, "plex is not a regular expression"),
        (r"D:\media\(?P<q>.+)", "/b/(?P<q>.+)", {}, "write a path's backslash as /"),
        ("/a/(?P<q>.+)", "/b/(?P<r>.+)", {}, "stash has q, plex has r"),
        ("/a/(?P<q>.+)", "/b/.+", {}, "plex has none"),
        ("/a/.*(?P<q>.+)", "/b/(?P<q>.+)", {}, "add stash_template"),
        ("/a/(?P<q>.+)", "/b/(?P<q>.+)?", {}, "add plex_template"),
        (r"/a\d/(?P<q>.+)", "/b/(?P<q>.+)", {}, "add stash_template"),
        ("/a+/(?P<q>.+)", "/b/(?P<q>.+)", {}, "add stash_template"),
        (
            "/a/(?P<q>.+)",
            "/b/(?P<q>.+)",
            {"plex_template": "/b/{z}"},
            "names the group 'z'",
        ),
        (
            "/a/(?P<q>.+)",
            "/b/(?P<q>.+)",
            {"plex_template": "/b/{q!r}"},
            "names the group",
        ),
        ("/a/(?P<q>.+)", "/b/(?P<q>.+)", {"plex_template": "/b/{q"}, "is malformed"),
        (
            "/a/(?P<q>.+)",
            "/b/(?P<q>.+)",
            {"example": ("/a/1", "/b/2")},
            "maps to '/b/1' (by rule 'r'), not to '/b/2'",
        ),
        (
            "/a/(?P<q>.+)",
            "/b/(?P<q>.+)",
            {"example": ("/c/1", "/b/1")},
            "no path rule matches",
        ),
        (
            "/a/(?P<q>.+)",
            "/b/(?P<q>.+)",
            {"example": ("/a/1", "/x/1"), "plex_template": "/b/{q}"},
            "'r'",
        ),
    ],
)
def test_a_rule_that_cannot_work_is_refused_by_name(stash, plex, more, reason):
    rule = PathRule(name="r", stash=stash, plex=plex, **more)

    with pytest.raises(RuleError) as raised:
        PathMap([rule])

    assert "'r'" in str(raised.value)
    assert reason in str(raised.value)


def test_an_example_that_holds_is_fine():
    rule = ARCHIVE.model_copy(
        update={"example": ("/data/archive/2020/x", "/media/by-year/x.d/2020")}
    )

    assert PathMap([rule]).has_rules


def test_an_example_caught_by_an_earlier_rule_is_refused():
    late = PathRule(
        name="late",
        stash="^/data/late/(?P<rest>.+)$",
        plex="^/late/(?P<rest>.+)$",
        example=("/data/late/x", "/late/x"),
    )

    with pytest.raises(RuleError, match="by rule 'data'"):
        PathMap([DATA, late])


@pytest.mark.parametrize(
    "source",
    [
        r"^/a\.b/(?P<r>[^/\]]+)$",
        r"/a b/(?P<r>[]x]+)",
        r"/a/(?P<r>(?:x|\(y)+)",
        r"/\[a\]/(?P<r>[^]]+)\$",
    ],
)
def test_literals_and_groups_can_be_written(source):
    rule = PathRule(name="r", stash=source, plex="^/p/(?P<r>.+)$")

    answer = PathMap([rule]).to_stash("/p/x")

    assert isinstance(answer, Mapped)


def test_a_template_may_end_in_plain_text():
    rule = PathRule(
        name="r",
        stash=r"^/a/(?P<x>\w+)\.(?:mp4|mkv)$",
        stash_template="/a/{x}.mp4",
        plex=r"^/b/(?P<x>\w+)$",
    )
    paths = PathMap([rule])

    assert paths.to_stash("/b/one") == Mapped("/a/one.mp4", "r")
    assert isinstance(paths.to_plex("/a/one.mkv"), Unmapped)
