"""How long a token or a lease may live, and durations as Go writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.support.vault.answers import failed, refused

SYSTEM_MAX = 2764800.0
"""Seconds: 768 h, Vault's default of the longest life."""

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Span:
    seconds: float
    warnings: list[str] | None = None


def span(
    now: datetime,
    issued: datetime,
    wanted: float,
    limits: tuple[float, ...],
    action: str = "renew",
) -> Span:
    """`wanted` from now, but not past `issued` plus the least of the limits; 0 is no limit.

    https://github.com/openbao/openbao/blob/main/sdk/framework/lease.go
    """
    longest = min(limit for limit in (*limits, SYSTEM_MAX) if limit > 0)
    left = (issued + timedelta(seconds=longest) - now).total_seconds()
    if left <= 0:
        raise failed(action, "past the max TTL, cannot renew")
    if wanted <= left:
        return Span(wanted)
    warning = (
        f'TTL of "{spelled(wanted)}" exceeded the effective max_ttl of "{spelled(left)}"; '
        "TTL value is capped accordingly"
    )
    return Span(left, [warning])


def spelled(seconds: float) -> str:
    """As Go writes it, without the zeros at its end: 1h, 5m, 1h0m5s."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    text = (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "")
    return re.sub(r"(?<=h)0m$", "", text + (f"{rest}s" if rest or not text else ""))


def duration(value: object) -> float:
    """Seconds of `30`, `"30"`, `"30s"` or `"1h30m"`; 0 for nothing."""
    if value is None or value == "":
        return 0.0
    text = str(value)
    if re.fullmatch(r"\d+", text):
        return float(text)
    if not re.fullmatch(r"(\d+[hms])+", text):
        raise refused(400, [f"error converting input {text} for field: time: invalid duration"])
    return sum(int(part) * _UNITS[unit] for part, unit in re.findall(r"(\d+)([hms])", text))
