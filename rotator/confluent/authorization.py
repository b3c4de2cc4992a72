"""The Authorization header of a target, kept out of every repr."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Authorization:
    """The value of one header, which no repr shows."""

    header: str = field(repr=False)


def basic(key: str, secret: str) -> Authorization:
    pair = base64.b64encode(f"{key}:{secret}".encode()).decode("ascii")
    return Authorization(f"Basic {pair}")


def bearer(token: str) -> Authorization:
    return Authorization(f"Bearer {token}")
