"""How well a title fits what somebody typed, or what a scanner made of a name."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from stash2plex.provider.hints import Hints
from stash2plex.text import search_key

# A perfect title is still less certain than a file.
EXACT = 96
_LEAST = 30
_YEAR, _DATE = 15, 30
# What scanners leave in a title, and says nothing about it.
_NOISE = frozenset(
    """
    1080p 2160p 480p 540p 720p 4k 8k avc av1 bluray h264 h265 hd hevc hq mkv mov mp4
    sd uhd vr web webdl webrip wmv x264 x265 xxx
    """.split()
)
_LEAST_WORD = 2
# Comparing letter by letter takes a while; titles are no longer than this in Plex.
_LONGEST = 255
_MOST_COMPARED = 60
_MOST_WORDS = 20


def words_of(title: str) -> list[str]:
    """Return the words worth searching for, at most twenty."""
    words = [one for one in search_key(title).split() if one not in _NOISE]
    long = [one for one in words if len(one) >= _LEAST_WORD]
    return list(dict.fromkeys(long or words))[:_MOST_WORDS]


def score(typed: str, title: str) -> int:
    """Return how well *title* fits *typed*, 0 to 96.

    A title that stands whole in a longer text, as in a file's name, fits nearly as
    well as the text itself.
    """
    wanted = " ".join(one for one in search_key(typed).split() if one not in _NOISE)
    offered = search_key(title)
    if not wanted or not offered:
        return 0
    if wanted == offered:
        return EXACT
    ratio = SequenceMatcher(None, wanted, offered, autojunk=False).ratio()
    own, asked = set(offered.split()), set(wanted.split())
    common = len(own & asked)
    covered = common / len(own) if own else 0.0
    known = common / len(asked) if asked else 0.0
    return round((EXACT - 6) * max(ratio, 0.7 * covered + 0.3 * known))


def ranked(
    hints: Hints, rows: Sequence[tuple[int, str, str]]
) -> list[tuple[int, int, str]]:
    """Return id, score and title of the scenes worth showing, best first.

    *rows* are id, title and date, those with most words in common first. A day or a
    year that agrees counts too.
    """
    found = []
    for scene_id, title, date in rows[:_MOST_COMPARED]:
        points = score(hints.title[:_LONGEST], title)
        if hints.date and date == hints.date:
            points += _DATE
        elif hints.year is not None and date[:4] == str(hints.year):
            points += _YEAR
        if points >= _LEAST:
            found.append((scene_id, min(EXACT, points), title))
    return sorted(found, key=lambda one: -one[1])
