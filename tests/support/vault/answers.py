"""What a Vault says: envelopes, errors, and the words of an OpenBao 2.6.2."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

DENIED = ["permission denied"]
DENIED_BY_POLICY = ["1 error occurred:\n\t* permission denied\n\n"]
DENIED_BY_VAULT = ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]
"""How HashiCorp's Vault refuses an unknown token."""
ROLE_DENIED = ["invalid role or secret ID"]
USER_DENIED = ["invalid username or password"]
UNSUPPORTED_OPERATION = ["1 error occurred:\n\t* unsupported operation\n\n"]
UNSUPPORTED_PATH = ["1 error occurred:\n\t* unsupported path\n\n"]
NO_WRAPPING_TOKEN = ["wrapping token is not valid or does not exist"]
LEASE_NOT_FOUND = ["lease not found"]
LEASE_EXPIRED = ["lease expired"]
LEASE_NOT_RENEWABLE = ["lease is not renewable"]
LEASE_IRREVOCABLE = ["lease is expired and has failed previous revocation attempts"]
LAST_USE = (
    "Secret cannot be returned; token had one use left, so leased credentials were immediately "
    "revoked."
)
DATABASE_DOWN = (
    "failed to connect to `user=postgres database=postgres`: 127.0.0.1:5432 (127.0.0.1): "
    "dial error: dial tcp 127.0.0.1:5432: connect: connection refused"
)
UPGRADING = (
    "Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief "
    "period and will resume service shortly."
)


class Answered(Exception):
    """Ends the handling of a request."""

    def __init__(
        self, status: int, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers or {}


def refused(status: int, errors: list[str], headers: Mapping[str, str] | None = None) -> Answered:
    return Answered(status, {"errors": errors}, headers)


def unsupported() -> Answered:
    return refused(405, UNSUPPORTED_OPERATION)


def failed(action: str, error: str) -> Answered:
    """What the lease manager makes of any error of an engine: a 400."""
    return refused(400, [f"failed to {action} entry: resp: (*logical.Response)(nil) err: {error}"])


def envelope(data: Any, **others: Any) -> dict[str, Any]:
    return {
        "request_id": secrets.token_hex(16),
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": data,
        "wrap_info": None,
        "warnings": None,
        "auth": None,
        **others,
    }


def stamp(moment: datetime) -> str:
    """RFC 3339 with nanoseconds, as Go writes it: with Z for UTC, else with the offset."""
    zone = "Z" if not moment.utcoffset() else f"{moment:%z}"[:3] + ":" + f"{moment:%z}"[3:]
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}789{zone}"
