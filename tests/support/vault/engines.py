"""Engines that make credentials: databases, AWS, and whatever else answers with a lease."""

from __future__ import annotations

import secrets
from typing import Any

from tests.support.vault.answers import (
    DATABASE_DOWN,
    LAST_USE,
    Answered,
    envelope,
    refused,
    stamp,
    unsupported,
)
from tests.support.vault.calls import Call
from tests.support.vault.state import State
from tests.support.vault.things import AwsRole, DatabaseRole, LeaseState, StaticRole


def answer(vault: State, call: Call, mount: str) -> Any:
    """Answers a path below the mount. Every read of a role makes a new credential."""
    generic = vault.generic.get((mount, call.path))
    part, _, role = call.path.partition("/")
    if generic is not None:
        _only(call, "GET", "POST", "PUT")
        if isinstance(generic, DatabaseRole):
            return _user(vault, call, mount, generic)
        return envelope(generic)
    match part:
        case "creds" if (mount, role) in vault.databases:
            _only(call, "GET")
            return _user(vault, call, mount, vault.databases[mount, role])
        case "creds" | "sts" if (mount, role) in vault.aws_roles:
            _only(call, "GET", "POST", "PUT")
            return _key(vault, call, mount, vault.aws_roles[mount, role])
        case "static-creds" if (mount, role) in vault.static_roles:
            _only(call, "GET")
            return _static(vault, vault.static_roles[mount, role])
        case "rotate-role" if (mount, role) in vault.static_roles:
            _only(call, "POST", "PUT")
            _reachable(vault)
            vault.rotate_static(mount, role)
            raise Answered(204)
        case "creds" | "sts" | "static-creds" | "rotate-role":
            raise refused(400, [f"unknown role: {role}"])
        case _:
            raise refused(404, ["1 error occurred:\n\t* unsupported path\n\n"])


def _only(call: Call, *methods: str) -> None:
    if call.method not in methods:
        raise unsupported()


def _reachable(vault: State) -> None:
    if vault.database_down:
        raise refused(500, [f"1 error occurred:\n\t* {DATABASE_DOWN}\n\n"])


def _user(vault: State, call: Call, mount: str, role: DatabaseRole) -> Any:
    _reachable(vault)
    name = f"v-token-{call.path.rpartition('/')[2]}-{secrets.token_hex(10)}"
    password = f"{role.prefix}{secrets.token_urlsafe(15)}"
    lease = vault.lease(
        f"{mount}/{call.path}",
        mount,
        call.owner,
        role,
        (name, password),
        renewable=role.renewable,
        suffix=_suffix(call),
    )
    return _leased(vault, call, lease, dict(role.data(name, password)))


def _key(vault: State, call: Call, mount: str, role: AwsRole) -> Any:
    temporary = role.kind == "sts"
    key = ("ASIA" if temporary else "AKIA") + secrets.token_hex(8).upper()
    secret = f"{role.prefix}{secrets.token_urlsafe(30)}"
    lease = vault.lease(
        f"{mount}/{call.path}",
        mount,
        call.owner,
        role,
        (key, secret),
        renewable=not temporary,
        suffix=_suffix(call),
    )
    session = f"{role.prefix}{secrets.token_urlsafe(60)}" if temporary else None
    data = {"access_key": key, "secret_key": secret, "security_token": session}
    return _leased(vault, call, lease, data)


def _suffix(call: Call) -> str:
    """A lease outside the root namespace has the namespace in its id."""
    return f".{call.namespace.replace('/', '-')}" if call.namespace else ""


def _leased(vault: State, call: Call, lease: LeaseState, data: dict[str, Any]) -> Any:
    if call.owner.spent:
        vault.end_lease(lease)
        raise refused(400, [LAST_USE])
    return envelope(
        data,
        lease_id=lease.id,
        renewable=lease.renewable,
        lease_duration=int((lease.expires - vault.now).total_seconds()),
    )


def _static(vault: State, role: StaticRole) -> Any:
    assert role.rotated is not None, "settled before every request"
    left = role.period - (vault.now - role.rotated).total_seconds()
    return envelope(
        {
            "last_vault_rotation": stamp(role.rotated),
            "password": role.password,
            "rotation_period": int(role.period),
            "ttl": max(0, round(left)),
            "username": role.username,
        }
    )
