"""Where the engines of Vault are read, and what they answer. Nothing here sends a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from rotator.errors import SecretDeleted, SecretInvalid, SecretMissing, SourceUnavailable
from rotator.http.dates import rfc3339
from rotator.model.secret import Grant, Probe, Secret, SecretRef
from rotator.sources.reader import Digest
from rotator.sources.vault_errors import mapping
from rotator.sources.vault_http import Answer

DEFAULT_MOUNTS = {"database": "database", "aws": "aws"}
_KV = "kv"
ROTATED = 0.5
"""Seconds after a static role is due until its new password can be read:
https://github.com/hashicorp/vault-secrets-operator/blob/main/controllers/vaultdynamicsecret_controller.go
"""
_SOON = 1.0


@dataclass(frozen=True, slots=True)
class VaultPath:
    """The mount and path of a secret, safe to send."""

    mount: str
    path: str

    @classmethod
    def of(cls, name: str, ref: SecretRef) -> VaultPath:
        """From a reference. Raises SecretInvalid: a server would follow `..`, and drop an empty
        part."""
        default = DEFAULT_MOUNTS.get(ref.engine or "", _KV)
        mount, path = (ref.mount or default).strip("/"), ref.path.strip("/")
        for part in (*mount.split("/"), *path.split("/")):
            if part in {"", ".", ".."} or not part.isprintable():
                raise SecretInvalid(
                    name,
                    ref.path,
                    "no part of mount and path may be empty, . or .., or hold control characters",
                )
        return cls(mount, path)

    @property
    def data(self) -> str:
        """The path that reads a secret of KV v2."""
        return f"{self.mount}/data/{self.path}"

    @property
    def metadata(self) -> str:
        """The path that reads the metadata of a secret of KV v2."""
        return f"{self.mount}/metadata/{self.path}"

    @property
    def plain(self) -> str:
        """The path that reads anything else."""
        return f"{self.mount}/{self.path}"


def url(path: str) -> str:
    return f"/v1/{quote(path)}"


def is_static_role(ref: SecretRef) -> bool:
    return ref.engine in {"database", "aws"} and ref.path.strip("/").startswith("static-creds/")


class Engines:
    """Turns answers of one source into secrets and probes."""

    def __init__(self, name: str, digest: Digest) -> None:
        self._name = name
        self._digest = digest

    # KV v2

    def kv2_secret(self, ref: SecretRef, answer: Answer, mount: str, now: datetime) -> Secret:
        fields, metadata = mapping(answer, "data", "data"), mapping(answer, "data", "metadata")
        if fields is None or metadata is None:
            raise SecretInvalid(
                self._name, ref.path, f"mount {mount} answers, but not as KV v2; is it KV v1?"
            )
        created = metadata.get("created_time")
        version = self._kv2_version(ref, metadata.get("version"), created)
        return Secret(
            ref,
            version,
            fields,
            changes_in=_until(metadata.get("deletion_time"), now),
            changed_at=rfc3339(created),
        )

    def kv2_probe(self, ref: SecretRef, answer: Answer) -> Probe | None:
        """None if the metadata don't decide, and the secret has to be read."""
        versions = mapping(answer, "data", "versions") or {}
        number = ref.version or str((mapping(answer, "data") or {}).get("current_version"))
        found = versions.get(number)
        if not isinstance(found, dict):
            if ref.version is not None:
                raise SecretMissing(
                    self._name, ref.path, f"there is no version {number}, or not any more"
                )
            raise SecretMissing(self._name, ref.path, "it has metadata, but no version")
        if found.get("destroyed") is True:
            raise SecretDeleted(self._name, ref.path, f"version {number} was destroyed")
        if found.get("deletion_time"):
            # It is deleted, or will be. The server's clock decides.
            return None
        return Probe(self._kv2_version(ref, int(number), found.get("created_time")))

    def _kv2_version(self, ref: SecretRef, number: object, created: object) -> str:
        """Number and time: a secret that is deleted with its metadata and made again starts at
        1."""
        if not isinstance(number, int) or not isinstance(created, str) or not created:
            raise SourceUnavailable(self._name, ref.path, "an answer that tells no version")
        return f"{number}@{created}"

    # The others

    def plain_secret(self, ref: SecretRef, answer: Answer) -> Secret:
        """A secret of KV v1 or of any path. It has no version of its own, so its content makes
        one."""
        fields = self._fields(ref, answer)
        if is_static_role(ref):
            return self._static_role(ref, fields)
        content = json.dumps(fields, sort_keys=True, ensure_ascii=True).encode()
        return Secret(ref, self._digest(content), fields)

    def rotating(self, ref: SecretRef, answer: Answer) -> bool:
        """Whether a static role is being rotated at this moment, so that its old password no longer
        works."""
        data = mapping(answer, "data") or {}
        return is_static_role(ref) and data.get("ttl") == 0

    def leased_secret(self, ref: SecretRef, answer: Answer, owner: str | None) -> Secret:
        """A secret that was made for us. Raises SecretInvalid if it has no lease."""
        lease = lease_of(answer, owner)
        if lease is None:
            raise SecretInvalid(self._name, ref.path, "it comes without a lease; leave out `lease`")
        return Secret(ref, lease.id, self._fields(ref, answer), lease=lease)

    def _static_role(self, ref: SecretRef, fields: Mapping[str, Any]) -> Secret:
        # Vault says last_vault_rotation, and so does OpenBao, whose documents say otherwise.
        rotated = fields.get("last_vault_rotation") or fields.get("last_openbao_rotation")
        if not isinstance(rotated, str):
            rotated = self._digest(json.dumps(fields, sort_keys=True, default=str).encode())
        ttl = fields.get("ttl")
        due = float(ttl) + ROTATED if isinstance(ttl, (int, float)) and ttl >= 0 else None
        return Secret(ref, rotated, fields, changes_in=due, changed_at=rfc3339(rotated))

    def _fields(self, ref: SecretRef, answer: Answer) -> dict[str, Any]:
        fields = mapping(answer, "data")
        if fields is None:
            raise SecretInvalid(self._name, ref.path, "it answers without data")
        return fields


def lease_of(answer: Answer, owner: str | None) -> Grant | None:
    lease_id, duration = answer.get("lease_id"), answer.get("lease_duration")
    if not isinstance(lease_id, str) or not lease_id:
        return None
    seconds = float(duration) if isinstance(duration, (int, float)) and duration > 0 else 0.0
    return Grant(lease_id, seconds, answer.get("renewable") is True, owner)


def _until(deletion: object, now: datetime) -> float | None:
    """Seconds until just before `delete_version_after` deletes a version."""
    at = rfc3339(deletion)
    return max(_SOON, (at - now).total_seconds() - _SOON) if at else None
