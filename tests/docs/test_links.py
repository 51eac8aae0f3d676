"""Every link leads somewhere, to the very heading; and the site builds by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.docs.reading import (
    DOCS,
    ROOT,
    anchors_of,
    links_of,
    pages,
    prose_of,
    text_of,
)

ELSEWHERE = ("http://", "https://")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for link in links_of(page):
        if link.startswith(ELSEWHERE):
            continue
        target, _, anchor = link.partition("#")
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), link
        if page.is_relative_to(DOCS):
            assert found.is_relative_to(DOCS), f"{link} is not on the site"
        if anchor:
            assert anchor in anchors_of(found), link


def test_links_outside_are_few_and_known():
    hosts = {
        link
        for page in pages()
        for link in links_of(page)
        if link.startswith(ELSEWHERE)
    }
    assert hosts <= {
        "https://github.com/stashapp/stash",
        "https://keepachangelog.com/en/1.1.0/",
        "https://semver.org/",
    }


def test_every_page_is_in_the_navigation_once():
    told = re.findall(
        r"^ +- (?:\w+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M
    )
    files = sorted(str(one.relative_to(DOCS)) for one in DOCS.rglob("*.md"))

    assert sorted(told) == files


def test_every_picture_is_shown_and_described():
    shown = {
        (page.parent / target).resolve(): words
        for page in pages()
        for words, target in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text_of(page))
    }
    assert set(shown) == {one.resolve() for one in (DOCS / "images").iterdir()}
    for picture, words in shown.items():
        assert len(words) > 10, f"{picture.name} is not described"


def test_every_page_starts_with_its_only_first_heading():
    for page in pages():
        if page.name == "README.md" and page.parent == ROOT:
            continue
        titles = re.findall(
            r"^# .+", re.sub(r"```.*?```", "", text_of(page), flags=re.S), re.M
        )
        assert len(titles) == 1, page.name


def test_every_file_that_is_spoken_of_is_there():
    pattern = r"`((?:stash2plex|plugin_shim|tests|docs|deploy)/[\w./-]+|[\w.]+\.toml)`"
    own = {"config.toml"}  # the reader's
    for page in pages():
        for found in re.findall(pattern, prose_of(page)):
            if found not in own and not found.startswith("stash2plex/data"):
                assert (ROOT / found).exists(), f"{page.name}: {found}"


class _Fetched(HTMLParser):
    """Collects what a browser fetches to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and given.get("rel") in {"canonical", "next", "prev"}:
            return
        for name in {"script": ["src"], "img": ["src"], "link": ["href"]}.get(tag, []):
            if given.get(name):
                self.found.append(str(given[name]))


@pytest.mark.skipif(
    find_spec("mkdocs") is None or find_spec("material") is None,
    reason="mkdocs-material is not installed: make docs builds the site",
)
@pytest.mark.timeout(180)
def test_the_site_builds_strictly_and_fetches_nothing(tmp_path):
    settings = yaml.safe_load(re.sub(r"!!\S+", "", (ROOT / "mkdocs.yml").read_text()))
    assert settings["strict"] is True
    assert settings["theme"]["font"] is False
    # A proxy that is not there: whatever asked the network would fail.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", tmp_path],
        check=False,
        cwd=ROOT,
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    built = sorted(tmp_path.rglob("*.html"))
    assert len(built) > 18
    for page in built:
        fetched = _Fetched()
        fetched.feed(page.read_text())
        for one in fetched.found:
            assert not one.startswith((*ELSEWHERE, "//")), f"{page.name}: {one}"
    for style in tmp_path.rglob("*.css"):
        assert "url(http" not in style.read_text().replace('"', ""), style.name
    _anchors_exist(built, tmp_path)


def _anchors_exist(built: list[Path], site: Path) -> None:
    """Follow every internal link of the built pages."""
    ids = {page: set(re.findall(r'\bid="([^"]+)"', page.read_text())) for page in built}
    for page in built:
        if page.name == "404.html":
            continue
        for link in re.findall(r'href="([^"]*)"', page.read_text()):
            target, _, anchor = link.partition("#")
            if ":" in target or not anchor:
                continue
            found = (page.parent / target).resolve() if target else page
            if found.is_dir():
                found /= "index.html"
            assert anchor in ids[found], f"{page.relative_to(site)}: {link}"
