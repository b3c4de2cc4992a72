"""The routes. Answers hold names, phases and times; never a value."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rotator.errors import RotatorError, RunInProgress, ValueUnavailable
from rotator.web.page import CSS_DIGEST, page
from rotator.web.views import ConnectionView, Health, NoSuchRotation, State

MOST_ROWS = 10_000
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src '{CSS_DIGEST}'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Token = Callable[[], Awaitable[str]]


def create_app(state: State, registry: CollectorRegistry, token: Token | None) -> ASGIApp:
    """`token` looks the token of POST up anew; without one, POST answers 403."""
    handlers = _Handlers(state, registry, token)
    app = Starlette(
        routes=[
            Route("/", handlers.page),
            Route("/metrics", handlers.metrics),
            Route("/livez", handlers.livez),
            Route("/readyz", handlers.readyz),
            Route("/api/v1/rotations", handlers.rotations),
            Route("/api/v1/rotations/{name}/run", handlers.start, methods=["POST"]),
            Route("/api/v1/connections", handlers.connections),
            Route("/api/v1/runs", handlers.runs),
            Route("/api/v1/runs/{run_id}", handlers.run),
        ],
        exception_handlers={HTTPException: _refused, RotatorError: _failed},
    )
    return _WithHeaders(app)


class _Handlers:
    def __init__(self, state: State, registry: CollectorRegistry, token: Token | None) -> None:
        self._state = state
        self._registry = registry
        self._token = token

    async def page(self, _: Request) -> Response:
        connections = await self._state.connections()
        return HTMLResponse(page(await self._state.rotations(), connections))

    async def metrics(self, request: Request) -> Response:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        # Thousands of series take a while; the loop has runs to attend to.
        body = await run_in_threadpool(encode, self._registry)
        return Response(body, headers={"Content-Type": kind})

    async def livez(self, _: Request) -> Response:
        return _health(self._state.livez())

    async def readyz(self, _: Request) -> Response:
        return _health(await self._state.readyz())

    async def rotations(self, _: Request) -> Response:
        return _json({"rotations": [asdict(view) for view in await self._state.rotations()]})

    async def connections(self, request: Request) -> Response:
        """Filters: rotation, target, phase, name (a glob); limit and offset."""
        limit, offset = _number(request, "limit", 1000), _number(request, "offset", 0)
        found = [c for c in await self._state.connections() if _wanted(c, request)]
        shown = [asdict(view) for view in found[offset : offset + limit]]
        return _json({"total": len(found), "connections": shown})

    async def runs(self, request: Request) -> Response:
        limit = _number(request, "limit", 100)
        runs = await self._state.runs(request.query_params.get("rotation"), limit)
        return _json({"runs": [asdict(run) for run in runs]})

    async def run(self, request: Request) -> Response:
        found = await self._state.run(request.path_params["run_id"])
        if found is None:
            raise HTTPException(404, "no run has this id")
        run, outcomes = found
        return _json({**asdict(run), "outcomes": [asdict(outcome) for outcome in outcomes]})

    async def start(self, request: Request) -> Response:
        await self._authorize(request)
        try:
            run = await self._state.start(request.path_params["name"])
        except NoSuchRotation:
            raise HTTPException(404, "no rotation has this name") from None
        except RunInProgress as busy:
            return _json({"error": str(busy), "run": busy.run_id}, 409)
        return _json({"run": run.id}, 202)

    async def _authorize(self, request: Request) -> None:
        if self._token is None:
            raise HTTPException(403, "no http.token is configured, so nothing can be started here")
        try:
            wanted = await self._token()
        except ValueUnavailable:
            raise HTTPException(403, "http.token can't be read now") from None
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {wanted}".encode()):
            raise HTTPException(
                401, "send Authorization: Bearer and http.token", {"WWW-Authenticate": "Bearer"}
            )


def _wanted(view: ConnectionView, request: Request) -> bool:
    query = request.query_params
    return (
        query.get("rotation", view.rotation) == view.rotation
        and query.get("target", view.target) == view.target
        and query.get("phase", view.phase) == view.phase
        and fnmatchcase(view.connection, query.get("name", "*"))
    )


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal()) or len(text) > 6:
        raise HTTPException(400, f"{name} must be a whole number up to {MOST_ROWS}")
    return min(int(text), MOST_ROWS)


def _health(health: Health) -> Response:
    return _json({"ok": health.ok, "checks": health.checks}, 200 if health.ok else 503)


def _json(content: object, status: int = 200) -> Response:
    return Response(
        json.dumps(content, default=_plain) + "\n", status, media_type="application/json"
    )


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _failed(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 503)


class _WithHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._headers: Sequence[tuple[bytes, bytes]] = [
            (name.lower().encode(), value.encode()) for name, value in _HEADERS.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: list[Any] = message.setdefault("headers", [])
                headers.extend(self._headers)
            await send(message)

        await self._app(scope, receive, with_headers)
