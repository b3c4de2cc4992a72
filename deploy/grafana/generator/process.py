"""The processes themselves."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.generator.parts import (
    BLUE,
    GREEN,
    ORANGE,
    Column,
    Line,
    Look,
    graph,
    rows,
    states,
)
from deploy.grafana.generator.queries import increase, series


def process() -> list[list[Panel]]:
    by = "namespace, job, instance"
    leader, build = series("rotator_leader"), series("rotator_build_info")
    return [
        [
            rows(
                "Processes",
                "Each process that is scraped. One leads (rotates), the others follow. A refused "
                "configuration means that the one before stays in force until the next restart.",
                [
                    Column("instance", label="instance"),
                    Column("", expr=f"max by ({by}, version, python) ({build})"),
                    Column("version", label="version"),
                    Column("python", label="python"),
                    Column(
                        "role",
                        expr=f"max by ({by}) ({leader})",
                        look=Look(
                            steps=[(1, GREEN)],
                            base=BLUE,
                            words={0: ("follows", BLUE), 1: ("leads", GREEN)},
                        ),
                    ),
                    Column(
                        "configuration",
                        expr=f"min by ({by}) ({series('rotator_config_last_reload_successful')})",
                        look=Look(
                            steps=[(1, GREEN)],
                            base=ORANGE,
                            words={0: ("refused", ORANGE), 1: ("taken", GREEN)},
                        ),
                    ),
                    Column(
                        "", expr=f"max by ({by}, lease) ({series('rotator_coordination_info')})"
                    ),
                    Column("lease", label="lease"),
                    Column("job", label="job"),
                    Column("namespace", label="namespace"),
                ],
                nothing="no rotator is seen",
                alerts=("RotatorConfigurationRefused", "RotatorAbsent"),
                width=14,
                height=8,
            ),
            _leaders(leader),
        ],
        [
            graph(
                "Notifications",
                "In each interval: what webhooks were told of, and what did not arrive: failed was "
                "given up, dropped had too many before it.",
                [
                    Line(
                        increase("rotator_notifications_total", "event, result"),
                        "{{event}}: {{result}}",
                    )
                ],
                Look(),
                stacked=True,
                bars=True,
                alerts=("RotatorNotificationsLost",),
                width=24,
                height=6,
            ),
        ],
    ]


def _leaders(leader: str) -> Panel:
    return states(
        "Who led",
        "Each process over time. At every moment one leads; two for a moment after a partition, "
        "since Prometheus asks them one after the other; none for at most the duration of the "
        "lease after the leader was lost.",
        Line(f"max by (instance) ({leader})", "{{instance}}"),
        Look(steps=[(1, GREEN)], base=BLUE, words={0: ("follows", BLUE), 1: ("leads", GREEN)}),
        alerts=("RotatorNoLeader", "RotatorTwoLeaders"),
        width=10,
    )
