"""What the pages about deployment show works as it stands there."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rotator.cli.main import cli
from rotator.config.load import load
from rotator.ledger import SqlLedger
from tests.support.helm import manifests
from tests.support.manifests import VERSIONS, check_schema, of_kind

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "deploy").glob("*.md")))
README = (ROOT / "deploy" / "README.md").read_text()

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#]+)(#[^)]*)?\)")


def blocks(language: str) -> list[str]:
    return [text for kind, text in _BLOCK.findall(README) if kind == language]


VALUES = [text for text in blocks("yaml") if text.startswith("# values.yaml")]


@pytest.mark.parametrize("text", VALUES, ids=["vault", "aws"])
def test_the_values_of_the_ten_minutes_work(text: str, tmp_path: Path) -> None:
    values: dict[str, Any] = yaml.safe_load(text)
    found = manifests(values)
    for manifest in found:
        check_schema(manifest, VERSIONS[-1])
    (config_map,) = of_kind(found, "ConfigMap")
    config = tmp_path / "rotator.yaml"
    config.write_text(config_map["data"]["rotator.yaml"])
    assert load(config).rotations
    # The page tells to take the `config` part for `rotator policy`.
    config.write_text(yaml.safe_dump(values["config"]))
    policy = subprocess.run(
        [sys.executable, "-m", "rotator", "policy", "-c", config],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "flink/openai" in policy.stdout


def test_the_values_for_traces_work() -> None:
    page = (ROOT / "deploy" / "tracing.md").read_text()
    (text,) = [text for kind, text in _BLOCK.findall(page) if kind == "yaml"]
    values: dict[str, Any] = yaml.safe_load(VALUES[0]) | yaml.safe_load(text)
    found = manifests(values)
    for manifest in found:
        check_schema(manifest, VERSIONS[-1])
    (deployment,) = of_kind(found, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert set(map(str, values["extraEnv"])) <= set(map(str, container["env"]))
    (policy,) = of_kind(found, "NetworkPolicy")
    assert {"protocol": "TCP", "port": 4318} in policy["spec"]["egress"][1]["ports"]


def test_the_values_for_prometheus_and_grafana_work() -> None:
    (text,) = [text for text in blocks("yaml") if text.startswith("serviceMonitor:")]
    found = manifests(yaml.safe_load(VALUES[0]) | yaml.safe_load(text))
    for manifest in found:
        check_schema(manifest, VERSIONS[-1])
    (monitor,), (rule,) = of_kind(found, "ServiceMonitor"), of_kind(found, "PrometheusRule")
    for one in (monitor, rule):
        assert one["metadata"]["labels"]["release"] == "prometheus"
    names = [manifest["metadata"]["name"] for manifest in of_kind(found, "ConfigMap")]
    assert any(name.endswith("-dashboard") for name in names)


@pytest.mark.tool("promtool", get="apt-get install prometheus")
def test_prometheus_takes_the_configuration(tmp_path: Path) -> None:
    (text,) = [text for text in blocks("yaml") if text.startswith("# prometheus.yml")]
    (tmp_path / "prometheus.yml").write_text(text)
    shutil.copy(ROOT / "deploy" / "prometheus" / "rules.yaml", tmp_path)
    done = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rule files found" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link, _ in _LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    text = "\n".join(block for _, block in _BLOCK.findall(page.read_text()))
    named = set(re.findall(r"(?:^|-- )rotator ([a-z]+)\b", text, re.MULTILINE))
    assert named <= set(cli.commands)


async def test_the_backup_is_a_ledger(tmp_path: Path) -> None:
    """The very line of the page, while the ledger is open."""
    from rotator.clock import SystemClock

    (line,) = re.findall(r"'(import sqlite3; .*)'", README)
    ledger = await SqlLedger.open(tmp_path / "ledger.db", SystemClock().now)
    try:
        exec(line.replace("/var/lib/rotator", str(tmp_path)), {})  # noqa: S102 - it is our own page
    finally:
        await ledger.aclose()
    copy = await SqlLedger.open(tmp_path / "backup.db", SystemClock().now)
    await copy.aclose()
    with sqlite3.connect(tmp_path / "backup.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
