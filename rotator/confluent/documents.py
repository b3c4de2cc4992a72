"""Parses answers of the sql/v1 API, and builds its requests. Pure.

It is liberal in what it accepts, since the contract, the documentation and the clients disagree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from rotator.confluent.phases import condition
from rotator.http.dates import rfc3339
from rotator.model.connection import Connection
from rotator.model.credential import Credential


class Malformed(Exception):
    """An answer that is not the API's. The text says what is odd, and repeats nothing of it."""


class Foreign(Malformed):
    """A next page that leads away from the target. It is not followed, and not asked for again."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list."""

    connections: tuple[Connection, ...]
    next: str | None
    """The path of the next page with its query, on the target's own origin."""


def collection_path(organization: str, environment: str) -> str:
    return (
        f"/sql/v1/organizations/{quote(organization, safe='')}"
        f"/environments/{quote(environment, safe='')}/connections"
    )


def page(target: str, base: str, body: bytes) -> Page:
    """Parse a page. Raises Malformed, also where `next` leaves the target's own scheme, host and
    port."""
    document = _json(body)
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(data, list):
        raise Malformed("no list of connections")
    following = _mapping(document.get("metadata")).get("next")
    return Page(
        tuple(connection(target, item) for item in data),
        _own_path(base, following) if following else None,
    )


def one_connection(target: str, name: str, body: bytes) -> Connection:
    """Parse one connection. Raises Malformed, also where the body is another connection."""
    found = connection(target, _json(body))
    if found.name != name:
        raise Malformed("not the connection that was asked for")
    return found


def connection(target: str, item: object) -> Connection:
    """Parse one item of a list. Raises Malformed."""
    outer = _mapping(item)
    metadata, spec = _mapping(outer.get("metadata")), _mapping(outer.get("spec"))
    status = _mapping(outer.get("status"))
    name = _text(outer.get("name"))
    phase = _text(status.get("phase")) or "UNKNOWN"
    if name is None:
        raise Malformed("a connection without a name")
    return Connection(
        target=target,
        name=name,
        type=(_text(spec.get("connection_type")) or "").upper(),
        endpoint=_text(spec.get("endpoint")) or "",
        phase=phase,
        condition=condition(phase),
        detail=_text(status.get("detail")) or "",
        resource_version=_text(metadata.get("resource_version")),
        updated_at=rfc3339(metadata.get("updated_at")),
        created_at=rfc3339(metadata.get("created_at")),
        uid=_text(metadata.get("uid")),
    )


def says_missing(body: bytes) -> bool:
    """Whether the body of a 404 may be the API's own: an error document, or nothing at all.

    A 404 of a proxy says nothing about whether a connection exists.
    """
    if not body.strip():
        return True
    try:
        return isinstance(_json(body), dict)
    except Malformed:
        return False


def update_document(connection: Connection, credential: Credential) -> bytes:
    """The body of a PUT. It replaces auth_data.data, JSON in a string, as a whole."""
    document: dict[str, Any] = {
        "name": connection.name,
        "spec": {
            "connection_type": connection.type,
            "endpoint": connection.endpoint,
            "auth_data": _auth_data(credential),
        },
    }
    if connection.resource_version is not None:
        document["metadata"] = {"resource_version": connection.resource_version}
    return _compact(document)


def patch_document(credential: Credential, resource_version: str | None) -> bytes:
    """The body of a PATCH: the credential, and the version that it replaces where one is given."""
    document: dict[str, Any] = {"spec": {"auth_data": _auth_data(credential)}}
    if resource_version is not None:
        document["metadata"] = {"resource_version": resource_version}
    return _compact(document)


def version_in_answer(connection: Connection, body: bytes) -> str | None:
    """The new resource version; None where the answer to an update doesn't tell it.

    Raises Malformed where the body is not this connection: then something else may have answered.
    """
    if not body.strip():
        return None
    answered = _mapping(_json(body))
    if answered.get("name") != connection.name:
        raise Malformed("not the connection that was updated")
    return _text(_mapping(answered.get("metadata")).get("resource_version"))


def complaint(body: bytes, credential: Credential | None = None, most: int = 300) -> str:
    """The message of an error, in one line; empty where it has none of the known shapes.

    The values of the credential that was sent are taken out first: after the text is cut or
    flattened, half of one could remain.
    """
    try:
        document = _mapping(_json(body))
    except Malformed:
        return ""
    errors = document.get("errors")
    first = _mapping(errors[0]) if isinstance(errors, list) and errors else {}
    single = _mapping(document.get("error"))
    words = [
        first.get("title"),
        first.get("detail"),
        single.get("message"),
        document.get("message"),
    ]
    text = ": ".join(dict.fromkeys(word for word in words if isinstance(word, str) and word))
    if credential is not None:
        text = credential.scrub(text)
    line = " ".join(re.sub(r"[^\x20-\x7e\xa0-\uffff]", " ", text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _auth_data(credential: Credential) -> dict[str, str]:
    return {"kind": "PlaintextProvider", "data": _compact(dict(credential.data)).decode()}


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _json(body: bytes) -> object:
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("no JSON") from None
    return document


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, (str, int)) and value != "" else None


def _own_path(base: str, following: object) -> str:
    if not isinstance(following, str):
        raise Malformed("metadata.next is no address")
    try:
        own, other = urlsplit(base), urlsplit(following)
        foreign = other.netloc and (own.scheme, own.hostname, own.port or 443) != (
            other.scheme,
            other.hostname,
            other.port or 443,
        )
    except ValueError:
        raise Malformed("metadata.next is no address") from None
    if foreign or not other.path.startswith("/"):
        raise Foreign("metadata.next leads to another host; it was not followed")
    return f"{other.path}?{other.query}" if other.query else other.path
