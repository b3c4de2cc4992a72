"""A Lease as JSON. Every field of its spec may be missing.

https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

LABEL = "app.kubernetes.io/managed-by"
"""The label that marks our Leases."""


class NotALease(Exception):
    """The JSON has another shape."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What holders write. Times are kept as text: they are compared, never measured."""

    holder: str = ""
    """Empty: released, or never held."""
    seconds: int | None = None
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    spec: Spec
    uid: str
    version: str
    """The resource version."""
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """All of it, so that what others wrote there (owners, labels) is sent back unchanged."""

    @property
    def ours(self) -> bool:
        """Whether a rotator made it."""
        return bool(_labels(self).get(LABEL) == "rotator")


def timestamp(moment: datetime) -> str:
    """RFC 3339 with six decimals. With none or nine, the API server answers 400."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(document: Any) -> Lease:
    """A Lease from JSON. Raises NotALease."""
    meta = _mapping(document, "metadata")
    spec = _mapping(document, "spec", absent_ok=True)
    uid, version = meta.get("uid"), meta.get("resourceVersion")
    if document.get("kind") != "Lease" or not isinstance(uid, str) or not isinstance(version, str):
        raise NotALease
    seconds = _number(spec, "leaseDurationSeconds")
    return Lease(
        Spec(
            holder=_text(spec, "holderIdentity"),
            seconds=seconds if seconds > 0 else None,
            acquired=_text(spec, "acquireTime"),
            renewed=_text(spec, "renewTime"),
            transitions=_number(spec, "leaseTransitions"),
        ),
        uid,
        version,
        {key: value for key, value in meta.items() if key != "managedFields"},
    )


def document(namespace: str, name: str, spec: Spec, former: Lease | None) -> dict[str, Any]:
    """The JSON that is sent. To replace `former` it carries its uid and resource version: without
    the uid, a PUT would recreate a Lease that was deleted meanwhile."""
    metadata: dict[str, Any] = {"namespace": namespace, "name": name}
    if former is not None:
        metadata |= former.metadata
        metadata |= {"uid": former.uid, "resourceVersion": former.version}
    metadata["labels"] = {**(_labels(former) if former else {}), LABEL: "rotator"}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {
            "holderIdentity": spec.holder,
            "leaseDurationSeconds": spec.seconds,
            "acquireTime": spec.acquired,
            "renewTime": spec.renewed,
            "leaseTransitions": spec.transitions,
        },
    }


def _mapping(document: Any, key: str, *, absent_ok: bool = False) -> Mapping[str, Any]:
    found = document.get(key) if isinstance(document, dict) else None
    if found is None and absent_ok:
        return {}
    if not isinstance(found, dict):
        raise NotALease
    return found


def _number(spec: Mapping[str, Any], key: str) -> int:
    value = spec.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _text(spec: Mapping[str, Any], key: str) -> str:
    value = spec.get(key)
    return value if isinstance(value, str) else ""


def _labels(lease: Lease) -> Mapping[str, Any]:
    found = lease.metadata.get("labels")
    return found if isinstance(found, dict) else {}
