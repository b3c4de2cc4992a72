"""sys: health, mounts, capabilities, and what an administrator sets up."""

from __future__ import annotations

from typing import Any

from tests.support.vault import administration, leases, wrapping
from tests.support.vault.answers import (
    UNSUPPORTED_PATH,
    Answered,
    envelope,
    refused,
    unsupported,
)
from tests.support.vault.calls import Call
from tests.support.vault.mounts import engine_of, mount_of
from tests.support.vault.policies import capabilities, reach
from tests.support.vault.state import State
from tests.support.vault.things import Token

_VERSION = {"openbao": "2.6.2", "vault-ce": "1.21.0", "vault-ent": "1.21.0+ent"}


def health(vault: State, call: Call) -> Any:
    if call.method not in {"GET", "HEAD"}:
        raise Answered(405, {"errors": []})
    mode = "unknown" if vault.sealed else "disabled"
    body: dict[str, Any] = {
        "initialized": True,
        "sealed": vault.sealed,
        "standby": vault.sealed or bool(vault.standby),
        "replication_performance_mode": mode,
        "replication_dr_mode": mode,
        "server_time_utc": int(vault.now.timestamp()),
        "version": _VERSION[vault.profile],
    }
    if not vault.sealed:
        body |= {"cluster_name": "vault-cluster-fake", "cluster_id": "cluster"}
    raise Answered(_health_status(vault, call), body)


def _health_status(vault: State, call: Call) -> int:
    asked = call.query
    if vault.sealed:
        return int(asked.get("sealedcode", 503))
    if vault.standby == "performance" and "perfstandbyok" not in asked:
        return int(asked.get("performancestandbycode", 473))
    if vault.standby == "standby" and "standbyok" not in asked:
        return int(asked.get("standbycode", 429))
    return int(asked.get("activecode", 200))


def seal_status(vault: State, call: Call) -> Any:
    if call.method not in {"GET", "HEAD"}:
        raise Answered(405, {"errors": []})
    return {
        "type": "shamir",
        "initialized": True,
        "sealed": vault.sealed,
        "t": 1,
        "n": 1,
        "progress": 0,
        "nonce": "",
        "version": _VERSION[vault.profile],
        "storage_type": "inmem",
    }


def relative(vault: State, token: Token, call: Call, path: str) -> str | None:
    """The path as the policies of a token name it; None if its namespace doesn't reach there."""
    if token.namespace and f"{call.namespace}/".removeprefix(f"{token.namespace}/") == (
        f"{call.namespace}/"
    ):
        return None
    below = call.namespace.removeprefix(token.namespace).strip("/")
    return f"{below}/{path}" if below else path


def allowed(vault: State, token: Token, call: Call, path: str) -> frozenset[str]:
    if "root" in token.policies:
        return frozenset({"root"})
    seen = relative(vault, token, call, path)
    return capabilities(vault.policies_of(token) if seen is not None else (), seen or "")


def mount_details(vault: State, call: Call, token: Token) -> Any:
    """Open to anybody with a permission below the mount."""
    path = call.path.removeprefix("sys/internal/ui/mounts/").strip("/")
    found = mount_of(vault, call.namespace, path)
    seen = relative(vault, token, call, f"{found or path}/")
    if found is None or not (
        "root" in token.policies or (seen is not None and reach(vault.policies_of(token), seen))
    ):
        said = (
            "preflight capability check returned 403, please ensure client's policies grant "
            f'access to path "{path}/"'
        )
        raise refused(403, [said])
    engine = engine_of(vault, call.namespace, found)
    return envelope(
        {
            "accessor": f"accessor-of-{found}",
            "config": {"default_lease_ttl": 0, "force_no_cache": False, "max_lease_ttl": 0},
            "deprecation_status": "supported",
            "description": "",
            "external_entropy_access": False,
            "local": False,
            "options": {"version": str(engine)} if isinstance(engine, int) else None,
            "path": f"{found}/",
            "plugin_version": "",
            "running_plugin_version": "v2.0.0+builtin",
            "running_sha256": "",
            "seal_wrap": False,
            "type": "kv" if isinstance(engine, int) else engine,
            "uuid": f"uuid-of-{found}",
        }
    )


def answer(vault: State, call: Call) -> Any:
    """What needs a token and a policy."""
    path = call.path
    match call.method, path.removeprefix("sys/").split("/")[0]:
        case _, "leases":
            return leases.answer(vault, call)
        case _, "wrapping" if path == "sys/wrapping/wrap":
            return wrapping.wrapped(call)
        case _, "wrapping" if path == "sys/wrapping/unwrap":
            return wrapping.unwrap(vault, call)
        case "POST" | "PUT", "capabilities-self":
            return _capabilities(vault, call)
        case _, "events" if vault.profile == "vault-ent":
            raise Answered(426)
        case "POST" | "PUT", "seal":
            vault.sealed = True
            raise Answered(204)
        case _, "mounts" | "auth" | "policies" | "namespaces":
            return administration.answer(vault, call)
        case _, "capabilities-self" | "seal":
            raise unsupported()
        case _:
            raise refused(404, UNSUPPORTED_PATH)


def _capabilities(vault: State, call: Call) -> Any:
    sent = call.sent()
    paths = sent.get("paths") or [sent.get("path", "")]
    told = {path: sorted(allowed(vault, call.owner, call, path)) for path in paths}
    if len(paths) == 1:
        told["capabilities"] = told[paths[0]]
    return {**envelope(told), **told}
