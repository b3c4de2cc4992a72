"""deploy/metrics.md lists what /metrics shows: all of it, and nothing else."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from rotator.config.models import VaultSource
from rotator.errors import SourceError
from rotator.model.events import LeaseStep, RequestAnswered
from rotator.model.lease import LeaseState
from rotator.model.run import Result
from rotator.observe.metrics import Metrics
from tests.support.configuration import configured
from tests.unit.observe.test_metrics import filled, text_of

DEPLOY = Path(__file__).parents[2] / "deploy"
PAGE = (DEPLOY / "metrics.md").read_text()
RULES: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())
ROW = re.compile(r"^\| `(rotator_\w+)` \| (\w+) \| ([^|]*)\| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAMES = re.compile(r"\brotator_\w+")


@dataclass(frozen=True, slots=True)
class Metric:
    kind: str
    labels: frozenset[str]
    tells: str = ""
    use: str = ""


def documented() -> dict[str, Metric]:
    rows = ROW.findall(PAGE)
    assert len(rows) == len({row[0] for row in rows}) == PAGE.count("\n| `rotator_")
    return {
        name: Metric(kind, frozenset(re.findall(r"\w+", labels)), tells, use)
        for name, kind, labels, tells, use in rows
    }


def everything() -> Metrics:
    """With a series of each metric."""
    metrics = filled()
    at = datetime(2026, 11, 21, 3, tzinfo=UTC)
    config = configured(openai={"schedule": {"cron": "0 3 * * *"}, "max_age": "90d"})
    auth = {"method": "kubernetes", "role": "rotator"}
    vault = VaultSource.model_validate({"kind": "vault", "url": "https://v", "auth": auth})
    metrics.configured(config.model_copy(update={"sources": {"vault": vault}}))
    metrics.next_run("openai", at)
    metrics.coordinated("rotator/rotator")
    metrics(RequestAnswered("prod", "GET", "200", 0.05, None, 2.0))
    return metrics


def real() -> dict[str, Metric]:
    found = {}
    for family in text_string_to_metric_families(text_of(everything())):
        assert family.samples, f"{family.name} has no series"
        labels = {label for sample in family.samples for label in sample.labels}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = Metric(family.type, frozenset(labels - {"le"}))
    return found


def test_names_kinds_and_labels_are_those_of_the_page() -> None:
    page = {name: Metric(each.kind, each.labels) for name, each in documented().items()}
    assert page == real()


def test_every_name_on_the_page_exists() -> None:
    samples = {
        sample.name
        for family in text_string_to_metric_families(text_of(everything()))
        for sample in family.samples
    }
    assert set(NAMES.findall(PAGE)) <= samples | set(real())


def test_each_names_the_alerts_that_use_it_and_no_other() -> None:
    rules = [rule for group in RULES["groups"] for rule in group["rules"]]
    records = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    used: dict[str, set[str]] = {name: set() for name in real()}
    for rule in rules:
        if "alert" in rule:
            text = rule["expr"] + "".join(
                expr for record, expr in records.items() if record in rule["expr"]
            )
            for name in set(NAMES.findall(text)) & used.keys():
                used[name].add(rule["alert"])
    listed = {name: set(re.findall(r"Rotator\w+", row.use)) for name, row in documented().items()}
    assert listed == used


@pytest.mark.parametrize("name", sorted(documented()))
def test_each_has_an_alert_or_a_query_of_its_own(name: str) -> None:
    use = documented()[name].use
    assert "Rotator" in use or name in use


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("rotator_credentials_total", {str(each) for each in Result}),
        ("rotator_lease_changes_total", set(get_args(LeaseStep))),
        ("rotator_leases", {str(each) for each in LeaseState}),
        ("rotator_secret_changes_total", {"in_time", "late"}),
    ],
)
def test_values_of_labels_are_all_named(name: str, values: set[str]) -> None:
    assert set(re.findall(r"`([^`]+)`", documented()[name].tells)) == values


def test_results_of_sources_are_all_named() -> None:
    def below(kind: type[SourceError]) -> set[str]:
        return {kind.result}.union(*(below(each) for each in kind.__subclasses__()))

    named = set(re.findall(r"`([^`]+)`", documented()["rotator_source_reads_total"].tells))
    assert named == below(SourceError) | {"ok"}


@pytest.mark.tool("promtool", get="apt-get install prometheus")
def test_promtool_takes_every_query(tmp_path: Path) -> None:
    queries = [
        query for row in documented().values() for query in re.findall(r"`([^`]+)`", row.use)
    ]
    rules = [{"record": f"query:{number}", "expr": expr} for number, expr in enumerate(queries)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
