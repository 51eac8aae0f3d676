from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.provider.asking import Plex, providing


@pytest.fixture
async def asking(stash, plex, tmp_path) -> AsyncIterator[Plex]:
    """A daemon between empty servers, asked as Plex asks; one rule, one folder."""
    async with providing(stash, plex, tmp_path) as asking:
        yield asking
