"""Checks who may do what: HTTP Basic with an API key, or a bearer token."""

from __future__ import annotations

import base64
import binascii

from rotator.sandbox.answers import ApiError
from rotator.sandbox.settings import Role, SandboxSettings


def authorize(settings: SandboxSettings, authorization: str | None, *, writing: bool) -> None:
    """Raises ApiError with 401 or 403."""
    role = _role(settings, authorization)
    if role is None:
        raise unauthenticated()
    if role == "none" or (writing and role == "viewer"):
        raise ApiError(
            403,
            "user_unauthorized",
            "User Access Unauthorized",
            "The key may not do this; it needs OrganizationAdmin, EnvironmentAdmin or FlinkAdmin",
        )


def unauthenticated() -> ApiError:
    return ApiError(
        401,
        "user_unauthenticated",
        "Authentication Required",
        "Valid authentication credentials must be provided",
        headers=((b"www-authenticate", b'Basic error="invalid_key"'),),
    )


def _role(settings: SandboxSettings, authorization: str | None) -> Role | None:
    scheme, _, rest = (authorization or "").partition(" ")
    name = rest
    match scheme.lower():
        case "basic":
            try:
                name, _, secret = base64.b64decode(rest, validate=True).decode().partition(":")
            except (binascii.Error, ValueError):
                return None
            known = name in settings.keys and settings.keys[name] == secret
        case "bearer":
            known = rest in settings.tokens
        case _:
            known = False
    return settings.roles.get(name, "admin") if known else None
