"""Words in place of paths and titles."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stash2plex.words import Words
from tests.patience import patient

WORDS = Words(b"k" * 32, spared={"server.port"})


def test_the_same_segment_is_the_same_word_everywhere():
    path = WORDS.path("/data/My Films/One Night.mp4")
    found = re.fullmatch(r"/(\w+)/(\w+)/(\w+)\.mp4", path)
    assert found
    assert WORDS.path(r"C:\data\x.avi") == rf"C:\{found[1]}\{WORDS.word('x')}.avi"
    assert WORDS.word("One Night") == found[3]
    assert WORDS.word("One Night.mkv") == f"{found[3]}.mkv"
    assert WORDS.word("Café") == WORDS.word("Cafe\u0301")
    assert Words(b"o" * 32).word("data") != found[1]


@pytest.mark.parametrize(
    "text",
    [
        "Plex has no item with the file '/data/Private One/Private.mp4'",
        'no path rule matches "/data/Private\'s/x.mp4"',
        "/data/Private/Private.mp4 ends alike",
        r"maps 'C:\\Private\\x.mp4' to '\\\\nas\\Private\\x.mp4'",
        "Plex's library 'Private' is gone",
        "its title is 'Private (2020) it\\'s'",
        "cannot be written: /srv/Private: No space left on device",
        "(/mnt/Private)",
        "/data/My Films/Private 1.mp4: HTTP 404",
        "it has /data/My Films/A Private Night (2020).mp4 ends alike",
        r"C:\My Private Films\x.mp4 and /data/b Private/c Private.avi",
        "its title is 'Jane.Private'",
        "/data/Jane.Private/x.mp4: HTTP 404",
        "it's at '/data/Private",
        "/data/Jane;Private/x|Private.mp4; it's gone",
        "/data/Jane's Private Films/x.mp4: HTTP 404",
        "see /data/a; /data/Private and '/data/x' or '/data/Private/x",
    ],
)
def test_nothing_private_is_left_in_text(text):
    hidden = WORDS.text(text)

    assert "Private" not in hidden
    assert "nas" not in hidden


@pytest.mark.parametrize(
    "text",
    [
        "HTTP 503 after 3/4 s and 50 % of it",
        "start it with 'stash2plex run'; see 'server.port'",
        "http://127.0.0.1:9999/graphql is no Stash",
        "the scene's title, Plex's and Stash's",
        "",
    ],
)
def test_what_is_not_private_stays(text):
    assert WORDS.text(text) == text


def test_machines_are_private_too():
    hidden = WORDS.text("no daemon at http://nas.example.org:9898/x")

    nas, below = WORDS.word("nas.example.org"), WORDS.word("x")
    assert hidden == f"no daemon at http://{nas}:9898/{below}"
    assert "alice" not in WORDS.text("http://127.0.0.1:9999/alice/graphql?a=alice")


def test_rules_keep_their_shape():
    hidden = WORDS.rule(r"^/data/My Films/(?P<year>\d{4})/(?P<rest>.+)$")

    data, films = WORDS.word("data"), WORDS.word("My Films")
    assert hidden == rf"^/{data}/{films}/(?P<year>\d{{4}})/(?P<rest>.+)$"


def test_fields_by_their_names_and_nested():
    found = WORDS.fields(
        {
            "event": "match_answered",
            "file": "Private/One.mp4",
            "library": "Private",
            "titles": ["Private"],
            "steps": ["name: no free scene has a file 'Private.mp4'"],
            "inner": {"path": "/Private", "count": 3, "none": None},
            "exception": 'Traceback (most recent call last):\n  File "/home/Private/'
            'stash2plex/x.py", line 3, in run\n    read("/code")\n'
            "ValueError: '/data/Private' is wrong",
        }
    )

    assert "Private" not in str(found)
    assert found["event"] == "match_answered"
    assert found["inner"]["count"] == 3
    assert 'File "stash2plex/x.py", line 3, in run' in found["exception"]
    assert found["exception"].endswith(f"'{WORDS.path('/data/Private')}' is wrong")


@given(st.lists(st.text(st.characters(exclude_characters="/\\\x00"), min_size=9)))
def test_no_quoted_path_gets_through(segments):
    path = "/" + "/".join(segments)
    hidden = WORDS.text(f"Plex has no item with the file {path!r}, says it")

    assert all(
        segment not in hidden for segment in segments if not segment.isspace()
    ) or any(
        segment in "Plex has no item with the file , says it" for segment in segments
    )


@pytest.mark.parametrize(
    "text",
    [
        "no daemon at nas.secret.lan:9999",
        "listening on 192.168.77.5:9898 now",
        "http://joe:pw@nas.secret.lan/x",
        "http://[fd00::77]:9999/graphql",
    ],
)
def test_machines_however_they_are_written(text):
    hidden = WORDS.text(text)

    assert not any(one in hidden for one in ("secret", "77", "joe", "pw@"))


def test_fields_that_name_machines():
    found = WORDS.fields(
        {"listening": "192.168.77.5:9898", "host": "nas", "machine": "8f3a"}
    )
    assert found["listening"] == f"{WORDS.word('192.168.77.5')}:9898"
    assert "nas" not in found["host"]
    assert found["machine"] != "8f3a"
    assert WORDS.fields({"listening": "0.0.0.0:9898"}) == {"listening": "0.0.0.0:9898"}


def test_what_strangers_make_endless_is_cut():
    """Each expression alone would take half a second of it."""
    for text in ("/api/x " + "w" * 100_000, "/api/" + "\\'" * 50_000):
        started = time.perf_counter()
        assert len(WORDS.text(text)) < 20_000
        assert time.perf_counter() - started < patient(0.1)
