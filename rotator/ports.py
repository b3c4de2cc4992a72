"""What the core needs from the edges, which fit these protocols without importing them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from rotator.errors import SourceError
from rotator.model.connection import Connection
from rotator.model.credential import AuthData, Credential
from rotator.model.events import Event
from rotator.model.lease import HeldLease, Owner
from rotator.model.record import Record
from rotator.model.rule import Rule
from rotator.model.run import ActedOn, Outcome, Run, Settlement
from rotator.model.secret import Grant, Probe, Secret, SecretRef
from rotator.model.source import Finding, SourceState


class Target(Protocol):
    """One Confluent Cloud environment. Its requests raise TargetError and nothing else."""

    @property
    def name(self) -> str: ...

    @property
    def environment(self) -> str: ...

    @property
    def concurrency(self) -> int:
        """How many requests it has in flight at most; the others wait for their turn."""
        ...

    def takes(self, connection_type: str, options: Collection[str]) -> bool:
        """Whether the type is known; the options of a type that isn't known are not checked.

        Raises CredentialInvalid where a known type can't take these options.
        """
        ...

    def auth_data(self, connection_type: str, values: Mapping[str, str]) -> AuthData:
        """What an update sends, from the value of each option. Raises CredentialInvalid."""
        ...

    async def connections(self, connection_type: str | None = None) -> tuple[Connection, ...]:
        """Every connection, each name once; of one type if one is given."""
        ...

    async def look(self, names: Collection[str]) -> Mapping[str, Connection]:
        """These connections as they are now, from as few requests as it takes.

        A name that is missing from the answer no longer exists: it was asked for by name.
        """
        ...

    async def find(self, names: Collection[str]) -> Mapping[str, Connection]:
        """These connections as they are now, each asked for by its own name.

        Pages that shift while they are read may hold a connection on none of them. A name that
        is missing from this answer does not exist.
        """
        ...

    async def update(self, connection: Connection, credential: Credential) -> str | None:
        """Replace the credential; the new resource version, where the answer tells it.

        Raises UpdateUncertain if the update may have been applied, UpdateConflict if `connection`
        is out of date, TargetUnavailable if it was certainly not applied, UpdateWithheld if it was
        not sent, and TargetRefused if repeating it would not help.
        """
        ...


class Source(Protocol):
    """A place that secrets are read from. Raises SourceError and nothing else."""

    @property
    def name(self) -> str: ...

    async def read(self, ref: SecretRef) -> Secret:
        """The secret as it is now. Where `ref` is dynamic, each read makes a credential.

        A source never repeats a read that makes one. SourceUncertain means that a credential may
        have been made, and that its lease is not known.
        """
        ...

    async def read_all(
        self, refs: Collection[SecretRef]
    ) -> Mapping[SecretRef, Secret | SourceError]:
        """Read secrets with as few requests as possible. Raises nothing; each has its own error."""
        ...

    async def probe(self, ref: SecretRef) -> Probe:
        """Look at a secret, without reading its value where the source can.

        The reference is never dynamic.
        """
        ...

    async def renew(self, lease: str, seconds: float) -> Grant:
        """Renew a lease for so many seconds from now, or for fewer. Raises LeaseGone."""
        ...

    async def revoke(self, lease: str) -> None:
        """End a lease. Returns too if the lease is gone already."""
        ...

    async def keep_alive(self) -> Owner | None:
        """Renew the source's own token if that is due. None: it has no token at present.

        This is called every few seconds, and nearly always sends nothing.
        """
        ...

    async def examine(
        self, refs: Collection[SecretRef], watched: Collection[SecretRef]
    ) -> tuple[Finding, ...]:
        """Try what the configuration needs of the source, without making a credential."""
        ...


ConnectionKey = tuple[str, str]
"""Target and name of a connection."""


class RunLedger(Protocol):
    """What runs and the keeper of leases write, and what they need of it to decide.

    Raises LedgerError and nothing else. Every method that writes returns once it is durable, and
    writes become durable in the order in which they were asked for.
    """

    def lock(self, rotation: str) -> AbstractAsyncContextManager[None]:
        """Held for a run; raises RunInProgress where any process holds it. A crash frees it.

        Runs of the rotation that a dead process left open are closed as INTERRUPTED.
        """
        ...

    async def begin(self, run: Run) -> None: ...

    async def finish(self, run: Run) -> None: ...

    async def records(self, target: str) -> Mapping[str, Record]:
        """By name of the connection."""
        ...

    async def records_of(self, rotation: str) -> tuple[Record, ...]:
        """Those whose last update was of this rotation, on any target, configured or not."""
        ...

    async def write(self, record: Record) -> None:
        """Replaces what was known of the connection."""
        ...

    async def settle(self, settlements: Collection[Settlement]) -> None:
        """Writes all records and outcomes in one transaction.

        Outcomes of UNCHANGED are kept for the last run of their rotation alone.
        """
        ...

    async def acted_on(self, rotation: str) -> Mapping[ConnectionKey, ActedOn]:
        """What runs of the rotation last acted on, for each connection."""
        ...

    async def remember(self, rotation: str, acted_on: Mapping[ConnectionKey, ActedOn]) -> None:
        """Adds to what `acted_on` answers; connections that are not named keep what they have."""
        ...

    async def leases(self, rotation: str | None = None) -> tuple[HeldLease, ...]:
        """The oldest first."""
        ...

    async def keep_lease(self, lease: HeldLease, instead_of: str | None = None) -> None:
        """Writes it down as it is now, in place of another id if one is given."""
        ...

    async def drop_lease(self, lease_id: str) -> None: ...

    async def keep_source(self, state: SourceState) -> None: ...


class LedgerReader(Protocol):
    """What listings, the page and the daemon's start ask. Raises LedgerError and nothing else."""

    async def all_records(self) -> tuple[Record, ...]:
        """By target and name."""
        ...

    async def latest_outcomes(self) -> tuple[Outcome, ...]:
        """The newest outcome of each connection, by target and name."""
        ...

    async def run(self, run_id: str) -> tuple[Run, tuple[Outcome, ...]] | None:
        """With its outcomes in the order in which they were settled."""
        ...

    async def runs(self, rotation: str | None = None, *, limit: int = 100) -> tuple[Run, ...]:
        """The newest first."""
        ...

    async def last_run(self, rotation: str) -> Run | None: ...

    async def last_success(self, rotation: str) -> Run | None: ...

    async def outcomes(
        self, connection: str | None = None, *, since: datetime | None = None, limit: int = 10_000
    ) -> tuple[Outcome, ...]:
        """The newest first; `connection` is a case-sensitive glob.

        Leaves out those of UNCHANGED that give no reason: that a run found nothing to do.
        """
        ...

    async def outcomes_of(self, target: str, name: str, *, limit: int) -> tuple[Outcome, ...]:
        """Those of one connection, the newest first, as `outcomes` has them."""
        ...

    async def leases(self, rotation: str | None = None) -> tuple[HeldLease, ...]:
        """The oldest first."""
        ...

    async def source_states(self) -> tuple[SourceState, ...]:
        """By name of the source."""
        ...

    async def check(self) -> None:
        """Raises LedgerError where nothing can be written. Doesn't make the ledger grow."""
        ...


class Clock(Protocol):
    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]: ...


class Observer(Protocol):
    """Is told what happens. It must not block, and must not raise."""

    def __call__(self, event: Event, /) -> None: ...


Tell = Callable[[int, str, str], None]
"""Takes a level, the name of an event, and words for people. It is called in any thread."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """All that runs of one configuration work with, as the composition root built it."""

    rules: Mapping[str, Rule]
    """By name of the rotation."""
    targets: Mapping[str, Target]
    sources: Mapping[str, Source]
    ledger: RunLedger
    clock: Clock
    observe: Observer
    fingerprint: Callable[[Mapping[str, str]], str]
    """Keyed: without the key, nobody can try out values against the ledger."""
    scheduled_since: Callable[[str, datetime, datetime], bool]
    """Whether cron was due for a rotation after the first moment, up to the second."""
    adopt_unknown: bool = False
    """Whether a usable connection that is not on record is taken as it is."""
