"""Roles of logins and of SSH, as an administrator makes them by request."""

from __future__ import annotations

from typing import Any

from tests.support.vault.answers import (
    Answered,
    envelope,
    refused,
    unsupported,
)
from tests.support.vault.calls import Call
from tests.support.vault.durations import SYSTEM_MAX, duration
from tests.support.vault.state import State
from tests.support.vault.things import DatabaseRole, Login


def of_login(vault: State, call: Call) -> Any:
    """auth/<mount>/role/… and auth/<mount>/users/…"""
    for part in ("/role/", "/users/"):
        mount, found, rest = call.path.removeprefix("auth/").partition(part)
        if found:
            break
    if not found or (call.namespace, mount) not in vault.auth_mounts | dict.fromkeys(
        ((call.namespace, known) for known, _ in vault.logins)
    ):
        raise refused(404, [f'no handler for route "{call.path}". route entry not found.'])
    name, _, part = rest.partition("/")
    match call.method, part:
        case "POST" | "PUT", "":
            _make(vault, call, mount, name)
            raise Answered(204)
        case "GET", "role-id":
            return envelope({"role_id": _role_id(vault, mount, name)})
        case "POST" | "PUT", "secret-id":
            return _secret_id(vault, mount, _role_id(vault, mount, name))
        case _:
            raise unsupported()


def _make(vault: State, call: Call, mount: str, name: str) -> None:
    sent = call.sent()
    password = {"password": sent["password"]} if "password" in sent else {}
    policies = tuple(sent.get("token_policies", ()))
    login = Login(password, policies, duration(sent.get("token_ttl")) or SYSTEM_MAX, name=name)
    login.namespace = call.namespace
    login.token_type = "batch" if sent.get("token_type") == "batch" else "service"
    login.token_num_uses = int(sent.get("token_num_uses", 0))
    login.token_max_ttl = duration(sent.get("token_max_ttl"))
    login.token_period = duration(sent.get("token_period"))
    login.secret_id_num_uses = int(sent.get("secret_id_num_uses", 0))
    login.secret_id_ttl = duration(sent.get("secret_id_ttl"))
    vault.logins[mount, name] = login


def _role_id(vault: State, mount: str, name: str) -> str:
    for (known, role_id), login in vault.logins.items():
        if known == mount and login.name == name:
            return role_id
    raise refused(400, [f'role "{name}" does not exist'])


def _secret_id(vault: State, mount: str, role_id: str) -> Any:
    login = vault.logins[mount, role_id]
    made = vault.secret_id(mount, role_id)
    return envelope(
        {
            "secret_id": made,
            "secret_id_accessor": f"accessor-of-{made}",
            "secret_id_num_uses": login.secret_id_num_uses,
            "secret_id_ttl": int(login.secret_id_ttl),
        }
    )


def of_ssh(vault: State, call: Call, mount: str) -> None:
    """One-time passwords: leases that exist only inside the server.

    https://github.com/openbao/openbao/blob/main/builtin/logical/ssh/secret_otp.go
    """
    if not call.writes:
        raise unsupported()
    user = call.sent()["default_user"]
    name = call.path.removeprefix("roles/")
    made = DatabaseRole(
        ttl=SYSTEM_MAX,
        max_ttl=SYSTEM_MAX,
        renewable=False,
        data=lambda _, password: {
            "ip": "127.0.0.1",
            "key": password,
            "key_type": "otp",
            "port": 22,
            "username": user,
        },
    )
    vault.generic[mount, f"creds/{name}"] = made
    raise Answered(204)
