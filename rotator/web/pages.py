"""The pages for people, as answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from rotator.errors import RotatorError
from rotator.web.assets import ASSETS
from rotator.web.filters import Filters
from rotator.web.views import DaemonView

if TYPE_CHECKING:
    import htpy

Render = Callable[[], "htpy.Element"]
_FOR_GOOD = "public, max-age=31536000, immutable"


class Pages:
    """Imports what makes HTML with the first page: a sidecar whose page nobody opens saves 8 MiB
    (measured)."""

    def __init__(self, view: DaemonView) -> None:
        self._view = view

    async def overview(self, request: Request) -> Response:
        from rotator.web.html.overview import Contents, overview

        async def page() -> Render:
            view = self._view
            contents = Contents(
                await view.rotations.rotations(),
                await view.connections.connections(),
                await view.sources.sources(),
                await view.sources.leases(),
                view.leader(),
            )
            return lambda: overview(contents, Filters.of(request.query_params), _now())

        return await _answer(page)

    async def connection(self, request: Request) -> Response:
        from rotator.web.html.details import connection_page

        target = request.query_params.get("target", "")
        name = request.query_params.get("name", "")

        async def page() -> Render | None:
            outcomes = await self._view.connections.outcomes(target, name)
            views = await self._view.connections.connections()
            found = next((v for v in views if (v.target, v.connection) == (target, name)), None)
            if found is None and not outcomes:
                return None
            leader = self._view.leader()
            return lambda: connection_page(found, target, name, outcomes, _now(), leader)

        return await _answer(page)

    async def run(self, request: Request) -> Response:
        from rotator.web.html.details import run_page

        run_id = request.query_params.get("id", "")

        async def page() -> Render | None:
            found = await self._view.rotations.run(run_id)
            if found is None:
                return None
            under_way, leader = self._view.rotations.progress(run_id), self._view.leader()
            return lambda: run_page(*found, under_way, _now(), leader)

        return await _answer(page)

    async def asset(self, request: Request) -> Response:
        asset = ASSETS.get(request.path_params["name"])
        if asset is None:
            return Response(status_code=404)
        # Another digest means another version, which the browser must not keep.
        fitting = request.url.query == asset.digest
        headers = {"Content-Type": asset.kind}
        return Response(
            asset.content, headers={**headers, "Cache-Control": _FOR_GOOD} if fitting else headers
        )


async def _answer(page: Callable[[], Awaitable[Render | None]]) -> Response:
    from rotator.web.html.details import trouble_page

    status = 200
    try:
        render = await page()
    except RotatorError as error:
        words, status, render = str(error), 503, None
    else:
        words = "Nothing of this name is known; it may be too old, or another process's."
        status = 404 if render is None else 200
    if render is None:
        return _html(str(trouble_page(words, _now())), status)
    made = render
    # Thousands of rows take a while, and runs need the loop.
    return _html(await run_in_threadpool(lambda: str(made())), status)


def _html(text: str, status: int) -> Response:
    # A name from JSON can hold half of a surrogate pair, which has no bytes.
    return HTMLResponse(text.encode(errors="replace"), status)


def _now() -> datetime:
    return datetime.now(UTC)
