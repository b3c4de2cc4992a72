"""The requests to connections: list, create, read, update and delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from rotator.sandbox.answers import JSON, Answer, bad_request, method_not_allowed
from rotator.sandbox.connections import (
    COLLECTION,
    PLAINTEXT,
    Connections,
    StoredConnection,
    parse_auth_data,
)
from rotator.sandbox.faults import BY_OTHERS, FaultKind
from rotator.sandbox.others import meddle
from rotator.sandbox.paging import page_request, page_token
from rotator.sandbox.request import Request, optional, required, unchanged
from rotator.sandbox.settings import SandboxSettings
from rotator.sandbox.state import SandboxState
from rotator.sandbox.world import at_address, check_name, render

_ENDPOINT_LIMIT = 16384
_LIST_HEAD = b'{"api_version":"sql/v1","kind":"ConnectionList","metadata":'


def respond(state: SandboxState, connections: Connections, request: Request) -> Answer:
    """Raises ApiError."""
    settings = state.settings
    match request.method, request.name:
        case "GET", None:
            return _list(state, connections, request)
        case "POST", None:
            return _create(connections, request, settings)
        case _, None:
            raise method_not_allowed(request.method, "GET, POST")
        case "GET", str(name):
            return _shown(connections.read(name), request)
        case "PUT", str(name):
            update = _put(name, request, settings)
        case "PATCH", str(name) if not settings.strict:
            update = _patch(name, request, settings)
        case "DELETE", str(name):
            connections.delete(name)
            return Answer(200)
        case _:
            patch = "" if settings.strict else ", PATCH"
            raise method_not_allowed(request.method, f"GET, PUT, DELETE{patch}")
    return _updated(state, connections, request, update)


def _updated(
    state: SandboxState, connections: Connections, request: Request, update: _Update
) -> Answer:
    fault = request.fault if request.fault and request.fault.kind in BY_OTHERS else None
    if fault and fault.kind is FaultKind.FOREIGN_WRITE_INSTEAD:
        meddle(connections, update.name, fault)
        return Answer(200)
    stored = _replace(connections, update)
    state.counters.updated(f"{request.environment}/{stored.name}", state.now())
    if fault:
        meddle(connections, stored.name, fault)
    shows_it = state.settings.update_answer == "connection"
    return _shown(stored, request) if shows_it else Answer(200)


def _shown(connection: StoredConnection, request: Request) -> Answer:
    return Answer(200, at_address(connection.rendered, request.address), (JSON,))


def _list(state: SandboxState, connections: Connections, request: Request) -> Answer:
    page = page_request(request.query)
    items, more = connections.page(page, request.query.get("spec.connection_type"))
    here = f"{request.address}/{COLLECTION}"
    following = ""
    if more:
        query = {**request.query, "page_size": page.size, "page_token": page_token(items[-1].name)}
        following = f"{here}?{urlencode(query)}"
    if request.fault is not None:
        if request.fault.kind is FaultKind.FOREIGN_NEXT:
            following = request.fault.location
        elif request.fault.kind is FaultKind.SKIP and page.after:
            items = items[1:]
        elif request.fault.kind is FaultKind.DUPLICATE and page.after:
            before = connections.before(page.after)
            items = [before, *items] if before else items
    items = _without_unlisted(state, request, items)
    body = b"".join(
        (
            _LIST_HEAD,
            render({"self": here, "next": following}),
            b',"data":[',
            b",".join([item.rendered for item in items]),
            b"]}",
        )
    )
    return Answer(200, at_address(body, request.address), (JSON,))


def _without_unlisted(
    state: SandboxState, request: Request, items: list[StoredConnection]
) -> list[StoredConnection]:
    here = f"{request.path}/"
    missing = state.faults.unlisted([here + item.name for item in items], state.settings.faults)
    if not missing:
        return items
    state.counters.faults[FaultKind.UNLISTED.value] += len(missing)
    return [item for item in items if here + item.name not in missing]


def _create(connections: Connections, request: Request, settings: SandboxSettings) -> Answer:
    body = request.document("application/json")
    name = check_name(required(body, "/name", str))
    connection_type = required(body, "/spec/connection_type", str)
    if not connection_type:
        raise bad_request("spec.connection_type is empty", "/spec/connection_type")
    endpoint = required(body, "/spec/endpoint", str)
    if not endpoint.isprintable() or not 0 < len(endpoint) <= _ENDPOINT_LIMIT:
        raise bad_request(
            f"spec.endpoint must have 1 to {_ENDPOINT_LIMIT} printable characters", "/spec/endpoint"
        )
    data = _auth_data(body, kind_required=settings.strict)
    stored = connections.create(name, connection_type, endpoint, data)
    shown = _shown(stored, request)
    location = f"{request.address}/{COLLECTION}/{name}".encode("latin-1")
    return Answer(201, shown.body, (*shown.headers, (b"location", location)))


@dataclass(frozen=True, slots=True)
class _Update:
    name: str
    body: Mapping[str, Any] = field(repr=False)
    version: str | None
    """The resource version that it is meant to replace."""
    kind_required: bool


def _put(name: str, request: Request, settings: SandboxSettings) -> _Update:
    body = request.document("application/json")
    required(body, "/name", str)
    unchanged(body, "/name", name)
    version = optional(body, "/metadata/resource_version", str) or None
    if version is None and settings.strict:
        raise bad_request("metadata.resource_version is required", "/metadata/resource_version")
    return _Update(name, body, version, kind_required=settings.strict)


def _patch(name: str, request: Request, settings: SandboxSettings) -> _Update:
    """A merge patch (RFC 7396); of all it could change, only the credential can be changed."""
    body = request.document("application/merge-patch+json", "application/json")
    unchanged(body, "/name", name)
    version = optional(body, "/metadata/resource_version", str) or None
    if settings.patch_version == "refuse" and "metadata" in body:
        raise bad_request("metadata can't be changed", "/metadata")
    if settings.patch_version == "ignore":
        version = None
    return _Update(name, body, version, kind_required=False)


def _replace(connections: Connections, update: _Update) -> StoredConnection:
    present = connections.current(update.name)
    unchanged(update.body, "/spec/connection_type", present.type)
    unchanged(update.body, "/spec/endpoint", present.endpoint)
    data = _auth_data(update.body, kind_required=update.kind_required)
    return connections.update(update.name, data, update.version)


def _auth_data(body: Mapping[str, Any], *, kind_required: bool) -> Mapping[str, str]:
    if kind_required:
        required(body, "/spec/auth_data/kind", str)
    unchanged(body, "/spec/auth_data/kind", PLAINTEXT)
    return parse_auth_data(required(body, "/spec/auth_data/data", str))
