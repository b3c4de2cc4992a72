"""What the core needs of the world. The edges fit these without importing them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from rotator.errors import SourceError
from rotator.model.connection import Connection
from rotator.model.credential import AuthData, Credential
from rotator.model.events import Event
from rotator.model.lease import HeldLease, Owner
from rotator.model.record import Record
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
        """How many requests it has in flight at most; more than that wait for their turn."""
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

        Raises UpdateUncertain where the update may have been applied, UpdateConflict where
        `connection` is out of date, TargetUnavailable where it surely was not taken, UpdateWithheld
        where it was not sent, and TargetRefused where repeating it is of no use.
        """
        ...


class Source(Protocol):
    """A place that secrets are read from. Raises SourceError and nothing else."""

    @property
    def name(self) -> str: ...

    async def read(self, ref: SecretRef) -> Secret:
        """Where `ref` is dynamic this makes a credential, and is never repeated by the source:
        SourceUncertain means that one may have been made, whose lease nobody knows.
        """
        ...

    async def read_all(
        self, refs: Collection[SecretRef]
    ) -> Mapping[SecretRef, Secret | SourceError]:
        """With as few requests as the source needs. Raises nothing: each has its own error."""
        ...

    async def probe(self, ref: SecretRef) -> Probe:
        """Without reading the value where the source can. Never of a dynamic reference."""
        ...

    async def renew(self, lease: str, seconds: float) -> Grant:
        """For as long as asked from now on, or for less. Raises LeaseGone where it has ended."""
        ...

    async def revoke(self, lease: str) -> None:
        """Returns where the lease is gone, whoever ended it."""
        ...

    async def keep_alive(self) -> Owner | None:
        """Renew the source's own token where that is due; None where it has none at present.

        Called every few seconds: nearly always it asks nobody.
        """
        ...

    async def examine(
        self, refs: Collection[SecretRef], watched: Collection[SecretRef]
    ) -> tuple[Finding, ...]:
        """What of all that is needed works, without making a credential."""
        ...


class Ledger(Protocol):
    """The durable record. Raises LedgerError and nothing else; returns once it is durable."""

    def lock(self, rotation: str) -> AbstractAsyncContextManager[None]:
        """Held for a run; raises RunInProgress where any process holds it. Freed by a crash."""
        ...

    async def begin(self, run: Run) -> None: ...

    async def finish(self, run: Run) -> None: ...

    async def records(self, target: str) -> Mapping[str, Record]:
        """By name of the connection."""
        ...

    async def intend(self, record: Record) -> None:
        """Before the request leaves. Keeps `verified_*` and `rotated_at` of what was there."""
        ...

    async def put(self, record: Record) -> None:
        """The update was answered."""
        ...

    async def settle(self, record: Record | None, outcome: Outcome) -> None:
        """The end of a connection's part in a run: its new state, if any, and the history."""
        ...

    async def records_of(self, rotation: str) -> tuple[Record, ...]:
        """Those whose last update was of this rotation, on any target, configured or not."""
        ...

    async def leases(self, rotation: str | None = None) -> tuple[HeldLease, ...]:
        """The oldest first."""
        ...

    async def keep_lease(self, lease: HeldLease, instead_of: str | None = None) -> None:
        """Write it down as it is now, in place of another id if one is given."""
        ...

    async def drop_lease(self, lease_id: str) -> None: ...

    async def seen(self, rotation: str, versions: Mapping[SecretRef, str]) -> None:
        """Remember which version of each secret the rotation last acted on."""
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
        """The newest first; `connection` is a case-sensitive glob."""
        ...

    async def outcomes_of(self, target: str, name: str, *, limit: int) -> tuple[Outcome, ...]:
        """Those of one connection, the newest first."""
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
    """Told what happens; must not block and must not raise."""

    def __call__(self, event: Event, /) -> None: ...


Tell = Callable[[int, str, str], None]
"""Level, name of the event, and words for people. Called in any thread."""
