"""What a roll-out asks for, and what it is told: the only traffic between it and the world.

Effects go out, events come in. Both are frozen values, so a test can hold them back, deliver them
in another order, or never.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rotator.errors import RotatorError, TargetError
from rotator.model.connection import Connection
from rotator.model.credential import Credential
from rotator.model.events import Event as Told
from rotator.model.events import Settled
from rotator.model.plan import Change
from rotator.model.record import Record
from rotator.model.run import Settlement

Key = tuple[str, str]
"""Target and name of a connection."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One reading of both clocks."""

    wall: datetime
    at: float
    """Seconds of a monotonic clock."""


Found = Mapping[str, Connection] | TargetError
"""What a look found, by name, or why it failed. A name that is missing does not exist."""


# Effects


@dataclass(frozen=True, slots=True)
class Issue:
    """Have the credential of a change made. Answered by Issued or NotIssued."""

    key: Key
    change: Change


@dataclass(frozen=True, slots=True)
class Write:
    """Write a record to the ledger. Answered by Written once it is durable."""

    key: Key
    record: Record


@dataclass(frozen=True, slots=True)
class Send:
    """Send an update. Answered by Answered, Refused, Lost, Conflicted or Withheld."""

    key: Key
    connection: Connection
    """As it was seen last: its resource version is what the update replaces."""
    credential: Credential


@dataclass(frozen=True, slots=True)
class Look:
    """See connections of one target as they are now. Answered by Seen, always: a target's own
    limits of time see to that."""

    target: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Settle:
    """Write outcomes, with their records, in one transaction. Not answered.

    The ledger makes what it is asked to write durable in that order, so whatever is written later
    never outlives an outcome that is asked for here.
    """

    settlements: tuple[Settlement, ...]
    events: tuple[Settled, ...]
    """What observers are told once the outcomes are durable."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the observers."""

    event: Told


Work = Issue | Write | Send | Look | Settle
"""What takes time."""

Effect = Work | Tell


# Events


@dataclass(frozen=True, slots=True)
class Issued:
    key: Key
    credential: Credential


@dataclass(frozen=True, slots=True)
class NotIssued:
    """The credential can't be had. What the connection has stays in place."""

    key: Key
    error: RotatorError


@dataclass(frozen=True, slots=True)
class Written:
    key: Key


@dataclass(frozen=True, slots=True)
class Answered:
    """The update was applied: its own answer says so."""

    key: Key
    version: str | None
    """The resource version that the answer tells, if it tells one."""


@dataclass(frozen=True, slots=True)
class Refused:
    """This sending of the update was not applied: the answer is a clear no, or there was no way."""

    key: Key
    error: TargetError


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer that can be trusted: the update may have been applied."""

    key: Key
    error: TargetError


@dataclass(frozen=True, slots=True)
class Conflicted:
    """Not applied: the connection is not as it was seen last."""

    key: Key
    error: TargetError


@dataclass(frozen=True, slots=True)
class Withheld:
    """Not sent: this process may not write any more."""

    key: Key


@dataclass(frozen=True, slots=True)
class Seen:
    """The answer to a Look: the connections that exist, or why they could not be seen."""

    target: str
    names: frozenset[str]
    found: Found
    asked_at: float
    """When the look began: it shows nothing that is older."""


Event = Issued | NotIssued | Written | Answered | Refused | Lost | Conflicted | Withheld | Seen
