"""The sidecar's components and examples: rendered by the real tool, and what comes out of it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import yaml

from rotator import __version__
from rotator.config.load import load
from rotator.config.models import Config, LeaseCoordination
from tests.support.kustomize import SIDECAR, built, needs_kustomize, with_component
from tests.support.manifests import (
    VERSIONS,
    Manifest,
    check_schema,
    containers,
    is_restricted,
    mounts_exist,
    of_kind,
    pods,
)

EXAMPLES = (*sorted(path for path in (SIDECAR / "examples").iterdir()), SIDECAR / "cronjob")
CUSTOM = {"SecretProviderClass"}
"""Kinds that Kubernetes itself doesn't know."""

pytestmark = needs_kustomize

each = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)

WORKLOAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, labels: {rotator-sidecar: "true"}}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      initContainers: [{name: migrate, image: migrate}]
      containers: [{name: app, image: app}]
"""


@cache
def rendered(path: Path) -> tuple[Manifest, ...]:
    return tuple(built(path))


def rotators(pod: Manifest) -> list[Manifest]:
    return [container for container in containers(pod) if container["name"] == "rotator"]


def configuration(path: Path, folder: Path) -> Config:
    (config_map,) = [
        found for found in of_kind(rendered(path), "ConfigMap") if "rotator.yaml" in found["data"]
    ]
    file = folder / "rotator.yaml"
    file.write_text(config_map["data"]["rotator.yaml"])
    return load(file)


def test_there_are_examples() -> None:
    names = {path.name for path in EXAMPLES}
    assert names >= {"vault-agent", "mounted-secret", "csi", "irsa", "job", "cronjob"}


@each
@pytest.mark.parametrize("version", VERSIONS)
def test_every_kubernetes_takes_it(path: Path, version: str) -> None:
    for manifest in rendered(path):
        if manifest["kind"] not in CUSTOM:
            check_schema(manifest, version)


@each
def test_it_has_one_rotator_that_is_restricted(path: Path) -> None:
    (pod,) = pods(rendered(path))
    (rotator,) = rotators(pod)
    assert is_restricted(pod, rotator)
    assert rotator["image"] == f"rotator:{__version__}"
    assert rotator["resources"]["limits"] == {"memory": "256Mi"}
    assert pod["automountServiceAccountToken"] is False
    assert mounts_exist(pod)


@each
def test_rotator_reads_its_configuration_and_may_write_its_ledger(
    path: Path, tmp_path: Path
) -> None:
    config = configuration(path, tmp_path)
    (pod,) = pods(rendered(path))
    (rotator,) = rotators(pod)
    writable = {m["mountPath"] for m in rotator["volumeMounts"] if not m.get("readOnly")}
    assert writable == {"/var/lib/rotator"}
    assert config.ledger.path.parent == Path("/var/lib/rotator")
    if rotator["args"][0] == "run":
        assert (config.http.host, config.http.port) == ("0.0.0.0", 9464)
        assert rotator["ports"][0]["containerPort"] == 9464
        assert {
            rotator[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness")
        } == {"/livez"}
        assert "readinessProbe" not in rotator, "the main container must not wait for Vault"


@each
def test_no_secret_is_in_it(path: Path) -> None:
    assert not of_kind(rendered(path), "Secret")
    in_clear = {
        env["name"]
        for pod in pods(rendered(path))
        for container in containers(pod)
        for env in container.get("env", ())
        if "value" in env
    }
    assert in_clear <= {"SKIP_SETCAP"}


def test_the_native_sidecar_starts_before_and_ends_after(tmp_path: Path) -> None:
    (pod,) = pods(built(with_component(tmp_path, WORKLOAD, "native")))
    (rotator,) = [c for c in pod["initContainers"] if c["name"] == "rotator"]
    assert rotator["restartPolicy"] == "Always"
    assert rotator["startupProbe"]
    assert pod["initContainers"][0] is rotator, "before other init containers"
    assert [container["name"] for container in pod["containers"]] == ["app"]


def test_the_classic_one_is_a_container_like_the_others(tmp_path: Path) -> None:
    (pod,) = pods(built(with_component(tmp_path, WORKLOAD, "classic")))
    assert {container["name"] for container in pod["containers"]} == {"app", "rotator"}
    (rotator,) = rotators(pod)
    assert "restartPolicy" not in rotator
    assert is_restricted(pod, rotator)


@pytest.mark.parametrize("component", ["native", "classic"])
def test_others_are_left_alone(tmp_path: Path, component: str) -> None:
    unlabelled = WORKLOAD.replace('rotator-sidecar: "true"', "app: app")
    (pod,) = pods(built(with_component(tmp_path, unlabelled, component)))
    assert rotators(pod) == []


def test_native_and_classic_are_the_same_container(tmp_path: Path) -> None:
    found = {}
    for component in ("native", "classic"):
        (tmp_path / component).mkdir()
        folder = with_component(tmp_path / component, WORKLOAD, component)
        (pod,) = pods(built(folder))
        (found[component],) = rotators(pod)
    assert found["native"] == {**found["classic"], "restartPolicy": "Always"}


def test_replicas_elect_their_leader(tmp_path: Path) -> None:
    path = SIDECAR / "examples" / "mounted-secret"
    coordination = configuration(path, tmp_path).coordination
    assert isinstance(coordination, LeaseCoordination)
    (role,), (binding,) = (of_kind(rendered(path), kind) for kind in ("Role", "RoleBinding"))
    named, create = role["rules"]
    assert named["resourceNames"] == [coordination.name]
    assert (named["verbs"], create["verbs"]) == (["get", "update"], ["create"])
    (pod,) = pods(rendered(path))
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": pod["serviceAccountName"], "namespace": "app"}
    ]
    (rotator,) = rotators(pod)
    mounted = [m["mountPath"] for m in rotator["volumeMounts"] if m["name"] == "rotator-token"]
    assert mounted == ["/var/run/secrets/kubernetes.io/serviceaccount"]


def test_the_sidecar_of_a_job_ends_when_the_work_does() -> None:
    (pod,) = pods(rendered(SIDECAR / "examples" / "job"))
    (rotator,) = rotators(pod)
    (work,) = [container for container in pod["containers"] if container["name"] == "work"]
    file = rotator["args"][rotator["args"].index("--until-file") + 1]
    folder = next(m["mountPath"] for m in work["volumeMounts"] if m["name"] == "rotator-done")
    assert Path(file).parent == Path(folder)
    assert file in work["command"][-1]


def test_a_cronjob_never_runs_twice_at_once_and_keeps_its_ledger() -> None:
    (job,) = of_kind(rendered(SIDECAR / "cronjob"), "CronJob")
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    (pod,) = pods([job])
    (rotator,) = rotators(pod)
    assert rotator["args"][0] == "rotate"
    (ledger,) = [volume for volume in pod["volumes"] if volume["name"] == "rotator-ledger"]
    claims = {claim["metadata"]["name"] for claim in of_kind(rendered(SIDECAR / "cronjob"), PVC)}
    assert ledger["persistentVolumeClaim"]["claimName"] in claims


PVC = "PersistentVolumeClaim"


def test_comments_say_how() -> None:
    for path in SIDECAR.rglob("kustomization.yaml"):
        assert path.read_text().startswith("# "), path
        assert yaml.safe_load(path.read_text())["kind"] in {"Component", "Kustomization"}
