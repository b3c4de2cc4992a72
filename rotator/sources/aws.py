"""AWS Secrets Manager, over botocore: boto3 would only add memory.

One file for each reason to change:

    aws_wire      HTTP and its deadline
    aws_identity  credentials
    aws_client    a client, renewed with them
    aws_errors    what an error means
    aws_names     names and ARNs
    aws_answers   what an answer means
    aws_batch     many secrets in one request
    aws_examine   what the identity may do
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime

from rotator.config.models import AwsSource
from rotator.errors import SourceError
from rotator.model.secret import Probe, Secret, SecretRef
from rotator.model.source import Finding
from rotator.sources.aws_answers import CURRENT, Patience, pending_of, probe_of, secret_of
from rotator.sources.aws_batch import AGAIN, Batches
from rotator.sources.aws_client import Client
from rotator.sources.aws_errors import Errors, NotPermitted
from rotator.sources.aws_examine import examine
from rotator.sources.reader import Reader

_UNDESCRIBED = (
    "the identity lacks secretsmanager:DescribeSecret for it, so that every look reads its value"
)


def _utc() -> datetime:
    return datetime.now(UTC)


class AwsReader(Reader):
    """Falls back to reading where it may not describe, and to single reads where batches are
    forbidden."""

    def __init__(
        self,
        name: str,
        config: AwsSource,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _utc,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = name
        self._errors = Errors(name, config)
        self._client = Client(self._errors, config, monotonic, sleep)
        self._batches = Batches(self._errors, self._client, monotonic)
        self._patience = Patience(monotonic)
        self._monotonic = monotonic
        self._now = now
        self._lock = threading.Lock()
        self._undescribed: dict[str, float] = {}
        """Path → until when it is probed by reading, since it may be read but not described."""

    def close(self) -> None:
        self._client.close()

    def read(self, ref: SecretRef) -> Secret:
        self._errors.check(ref.path)
        # The stage is always named: policies with a condition on it refuse the implicit default.
        which = (
            {"VersionId": ref.version}
            if ref.version is not None
            else {"VersionStage": ref.stage or CURRENT}
        )
        answer = self._client.ask(ref.path, "GetSecretValue", SecretId=ref.path, **which)
        if "ARN" not in answer:
            raise self._errors.strange(ref.path)
        self._batches.learn(ref.path, answer["ARN"])
        return secret_of(self._name, ref, answer)

    def groups(self, refs: Collection[SecretRef]) -> Iterable[tuple[SecretRef, ...]]:
        return self._batches.groups(refs)

    def read_group(self, refs: tuple[SecretRef, ...]) -> Mapping[SecretRef, Secret | SourceError]:
        answers: dict[SecretRef, Secret | SourceError] = {}
        with self._client.in_time():
            if len(refs) > 1 and self._batches.permitted(refs):
                answers |= self._batches.read(refs)
            for ref in refs:
                if ref not in answers:
                    answers[ref] = self._alone(ref)
        return answers

    def probe(self, ref: SecretRef) -> Probe:
        with self._client.in_time():
            if self._monotonic() < self._undescribed.get(ref.path, 0.0):
                return Probe(self.read(ref).version, warning=_UNDESCRIBED)
            try:
                return self.describe(ref)
            except NotPermitted:
                probe = Probe(self.read(ref).version, warning=_UNDESCRIBED)
            with self._lock:
                self._undescribed[ref.path] = self._monotonic() + AGAIN
            return probe

    def describe(self, ref: SecretRef) -> Probe:
        """Raises NotPermitted where the identity lacks the permission, for this secret or for
        all."""
        self._errors.check(ref.path)
        answer = self._client.ask(ref.path, "DescribeSecret", SecretId=ref.path)
        if "ARN" not in answer:
            raise self._errors.strange(ref.path)
        waiting = self._patience.seen(ref.path, pending_of(answer))
        return probe_of(self._name, ref, answer, self._now(), waiting)

    def examine(
        self, refs: Collection[SecretRef], watched: Collection[SecretRef]
    ) -> tuple[Finding, ...]:
        return examine(self, self._client, self._batches, refs, watched)

    def _alone(self, ref: SecretRef) -> Secret | SourceError:
        try:
            secret = self.read(ref)
        except SourceError as error:
            return error
        self._batches.alone(ref)
        return secret
