"""Path rules that would take minutes over a path that a stranger made up."""

from __future__ import annotations

import pytest

from stash2plex.config import PathRule
from stash2plex.config_file import load
from stash2plex.errors import ConfigError
from stash2plex.paths import PathMap

COSTLY = [
    r"^/media/(?P<a>.+)/(?P<b>.+)/(?P<c>.+)\.mp4$",
    r"^/media/(?P<a>.+) - (?P<b>.+) - (?P<c>.+)\.mp4$",
    r"(?P<a>.*)(?P<b>.*)(?P<c>.*)/x",
    r"/m/(?P<a>(?:[^/]+/?)+)\.mp4",
    r"/m/(?P<a>(?:\w+)+)\.mp4",
    r"/m/(?P<a>(?:a|aa)+)\.mp4",
    # What leads up to it is no plain text.
    r"[A-Z]:/Videos/(?P<a>.+)/(?P<b>.+)/(?P<c>.+)/(?P<d>.+)\.mp4",
    r"/(?:media|data)/(?P<a>.+)/(?P<b>.+)/(?P<c>.+)/(?P<d>.+)\.mp4",
    r"/mnt/disk\d/(?P<a>.+)/(?P<b>.+)/(?P<c>.+)/(?P<d>.+)\.mp4",
    r"/data/Films \(HD\)/(?P<a>.+)/(?P<b>.+)/(?P<c>.+)/(?P<d>.+)\.mp4",
    # What repeats is no usual letter, or has an end.
    r"/data/(?P<a>(?:[x-z]+)+)/end",
    r"/data/(?P<a>(?:[x-z]{1,60}){1,60})/end",
    r"/data/(?P<a>(?:.{1,90}){1,90})/end",
    r"^/(?P<y>\d{4})/(?P=y)/(?P<a>.+)/(?P<b>.+)/(?P<c>.+)/(?P<d>.+)\.mp4$",
    r"^/[А-Я]/(?P<a>.+)/(?P<b>.+)/(?P<c>.+)\.mp4$",  # noqa: RUF001 - Cyrillic
    r"^/m[^\w/](?P<a>.+)/(?P<b>.+)/(?P<c>.+)\.mp4$",
    r"^/m/(?P<a>(?:.+/){3})x$",
]
QUICK = [
    r"^/media/(?P<rest>.+)$",
    r"^/media/(?P<a>[^/]+)/(?P<b>[^/]+)/(?P<c>.+)\.mp4$",
    r"^/media/(?P<a>.+)/(?P<b>[^/]+)\.mp4$",
    r"/m/(?P<a>(?:[^/]+/)*)(?P<b>[^/]+)",
    r"^//nas/(?P<share>[\w+*]+)/(?P<rest>.*)$",
    r"^/mnt/disk(?P<n>\d+)/(?P<rest>.+)$",
    r"^/data/(?P<s>[^/]+)/(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d) (?P<rest>.+)$",
]


@pytest.mark.parametrize("source", COSTLY)
def test_a_rule_that_may_take_minutes_is_refused(source, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(
        f"[[path_rules]]\nname = 'mine'\nstash = '{source}'\nplex = '{source}'\n"
        "stash_template = '/x'\nplex_template = '/x'\n"
    )
    with pytest.raises(ConfigError) as refused:
        load(file, {})

    told = str(refused.value)
    assert "path rule 'mine': stash = " in told
    assert "write [^/]+ for one folder or name" in told


@pytest.mark.parametrize("source", QUICK)
def test_other_rules_are_taken(source):
    rule = PathRule(
        name="mine",
        stash=source,
        plex=source,
        stash_template="/x",
        plex_template="/x",
    )
    assert PathMap([rule]).has_rules
