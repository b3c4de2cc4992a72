"""auth/token: lookup, renewal and revocation of a token by itself, and making others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.support.vault.answers import (
    LEASE_NOT_RENEWABLE,
    Answered,
    envelope,
    refused,
    stamp,
    unsupported,
)
from tests.support.vault.calls import Call
from tests.support.vault.durations import duration, span
from tests.support.vault.state import State
from tests.support.vault.things import Token

SELF = ("auth/token/lookup-self", "auth/token/renew-self", "auth/token/revoke-self")
"""Requests that run in the token's own namespace, whichever one they name."""


def answer(vault: State, call: Call) -> Any:
    token = call.owner
    match call.method, call.path.removeprefix("auth/token/"):
        case "GET", "lookup-self":
            return envelope(_about(vault, token))
        case "POST" | "PUT", "renew-self":
            return _renew(vault, token, duration(call.sent().get("increment")))
        case "POST" | "PUT", "revoke-self":
            if token.kind == "batch":
                raise refused(400, ["batch tokens cannot be revoked"])
            vault.revoke_token(token.id)
        case "POST" | "PUT", "revoke":
            vault.revoke_token(call.sent().get("token", ""))
        case "POST" | "PUT", "create":
            return _create(vault, call)
        case _:
            raise unsupported()
    raise Answered(204)


def granted(token: Token, life: float) -> dict[str, Any]:
    """The `auth` of an answer that hands out or renews a token."""
    return {
        "client_token": token.id,
        "accessor": token.accessor,
        "policies": list(token.policies),
        "token_policies": list(token.policies),
        "metadata": token.metadata,
        "lease_duration": int(life),
        "renewable": token.renewable,
        "entity_id": token.entity,
        "token_type": token.kind,
        "orphan": token.orphan,
        "mfa_requirement": None,
        "num_uses": token.uses,
    }


def _about(vault: State, token: Token) -> dict[str, Any]:
    left = (token.expires - vault.now).total_seconds() if token.expires else 0
    return {
        "accessor": token.accessor,
        "creation_time": int(token.issued.timestamp()),
        "creation_ttl": int(token.ttl),
        "display_name": "token",
        "entity_id": token.entity,
        "expire_time": stamp(token.expires) if token.expires else None,
        "explicit_max_ttl": int(token.max_ttl),
        "id": token.id,
        "issue_time": stamp(token.issued),
        "meta": token.metadata,
        "num_uses": token.uses,
        "orphan": token.orphan,
        "path": token.path,
        "policies": list(token.policies),
        "renewable": token.renewable,
        "ttl": int(left),
        "type": token.kind,
        **({"period": int(token.period)} if token.period else {}),
        **({"namespace_path": f"{token.namespace}/"} if token.namespace else {}),
    }


def _renew(vault: State, token: Token, increment: float) -> Any:
    if token.kind == "batch":
        raise refused(400, ["batch tokens cannot be renewed"])
    if not token.renewable or token.expires is None:
        raise refused(400, LEASE_NOT_RENEWABLE)
    limits = (token.max_ttl,) if token.period else (token.max_ttl, token.role_max_ttl)
    issued = vault.now if token.period and not token.max_ttl else token.issued
    life = span(vault.now, issued, token.period or increment or token.ttl, limits)
    token.expires = vault.now + timedelta(seconds=life.seconds)
    return envelope(None, auth=granted(token, life.seconds), warnings=life.warnings)


def _create(vault: State, call: Call) -> Any:
    sent = call.sent()
    parent = call.owner
    made = vault.token(
        *sent.get("policies", parent.policies),
        ttl=duration(sent.get("ttl")) or 2764800,
        uses=int(sent.get("num_uses", 0)),
        kind="batch" if sent.get("type") == "batch" else "service",
        period=duration(sent.get("period")),
        max_ttl=duration(sent.get("explicit_max_ttl")),
        renewable=sent.get("renewable", True),
        namespace=call.namespace,
        default=not sent.get("no_default_policy", False),
    )
    token = vault.tokens[made]
    token.orphan = bool(sent.get("no_parent", False))
    return envelope(None, auth=granted(token, token.ttl))
