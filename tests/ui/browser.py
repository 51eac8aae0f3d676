"""A real browser without a window, and what goes wrong in it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.patience import patient
from tests.ui.pretend_page import MODULES

if TYPE_CHECKING:
    from playwright.async_api import Page

CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = """
    --headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync
""".split()
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}


def missing() -> str | None:
    """Say what these tests need and do not find; None when all is there."""
    try:
        import playwright.async_api  # noqa: F401 - only whether it is there
    except ImportError:
        return "playwright is not installed"
    if not CHROMIUM.exists():
        return f"{CHROMIUM} is missing"
    if not (MODULES / "esbuild").is_dir():
        return f"{MODULES} is missing"
    return None


def required() -> bool:
    """Whether what is missing is a failure."""
    return bool(os.environ.get("STASH2PLEX_REQUIRE_UI"))


class Watch:
    """Collects what must not happen: errors on the console, requests elsewhere."""

    def __init__(self, page: Page, origin: str) -> None:
        self.complaints: list[str] = []
        self._origin = urlsplit(origin).netloc
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def _request(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws"} and parts.netloc != self._origin:
            self.complaints.append(f"request to {request.url}")


@asynccontextmanager
async def browsing(
    origin: str,
    *,
    viewport: dict[str, int] | None = None,
    lacks: tuple[str, ...] = (),
) -> AsyncIterator[tuple[Page, Watch]]:
    """Open a page of a new browser; *lacks* is what its Stash does not have."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=_ARGUMENTS
        )
        try:
            page = await browser.new_page(
                base_url=origin,
                viewport=viewport or DESKTOP,
                locale="en-GB",
                timezone_id="Europe/Berlin",
                reduced_motion="reduce",
            )
            page.set_default_timeout(patient(15) * 1000)
            await page.add_init_script(f"window.OLD_STASH = {list(lacks)!r}")
            yield page, Watch(page, origin)
        finally:
            await browser.close()
