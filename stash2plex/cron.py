"""Cron lines: five fields, checked and written out.

Days of the week are 0 to 7, Sunday being both, or names; every field is written out as
a list of what it means, since libraries disagree on the numbers of days and on ranges.
"""

from __future__ import annotations

import re

_MONTHS = ("", *"jan feb mar apr may jun jul aug sep oct nov dec".split())
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Name, least and most value, and the names that values have.
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day_of_week", 0, 7, _DAYS),
)
# The most days that a month has, by its number.
_LENGTHS = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", re.ASCII)


def either(line: str) -> list[dict[str, str]]:
    """Return the fields of lines that together mean *line*, as `fields` does.

    Two where both the day and the day of the week are limited, and neither begins with
    a star: cron takes either. Raises ValueError saying what is wrong, also of a day
    that never comes.
    """
    found = fields(line)
    days, months = found["day"], found["month"]
    _, _, day, _, weekday = line.split()
    limited = not (day.startswith("*") or weekday.startswith("*"))
    if limited and found["day_of_week"] != "*":
        return [found | {"day": "*"}, found | {"day_of_week": "*"}]
    if days != "*" and months != "*":
        longest = max(_LENGTHS[int(one)] for one in months.split(","))
        if min(map(int, days.split(","))) > longest:
            raise ValueError(f"month {months} never has a day {days}")
    return [found]


def fields(line: str) -> dict[str, str]:
    """Return the fields of *line* by name, each ``*`` or a list of values.

    Days of the week are named. Raises ValueError saying which field is wrong.
    """
    texts = line.split()
    if len(texts) != len(_FIELDS):
        raise ValueError("a cron line has five fields, such as '30 4 * * *'")
    found: dict[str, str] = {}
    for text, (name, least, most, names) in zip(texts, _FIELDS, strict=True):
        values: set[int] = set()
        for part in text.lower().split(","):
            match = _PART.fullmatch(part)
            if match is None:
                raise ValueError(f"{name} cannot be {text!r}")
            values |= _values(match, name, least, most, names)
        listed = [str(one) for one in sorted(values)]
        if name == "day_of_week":
            listed = list(dict.fromkeys(_DAYS[one] for one in sorted(values)))
        found[name] = "*" if text == "*" else ",".join(listed)
    return found


def _values(
    match: re.Match[str], name: str, least: int, most: int, names: tuple[str, ...]
) -> set[int]:
    first, last, step = match.groups()
    steps = int(step or 1)
    start = least if first == "*" else _number(first, names)
    end = start if first != "*" and not step else most
    if last:
        end = _number(last, names)
        if name == "day_of_week" and end == 0:
            end = most  # Sunday may be the last day as well
    fits = least <= start <= end <= most and steps and not (first == "*" and last)
    if not fits:
        raise ValueError(f"{name} cannot be {match[0]!r}")
    return set(range(start, end + 1, steps))


def _number(text: str, names: tuple[str, ...]) -> int:
    """Return the value of a name or number, -1 for none."""
    if text in names:
        return names.index(text)
    return int(text) if text.isdecimal() else -1
