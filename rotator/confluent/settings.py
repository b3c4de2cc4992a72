"""The settings of a target, without its key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

UpdateMethod = Literal["auto", "put", "patch"]
"""`auto` sends PUT, and PATCH where PUT is answered with 405."""


@dataclass(frozen=True, slots=True)
class TargetSettings:
    url: str
    organization: str
    environment: str
    update: UpdateMethod = "auto"
    concurrency: int = 16
    """Requests in flight."""
    requests_per_second: float = 50
    """A ceiling. Answers of 429 and X-RateLimit headers lower it further."""
    timeout: float = 30.0
    """Seconds, for the whole of one request."""
    ca_file: Path | None = None
    """None trusts the CAs of the system."""
