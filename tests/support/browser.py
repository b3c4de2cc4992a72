"""A real Chromium without a window, as Debian packages it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, async_playwright

NEEDED = pytest.mark.tool("chromium", get="apt-get install chromium")
_QUIET = (
    "--no-sandbox",  # for root, in a container
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)


@dataclass(slots=True)
class Tab:
    """A page that remembers what it asked for, and what went wrong in it."""

    page: Page
    asked: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    async def text(self, selector: str = "main") -> str:
        return await self.page.inner_text(selector)

    async def names(self) -> list[str]:
        """The names of the connections on the page, from top to bottom."""
        return await self.page.locator("#connections-live tbody th a").all_inner_texts()

    async def violations(self) -> list[str]:
        """What axe finds by the rules of WCAG 2.2 AA, and by its own best practices."""
        found: dict[str, Any] = (await Axe().run(self.page)).response
        return [
            f"{rule['id']}: {node['target']} {node['failureSummary']}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]


@asynccontextmanager
async def browsing(
    *, width: int = 1200, dark: bool = False, script: bool = True
) -> AsyncIterator[Tab]:
    async with async_playwright() as play:
        browser = await play.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(_QUIET)
        )
        context = await browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
        )
        tab = Tab(await context.new_page())
        tab.page.on("request", lambda request: tab.asked.append(request.url))
        tab.page.on("pageerror", lambda error: tab.troubles.append(str(error)))
        tab.page.on(
            "console",
            lambda line: tab.troubles.append(line.text) if line.type == "error" else None,
        )
        try:
            yield tab
        finally:
            await browser.close()
