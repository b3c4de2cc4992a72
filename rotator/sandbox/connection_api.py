"""The requests to connections: list, create, read, update and delete."""

from __future__ import annotations

from collections.abc import Mapping
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
from rotator.sandbox.faults import FaultKind
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
            return _list(connections, request)
        case "POST", None:
            return _create(connections, request, settings)
        case _, None:
            raise method_not_allowed(request.method, "GET, POST")
        case "GET", str(name):
            return _shown(connections.read(name), request)
        case "PUT", str(name):
            stored = _put(connections, name, request, settings)
        case "PATCH", str(name) if not settings.strict:
            stored = _patch(connections, name, request)
        case "DELETE", str(name):
            connections.delete(name)
            return Answer(200)
        case _:
            patch = "" if settings.strict else ", PATCH"
            raise method_not_allowed(request.method, f"GET, PUT, DELETE{patch}")
    state.counters.updated(f"{request.environment}/{stored.name}", state.now())
    return _shown(stored, request) if settings.update_answer == "connection" else Answer(200)


def _shown(connection: StoredConnection, request: Request) -> Answer:
    return Answer(200, at_address(connection.rendered, request.address), (JSON,))


def _list(connections: Connections, request: Request) -> Answer:
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
    data = _auth_data(body, settings)
    stored = connections.create(name, connection_type, endpoint, data)
    shown = _shown(stored, request)
    location = f"{request.address}/{COLLECTION}/{name}".encode("latin-1")
    return Answer(201, shown.body, (*shown.headers, (b"location", location)))


def _put(
    connections: Connections, name: str, request: Request, settings: SandboxSettings
) -> StoredConnection:
    body = request.document("application/json")
    required(body, "/name", str)
    unchanged(body, "/name", name)
    version = optional(body, "/metadata/resource_version", str) or None
    if version is None and settings.strict:
        raise bad_request("metadata.resource_version is required", "/metadata/resource_version")
    return _replace(connections, name, body, version, settings)


def _patch(connections: Connections, name: str, request: Request) -> StoredConnection:
    """A merge patch (RFC 7396); of all it could change, only the credential can be changed."""
    body = request.document("application/merge-patch+json", "application/json")
    unchanged(body, "/name", name)
    version = optional(body, "/metadata/resource_version", str) or None
    return _replace(connections, name, body, version, settings=None)


def _replace(
    connections: Connections,
    name: str,
    body: Mapping[str, Any],
    version: str | None,
    settings: SandboxSettings | None,
) -> StoredConnection:
    present = connections.current(name)
    unchanged(body, "/spec/connection_type", present.type)
    unchanged(body, "/spec/endpoint", present.endpoint)
    return connections.update(name, _auth_data(body, settings), version)


def _auth_data(body: Mapping[str, Any], settings: SandboxSettings | None) -> Mapping[str, str]:
    if settings is not None and settings.strict:
        required(body, "/spec/auth_data/kind", str)
    unchanged(body, "/spec/auth_data/kind", PLAINTEXT)
    return parse_auth_data(required(body, "/spec/auth_data/data", str))
