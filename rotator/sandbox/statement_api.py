"""The requests to statements: list, create, read, stop, resume and delete."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from rotator.sandbox.answers import JSON, Answer, bad_request, method_not_allowed
from rotator.sandbox.paging import page_request, page_token
from rotator.sandbox.request import Request, optional, required, unchanged
from rotator.sandbox.state import Environment
from rotator.sandbox.statements import (
    COLLECTION,
    DEFAULT_POOL,
    DEFAULT_PRINCIPAL,
    StatementSpec,
    StoredStatement,
)
from rotator.sandbox.world import at_address, check_name, render

_LIST_HEAD = b'{"api_version":"sql/v1","kind":"StatementList","metadata":'
_PATCHABLE = {
    "/spec/stopped": ("stopped", bool),
    "/spec/compute_pool_id": ("compute_pool", str),
    "/spec/principal": ("principal", str),
}


def respond(environment: Environment, request: Request) -> Answer:
    """Raises ApiError."""
    statements = environment.statements
    match request.method, request.name:
        case "GET", None:
            return _list(environment, request)
        case "POST", None:
            return _create(environment, request)
        case _, None:
            raise method_not_allowed(request.method, "GET, POST")
        case "GET", str(name):
            return _shown(statements.read(name), request)
        case "PUT", str(name):
            return _put(environment, name, request)
        case "PATCH", str(name):
            return _shown(statements.update(name, **_patch(request)), request)
        case "DELETE", str(name):
            statements.delete(name)
            return Answer(202)
        case _:
            raise method_not_allowed(request.method, "GET, PUT, PATCH, DELETE")


def _shown(statement: StoredStatement, request: Request) -> Answer:
    body = at_address(statement.rendered(request.organization), request.address)
    return Answer(200, body, (JSON,))


def _list(environment: Environment, request: Request) -> Answer:
    page = page_request(request.query)
    items, more = environment.statements.page(page, request.query.get("spec.compute_pool_id"))
    here = f"{request.address}/{COLLECTION}"
    following = ""
    if more:
        query = {**request.query, "page_size": page.size, "page_token": page_token(items[-1].name)}
        following = f"{here}?{urlencode(query)}"
    rendered = b",".join([item.rendered(request.organization) for item in items])
    body = _LIST_HEAD + render({"self": here, "next": following}) + b',"data":[' + rendered + b"]}"
    return Answer(200, at_address(body, request.address), (JSON,))


def _create(environment: Environment, request: Request) -> Answer:
    """The connections that the SQL text names in quotes become the statement's references."""
    body = request.document("application/json")
    sql = required(body, "/spec/statement", str)
    known = environment.connections.names()
    spec = StatementSpec(
        name=check_name(required(body, "/name", str)),
        sql=sql,
        connection_refs=tuple(name for name in known if f"'{name}'" in sql or f"`{name}`" in sql),
        compute_pool=optional(body, "/spec/compute_pool_id", str) or DEFAULT_POOL,
        principal=optional(body, "/spec/principal", str) or DEFAULT_PRINCIPAL,
        stopped=optional(body, "/spec/stopped", bool) or False,
    )
    shown = _shown(environment.statements.create(spec), request)
    location = f"{request.address}/{COLLECTION}/{spec.name}".encode("latin-1")
    return Answer(201, shown.body, (*shown.headers, (b"location", location)))


def _put(environment: Environment, name: str, request: Request) -> Answer:
    body = request.document("application/json")
    required(body, "/name", str)
    unchanged(body, "/name", name)
    environment.statements.update(
        name,
        version=required(body, "/metadata/resource_version", str),
        stopped=required(body, "/spec/stopped", bool),
        compute_pool=optional(body, "/spec/compute_pool_id", str),
        principal=optional(body, "/spec/principal", str),
    )
    return Answer(202)


def _patch(request: Request) -> dict[str, Any]:
    """JSON Patch (RFC 6902), whose operations the contract writes in capitals: both are taken."""
    operations = request.json("application/json-patch+json", "application/json")
    if not isinstance(operations, list) or not operations:
        raise bad_request("the body must be a list of JSON Patch operations")
    changes: dict[str, Any] = {}
    for index, operation in enumerate(operations):
        if not isinstance(operation, dict):
            raise bad_request("an operation must be a JSON object", f"/{index}")
        word = required(operation, "/op", str).lower()
        path = required(operation, "/path", str)
        if word not in {"add", "replace"} or path not in _PATCHABLE:
            raise bad_request(f"{word} {path} is not possible", f"/{index}")
        name, kind = _PATCHABLE[path]
        changes[name] = required(operation, "/value", kind)
    return changes
