"""sql/v1 over HTTP: connections and statements, as plain ASGI, since it must not be the bottleneck.

A request passes, in this order, the rate limit, the latency, an ordered or random fault, the checks
of access, and the API itself. Once its body has arrived it is acted on even if the client has left
meanwhile, as a real service would.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

from starlette.types import Receive, Scope, Send

from rotator.sandbox import connection_api, statement_api
from rotator.sandbox.access import authorize
from rotator.sandbox.answers import Answer, ApiError, Headers, bad_request, not_found
from rotator.sandbox.delivery import Exchange, deliver, instead_of, spoil
from rotator.sandbox.faults import ACTED_ON, Fault
from rotator.sandbox.request import Request
from rotator.sandbox.state import Received, SandboxState

PREFIX = b"/sql/v1/"
_BODY_LIMIT = 1 << 20
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Route:
    organization: str
    environment: str
    address: str
    """The path of the environment, as it was sent: quoted, without scheme and host."""
    collection: str
    name: str | None


class Gateway:
    def __init__(self, state: SandboxState) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        counters = self._state.counters
        counters.in_flight += 1
        counters.peak_in_flight = max(counters.peak_in_flight, counters.in_flight)
        method: str = scope["method"]
        status = "hang"
        try:
            status = await self._serve(method, scope, Exchange(scope, receive, send))
        finally:
            counters.in_flight -= 1
            counters.requests[method, status] += 1

    async def _serve(self, method: str, scope: Scope, exchange: Exchange) -> str:
        state = self._state
        request_id = uuid4().hex
        route = _route(scope["raw_path"])
        listing = method == "GET" and route is not None and route.name is None
        state.counters.lists += listing
        date = formatdate(state.now(), usegmt=True)
        extra: Headers = ((b"x-request-id", request_id.encode()), (b"date", date.encode()))
        limit = state.settings.limit
        if limit is not None:
            quota = state.limiter.take(limit, state.now())
            extra += quota.headers()
            if not quota.allowed:
                extra += quota.retry_after()
                return await deliver(exchange, Answer(429, b"", extra), None)
        try:
            body = await exchange.body(_BODY_LIMIT)
        except ApiError as error:
            answer = error.answer(request_id)
            return await deliver(exchange, Answer(413, answer.body, answer.headers + extra), None)
        if body is None:
            return "gone"
        if state.settings.latency:
            await asyncio.sleep(state.settings.latency)

        fault = state.faults.draw(
            method, scope["path"], listing=listing, rates=state.settings.faults
        )
        if fault is not None:
            state.counters.faults[fault.kind.value] += 1
            if fault.kind not in ACTED_ON:
                return await deliver(exchange, instead_of(fault, request_id, extra), fault)
        try:
            answer = self._act(method, scope, route, body, fault)
        except ApiError as error:
            answer = error.answer(request_id)
        answer = Answer(answer.status, answer.body, answer.headers + extra)
        if state.answer_recorder is not None:
            state.answer_recorder(_received(method, scope, body), answer)
        if fault is not None:
            answer = spoil(fault, answer, request_id)
        return await deliver(exchange, answer, fault)

    def _act(
        self, method: str, scope: Scope, route: Route | None, body: bytes, fault: Fault | None
    ) -> Answer:
        state = self._state
        headers = _headers(scope)
        if state.recorder is not None:
            state.recorder(_received(method, scope, body))
        if not headers.get("user-agent"):
            raise bad_request("the request has no User-Agent; send one of the form name/version")
        authorize(
            state.settings, headers.get("authorization"), writing=method not in {"GET", "HEAD"}
        )
        if route is None:
            raise not_found("no such path")
        self._check_organization(route.organization)
        environment = state.environment(route.environment)
        request = Request(
            method=method,
            organization=route.organization,
            environment=route.environment,
            path=scope["path"],
            address=f"{scope['scheme']}://{headers.get('host', '')}{route.address}",
            name=route.name,
            query=_query(scope["query_string"]),
            content_type=headers.get("content-type", "").partition(";")[0].strip().lower(),
            body=body,
            fault=fault,
        )
        if route.collection == "connections":
            return connection_api.respond(state, environment.connections, request)
        return statement_api.respond(environment, request)

    def _check_organization(self, organization: str) -> None:
        settings = self._state.settings
        if settings.strict and not _UUID.fullmatch(organization):
            raise bad_request("the organization must be a UUID")
        if settings.organization not in {None, organization}:
            raise not_found(f"organization {organization} does not exist")


def _route(raw_path: bytes) -> Route | None:
    """/sql/v1/organizations/{}/environments/{}/(connections|statements)[/{}]"""
    parts = raw_path.decode("latin-1").split("/")
    if len(parts) not in {8, 9} or parts[3] != "organizations" or parts[5] != "environments":
        return None
    if parts[7] not in {"connections", "statements"} or not all(parts[1:]):
        return None
    return Route(
        organization=unquote(parts[4]),
        environment=unquote(parts[6]),
        address="/".join(parts[:7]),
        collection=parts[7],
        name=unquote(parts[8]) if len(parts) == 9 else None,
    )


def _headers(scope: Scope) -> Mapping[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _received(method: str, scope: Scope, body: bytes) -> Received:
    headers = _headers(scope)
    target = (scope["raw_path"] + b"?" + scope["query_string"]).decode("latin-1").rstrip("?")
    return Received(method, f"{scope['scheme']}://{headers.get('host', '')}{target}", headers, body)


def _query(query: bytes) -> Mapping[str, str]:
    return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {}
