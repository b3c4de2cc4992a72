"""What a run has to do with, as the composition root built it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rotator.config.models import Config
from rotator.ports import Clock, Ledger, Observer, Source, Target


@dataclass(frozen=True, slots=True)
class RunContext:
    """All that a run touches."""

    config: Config
    targets: Mapping[str, Target]
    sources: Mapping[str, Source]
    ledger: Ledger
    clock: Clock
    observe: Observer
    fingerprint: Callable[[Mapping[str, str]], str]
