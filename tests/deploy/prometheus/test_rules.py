"""The rules, as the real promtool runs them; and that none lacks a test or a runbook."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rules.yaml"
TESTS = Path(__file__).parent / "alerts.yaml"

DOCUMENT: dict[str, Any] = yaml.safe_load(RULES.read_text())
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in DOCUMENT["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
TRIED = [
    case
    for test in yaml.safe_load(TESTS.read_text())["tests"]
    for case in test.get("alert_rule_test", [])
]


def promtool(*arguments: object) -> str:
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    return told


@pytest.mark.tool("promtool", get="apt-get install prometheus")
def test_promtool_finds_no_mistake() -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint-fatal", RULES)


@pytest.mark.tool("promtool", get="apt-get install prometheus")
def test_alerts_fire_and_stay_silent() -> None:
    assert "SUCCESS" in promtool("test", "rules", TESTS)


@pytest.mark.tool("promtool", get="apt-get install prometheus")
def test_alerts_that_never_fire_are_found_out(tmp_path: Path) -> None:
    """So that the tests of alerts are no tests that can't fail."""
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = f"({rule['expr']}) and vector(0) > 1"
    tests = yaml.safe_load(TESTS.read_text())
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules))
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({**tests, "rule_files": ["rules.yaml"]}))
    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "tests.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    found = set(re.findall(r"alertname: (\w+),", done.stdout + done.stderr))
    assert found == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_each_is_tried_both_ways(name: str) -> None:
    fired = {bool(case["exp_alerts"]) for case in TRIED if case["alertname"] == name}
    assert fired == {True, False}


def test_each_has_a_runbook_and_no_runbook_is_left_over() -> None:
    headings = re.findall(r"^## (\w+)$", (PROMETHEUS / "runbooks.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_each_says_how_bad_it_is_and_names_what_is_wrong(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert "$labels." in rule["annotations"]["summary"] or name == "RotatorAbsent"
    if name.startswith(("RotatorConnection", "RotatorCredential")):
        assert "{{ $labels.connection }}" in rule["annotations"]["summary"]
