"""Skips, with one line, where there is no real Stash."""

from __future__ import annotations

import pytest

from tests.stash_real.server import missing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    lack = missing()
    if lack is None:
        return
    for one in items:
        if "stash_real" in one.path.parts:
            one.add_marker(pytest.mark.skip(reason=f"{lack}; see `make test-stash`"))
