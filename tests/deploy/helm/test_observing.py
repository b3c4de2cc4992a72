"""What the chart brings for Prometheus and Grafana is what stands in the repository."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.helm.test_chart import VALUES, values
from tests.support.helm import CHART, manifests
from tests.support.manifests import VERSIONS, Manifest, check_schema, of_kind

DEPLOY = CHART.parents[1]
RULES: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())
RUNBOOKS = "https://git.example.com/rotator/runbooks.md"
MOST_OF_AN_ANNOTATION = 256 * 1024
"""`kubectl apply` keeps the whole manifest in one.
https://github.com/kubernetes/kubernetes/issues/44233"""


def made(**given: Any) -> list[Manifest]:
    return manifests(values(VALUES / "good" / "minimal.yaml") | given)


def rules(**given: Any) -> Manifest:
    (found,) = of_kind(made(prometheusRule={"enabled": True, **given}), "PrometheusRule")
    check_schema(found, VERSIONS[-1])
    return found


def test_neither_is_made_unless_it_is_enabled() -> None:
    found = made()
    assert not of_kind(found, "PrometheusRule")
    assert len(of_kind(found, "ConfigMap")) == 1


def test_the_rules_are_those_of_the_repository() -> None:
    """Theirs, with `{{ $labels.x }}` as Prometheus is to see it."""
    assert rules()["spec"] == RULES


@pytest.mark.tool("promtool", get="apt-get install prometheus")
@pytest.mark.parametrize("runbooks", ["", RUNBOOKS])
def test_prometheus_takes_them(tmp_path: Path, runbooks: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rules(runbookUrl=runbooks)["spec"]))
    done = subprocess.run(
        ["promtool", "check", "rules", "--lint-fatal", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_each_alert_has_a_link_to_its_runbook() -> None:
    headings = re.findall(
        r"^## (\w+)$", (DEPLOY / "prometheus" / "runbooks.md").read_text(), re.MULTILINE
    )
    found = [
        rule
        for group in rules(runbookUrl=RUNBOOKS)["spec"]["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    links = {rule["alert"]: rule["annotations"].pop("runbook_url") for rule in found}
    assert links == {name: f"{RUNBOOKS}#{name.lower()}" for name in headings}
    original = [r for group in RULES["groups"] for r in group["rules"] if "alert" in r]
    assert found == original, "nothing else changes"


def test_the_labels_by_which_they_are_found() -> None:
    assert rules(labels={"release": "prometheus"})["metadata"]["labels"]["release"] == "prometheus"
    assert dashboard()["metadata"]["labels"]["grafana_dashboard"] == "1"
    other = dashboard(labels={"grafana_dashboard": None, "dashboards": "yes"})
    assert "grafana_dashboard" not in other["metadata"]["labels"]
    assert other["metadata"]["labels"]["dashboards"] == "yes"


def dashboard(**given: Any) -> Manifest:
    found = of_kind(made(dashboard={"enabled": True, **given}), "ConfigMap")
    (one,) = [manifest for manifest in found if "rotator.json" in manifest["data"]]
    return one


def test_the_dashboard_is_that_of_the_repository() -> None:
    found = dashboard()
    assert found["data"]["rotator.json"] == (DEPLOY / "grafana" / "rotator.json").read_text()
    assert found["metadata"]["name"] == "demo-rotator-dashboard"
    assert len(json.dumps(found)) < MOST_OF_AN_ANNOTATION * 0.8, "room to grow"
