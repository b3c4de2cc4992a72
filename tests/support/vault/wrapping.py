"""sys/wrapping, and what the header X-Vault-Wrap-TTL makes of any answer."""

from __future__ import annotations

from typing import Any

from tests.support.vault.answers import (
    NO_WRAPPING_TOKEN,
    envelope,
    refused,
    stamp,
    unsupported,
)
from tests.support.vault.calls import Call
from tests.support.vault.durations import duration
from tests.support.vault.state import State

HEADER = "x-vault-wrap-ttl"


def wrap(vault: State, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Replaces the answer by a token that it can be had for."""
    ttl = duration(call.request.headers[HEADER])
    token = vault.wrap_body(body, call.path, ttl)
    kept = vault.wrapped[token]
    information = {
        "token": token,
        "accessor": kept.accessor,
        "ttl": int(ttl),
        "creation_time": stamp(kept.created),
        "creation_path": kept.creation_path,
    }
    inner = (body.get("data") or {}).get(
        "secret_id_accessor", (body.get("auth") or {}).get("accessor")
    )
    if inner:
        information["wrapped_accessor"] = inner
    return envelope(None, request_id="", wrap_info=information)


def lookup(vault: State, call: Call) -> Any:
    """Describes a wrapping token, without any other token."""
    if not call.writes:
        raise unsupported()
    kept = vault.wrapped.get(call.sent().get("token") or call.presented)
    if kept is None:
        raise refused(400, NO_WRAPPING_TOKEN)
    return envelope(
        {
            "creation_path": kept.creation_path,
            "creation_time": stamp(kept.created),
            "creation_ttl": int(kept.ttl),
        }
    )


def unwraps_itself(vault: State, call: Call) -> bool:
    """Whether the wrapping token is in the header, and none in the body."""
    return call.path == "sys/wrapping/unwrap" and (
        call.presented in vault.wrapped or not call.sent().get("token")
    )


def unwrap(vault: State, call: Call) -> Any:
    """Unwraps once. A wrapping token in the header besides another in the body is spent for
    nothing."""
    if not call.writes:
        raise unsupported()
    inner = call.sent().get("token")
    if inner and call.presented in vault.wrapped:
        del vault.wrapped[call.presented]
        inner = ""
    kept = vault.wrapped.pop(inner or ("" if inner == "" else call.presented), None)
    if kept is None:
        raise refused(400, NO_WRAPPING_TOKEN)
    return dict(kept.body)


def wrapped(call: Call) -> Any:
    """sys/wrapping/wrap: the answer holds what was sent."""
    if not call.writes:
        raise unsupported()
    if HEADER not in call.request.headers:
        raise refused(400, ["endpoint requires response wrapping to be used"])
    return envelope(call.sent())
