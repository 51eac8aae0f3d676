"""Making a release: one version, wherever it stands."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import pytest
import yaml

from tests import release


@pytest.fixture
def copies(tmp_path, monkeypatch):
    for name in ("PACKAGE", "CHANGES"):
        target = tmp_path / name
        shutil.copyfile(getattr(release, name), target)
        monkeypatch.setattr(release, name, target)
    manifests = [shutil.copyfile(one, tmp_path / one.name) for one in release.MANIFESTS]
    monkeypatch.setattr(release, "MANIFESTS", manifests)


def test_version_and_date_are_set_everywhere(copies):
    release.release("1.2.3", datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC))

    package = release.PACKAGE.read_text()
    assert '__version__ = "1.2.3"' in package
    assert '__released__ = "2027-01-02 03:04:05"' in package
    versions = [yaml.safe_load(one.read_text())["version"] for one in release.MANIFESTS]
    assert versions == ["1.2.3"] * 3
    assert "## Unreleased\n\n## 1.2.3 - 2027-01-02\n" in release.CHANGES.read_text()


@pytest.mark.parametrize("given", [[], ["1.2"], ["v1.2.3"]])
def test_versions_that_are_none(copies, monkeypatch, given):
    monkeypatch.setattr("sys.argv", ["release", *given])
    before = release.PACKAGE.read_text()

    assert release.main() == 2
    assert release.PACKAGE.read_text() == before
