"""The dashboard as a whole: variables, links, marks of runs, and the rows one below the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationContainer,
    AnnotationQuery,
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.generator.connections import freshness, phase
from deploy.grafana.generator.edges import leases, sources, targets
from deploy.grafana.generator.glance import glance
from deploy.grafana.generator.parts import DATASOURCE, GREEN, RED
from deploy.grafana.generator.process import process
from deploy.grafana.generator.queries import FAILING, LAST_SUCCESS, SITE
from deploy.grafana.generator.work import outcomes, runs

RUNBOOKS = "https://git.example.com/rotator/blob/main/deploy/prometheus/runbooks.md"
"""An example, until somebody names the real one."""
WIDTH = 24

_PROMETHEUS = Path(__file__).parents[2] / "prometheus"


class Marks(AnnotationQuery):
    """A query of marks, with what Prometheus' annotations have beyond those of Grafana itself."""

    def __init__(self, name: str, expr: str, color: str, *, at_value: bool, title: str) -> None:
        super().__init__(name=name, datasource=DATASOURCE, enable=True, icon_color=color, expr=expr)
        self.more: dict[str, object] = {
            # The mark stands at the moment (in ms) that the value tells, however coarse the steps.
            "useValueForTime": at_value,
            "titleFormat": title,
            "step": "1s" if at_value else "60s",
        }

    def to_json(self) -> dict[str, object]:
        return super().to_json() | self.more


def alerts() -> list[str]:
    return re.findall(r"^ *- alert: (\w+)$", (_PROMETHEUS / "rules.yaml").read_text(), re.MULTILINE)


def build() -> Dashboard:
    made = (
        builders.Dashboard("rotator")
        .uid("rotator")
        .description(
            "Whether every Confluent Cloud Flink connection has a fresh credential that works, and "
            "why not."
        )
        .tags(["rotator", "confluent", "flink", "credentials"])
        .time("now-6h", "now")
        .refresh("1m")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .variables(
            [
                builders.DatasourceVariable("datasource").label("Data source").type("prometheus"),
                _labels("namespace", "rotator_build_info"),
                _labels("job", 'rotator_build_info{namespace=~"$namespace"}'),
                _labels("target", f"rotator_target_throttled_total{{{SITE}}}"),
                _labels("rotation", f"rotator_run_under_way{{{SITE}}}"),
                builders.TextBoxVariable("runbooks")
                .label("Runbooks at")
                .description("Where runbooks.md is shown; links to a runbook add #, and its name.")
                .default_value(RUNBOOKS)
                .current(VariableOption(text=RUNBOOKS, value=RUNBOOKS)),
            ]
        )
        .links(
            [
                builders.DashboardLink("Runbooks")
                .type(DashboardLinkType.LINK)
                .icon("doc")
                .url("${runbooks:raw}")
                .tooltip("What to do, for each alert")
                .target_blank(True)
            ]
        )
    ).build()
    made.version = 1
    made.annotations = AnnotationContainer(_marks())
    made.panels = list(_laid_out(_rows()))
    return made


def text() -> str:
    return json.dumps(build(), cls=JSONEncoder, indent=1, ensure_ascii=False) + "\n"


def _labels(name: str, series: str) -> builders.QueryVariable:
    every = VariableOption(selected=True, text=["All"], value=["$__all"])
    return (
        builders.QueryVariable(name)
        .label(name.capitalize())
        .datasource(DATASOURCE)
        .query(f"label_values({series}, {name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(every)
    )


def _marks() -> list[AnnotationQuery]:
    return [
        Marks(
            "Good runs",
            f"1000 * max by (rotation) ({LAST_SUCCESS})",
            GREEN,
            at_value=True,
            title="{{rotation}}: a good run ended",
        ),
        Marks(
            "Failed runs",
            f"1000 * max by (rotation) ({FAILING})",
            RED,
            at_value=True,
            title="{{rotation}}: a run failed or was refused",
        ),
        Marks(
            "Alerts",
            'max by (alertname, severity) (ALERTS{alertname=~"Rotator.+", alertstate="firing", '
            'namespace=~"$namespace|", job=~"$job|"})',
            RED,
            at_value=False,
            title="{{alertname}}",
        ),
    ]


def _rows() -> list[tuple[str, list[list[Panel]]]]:
    return [
        ("The fleet at a glance", glance(alerts())),
        ("Freshness", freshness()),
        ("Phases", phase()),
        ("Outcomes and time to READY", outcomes()),
        ("Runs", runs()),
        ("Targets: the API of Confluent Cloud", targets()),
        ("Sources", sources()),
        ("Tokens and leases", leases()),
        ("Process", process()),
    ]


def _laid_out(
    content: Sequence[tuple[str, list[list[Panel]]]],
) -> Iterator[Panel | RowPanel]:
    """With ids in their order. Each line of panels is as high as its highest."""
    number, top = 0, 0
    for title, lines in content:
        number += 1
        place = GridPos(h=1, w=WIDTH, x=0, y=top)
        yield RowPanel(title=title, id_val=number, grid_pos=place, panels=[])
        top += 1
        for line in lines:
            left = height = 0
            for panel in line:
                number += 1
                place = panel.grid_pos or GridPos()
                panel.id_val, place.x, place.y = number, left, top
                left, height = left + place.w, max(height, place.h)
                yield panel
            top += height
