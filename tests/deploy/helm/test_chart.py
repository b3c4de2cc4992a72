"""The chart over many values: what comes out is valid, restricted, and what rotator can read."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python.errors import HelmError
from kubernetes_validate import ValidationError

from rotator.config.load import load
from rotator.config.models import Config, LeaseCoordination
from tests.support.helm import CHART, NAMESPACE, complaints, manifests, render
from tests.support.manifests import (
    VERSIONS,
    Manifest,
    check_schema,
    containers,
    is_restricted,
    mounts_exist,
    of_kind,
    pod_of,
    pods,
)

VALUES = Path(__file__).parent / "values"
GOOD = sorted((VALUES / "good").glob("*.yaml"))
BAD = sorted((VALUES / "bad").glob("*.yaml"))

good = pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)


def values(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return loaded


@cache
def rendered(path: Path) -> tuple[Manifest, ...]:
    return tuple(manifests(values(path)))


def named(stem: str) -> tuple[Manifest, ...]:
    return rendered(VALUES / "good" / f"{stem}.yaml")


def deployment(found: tuple[Manifest, ...]) -> Manifest:
    (one,) = of_kind(found, "Deployment")
    return one


def rotator(found: tuple[Manifest, ...]) -> Manifest:
    containers = pod_of(deployment(found))["containers"]
    (one,) = [c for c in containers if c["name"] == "rotator"]
    return dict(one)


@good
def test_lint_has_nothing_to_say(path: Path) -> None:
    assert complaints(values(path)) == []


@good
@pytest.mark.parametrize("version", VERSIONS)
def test_every_kubernetes_takes_it(path: Path, version: str) -> None:
    for manifest in rendered(path):
        check_schema(manifest, version)


def test_the_schemas_reach_from_1_29_to_the_newest() -> None:
    assert VERSIONS[0] == "1.29"
    assert len(VERSIONS) >= 6
    wrong = {**deployment(named("minimal"))}
    wrong["spec"] = {**wrong["spec"], "replicas": "one"}
    with pytest.raises(ValidationError):
        check_schema(wrong, VERSIONS[-1])


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_what_cannot_work_is_refused_in_one_line(path: Path) -> None:
    expected = path.read_text().splitlines()[0].removeprefix("# expect: ")
    with pytest.raises(HelmError) as told:
        render(values(path))
    assert expected in str(told.value)


@good
def test_its_containers_are_restricted(path: Path) -> None:
    (pod,) = pods(rendered(path))
    (own,) = [c for c in containers(pod) if c["name"] == "rotator"]
    assert is_restricted(pod, own)
    assert pod["automountServiceAccountToken"] is False
    assert mounts_exist(pod)


@good
def test_everything_is_of_the_release(path: Path) -> None:
    for manifest in rendered(path):
        assert manifest["metadata"]["namespace"] == NAMESPACE
        assert manifest["metadata"]["labels"]["app.kubernetes.io/instance"] == "demo"
    found = deployment(rendered(path))
    labels = found["spec"]["template"]["metadata"]["labels"]
    assert found["spec"]["selector"]["matchLabels"].items() <= labels.items()
    selectors = [
        manifest["spec"]["selector"].get("matchLabels", manifest["spec"]["selector"])
        for kind in ("Service", "ServiceMonitor", "PodMonitor", "PodDisruptionBudget")
        for manifest in of_kind(rendered(path), kind)
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)


@pytest.mark.parametrize(
    "path", [p for p in GOOD if p.stem != "existing-config-map"], ids=lambda path: path.stem
)
def test_rotator_reads_its_configuration(path: Path, tmp_path: Path) -> None:
    config = configuration(rendered(path), tmp_path)
    probed = rotator(rendered(path))["ports"][0]["containerPort"]
    assert config.http.port == probed
    assert config.http.host in {"0.0.0.0", "::"}
    assert config.ledger.path == Path("/var/lib/rotator/ledger.db")
    mounted = {mount["mountPath"] for mount in rotator(rendered(path))["volumeMounts"]}
    assert {"/var/lib/rotator", "/etc/rotator"} <= mounted


def configuration(found: tuple[Manifest, ...], folder: Path) -> Config:
    (config_map,) = [m for m in of_kind(found, "ConfigMap") if "rotator.yaml" in m["data"]]
    file = folder / "rotator.yaml"
    file.write_text(config_map["data"]["rotator.yaml"])
    return load(file)


@good
def test_no_permission_but_for_the_lease(path: Path) -> None:
    found = rendered(path)
    roles = of_kind(found, "Role")
    elects = bool(values(path).get("leaderElection", {}).get("enabled"))
    assert len(roles) == elects
    tokens = [v for v in pod_of(deployment(found))["volumes"] if v["name"] == "kubernetes-token"]
    assert len(tokens) == elects, "no token of the API server without need"
    for role in roles:
        one, other = role["rules"]
        assert one["resourceNames"] == [role["metadata"]["name"]]
        assert (set(one["verbs"]), other["verbs"]) == ({"get", "update"}, ["create"])
        assert one["resources"] == other["resources"] == ["leases"]
    assert not of_kind(found, "ClusterRole")


def test_replicas_elect_their_leader(tmp_path: Path) -> None:
    found = named("replicas")
    coordination = configuration(found, tmp_path).coordination
    assert isinstance(coordination, LeaseCoordination)
    (role,) = of_kind(found, "Role")
    assert coordination.name == role["metadata"]["name"] == "demo-rotator"
    assert coordination.namespace == NAMESPACE
    assert coordination.lease_duration.total_seconds() == 20
    spec = deployment(found)["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (3, "RollingUpdate")
    assert spec["template"]["spec"]["topologySpreadConstraints"]


def test_a_single_replica_is_never_two() -> None:
    assert deployment(named("minimal"))["spec"]["strategy"]["type"] == "Recreate"
    assert deployment(named("vault"))["spec"]["strategy"]["type"] == "Recreate"


def test_a_changed_configuration_makes_new_pods() -> None:
    def checksum(values: dict[str, Any]) -> str:
        found = deployment(tuple(manifests(values)))
        annotations: dict[str, str] = found["spec"]["template"]["metadata"]["annotations"]
        return annotations["checksum/config"]

    given = values(VALUES / "good" / "minimal.yaml")
    before = checksum(given)
    assert checksum(given) == before
    given["config"]["rotations"]["openai"]["watch"] = "30s"
    assert checksum(given) != before


def test_secrets_come_by_reference_alone() -> None:
    env = {each["name"]: each for each in rotator(named("minimal"))["env"]}
    assert env["CONFLUENT_API_KEY"]["valueFrom"]["secretKeyRef"] == {
        "name": "confluent",
        "key": "api_key",
    }
    assert not of_kind(named("everything"), "Secret")


def test_a_token_for_vault_alone() -> None:
    pod = pod_of(deployment(named("vault")))
    (volume,) = [v for v in pod["volumes"] if v["name"] == "vault-token"]
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"] == {
        "path": "token",
        "audience": "vault",
        "expirationSeconds": 900,
    }
    (claim,) = of_kind(named("vault"), "PersistentVolumeClaim")
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"


@pytest.mark.parametrize(
    ("stem", "ports"),
    [
        ("minimal", {443, 8200}),
        ("files", {443, 9443}),
        ("replicas", {443, 8200, 6443, 3128}),
        ("existing-config-map", {443, 6443}),
    ],
)
def test_the_network_permits_what_the_configuration_needs(stem: str, ports: set[int]) -> None:
    (policy,) = of_kind(named(stem), "NetworkPolicy")
    dns, out = policy["spec"]["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert {port["port"] for port in out["ports"]} == ports
    (into,) = policy["spec"]["ingress"]
    assert [port["port"] for port in into["ports"]] == [9464]


@good
def test_its_probes_ask_for_what_they_mean(path: Path) -> None:
    container = rotator(rendered(path))
    asked = {
        name: container[f"{name}Probe"]["httpGet"]["path"]
        for name in ("startup", "liveness", "readiness")
    }
    assert asked == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}


@good
def test_the_notes_name_what_is_there(path: Path) -> None:
    (notes,) = [text for name, text in render(values(path)).items() if name.endswith("NOTES.txt")]
    name = deployment(rendered(path))["metadata"]["name"]
    assert f"deploy/{name} -- rotator health --ready" in notes
    assert ("get lease" in notes) == bool(of_kind(rendered(path), "Role"))


def test_its_version_is_rotator_s_own() -> None:
    from rotator import __version__

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == __version__


def test_each_value_is_explained() -> None:
    """The schema knows each key of values.yaml, and values.yaml each key of the schema."""
    import json

    schema = json.loads((CHART / "values.schema.json").read_text())
    given = values(CHART / "values.yaml")
    assert set(schema["properties"]) - {"global"} == set(given)
    for key, value in given.items():
        properties = schema["properties"][key].get("properties")
        if properties and not key.endswith("Probe"):
            assert set(properties) == set(value), key
