"""What the tests in a browser need, and what they do without it: skip, or fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.ui.browser import Watch, browsing, missing, required
from tests.ui.pretend_page import Texts, bundle
from tests.ui.world import World, furnish, world

if TYPE_CHECKING:
    from playwright.async_api import Page

    Browse = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Texts:
    """The scripts and style sheets of Stash's page, ours among them."""
    if lack := missing():
        if required():
            pytest.fail(f"{lack}; `make test-ui` brings it")
        pytest.skip(f"{lack}; see `make test-ui`")
    return bundle(tmp_path_factory.mktemp("page"))


@pytest.fixture
async def make_world(texts, stash, plex, tmp_path) -> AsyncIterator[Callable[..., Any]]:
    """Makes a world, with sections of the daemon's settings as wanted."""
    async with AsyncExitStack() as stack:

        async def make(**sections: Any) -> World:
            furnish(stash, plex)
            made = world(stash, plex, tmp_path, texts, **sections)
            return await stack.enter_async_context(made)

        yield make


@pytest.fixture
async def made(make_world) -> World:
    """Ten scenes in both libraries, and one that each of them lacks."""
    found: World = await make_world()
    return found


@pytest.fixture
def browse(request: pytest.FixtureRequest) -> Browse:
    """Opens a page of a world in a browser; nothing may go wrong in it meanwhile."""

    @asynccontextmanager
    async def opened(
        of: World, path: str | None = None, forgives: str = "", **options: Any
    ) -> AsyncIterator[Page]:
        watch: Watch
        async with browsing(of.url, **options) as (page, watch):
            if path is not None:
                await page.goto(path)
            yield page
            # Whoever leaves lets what was asked be answered.
            await page.goto("about:blank")
        await of.site.facts.until(lambda: not of.site.unanswered)
        bad = [one for one in watch.complaints if not forgives or forgives not in one]
        assert bad == []

    return opened
