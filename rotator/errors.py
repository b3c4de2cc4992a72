"""Everything that goes wrong, in one tree. The type says what happens next.

    RotatorError
    ├── ConfigurationError    fix the file: nothing was started
    ├── SourceError           a secret can't be had; the last good credential stays in place
    │   ├── SourceUnavailable     transient: try again later
    │   │   └── SourceUncertain       the answer is lost: what was asked for may have been made
    │   ├── SourceDenied          a person must act:
    │   │   ├── LoginDenied           the login or the token is refused
    │   │   └── PolicyDenied          the identity is known, and may not do this
    │   ├── SecretMissing         not there, or without a value
    │   │   └── SecretDeleted         it was there: deleted, destroyed, marked for deletion
    │   ├── LeaseGone             it has ended: a new credential is needed
    │   └── SecretInvalid         there, but not usable: no text, nested, not the shape asked for
    ├── TargetError           Confluent Cloud did not do as asked
    │   ├── TargetUnavailable     transient, and the request was not taken: try again
    │   ├── UpdateUncertain       the answer is lost or strange: look before sending again
    │   ├── UpdateConflict        changed meanwhile (409, 412): read again, decide again
    │   ├── UpdateWithheld        never sent: this process may not write any more
    │   └── TargetRefused         a clear no: don't repeat it
    │       └── KeyRefused            rotator's own key is refused, or can't be had
    ├── CoordinationError     who leads can't be found out: this process doesn't
    │   ├── CoordinationUnavailable   transient: ask again
    │   ├── CoordinationConflict      the Lease changed meanwhile: read it again
    │   └── CoordinationDenied        a person must act
    ├── ValueUnavailable      a value that the configuration refers to can't be had now
    ├── CredentialInvalid     a secret and a connection type that don't fit: part of the plan
    ├── PlanRefused           the plan is unsafe: nothing was sent
    │   └── NothingMatches        a filter on names matches no connection
    ├── RunInProgress         another run of the same rotation holds the lock
    ├── NotLeading            another process leads: it rotates
    ├── LedgerError           the record can't be read or written: nothing may start
    └── ListenError           the address of http.listen can't be had: nothing was started

Exceptions of libraries are translated into these at the border where they arise, with `from None`:
those of hvac, httpx, botocore and pydantic can carry the values of secrets. Every message is
written for the person who reads it, names the place, and holds no value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """What a failure comes down to for the person who is to do something about it."""

    MATCH = "match"
    """A rotation matches more or fewer connections than it expects."""
    SECRET = "secret"  # noqa: S105 - the word, and no secret
    """Its source doesn't give it."""
    CREDENTIAL = "credential"
    """Secret, rule and connection don't fit together; nothing was sent."""
    REJECTED = "rejected"
    """Put, and refused by the endpoint: the secret holds a bad value."""
    NOT_READY = "not_ready"
    """Put, and not seen to work in time."""
    KEY = "key"
    """rotator's own key of the target."""
    REFUSED = "refused"
    """The target says no, and would again."""
    TARGET = "target"
    """The target doesn't answer as it should; that may pass."""
    LEDGER = "ledger"
    INTERNAL = "internal"
    OTHER = "other"


class RotatorError(Exception):
    """Ends in one line on standard error and exit status 1, never in a traceback."""

    cause = Cause.OTHER
    request_id: str | None = None
    """The X-Request-Id of the answer that it comes from, where there was one."""

    def fields(self) -> dict[str, str]:
        """For a line of the log: what it says, and where it comes from."""
        return {"reason": str(self)}


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in the configuration, at a place that an editor can jump to."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigurationError(RotatorError):
    """All problems of a configuration at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class SourceError(RotatorError):
    """A secret can't be had. `result` is the value of the metric's `result` label."""

    result = "error"
    cause = Cause.SECRET

    def __init__(self, source: str, path: str, message: str) -> None:
        place = f"source {source}" + (f", {path}" if path else "")
        super().__init__(f"{place}: {message}")
        self.source = source
        self.path = path
        self.message = message

    def fields(self) -> dict[str, str]:
        return {"source": self.source, **super().fields()}


class SourceUnavailable(SourceError):
    """Transient: the source does not answer, is sealed, throttles, or has a bad day."""

    result = "unavailable"


class SourceUncertain(SourceUnavailable):
    """No answer: of a read that makes a credential, nobody knows whether it made one."""


class SourceDenied(SourceError):
    """The source says no, and will say so again until a person has acted."""

    result = "denied"


class LoginDenied(SourceDenied):
    """The login, or the token or key itself, is refused."""

    result = "login_denied"


class PolicyDenied(SourceDenied):
    """A valid identity may not do this."""

    result = "policy_denied"


class SecretMissing(SourceError):
    """The secret, its version, or its value does not exist."""

    result = "missing"


class SecretDeleted(SecretMissing):
    """It did exist: its version was deleted or destroyed, or it is marked for deletion."""

    result = "deleted"


class LeaseGone(SourceError):
    """The lease has ended or was revoked, and its credential with it."""

    result = "lease_gone"


class SecretInvalid(SourceError):
    """The secret was read, and can't be used as it is."""

    result = "invalid"


class TargetError(RotatorError):
    """Confluent Cloud did not do as asked.

    `status` is None where no answer came; `request_id` is the X-Request-Id of the answer.
    """

    cause = Cause.TARGET

    def __init__(
        self, target: str, message: str, *, status: int | None = None, request_id: str | None = None
    ) -> None:
        notes = [f"HTTP {status}"] if status is not None else []
        notes += [f"X-Request-Id {request_id}"] if request_id else []
        super().__init__(
            f"target {target}: {message}" + (f" ({', '.join(notes)})" if notes else "")
        )
        self.target = target
        self.status = status
        self.request_id = request_id

    def fields(self) -> dict[str, str]:
        known = {"request_id": self.request_id} if self.request_id else {}
        return {"target": self.target, **super().fields(), **known}


class TargetUnavailable(TargetError):
    """Transient, and nothing was changed by it."""


class UpdateUncertain(TargetError):
    """The update may have been applied, or not: only a look at the connection tells."""


class UpdateConflict(TargetError):
    """The connection changed since it was read."""


class UpdateWithheld(TargetError):
    """Surely not sent: another process may lead by now, or this one is about to stop."""


class TargetRefused(TargetError):
    """A definite no: wrong key, unknown environment, a request that the API doesn't take."""

    cause = Cause.REFUSED


class KeyRefused(TargetRefused):
    """The key that rotator itself has for the target is refused, or can't be had."""

    cause = Cause.KEY


class ValueUnavailable(RotatorError):
    """What an `{env: …}` or `{file: …}` refers to is absent, empty or unreadable."""


class CredentialInvalid(RotatorError):
    """The secret can't become a credential of this connection. Never holds a value."""

    cause = Cause.CREDENTIAL


class PlanRefused(RotatorError):
    """The plan is unsafe, so nothing was sent."""

    def __init__(self, message: str, cause: Cause) -> None:
        super().__init__(message)
        self.cause = cause


class NothingMatches(PlanRefused):
    """A filter on names of connections matches none of a rotation's connections."""

    def __init__(self, rotation: str, glob: str, names: Iterable[str] = ()) -> None:
        """`names` are those of the connections that the rotation does match."""
        super().__init__(f"no connection of rotation {rotation} is named {glob}", Cause.MATCH)
        self.rotation = rotation
        self.glob = glob
        self.names = tuple(names)


class RunInProgress(RotatorError):
    """Another run of the rotation is under way, in this process or another."""

    def __init__(self, rotation: str, run_id: str | None) -> None:
        super().__init__(
            f"rotation {rotation} is already running"
            + (f" (run {run_id})" if run_id else "")
            + "; wait for it to end, or look at `rotator history`"
        )
        self.rotation = rotation
        self.run_id = run_id


class CoordinationError(RotatorError):
    """The API server did not do as asked."""


class CoordinationUnavailable(CoordinationError):
    """Transient, and a write may have been applied. `after` is how long the server asks to wait."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class CoordinationConflict(CoordinationError):
    """The Lease is not as it was read, or exists already (409)."""


class CoordinationDenied(CoordinationError):
    """The API server says no, and will until a person has acted: token, permission, namespace."""


class NotLeading(RotatorError):
    """Another process leads, or nobody is known to; `holder` is empty then."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"this process does not lead, and only the leader rotates; {_who(holder)}")
        self.holder = holder


def _who(holder: str) -> str:
    if not holder:
        return "nobody is known to lead now; try again soon"
    return f"{holder} leads: start it there, by POST /api/v1/rotations/NAME/run"


class LedgerError(RotatorError):
    """The ledger can't be opened, read or written; without a record nothing is changed."""

    cause = Cause.LEDGER


class ListenError(RotatorError):
    """The address of http.listen can't be had."""
