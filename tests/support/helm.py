"""The chart as `helm template` and `helm lint` see it, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from helm_python.chart import Chart, lint

from tests.support.manifests import Manifest, documents

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "rotator"
RELEASE = "demo"
NAMESPACE = "data"


def render(values: dict[str, Any]) -> dict[str, str]:
    """Template → text. Raises HelmError."""
    with Chart.load(CHART) as chart:
        return chart.render(values, name=RELEASE, namespace=NAMESPACE)


def manifests(values: dict[str, Any]) -> list[Manifest]:
    texts = (text for name, text in render(values).items() if name.endswith(".yaml"))
    return [manifest for text in texts for manifest in documents(text)]


def complaints(values: dict[str, Any]) -> list[str]:
    """What `helm lint --strict` says beyond information."""
    report = lint(CHART, values, strict=True, namespace=NAMESPACE)
    told = [f"{m['path']}: {m['error']}" for m in report["messages"] if m["severity"] > 1]
    return [*report["errors"], *told]
