"""One token of Vault: what the server said about it, and when it has to be renewed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

_MARGIN = 60.0
"""Seconds before its end at which a token is replaced; a tenth of its life if that is less."""
_RENEWED_AT = 2 / 3
"""The share of its life after which a token is renewed."""
_WORTHWHILE = 0.9
"""The share of what was asked. A renewal that grants less has reached the maximum."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token, as far as it is known. Times are those of the monotonic clock."""

    value: str
    life: float = 0.0
    """Seconds that a renewal asks for; 0: it never ends, or its life is not known yet."""
    ends: float = float("inf")
    renewable: bool = False
    accessor: str | None = None
    service: bool = True
    """Batch tokens can be neither renewed nor revoked."""
    uses: int | None = None
    """How many uses are left; None: no limit."""
    known: bool = False
    """Whether the server said any of the above."""
    ours: bool = False
    """It came from a login of this process."""

    @classmethod
    def granted(cls, auth: Mapping[str, Any], now: float) -> Token:
        """From `auth`, the answer to a login that was sent at `now`."""
        life = seconds_of(auth.get("lease_duration"))
        uses = _uses(auth)
        service = auth.get("token_type") != "batch"
        return cls(
            value=str(auth["client_token"]),
            life=life,
            ends=now + life if life else float("inf"),
            # A renewal is a use too, and there may be none to spare.
            renewable=auth.get("renewable") is True and service and uses is None,
            accessor=_accessor(auth),
            service=service,
            uses=uses,
            known=True,
            ours=True,
        )

    def looked_up(self, about: Mapping[str, Any], now: float) -> Token | None:
        """With `about`, the answer to lookup-self at `now`; None if that says nothing about its
        end."""
        ttl = seconds_of(about.get("ttl"))
        # The expire_time of a root token is null. The ttl of one that is about to end is 0.
        ends = about.get("expire_time", "") is not None
        if ends and "ttl" not in about:
            return None
        life = seconds_of(about.get("period")) or seconds_of(about.get("creation_ttl")) or ttl
        return replace(
            self,
            known=True,
            life=life if ends else 0.0,
            ends=now + ttl if ends else float("inf"),
            renewable=about.get("renewable") is True,
            accessor=_accessor(about),
            service=about.get("type") != "batch",
            uses=_uses(about),
        )

    def renewed(self, life: float, now: float) -> Token:
        """With the `life` in seconds that a renewal at `now` granted."""
        capped = life < self.life * _WORTHWHILE
        return replace(self, ends=now + life, renewable=not capped)

    @property
    def renew_at(self) -> float:
        return self.ends - self.life * (1 - _RENEWED_AT)

    @property
    def replace_at(self) -> float:
        """When it has to be replaced, if it can't be renewed any more."""
        if not self.service:
            return self.renew_at
        return self.ends - min(_MARGIN, self.life / 10)

    def __repr__(self) -> str:
        return f"Token(accessor={self.accessor!r})"


def seconds_of(said: object) -> float:
    """0 for anything but a positive number."""
    return float(said) if isinstance(said, (int, float)) and said > 0 else 0.0


def _uses(said: Mapping[str, Any]) -> int | None:
    uses = said.get("num_uses")
    return uses if isinstance(uses, int) and uses > 0 else None


def _accessor(said: Mapping[str, Any]) -> str | None:
    return str(said.get("accessor") or "") or None
