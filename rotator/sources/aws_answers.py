"""What the answers of Secrets Manager mean. Nothing here sends a request."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rotator.errors import SecretDeleted, SecretInvalid, SecretMissing, SourceUnavailable
from rotator.model.secret import Probe, Secret, SecretRef
from rotator.sources.text import NotAnObject, json_object

CURRENT = "AWSCURRENT"
PENDING = "AWSPENDING"

STUCK = 3600.0
"""Seconds after which an unfinished rotation counts as stuck. A rotation takes minutes."""
SOON = 5.0
"""Seconds until the next look at a secret whose rotation is in progress."""

Answer = Mapping[str, Any]


def secret_of(source: str, ref: SecretRef, answer: Answer) -> Secret:
    """Raises SecretMissing, SecretInvalid, SourceUnavailable."""
    version, text = answer.get("VersionId"), answer.get("SecretString")
    if not isinstance(version, str) or not version:
        raise SourceUnavailable(source, ref.path, "an answer that tells no version")
    created = answer.get("CreatedDate")
    changed_at = created if isinstance(created, datetime) else None
    if isinstance(text, str):
        return Secret(ref, version, _fields(source, ref, text), changed_at=changed_at)
    content = answer.get("SecretBinary")
    if not isinstance(content, bytes):
        raise SecretMissing(source, ref.path, "it has no value")
    try:
        fields = _fields(source, ref, content.decode())
    except UnicodeDecodeError:
        fields = {"base64": base64.b64encode(content).decode()}
    return Secret(ref, version, fields, changed_at=changed_at)


def _fields(source: str, ref: SecretRef, text: str) -> dict[str, object]:
    """The fields of a JSON object. Any other text is the one field `value`."""
    if not text.lstrip().startswith("{"):
        return {"value": text}
    try:
        return json_object(text)
    except NotAnObject as wrong:
        raise SecretInvalid(source, ref.path, str(wrong)) from None


def probe_of(source: str, ref: SecretRef, answer: Answer, now: datetime, waiting: float) -> Probe:
    """The version, from a description: tags and policies change the description too.

    `waiting` is how many seconds this process has seen AWSPENDING on the same version. Raises
    SecretDeleted and SecretMissing.
    """
    if answer.get("DeletedDate") is not None:
        raise SecretDeleted(
            source, ref.path, "it is marked for deletion; restore it while that is possible"
        )
    if ref.version is not None:
        # A version without labels is not listed, so only a read shows whether it exists.
        return Probe(ref.version)
    stage = ref.stage or CURRENT
    version = holder_of(answer, stage)
    if version is None:
        raise SecretMissing(source, ref.path, f"it has no value: no version is {stage}")
    if stage != CURRENT:
        return Probe(version)
    changes_in, warning = _rotation(answer, now, waiting)
    return Probe(version, changes_in, warning)


def holder_of(answer: Answer, stage: str) -> str | None:
    """The version that has the label."""
    for version, labels in (answer.get("VersionIdsToStages") or {}).items():
        if stage in labels:
            return str(version)
    return None


def pending_of(answer: Answer) -> str | None:
    """The version that a rotation is about to make current; None if no rotation is in progress.

    After a rotation, AWSPENDING may stay on the version that is now AWSCURRENT. That means nothing.
    """
    pending = holder_of(answer, PENDING)
    return None if pending == holder_of(answer, CURRENT) else pending


def _rotation(answer: Answer, now: datetime, waiting: float) -> tuple[float | None, str]:
    overdue = _overdue(answer, now)
    if pending_of(answer) is not None:
        if overdue is None and waiting < STUCK:
            return SOON, "a rotation is in progress; its new version is not AWSCURRENT yet"
        return None, (
            "a rotation is stuck: AWSPENDING stays on a version that does not become AWSCURRENT; "
            "look at the log of its rotation function"
        )
    if overdue is not None:
        return None, (
            f"its rotation is overdue since {overdue.isoformat(timespec='minutes')}; look at the "
            "log of its rotation function"
        )
    due = answer.get("NextRotationDate")
    if isinstance(due, datetime) and due > now:
        return max(SOON, (due - now).total_seconds()), ""
    return None, ""


def _overdue(answer: Answer, now: datetime) -> datetime | None:
    """Since when the next rotation is overdue; None if it is not.

    NextRotationDate is the end of its window.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
    """
    if answer.get("RotationEnabled") is not True:
        return None
    due, last = answer.get("NextRotationDate"), answer.get("LastRotatedDate")
    days = (answer.get("RotationRules") or {}).get("AutomaticallyAfterDays")
    if not isinstance(due, datetime) and isinstance(last, datetime) and isinstance(days, int):
        due = last + timedelta(days=days + 1)  # the window is a whole day where none is set
    if isinstance(due, datetime) and due + timedelta(seconds=STUCK) < now:
        return due
    return None


@dataclass(frozen=True, slots=True)
class _Waiting:
    version: str
    since: float


class Patience:
    """Remembers how long each secret has had AWSPENDING on the same version. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}

    def seen(self, path: str, version: str | None) -> float:
        """The seconds so far. `version` is None while no rotation is in progress."""
        now = self._monotonic()
        with self._lock:
            if version is None:
                self._waiting.pop(path, None)
                return 0.0
            known = self._waiting.get(path)
            if known is None or known.version != version:
                known = self._waiting[path] = _Waiting(version, now)
            return now - known.since
