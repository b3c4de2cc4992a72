"""Reading the configuration again, at SIGHUP."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rotator.config.load import load
from rotator.config.models import Config
from rotator.daemon.snapshots import Snapshots
from rotator.errors import ConfigurationError, Problem, RotatorError

log = logging.getLogger(__name__)

_FIXED = ("ledger", "http", "coordination")
"""Sections that a reload can't change."""


@dataclass(frozen=True, slots=True)
class Reload:
    path: Path
    snapshots: Snapshots
    taken: Callable[[Config], None]
    """Called with a configuration that is in force from now on."""
    refused: Callable[[], None]

    async def __call__(self) -> None:
        """Read the configuration again; if anything is wrong with it, the old one stays."""
        try:
            config = load(self.path)
            self._refuse_what_needs_a_restart(config)
            await self.snapshots.replace(config)
        except RotatorError as error:
            self.refused()
            what = {
                "path": str(self.path),
                "reason": str(error).replace("\n", "; "),
                "todo": "correct it until `rotator check` finds nothing, and send SIGHUP again; "
                "until then the configuration of before stays in force",
            }
            log.error("config.refused", extra=what)  # noqa: TRY400 - one line
            return
        self.taken(config)
        log.info("config.reloaded", extra={"path": str(self.path)})

    def _refuse_what_needs_a_restart(self, config: Config) -> None:
        present = self.snapshots.config
        for key in _FIXED:
            if getattr(config, key) != getattr(present, key):
                raise ConfigurationError(
                    (Problem(str(self.path), 0, key, "a change of this section needs a restart"),)
                )
