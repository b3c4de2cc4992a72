"""The page, as people have it: in a real Chromium, with and without a script."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from rotator.sandbox.server import Sandbox
from tests.e2e.test_rotate import GOOD, NEXT
from tests.support.browser import NEEDED, Tab, browsing
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.fleet import BROKEN, fleet
from tests.support.http_state import HeldState, web
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.waiting import until_so

__all__ = ["deployment", "sandbox"]

pytestmark = NEEDED

PICTURES = Path(os.environ.get("ROTATOR_SCREENSHOTS", "dist/screenshots"))
"""Where the pictures of the README are left; `make screenshots` puts them in its place."""
PAGES = (
    "/",
    f"/connection?target=prod-us-east-1&name={BROKEN}",
    "/run?id=20261121T030000Z-openai-3fa2c1",
    "/run?id=20261121T080000Z-bedrock-77d0e2",
    "/run?id=unknown",
)


async def picture(tab: Tab, name: str, *, whole: bool = False) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    await tab.page.screenshot(path=PICTURES / f"{name}.png", full_page=whole)


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (400, True)])
async def test_it_is_accessible_and_fits(width: int, dark: bool) -> None:
    async with web(fleet()) as client, browsing(width=width, dark=dark) as tab:
        for path in PAGES:
            await tab.page.goto(f"{client.base_url}{path}")
            assert await tab.violations() == [], path
            assert await tab.page.evaluate("document.documentElement.scrollWidth") <= width, path
        ground = await tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")
        own = str(client.base_url)
        assert [address for address in tab.asked if not address.startswith(own)] == []
        assert [said for said in tab.troubles if "404" not in said] == []


async def test_axe_would_find_something() -> None:
    """So that the test above is none that can't fail."""
    async with web(fleet()) as client, browsing() as tab:
        await tab.page.goto(f"{client.base_url}/")
        await tab.page.evaluate("document.querySelector('#filters label').replaceWith('Name')")
        await tab.page.evaluate("document.querySelector('#filters').append(new Image())")
        await tab.page.evaluate("document.querySelector('h1').style.color = '#ddd'")
        found = " ".join(await tab.violations())
        assert "image-alt" in found
        assert "color-contrast" in found


async def test_pictures(tmp_path: Path) -> None:
    for name, width, dark in (("page", 1200, False), ("page-dark", 1200, True)):
        async with web(fleet()) as client, browsing(width=width, dark=dark) as tab:
            await tab.page.goto(f"{client.base_url}/")
            await picture(tab, name)
    async with web(fleet(12)) as client, browsing(width=400, dark=True) as tab:
        await tab.page.goto(f"{client.base_url}/")
        await picture(tab, "page-phone")
    assert all((PICTURES / f"{name}.png").stat().st_size > 10_000 for name in ("page", "page-dark"))


async def test_searching_and_filtering_need_no_reload() -> None:
    state = fleet(5000)
    async with web(state) as client, browsing() as tab:
        await tab.page.goto(f"{client.base_url}/")
        assert (await tab.names())[:2] == [BROKEN, "search-001"], "what needs attention first"
        assert "1 to 100 of 5000" in await tab.text("#connections-live")
        await tab.page.evaluate("window.kept = true")

        await tab.page.get_by_role("searchbox").press_sequentially("OPENAI-12")

        async def searched() -> bool:
            return "Shown: 61" in await tab.text("#connections-live")

        await until_so(searched)
        assert (await tab.names())[0] == "openai-120"
        assert tab.page.url.endswith("/?search=OPENAI-12")
        assert await tab.page.get_by_role("searchbox").input_value() == "OPENAI-12"

        await tab.page.get_by_role("searchbox").fill("")
        await tab.page.get_by_role("combobox", name="Type").select_option("MONGODB")
        await tab.page.get_by_role("combobox", name="Order").select_option("oldest")

        async def chosen() -> bool:
            return "1 to 100 of 1250" in await tab.text("#connections-live")

        await until_so(chosen)
        assert all(name.startswith("mongodb-") for name in await tab.names())
        assert await tab.page.evaluate("window.kept"), "the page was not loaded again"

        await tab.page.get_by_role("link", name="Next").click()
        await tab.page.wait_for_url("**/?*page=2*")
        assert "101 to 200 of 1250" in await tab.text("#connections-live")
        assert await tab.page.get_by_role("combobox", name="Type").input_value() == "MONGODB"
        assert tab.troubles == []


async def test_all_of_it_works_without_a_script() -> None:
    async with web(fleet(5000)) as client, browsing(script=False) as tab:
        await tab.page.goto(f"{client.base_url}/")
        assert not await tab.page.get_by_role("button", name="Refresh by itself").is_visible()
        await tab.page.get_by_role("combobox", name="Phase").select_option("INVALID_AUTH")
        await tab.page.get_by_role("button", name="Show").click()
        assert await tab.names() == [BROKEN]
        await tab.page.get_by_role("link", name=BROKEN).click()
        assert await tab.text("h1") == BROKEN
        history = await tab.text("#history-live")
        assert "the endpoint answered 401" in history
        await tab.page.locator("#history-live a").first.click()
        assert await tab.text("h1") == "Run of openai"
        assert "3 others were not touched" in await tab.text("#run-live")


async def test_the_keyboard_is_enough() -> None:
    state = fleet(12)
    async with web(state) as client, browsing() as tab:
        await tab.page.goto(f"{client.base_url}/")
        await tab.page.keyboard.press("Tab")
        assert await tab.page.evaluate("document.activeElement.className") == "skip"
        await tab.page.keyboard.press("Enter")
        assert await tab.page.evaluate("document.activeElement.id") == "main"
        link = tab.page.get_by_role("link", name="openai-002")
        await link.focus()
        state.held = tuple(replace(view, phase="PENDING") for view in state.held)

        async def refreshed() -> bool:
            return "PENDING" in await tab.text("#connections-live")

        await until_so(refreshed)
        focused = await tab.page.evaluate("document.activeElement.textContent")
        assert focused == "openai-002", "a refresh takes nobody from where they are"


async def test_refreshing_can_be_switched_off_and_an_old_page_says_so() -> None:
    state = fleet(12)
    async with web(state) as client, browsing() as tab:
        await tab.page.goto(f"{client.base_url}/")
        button = tab.page.get_by_role("button", name="Refresh by itself")
        await button.click()
        assert await button.get_attribute("aria-pressed") == "false"
        state.ledger_error = "ledger: it is locked"
        await button.click()

        async def told() -> bool:
            return "What stands here may be old" in await tab.text("#refreshed")

        await until_so(told)
        assert "openai-001" in await tab.text("#connections-live"), "what was there stays"
        state.ledger_error = ""

        async def fine() -> bool:
            return await tab.text("#refreshed") == ""

        await until_so(fine)


async def test_a_ledger_that_cannot_be_read_is_said_in_words() -> None:
    state = fleet(1)
    state.ledger_error = "ledger /x: it is locked by another process"
    async with web(state) as client, browsing() as tab:
        answer = await tab.page.goto(f"{client.base_url}/")
        assert answer is not None
        assert answer.status == 503
        assert "locked by another process" in await tab.text()


ODD = (
    "<img src=x onerror=document.title='pwned'>",
    "\"'><script>document.title='pwned'</script>",
    "two\nlines & an&amp;persand",
    "größe-✓-\u202eright-to-left",
    "javascript:document.title='pwned'",
    "half \ud800",
)


async def test_names_are_text_whatever_they_look_like() -> None:
    base = fleet(1)
    view = base.held[0]
    state: HeldState = replace(
        base,
        held=tuple(
            replace(view, connection=odd, rotation=odd, target=odd, phase=odd, type=odd, error=odd)
            for odd in ODD
        ),
        views=tuple(replace(base.views[0], name=odd, targets=(odd,)) for odd in ODD),
    )
    async with web(state) as client, browsing() as tab:
        await tab.page.goto(f"{client.base_url}/?search={ODD[0]}&type={ODD[1]}")
        assert await tab.page.title() == "rotator"
        await tab.page.goto(f"{client.base_url}/")
        assert len(await tab.names()) == len(ODD)
        assert await tab.page.locator("main img, main script").count() == 0
        for name in ODD[:2]:
            link = tab.page.locator("#connections-live tbody th a", has_text=name)
            href = await link.get_attribute("href")
            assert href is not None
            assert re.fullmatch(r"connection\?[\w%+.=&-]+", href)
        await tab.page.locator("#connections-live tbody th a").nth(0).click()
        assert "pwned" not in await tab.page.title() or "<" in await tab.page.title()
        assert tab.troubles == []


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=12, types=("OPENAI",), settle=0.1)


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    made.rotation.update({"watch": "1s", "rollout": {"canary": 1, "batch": 3}})
    return made


async def test_a_run_is_seen_while_it_goes(installed: Deployment, cloud: Sandbox) -> None:
    async with installed.daemon() as running, browsing() as tab:
        await running.event("run.finished", result="succeeded")
        await tab.page.goto(f"{running.url}/")
        assert "12 connections, and nothing is wrong" in await tab.text("#summary")
        cloud.state.change(settle=2.5)  # five stages: longer than a slow browser takes to look
        installed.secret("openai", {"api_key": NEXT})
        under_way = tab.page.get_by_role("link", name="under way")
        await under_way.wait_for()
        await until_so(lambda: _matches(tab, "#rotations-live", r"[1-9]\d* of 12"))
        await under_way.click()
        await tab.page.wait_for_url("**/run?id=*")
        assert "running" in await tab.text("#run-live")
        await until_so(lambda: _matches(tab, "#run-live", "✓ succeeded"))
        assert "12 rotated" in await tab.text("#run-live")
        assert (await tab.text("#outcomes-live")).count("rotated") == 12
        assert tab.troubles == []
        shown = await tab.page.content()
        assert NEXT not in shown
    assert len([e for e in running.events if e["event"] == "run.finished"]) == 2


async def _matches(tab: Tab, selector: str, pattern: str) -> bool:
    return re.search(pattern, await tab.text(selector)) is not None
