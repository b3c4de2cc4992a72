"""The routes. Answers hold names, phases and times; never a value."""

from __future__ import annotations

import gzip
import hmac
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import Any

from prometheus_client.exposition import gzip_accepted
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rotator.errors import RotatorError, RunInProgress, ValueUnavailable
from rotator.web.pages import Pages
from rotator.web.views import ConnectionView, DaemonView, Health, NoSuchRotation

log = logging.getLogger(__name__)

MOST_ROWS = 10_000
"""The most entries in one answer."""
_MOST_OFFSET = 999_999
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Token = Callable[[], Awaitable[str]]
Scrape = Callable[[str], tuple[bytes, str]]
"""Turns the Accept header into the metrics and their media type."""


def create_app(
    view: DaemonView,
    scrape: Scrape,
    token: Token | None,
    quit_: Callable[[], None] | None = None,
) -> ASGIApp:
    """`token` looks up the token of POST each time; without one, POST answers 403. `quit_` ends the
    process for a caller on loopback, which in a pod means its own containers."""
    handlers = _Handlers(view, scrape, token, quit_)
    pages = Pages(view)
    app = Starlette(
        routes=[
            Route("/", pages.overview),
            Route("/connection", pages.connection),
            Route("/run", pages.run),
            Route("/static/{name}", pages.asset),
            Route("/metrics", handlers.metrics),
            Route("/livez", handlers.livez),
            Route("/readyz", handlers.readyz),
            Route("/api/v1/rotations", handlers.rotations),
            Route("/api/v1/rotations/{name}/run", handlers.start, methods=["POST"]),
            Route("/api/v1/connections", handlers.connections),
            Route("/api/v1/sources", handlers.sources),
            Route("/api/v1/leases", handlers.leases),
            Route("/api/v1/runs", handlers.runs),
            Route("/api/v1/runs/{run_id}", handlers.run),
            Route("/quitquitquit", handlers.quit, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _refused, RotatorError: _failed, Exception: _crashed},
    )
    return _WithHeaders(app)


class _Handlers:
    def __init__(
        self,
        view: DaemonView,
        scrape: Scrape,
        token: Token | None,
        quit_: Callable[[], None] | None,
    ) -> None:
        self._view = view
        self._scrape = scrape
        self._token = token
        self._quit = quit_

    async def metrics(self, request: Request) -> Response:
        zipped = gzip_accepted(request.headers.get("accept-encoding", ""))

        def scrape() -> tuple[bytes, str]:
            text, kind = self._scrape(request.headers.get("accept", ""))
            return (gzip.compress(text, compresslevel=1) if zipped else text), kind

        try:
            # Thousands of series take a while, and runs need the loop.
            body, kind = await run_in_threadpool(scrape)
        except (TypeError, ValueError):
            raise HTTPException(400, "Accept has a version that is none; leave it out") from None
        headers = {"Content-Type": kind, "Vary": "Accept, Accept-Encoding"}
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return Response(body, headers=headers)

    async def livez(self, _: Request) -> Response:
        return _health(self._view.health.livez())

    async def readyz(self, _: Request) -> Response:
        return _health(await self._view.health.readyz())

    async def rotations(self, request: Request) -> Response:
        _query(request)
        return _json({"rotations": await self._view.rotations.rotations()})

    async def connections(self, request: Request) -> Response:
        """The connections. Filters: rotation, target, phase, name (a glob); limit and offset."""
        query = _query(request, "rotation", "target", "phase", "name", "limit", "offset")
        limit = _number(query, "limit", 1000, MOST_ROWS)
        offset = _number(query, "offset", 0, _MOST_OFFSET)
        found = [
            view for view in await self._view.connections.connections() if _wanted(view, query)
        ]
        return _json({"total": len(found), "connections": found[offset : offset + limit]})

    async def sources(self, request: Request) -> Response:
        _query(request)
        return _json({"sources": await self._view.sources.sources()})

    async def leases(self, request: Request) -> Response:
        _query(request)
        return _json({"leases": await self._view.sources.leases()})

    async def runs(self, request: Request) -> Response:
        """The runs. Filter: rotation; limit."""
        query = _query(request, "rotation", "limit")
        limit = _number(query, "limit", 100, MOST_ROWS)
        return _json({"runs": await self._view.rotations.runs(query.get("rotation"), limit)})

    async def run(self, request: Request) -> Response:
        found = await self._view.rotations.run(request.path_params["run_id"])
        if found is None:
            raise HTTPException(404, "no run has this id")
        run, outcomes = found
        return _json({**_plain_fields(run), "outcomes": outcomes})

    async def start(self, request: Request) -> Response:
        await self._authorize(request)
        try:
            run = await self._view.rotations.start(request.path_params["name"])
        except NoSuchRotation:
            raise HTTPException(404, "no rotation has this name") from None
        except RunInProgress as busy:
            return _json({"error": str(busy), "run": busy.run_id}, 409)
        answer = _json({"run": run.id}, 202)
        answer.headers["Location"] = f"/api/v1/runs/{run.id}"
        return answer

    async def quit(self, request: Request) -> Response:
        if self._quit is None:
            raise HTTPException(403, "only http: {quit: true} permits this")
        if request.client is None or not ip_address(request.client.host).is_loopback:
            raise HTTPException(403, "only from loopback")
        log.info("daemon.quit")
        self._quit()
        return _json({"quitting": True})

    async def _authorize(self, request: Request) -> None:
        if self._token is None:
            raise HTTPException(403, "no http.token is configured, so nothing can be started here")
        try:
            wanted = await self._token()
        except ValueUnavailable as error:
            log.warning("http.token_unavailable", extra={"reason": str(error)})
            raise HTTPException(503, "http.token can't be read now; the log says why") from None
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # Starlette decodes headers as latin-1, so this is what was sent.
        sent = given.strip().encode("latin-1")
        if scheme.lower() != "bearer" or not hmac.compare_digest(sent, wanted.encode()):
            raise HTTPException(
                401, "send Authorization: Bearer and http.token", {"WWW-Authenticate": "Bearer"}
            )


def _query(request: Request, *known: str) -> Mapping[str, str]:
    """Refuses unknown filters: a misspelt one must not answer with everything."""
    for name in request.query_params:
        if name not in known:
            words = ", ".join(known) or "none"
            raise HTTPException(400, f"unknown parameter {name[:40]!r}; known: {words}")
    return request.query_params


def _number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = query.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) > most:
        raise HTTPException(400, f"{name} must be a whole number up to {most}")
    return int(text)


def _wanted(view: ConnectionView, query: Mapping[str, str]) -> bool:
    return (
        query.get("rotation", view.rotation) == view.rotation
        and query.get("target", view.target) == view.target
        and query.get("phase", view.phase) == view.phase
        and fnmatchcase(view.connection, query.get("name", "*"))
    )


def _health(health: Health) -> Response:
    return _json({"ok": health.ok, "checks": health.checks}, 200 if health.ok else 503)


def _json(content: object, status: int = 200) -> Response:
    text = json.dumps(content, default=_plain) + "\n"
    return Response(text, status, media_type="application/json")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return _plain_fields(value)


def _plain_fields(value: object) -> dict[str, object]:
    """Leaves out fingerprints: they tell which connections share a credential, and no reader needs
    that."""
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is nothing to show")
    names = (field.name for field in fields(value) if field.name != "fingerprint")
    return {name: getattr(value, name) for name in names}


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    answer = _json({"error": error.detail}, error.status_code)
    answer.headers.update(error.headers or {})
    return answer


async def _failed(_: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 503)


async def _crashed(_: Request, __: Exception) -> Response:
    # The log has its type and place, from uvicorn; its message can hold a value.
    return _json({"error": "internal error; the log says where"}, 500)


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
                present = {name for name, _ in headers}
                headers.extend(pair for pair in self._headers if pair[0] not in present)
            await send(message)

        await self._app(scope, receive, with_headers)
