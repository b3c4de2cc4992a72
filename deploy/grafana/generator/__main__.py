"""Writes what the repository has of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from deploy.grafana.generator.dashboard import text

DEPLOY = Path(__file__).parents[2]
DASHBOARD = DEPLOY / "grafana" / "rotator.json"
RULES = DEPLOY / "prometheus" / "rules.yaml"
CHART = DEPLOY / "helm" / "rotator" / "files"
"""Copies: helm reads no file outside of the chart, and Flux leaves links out of what it packs."""


def main() -> None:
    DASHBOARD.write_text(text())
    CHART.mkdir(exist_ok=True)
    for original in (DASHBOARD, RULES):
        shutil.copyfile(original, CHART / original.name)


if __name__ == "__main__":
    main()
