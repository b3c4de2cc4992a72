"""What a source permits, and how it answered lately."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the configuration needs of a source, and whether it may have it."""

    what: str
    """As a person would say it: `read kv/data/flink/openai`."""
    problem: str = ""
    """Empty where it works; else what is missing, and the remedy."""
    required: bool = True
    """Whether rotator can't do its work without it; else it does with less."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """How a source answered lately, as far as the daemon saw."""

    source: str
    ok_at: datetime | None
    """Of the last read or probe that worked."""
    failing_since: datetime | None = None
    reason: str = ""
    """What it said last, where it fails."""
