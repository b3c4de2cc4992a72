"""/sandbox/…: order faults and look at the results, from any process or with curl.

There is no login, as there is nothing to protect: it listens on loopback, and shows credentials
only as digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from textwrap import TextWrapper
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from rotator.sandbox.answers import ApiError
from rotator.sandbox.connections import Connections, credential_digest
from rotator.sandbox.faults import Fault, FaultKind
from rotator.sandbox.settings import FIXED
from rotator.sandbox.state import SandboxState
from rotator.sandbox.statements import StatementSpec

_WIDE = " " * 31
_GUIDE = """\
An emulated Confluent Cloud: sql/v1 connections and statements, and these to steer it:

GET    /sandbox/counters       requests by method and status, updates by connection, faults
DELETE /sandbox/counters       back to zero
PATCH  /sandbox/settings       {"latency": 0.05, "settle": 2, "lag": 1, "strict": true,
                                "limit": {"requests": 40}, "faults": {"error-500": 0.05},
                                "phase_lag": 0.5, "update_answer": "connection",
                                "patch_version": "ignore",
                                "accept": {"accepted": ["a-good-value"]}, ...}
GET    /sandbox/faults         faults that are ordered for the next requests
POST   /sandbox/faults         {"kind": "reset", "method": "PUT", "path": "*/openai-*", "times": 2}
                               {"kind": "unlisted", "path": "*/connections/openai-001"}
                               {"kind": "foreign-write", "value": "another-key"}
{kinds}
DELETE /sandbox/faults         take all of them back
POST   /sandbox/environments   {"name": "env-2"}
GET    /sandbox/environments/ENV/connections[/NAME]      phase, updates, digest of the credential
POST   /sandbox/environments/ENV/connections             {"count": 10, "types": ["OPENAI"]}
PUT    /sandbox/environments/ENV/connections/NAME/phase  {"phase": "DEGRADED", "detail": "..."}
POST   /sandbox/environments/ENV/statements              {"name": "s-1", "sql": "...",
                                                          "connection_refs": ["openai-001"]}
"""

_INDENTED = TextWrapper(100, initial_indent=_WIDE, subsequent_indent=_WIDE, break_on_hyphens=False)
GUIDE = _GUIDE.replace("{kinds}", _INDENTED.fill(f"kinds: {' '.join(FaultKind)}"))


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _NewConnections(_Body):
    count: Annotated[int, Field(ge=1, le=100_000)]
    types: tuple[str, ...] = ()


class _NewEnvironment(_Body):
    name: Annotated[str, Field(min_length=1)]


class _Phase(_Body):
    phase: Annotated[str, Field(min_length=1)]
    detail: str = ""


T = TypeVar("T")
_CHANGES: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_FAULTS: TypeAdapter[Fault | list[Fault]] = TypeAdapter(Fault | list[Fault])
_CONNECTIONS = TypeAdapter(_NewConnections)
_ENVIRONMENT = TypeAdapter(_NewEnvironment)
_PHASE = TypeAdapter(_Phase)
_STATEMENT = TypeAdapter(StatementSpec)


def control_app(state: SandboxState) -> Starlette:
    handlers = _ControlHandlers(state)
    environment = "/sandbox/environments/{environment}"
    routes = [
        Route("/", handlers.guide),
        Route("/sandbox", handlers.guide),
        Route("/sandbox/counters", handlers.counters, methods=["GET", "DELETE"]),
        Route("/sandbox/settings", handlers.settings, methods=["PATCH"]),
        Route("/sandbox/faults", handlers.faults, methods=["GET", "POST", "DELETE"]),
        Route("/sandbox/environments", handlers.environments, methods=["POST"]),
        Route(f"{environment}/connections", handlers.connections, methods=["GET", "POST"]),
        Route(f"{environment}/connections/{{name}}", handlers.connection),
        Route(f"{environment}/connections/{{name}}/phase", handlers.phase, methods=["PUT"]),
        Route(f"{environment}/statements", handlers.statements, methods=["POST"]),
    ]
    refusals = {ValidationError: _invalid, ApiError: _refused}
    return Starlette(routes=routes, exception_handlers=refusals)


class _ControlHandlers:
    def __init__(self, state: SandboxState) -> None:
        self._state = state

    async def guide(self, _: Request) -> Response:
        return PlainTextResponse(GUIDE)

    async def counters(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._state.counters.clear()
            return Response(status_code=204)
        return JSONResponse(self._state.counters.document())

    async def settings(self, request: Request) -> Response:
        changes = await _body(request, _CHANGES)
        fixed = sorted(FIXED & set(changes))
        if fixed:
            raise ApiError(400, "fixed", "Bad Request", f"{', '.join(fixed)}: only at the start")
        self._state.change(**changes)
        return Response(status_code=204)

    async def faults(self, request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse([asdict(fault) for fault in self._state.faults.orders()])
        if request.method == "DELETE":
            self._state.faults.clear()
            return Response(status_code=204)
        ordered = await _body(request, _FAULTS)
        for fault in ordered if isinstance(ordered, list) else [ordered]:
            self._state.faults.order(fault)
        return Response(status_code=204)

    async def environments(self, request: Request) -> Response:
        self._state.add_environment((await _body(request, _ENVIRONMENT)).name)
        return Response(status_code=204)

    async def connections(self, request: Request) -> Response:
        connections = self._connections(request)
        if request.method == "GET":
            return JSONResponse(
                [self._shown(request, connections, name) for name in connections.names()]
            )
        wanted = await _body(request, _CONNECTIONS)
        made = self._state.seed(connections, wanted.count, wanted.types)
        return JSONResponse({"names": made}, status_code=201)

    async def connection(self, request: Request) -> Response:
        connections = self._connections(request)
        return JSONResponse(self._shown(request, connections, request.path_params["name"]))

    async def phase(self, request: Request) -> Response:
        forced = await _body(request, _PHASE)
        self._connections(request).force_phase(
            request.path_params["name"], forced.phase, forced.detail
        )
        return Response(status_code=204)

    async def statements(self, request: Request) -> Response:
        spec = await _body(request, _STATEMENT)
        self._state.environment(request.path_params["environment"]).statements.create(spec)
        return JSONResponse({"name": spec.name}, status_code=201)

    def _connections(self, request: Request) -> Connections:
        return self._state.environment(request.path_params["environment"]).connections

    def _shown(
        self, request: Request, connections: Connections, name: str
    ) -> Mapping[str, str | int]:
        stored = connections.current(name)
        return {
            "name": stored.name,
            "type": stored.type,
            "phase": stored.phase,
            "resource_version": stored.version,
            "credential_sha256": credential_digest(stored.data),
            "updates": self._state.counters.updates[f"{request.path_params['environment']}/{name}"],
        }


async def _body(request: Request, adapter: TypeAdapter[T]) -> T:
    return adapter.validate_json(await request.body())


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, ValidationError)  # noqa: S101 -- as registered in control_app
    problems = [
        {"at": ".".join(str(part) for part in problem["loc"]), "message": problem["msg"]}
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    return JSONResponse({"problems": problems}, status_code=400)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 -- as registered in control_app
    return JSONResponse({"problems": [{"message": error.detail}]}, status_code=error.status)
