"""What a source permits, and how it answered most recently."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """One permission that the configuration needs of a source, and whether it has it."""

    what: str
    """The permission in words: `read kv/data/flink/openai`."""
    problem: str = ""
    """What is missing, and what to do; empty where it works."""
    required: bool = True
    """Whether rotator needs it to work at all; otherwise it works with less."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """How a source answered most recently, as far as the daemon saw."""

    source: str
    ok_at: datetime | None
    """When a read or probe last worked."""
    failing_since: datetime | None = None
    reason: str = ""
    """Why it fails; empty where it doesn't."""
