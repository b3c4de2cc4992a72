"""sys/mounts, sys/auth, sys/policies, sys/namespaces: what an administrator sets up by request."""

from __future__ import annotations

import json
from typing import Any

from tests.support.vault.answers import (
    UNSUPPORTED_PATH,
    Answered,
    envelope,
    refused,
    unsupported,
)
from tests.support.vault.calls import Call
from tests.support.vault.state import State


def answer(vault: State, call: Call) -> Any:
    _, what, name = call.path.split("/", 2)
    name = name.removeprefix("acl/").strip("/")
    place = call.namespace, name
    sent = call.sent()
    match call.method, what:
        case "POST" | "PUT", "mounts":
            version = (sent.get("options") or {}).get("version")
            vault.mounts[place] = int(version or 1) if sent["type"] == "kv" else sent["type"]
        case "DELETE", "mounts":
            _unmount(vault, *place)
        case "POST" | "PUT", "auth":
            vault.auth_mounts[place] = sent["type"]
        case "DELETE", "auth":
            _disable(vault, *place)
        case "POST" | "PUT", "policies":
            # HCL is as good for a real server; JSON is enough for tests.
            document = json.loads(sent["policy"])["path"]
            vault.policies[name] = {p: set(rule["capabilities"]) for p, rule in document.items()}
        case "DELETE", "policies":
            vault.policies.pop(name, None)
        case _, "namespaces" if vault.profile == "vault-ce":
            raise refused(404, UNSUPPORTED_PATH)
        case "POST" | "PUT", "namespaces":
            vault.namespaces.add(f"{call.namespace}/{name}".strip("/"))
            return envelope({"id": name, "path": f"{name}/"})
        case "DELETE", "namespaces":
            vault.namespaces.discard(f"{call.namespace}/{name}".strip("/"))
        case _:
            raise unsupported()
    raise Answered(204)


def _unmount(vault: State, namespace: str, mount: str) -> None:
    """Removes a mount with its leases and all that it holds."""
    for lease in [lease for lease in vault.leases.values() if lease.mount == mount]:
        vault.end_lease(lease)
    vault.mounts.pop((namespace, mount), None)
    stores: tuple[dict[tuple[str, str], Any], ...] = (
        vault.kv,
        vault.kv1,
        vault.kv_settings,
        vault.generic,
    )
    for kept in stores:
        for key in [key for key in kept if key[0] == mount]:
            del kept[key]


def _disable(vault: State, namespace: str, mount: str) -> None:
    """Removes a login with its roles and all tokens that it gave out."""
    vault.auth_mounts.pop((namespace, mount), None)
    for key in [key for key in vault.logins if key[0] == mount]:
        del vault.logins[key]
    for token in list(vault.tokens.values()):
        if token.path.startswith(f"auth/{mount}/login"):
            vault.revoke_token(token.id)
