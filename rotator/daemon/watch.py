"""Whether what the secrets of a rotation look like now is a reason to run it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rotator.config.models import SecretConfig
from rotator.errors import RotatorError, SecretMissing
from rotator.model.run import ActedOn, Run, RunResult
from rotator.model.secret import Probe, SecretRef
from rotator.ports import ConnectionKey

RETRY_AFTER_FAILURE = 10
"""Looks after a run that did not succeed, before the watch tries again by itself."""


@dataclass(slots=True)
class Watch:
    """What the looks at one rotation have in common. It decides, and touches nothing."""

    _looks: int = 0
    """Since a run that did not succeed."""
    _missing: bool = False
    """Whether the last look found a secret deleted or absent."""
    _warnings: frozenset[str] = field(default_factory=frozenset)

    def failed(self, error: RotatorError) -> None:
        self._missing = isinstance(error, SecretMissing)

    def calls_for_a_run(
        self,
        probes: Mapping[SecretRef, Probe],
        wanted: Mapping[ConnectionKey, SecretRef],
        acted_on: Mapping[ConnectionKey, ActedOn],
        last: Run | None,
    ) -> bool:
        """Whether to run the rotation now.

        `probes` is what each secret is at, `wanted` the secret of each connection, `acted_on` what
        runs last acted on for it, and `last` the last run. A secret that was not probed, since its
        credentials have leases, calls for nothing.
        """
        changed = any(
            acted_on.get(connection) != ActedOn(ref, probes[ref].version)
            for connection, ref in wanted.items()
            if ref in probes
        )
        if changed or self._missing:
            # A secret that was deleted and is back can have its old version: only a run compares
            # the values.
            self._missing = False
            return True
        if last is None or last.result is RunResult.SUCCEEDED:
            self._looks = 0
            return False
        self._looks += 1
        if self._looks >= RETRY_AFTER_FAILURE:
            self._looks = 0
            return True
        return False

    def new_warnings(self, probes: Mapping[SecretRef, Probe]) -> list[tuple[SecretRef, str]]:
        """The warnings that the look before this one did not have."""
        found = [(ref, probe.warning) for ref, probe in probes.items() if probe.warning]
        fresh = [(ref, text) for ref, text in found if f"{ref} {text}" not in self._warnings]
        self._warnings = frozenset(f"{ref} {text}" for ref, text in found)
        return fresh


def next_change(probes: Mapping[SecretRef, Probe]) -> float | None:
    """Seconds until the first of the secrets is due to change, where the sources know."""
    return min((p.changes_in for p in probes.values() if p.changes_in is not None), default=None)


_PLACEHOLDER = re.compile(r"\\{[a-z]+\\}")


def may_concern(secret: SecretConfig, path: str) -> bool:
    """Whether a change at `path`, which begins with its mount, may concern such a secret.

    An empty path may mean any secret. KV v2 writes `mount/data/…` and `mount/metadata/…`.
    """
    if not path:
        return True
    mount = re.escape((secret.mount or "kv").strip("/"))
    wanted = _PLACEHOLDER.sub("[^/]+", re.escape(secret.path.strip("/")))
    return re.fullmatch(rf"/?{mount}/(?:[a-z]+/)?{wanted}", path) is not None
