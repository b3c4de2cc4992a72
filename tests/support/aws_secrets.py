"""The state of Secrets Manager where moto's is wrong: labels, batches, KMS, deletion.

It follows the API reference:
https://docs.aws.amazon.com/secretsmanager/latest/apireference/Welcome.html
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

REGION = "us-east-1"
ACCOUNT = "123456789012"
LARGEST_BATCH = 20

GONE = "You can't perform this operation on the secret because it was marked for deletion."
NO_SECRET = "Secrets Manager can't find the specified secret."
NO_VALUE = "Secrets Manager can't find the specified secret value for "


class Refusal(Exception):
    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message


@dataclass(slots=True)
class Version:
    value: str | bytes | None
    """None: a rotation made the version, and failed before it had a value."""
    stages: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Stored:
    arn: str
    name: str
    versions: dict[str, Version] = field(default_factory=dict)
    deleted_at: float | None = None
    changed_at: float = 0.0
    """When anything changed: labels, tags, policies."""
    described: dict[str, Any] = field(default_factory=dict)
    """More fields of DescribeSecret, such as RotationEnabled and NextRotationDate."""
    kms: str = "ok"
    """`denied`: the identity may not use its key; `broken`: the key decrypts nothing."""


@dataclass(slots=True)
class Secrets:
    """The secrets of all accounts; a name is looked up in that of the caller."""

    now: Callable[[], float]
    secrets: dict[str, Stored] = field(default_factory=dict)
    """By ARN."""
    denied: set[tuple[str, str]] = field(default_factory=set)
    """Operations that no policy permits, with the name of a secret or `*`."""
    page: int = LARGEST_BATCH
    """Secrets in one answer to a batch."""
    tokens: str = "good"
    """`same`: each page of a batch leads to itself."""
    errors_by: str = "id"
    """How the errors of a batch name secrets: `id` as asked, `arn` or `name`."""

    # What the owner of the secrets does

    def put(self, name: str, value: str | bytes | None, account: str = ACCOUNT) -> str:
        """Makes a new version with AWSCURRENT. Returns its id."""
        stored = self._stored(name, account)
        version = self._version(stored, value)
        self.move(stored.arn, "AWSCURRENT", version)
        return version

    def pend(self, name: str, value: str | bytes | None = None) -> str:
        """What createSecret of a rotation does."""
        stored = self.of(name)
        version = self._version(stored, value)
        self.move(name, "AWSPENDING", version)
        return version

    def move(self, name: str, stage: str, to: str | None) -> None:
        """What finishSecret of a rotation does. AWSPREVIOUS moves along by itself."""
        stored = self.of(name)
        for version in stored.versions.values():
            if stage in version.stages:
                version.stages.remove(stage)
                if stage == "AWSCURRENT":
                    for other in stored.versions.values():
                        other.stages.discard("AWSPREVIOUS")
                    version.stages.add("AWSPREVIOUS")
        if to is not None:
            stored.versions[to].stages.add(stage)
        self.touch(name)

    def touch(self, name: str) -> None:
        """Changes a tag or a policy."""
        self.of(name).changed_at = self.now()

    def delete(self, name: str) -> None:
        self.of(name).deleted_at = self.now()

    def restore(self, name: str) -> None:
        self.of(name).deleted_at = None

    def of(self, secret_id: str, account: str = ACCOUNT) -> Stored:
        for stored in self.secrets.values():
            whole, partial = stored.arn, stored.arn[:-7]
            mine = f":{account}:" in stored.arn
            # Another account's is found by its whole ARN only.
            if secret_id == whole or (mine and secret_id in {stored.name, partial}):
                return stored
        raise Refusal("ResourceNotFoundException", NO_SECRET)

    # What the service does

    def perform(self, operation: str, body: Mapping[str, Any], caller: str) -> dict[str, Any]:
        """Raises Refusal. `caller` is the account of the identity."""
        if (operation, "*") in self.denied:
            raise Refusal("AccessDeniedException", f"User is not authorized: {operation}")
        match operation:
            case "GetSecretValue":
                return self._get(body, caller)
            case "DescribeSecret":
                return self._describe(body, caller)
            case "BatchGetSecretValue":
                return self._batch(body, caller)
        raise Refusal("UnknownOperationException")

    def _permitted(self, operation: str, secret_id: str, caller: str) -> Stored:
        stored = self.of(secret_id, caller)
        if (operation, stored.name) in self.denied:
            raise Refusal("AccessDeniedException", f"User is not authorized: {operation}")
        return stored

    def _get(self, body: Mapping[str, Any], caller: str) -> dict[str, Any]:
        stored = self._permitted("GetSecretValue", body["SecretId"], caller)
        if stored.deleted_at is not None:
            raise Refusal("InvalidRequestException", GONE)
        wanted, stage = body.get("VersionId"), body.get("VersionStage")
        if wanted is None and stage is None:
            stage = "AWSCURRENT"
        place = f"VersionId: {wanted}" if stage is None else f"staging label: {stage}"
        for number, version in stored.versions.items():
            if wanted in {None, number} and (stage is None or stage in version.stages):
                if version.value is None:
                    break
                if stored.kms == "denied":
                    raise Refusal("AccessDeniedException", "Access to KMS is not allowed")
                if stored.kms == "broken":
                    raise Refusal("DecryptionFailure", "Secrets Manager can't decrypt it")
                return {
                    "ARN": stored.arn,
                    "Name": stored.name,
                    "VersionId": number,
                    "VersionStages": sorted(version.stages),
                    "CreatedDate": self.now(),
                    **_value(version.value),
                }
        raise Refusal("ResourceNotFoundException", NO_VALUE + place)

    def _describe(self, body: Mapping[str, Any], caller: str) -> dict[str, Any]:
        stored = self._permitted("DescribeSecret", body["SecretId"], caller)
        labels = {n: sorted(v.stages) for n, v in stored.versions.items() if v.stages}
        deleted = {} if stored.deleted_at is None else {"DeletedDate": stored.deleted_at}
        return {
            "ARN": stored.arn,
            "Name": stored.name,
            "LastChangedDate": stored.changed_at,
            **({"VersionIdsToStages": labels} if labels else {}),
            **stored.described,
            **deleted,
        }

    def _batch(self, body: Mapping[str, Any], caller: str) -> dict[str, Any]:
        ids = list(dict.fromkeys(body["SecretIdList"]))
        if len(body["SecretIdList"]) > LARGEST_BATCH:
            raise Refusal("ValidationException", "SecretIdList has too many members")
        start = int(body.get("NextToken", "0"))
        values: dict[str, dict[str, Any]] = {}
        errors: list[dict[str, str]] = []
        for secret_id in ids[start : start + self.page]:
            try:
                self._own(secret_id, caller)
                found = self._get({"SecretId": secret_id}, caller)
                values[found["ARN"]] = found
            except Refusal as refusal:
                named = self._named(secret_id)
                errors.append(
                    {"SecretId": named, "ErrorCode": refusal.code, "Message": refusal.message}
                )
        answer: dict[str, Any] = {"SecretValues": list(values.values()), "Errors": errors}
        if start + self.page < len(ids):
            following = start if self.tokens == "same" else start + self.page
            answer["NextToken"] = str(following)
        return answer

    def _own(self, secret_id: str, caller: str) -> None:
        if f":{caller}:" not in self.of(secret_id, caller).arn:
            raise Refusal("ResourceNotFoundException", NO_SECRET)

    def _named(self, secret_id: str) -> str:
        try:
            stored = self.of(secret_id)
        except Refusal:
            return secret_id
        return {"id": secret_id, "arn": stored.arn, "name": stored.name}[self.errors_by]

    def _stored(self, name: str, account: str) -> Stored:
        suffix = hashlib.sha256(name.encode()).hexdigest()[:6]
        arn = f"arn:aws:secretsmanager:{REGION}:{account}:secret:{name}-{suffix}"
        return self.secrets.setdefault(arn, Stored(arn, name))

    def _version(self, stored: Stored, value: str | bytes | None) -> str:
        number = str(uuid.uuid4())
        stored.versions[number] = Version(value)
        return number


def _value(value: str | bytes) -> dict[str, str]:
    if isinstance(value, str):
        return {"SecretString": value}
    return {"SecretBinary": base64.b64encode(value).decode()}
