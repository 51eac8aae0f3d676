"""The quick form of ``make chaos``."""

from __future__ import annotations

import pytest

from tests.chaos.storm import weather


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_storm_loses_nothing(tmp_path, seed):
    counts = await weather(tmp_path, seed=seed, scenes=60, most=250)

    assert counts["edits"] > 100
    assert counts["kills"] > 3
