"""All errors of rotator, in one tree. The type of an error says what happens next.

    RotatorError
    ├── ConfigurationError    the file must be corrected; nothing was started
    ├── SourceError           a secret can't be read; connections keep the credential they have
    │   ├── SourceUnavailable     temporary: try again later
    │   │   └── SourceUncertain       the answer is lost: a credential may have been made
    │   ├── SourceDenied          a person must act
    │   │   ├── LoginDenied           the login or the token is refused
    │   │   └── PolicyDenied          the identity is known, but not permitted to do this
    │   ├── SecretMissing         the secret does not exist, or has no value
    │   │   └── SecretDeleted         it existed: deleted, destroyed, marked for deletion
    │   ├── LeaseGone             the lease has ended: a new credential is needed
    │   └── SecretInvalid         the secret was read, but can't be used as it is
    ├── TargetError           Confluent Cloud did not do what was asked
    │   ├── TargetUnavailable     temporary, and nothing was changed: try again
    │   ├── UpdateUncertain       the update may have been applied: look, then send it again
    │   ├── UpdateConflict        the connection changed meanwhile (409, 412): read it again
    │   ├── UpdateWithheld        the update was not sent: this process may not write any more
    │   └── TargetRefused         a definite no: repeating the request would not help
    │       └── KeyRefused            rotator's own API key is refused, or can't be read
    ├── CoordinationError     it is not known who leads, so this process doesn't
    │   ├── CoordinationUnavailable   temporary: try again
    │   ├── CoordinationConflict      the Lease changed meanwhile (409): read it again
    │   └── CoordinationDenied        a person must act
    ├── ValueUnavailable      a value that the configuration refers to can't be read now
    ├── CredentialInvalid     a secret that doesn't fit its connection; the plan shows it
    ├── PlanRefused           the plan is unsafe: nothing was sent
    │   └── NothingMatches        a filter on names matches no connection
    ├── RunInProgress         another run of the same rotation is under way
    ├── NotLeading            another process leads, and only the leader rotates
    ├── LedgerError           the ledger can't be read or written, so nothing is changed
    └── ListenError           nothing can listen at http.listen; nothing was started

Exceptions of libraries are translated into these errors where they arise, with `from None`, since
those of hvac, httpx, botocore and pydantic can hold values of secrets. A message names the place,
says what to do where that is known, and never holds a value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Why something failed, as far as it matters for what a person does about it."""

    MATCH = "match"
    """A rotation matches more or fewer connections than it expects, or a filter matches none."""
    SECRET = "secret"  # noqa: S105 - the word, and no secret
    """The source does not provide the secret."""
    CREDENTIAL = "credential"
    """The secret does not fit the rotation or the connection; nothing was sent."""
    REJECTED = "rejected"
    """The endpoint refuses the credential that was sent: the secret holds a bad value."""
    NOT_READY = "not_ready"
    """The credential was sent, and was not seen to work in time."""
    DRIFT = "drift"
    """Somebody else changes the connection while rotator does."""
    KEY = "key"
    """The API key that rotator itself has for the target is refused, or can't be read."""
    REFUSED = "refused"
    """The target refuses the request, and would refuse it again."""
    TARGET = "target"
    """The target does not answer as it should; that may pass."""
    LEDGER = "ledger"
    INTERNAL = "internal"
    OTHER = "other"


class RotatorError(Exception):
    """An error with a message for people. A command prints it in one line and exits 1."""

    cause = Cause.OTHER
    request_id: str | None = None
    """The X-Request-Id of the answer that it comes from, if there was one."""

    def fields(self) -> dict[str, str]:
        """What a line of the log says about it: the message, and where it comes from."""
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
    """A secret can't be read. `result` is the value of the metric's `result` label."""

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
    """Temporary: the source does not answer, is sealed, throttles, or fails by itself."""

    result = "unavailable"


class SourceUncertain(SourceUnavailable):
    """The answer of a read that makes a credential is lost: it may have made one."""


class SourceDenied(SourceError):
    """The source refuses, and will refuse until a person has acted."""

    result = "denied"


class LoginDenied(SourceDenied):
    """The source refuses the login, or the token or key itself."""

    result = "login_denied"


class PolicyDenied(SourceDenied):
    """The source knows the identity, but does not permit it to do this."""

    result = "policy_denied"


class SecretMissing(SourceError):
    """The secret does not exist, or its version or its value doesn't."""

    result = "missing"


class SecretDeleted(SecretMissing):
    """The secret existed: its version was deleted or destroyed, or it is marked for deletion."""

    result = "deleted"


class LeaseGone(SourceError):
    """The lease has ended or was revoked, and its credential with it."""

    result = "lease_gone"


class SecretInvalid(SourceError):
    """The secret was read, and can't be used as it is."""

    result = "invalid"


class TargetError(RotatorError):
    """Confluent Cloud did not do what was asked.

    `status` is the HTTP status, None if no answer came; `request_id` is its X-Request-Id.
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
    """Temporary, and the request changed nothing."""


class UpdateUncertain(TargetError):
    """The update may have been applied or not: the answer is lost, or can't be trusted."""


class UpdateConflict(TargetError):
    """The connection changed since it was read."""


class UpdateWithheld(TargetError):
    """The update was not sent: another process may lead by now, or this one is about to stop."""


class TargetRefused(TargetError):
    """The target refuses the request: a wrong key, an unknown environment, an invalid request."""

    cause = Cause.REFUSED


class KeyRefused(TargetRefused):
    """The API key that rotator itself has for the target is refused, or can't be read."""

    cause = Cause.KEY


class ValueUnavailable(RotatorError):
    """The value that a reference of the configuration leads to is absent, empty or unreadable."""


class CredentialInvalid(RotatorError):
    """The secret can't become a credential of this connection. The message holds no value."""

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
    """The API server of Kubernetes did not do what was asked."""


class CoordinationUnavailable(CoordinationError):
    """Temporary; a write may have been applied. `after` is how long the server asks to wait."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class CoordinationConflict(CoordinationError):
    """The Lease changed since it was read, or exists already (409)."""


class CoordinationDenied(CoordinationError):
    """The API server refuses until a person has acted: token, permission or namespace."""


class NotLeading(RotatorError):
    """Another process leads. `holder` is its name, empty if nobody is known to lead."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"this process does not lead, and only the leader rotates; {_who(holder)}")
        self.holder = holder


def _who(holder: str) -> str:
    if not holder:
        return "nobody is known to lead now; try again soon"
    return f"{holder} leads: start it there, by POST /api/v1/rotations/NAME/run"


class LedgerError(RotatorError):
    """The ledger can't be opened, read or written; nothing is changed without a record of it."""

    cause = Cause.LEDGER


class ListenError(RotatorError):
    """The daemon can't listen at the address of http.listen."""
