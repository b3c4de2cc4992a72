"""Checks manifests as a cluster would."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from kubernetes_validate.utils import all_versions, major_minor

Manifest = dict[str, Any]

OLDEST = (1, 29)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


VERSIONS = tuple(
    sorted(
        {found for each in all_versions() if _number(found := major_minor(each)) >= OLDEST},
        key=_number,
    )
)
"""Versions of Kubernetes, from the oldest that is supported to the newest with known schemas."""

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def documents(text: str) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(text) if document]


def check_schema(manifest: Manifest, version: str) -> None:
    """Raises ValidationError. Kinds of the Prometheus operator are not in these schemas."""
    if manifest["apiVersion"].startswith("monitoring.coreos.com/"):
        _check_monitor(manifest)
        return
    kubernetes_validate.validate(manifest, version, strict=True)


_DURATION = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w|y))+$"}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_RULE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["expr"],
    "oneOf": [
        {"required": ["record"], "not": {"anyOf": [{"required": ["for"]}]}},
        {"required": ["alert"]},
    ],
    "properties": {
        "record": {"type": "string", "pattern": "^[a-zA-Z_:][a-zA-Z0-9_:]*$"},
        "alert": {"type": "string", "minLength": 1},
        "expr": {"type": "string", "minLength": 1},
        "for": _DURATION,
        "labels": _TEXTS,
        "annotations": _TEXTS,
    },
}
_RULES = {
    "type": "object",
    "additionalProperties": False,
    "required": ["groups"],
    "properties": {
        "groups": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "rules"],
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "interval": _DURATION,
                    "rules": {"type": "array", "items": _RULE},
                },
            },
        }
    },
}
"""The part of PrometheusRule (operator v0.82) that is used here."""


def _check_monitor(manifest: Manifest) -> None:
    """https://prometheus-operator.dev/docs/api-reference/api/"""
    if manifest["kind"] == "PrometheusRule":
        jsonschema.validate(manifest["spec"], _RULES)
        names = [group["name"] for group in manifest["spec"]["groups"]]
        assert len(set(names)) == len(names)
        return
    ports = {"ServiceMonitor": "endpoints", "PodMonitor": "podMetricsEndpoints"}
    endpoints = manifest["spec"][ports[manifest["kind"]]]
    assert manifest["spec"].keys() == {"selector", ports[manifest["kind"]]}
    assert manifest["spec"]["selector"]["matchLabels"]
    for endpoint in endpoints:
        assert endpoint.keys() == {"port", "path", "interval"}


def of_kind(manifests: Iterable[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def pod_of(manifest: Manifest) -> Manifest:
    """The pod spec of anything that makes pods."""
    spec = manifest["spec"]
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    pod: Manifest = spec["template"]["spec"]
    return pod


def pods(manifests: Iterable[Manifest]) -> Iterator[Manifest]:
    for manifest in manifests:
        if manifest["kind"] in {"Deployment", "Job", "CronJob", "StatefulSet"}:
            yield pod_of(manifest)


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def is_restricted(pod: Manifest, container: Manifest) -> bool:
    """Whether it meets the Pod Security Standard of that name, with a read-only root.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    own, shared = container.get("securityContext", {}), pod.get("securityContext", {})
    seccomp = own.get("seccompProfile", shared.get("seccompProfile", {}))
    return (
        own.items() >= RESTRICTED.items()
        and own.get("runAsNonRoot", shared.get("runAsNonRoot")) is True
        and own.get("runAsUser", shared.get("runAsUser", 1)) != 0
        and seccomp.get("type") in {"RuntimeDefault", "Localhost"}
        and not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    )


def mounts_exist(pod: Manifest) -> bool:
    """Whether each mount has its volume in the pod, and each volume is mounted."""
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    mounted = {m["name"] for each in containers(pod) for m in each.get("volumeMounts", [])}
    return mounted == volumes
