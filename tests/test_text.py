"""Cleaning: nothing Plex chokes on gets through, nothing else is lost."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stash2plex.text import (
    clean_line,
    clean_text,
    fitted,
    is_cut_of,
    name_key,
    shortened,
)

INVISIBLE = ["\u200b", "\ufeff", "\u00ad", "\u2060", "\u200e", "\u202e", "\u2069"]
INVISIBLE += ["\u200d", "\u200c", "\U000e0067", "\u180e"]
SHAPED = [
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
    "\U0001f3f3\ufe0f\u200d\U0001f308",  # a rainbow flag
    "\U0001f469\U0001f3fd\u200d\u2695\ufe0f",  # a physician
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian
    "\u0915\u094d\u200d\u0937",  # Devanagari
    "\u0d28\u0d4d\u200d",  # Malayalam, at the end of a word
    "\u0601\u0661",  # an Arabic sign that is a format character, and seen
]
anything = st.text(st.characters(), max_size=300)


def test_line_breaks_and_emoji_stay():
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"

    assert (
        clean_text(f"one\r\ntwo\u2028{family}\rend", 100) == f"one\ntwo\n{family}\nend"
    )


@pytest.mark.parametrize("sign", INVISIBLE)
def test_what_nobody_sees_makes_no_other_name(sign):
    assert clean_line(f"Blonde{sign}", 100) == "Blonde"
    assert clean_line(f"{sign}Blo{sign}nde", 100) == "Blonde"
    assert clean_text(f"{sign}one{sign}\ntwo", 100) == "one\ntwo"


@pytest.mark.parametrize("sign", [*INVISIBLE, "\u2800", "\u3164", "\u034f", " \u00a0"])
def test_nothing_but_what_nobody_sees_is_nothing(sign):
    assert clean_line(sign * 3, 100) == ""
    assert clean_text(f"{sign}\n{sign}", 100) == ""


def test_what_was_apart_by_nothing_seen_is_one_sign():
    assert clean_line("e\u200b\u0301", 100) == "\u00e9"


@pytest.mark.parametrize("text", SHAPED)
def test_what_shapes_emoji_and_scripts_stays(text):
    assert clean_line(f"a {text} b", 100) == f"a {text} b"
    assert clean_text(f"a\n{text}", 100) == f"a\n{text}"


def test_control_characters_go():
    assert clean_text("a\x00b\x1bc\x7fd\x9fe\ufffef\ud800g\tz", 100) == "abcdefg\tz"
    assert clean_line("  a\n b\t\tc\x07 ", 100) == "a b c"


def test_a_long_text_ends_with_a_whole_word():
    assert clean_line("word " * 100, 23) == "word word word word"
    assert clean_line("x" * 500, 255) == "x" * 255


def test_a_cut_never_splits_a_sign():
    assert clean_line("aaaa\U0001f44d\U0001f3fdzz", 5) == "aaaa"
    assert clean_line("aaae\u0323\u0307zzz", 4) == "aaa"
    assert clean_line("a\U0001f468\u200d\U0001f469z", 3) == "a"


def test_a_text_fits_the_request_line_too():
    whole = clean_text("\u6f22\u5b57" * 5000, 10_000)
    text = fitted(whole, 15_000)

    assert 14_000 < len(quote(text, safe="")) <= 15_000
    assert is_cut_of(text, whole)
    assert fitted(whole, 90_000) == whole
    assert not is_cut_of(whole, whole)


def test_names_compare_without_case_and_form():
    assert name_key("CAFE\u0301") == name_key("caf\u00e9")


@given(anything, st.integers(0, 80))
def test_a_clean_line_is_clean(text, limit):
    line = clean_line(text, limit)

    assert len(line) <= limit
    assert "\n" not in line
    assert line == line.strip()
    assert unicodedata.is_normalized("NFC", line)
    assert not any(unicodedata.category(char) in {"Cc", "Cs"} for char in line)
    assert clean_line(line, limit) == line


@given(anything, st.integers(9, 400))
def test_a_fitted_text_fits(text, encoded):
    whole = clean_text(text, 200)
    cut = fitted(whole, encoded)

    assert len(quote(cut, safe="")) <= encoded
    assert cut == whole or is_cut_of(cut, whole)
    assert fitted(cut, encoded) == cut


@given(anything, st.integers(0, 80))
def test_a_clean_text_is_clean(text, limit):
    cleaned = clean_text(text, limit)

    assert len(cleaned) <= limit
    assert all(
        char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cs"}
        for char in cleaned
    )
    assert clean_text(cleaned, limit) == cleaned


def test_messages_of_others_keep_their_start_and_their_end():
    assert shortened("database is locked") == "database is locked"
    long = "error executing `SELECT " + "'a value', " * 5000 + "`: no such column: x"
    told = shortened(long)
    assert len(told) < 300
    assert told.startswith("error executing `SELECT 'a value'")
    assert told.endswith("`: no such column: x")
