"""The first row: in ten seconds, whether every connection has a fresh credential that works."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.generator.parts import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    YELLOW,
    Column,
    Line,
    Look,
    graph,
    number,
    rows,
)
from deploy.grafana.generator.queries import (
    FAILING,
    NOT_USABLE,
    OF_MAX_AGE,
    OVERDUE,
    ROTATION,
    UNDER_WAY,
    USABLE,
    counted,
    fleet,
    phases,
    series,
)

ALLOWED_LATE = 0.01
"""The share of changes that may be late by the objective."""

_LATE = "rotator:secret_changes_late:ratio_increase"
_NONE = {0: ("none", GREEN)}


def glance(alerts: Sequence[str]) -> list[list[Panel]]:
    """`alerts` are the names of all."""
    return [_numbers(), [_firing(alerts), _burn()]]


def _numbers() -> list[Panel]:
    seen_by_leader = "no data: is rotator scraped, and does one lead?"
    return [
        number(
            "READY",
            "Connections that can be used (READY or ACTIVE) as they were last seen. Should equal "
            "Connections.",
            fleet(phases(USABLE)),
            Look(steps=[(1, GREEN)], base=RED),
            nothing=seen_by_leader,
        ),
        number(
            "Not READY",
            "Connections in any other phase. More than none for some minutes: see Phases, which "
            "names them.",
            fleet(phases(NOT_USABLE)),
            Look(steps=[(1, RED)], words=_NONE),
            nothing=seen_by_leader,
            alerts=("RotatorConnectionInvalidAuth", "RotatorConnectionFailing"),
        ),
        number(
            "Connections",
            "All that the chosen rotations and targets match. A sudden change means that `match`, "
            "or what is in Confluent Cloud, changed.",
            fleet(phases()),
            Look(base=BLUE),
            nothing=seen_by_leader,
        ),
        number(
            "Failing rotations",
            "Rotations whose last run failed or was refused. The table in Runs names them.",
            counted(FAILING, UNDER_WAY),
            Look(steps=[(1, RED)], words=_NONE),
            nothing="no data: is rotator scraped?",
            alerts=("RotatorRunFailed",),
        ),
        number(
            "Overdue rotations",
            "Rotations that had no good run within 15 minutes after their schedule asked for one.",
            counted(OVERDUE, UNDER_WAY),
            Look(steps=[(1, RED)], words=_NONE),
            nothing="no data: is rotator scraped?",
            alerts=("RotatorRunOverdue",),
        ),
        number(
            "Leader",
            "Whether a process rotates in each installation. Which one: see Process.",
            f"max by (namespace, job) ({series('rotator_leader')})",
            Look(steps=[(1, GREEN)], base=RED, words={0: ("nobody leads", RED), 1: ("yes", GREEN)}),
            nothing="no rotator is seen",
            legend="{{namespace}} {{job}}",
            alerts=("RotatorNoLeader", "RotatorTwoLeaders", "RotatorAbsent"),
        ),
        number(
            "Oldest, of max_age",
            "Age of the oldest credential as a share of its rotation's max_age. Above 100 %: it is "
            "older than it may be. Rotations without max_age have no part in it.",
            f"max({OF_MAX_AGE})",
            Look("percentunit", [(0.8, YELLOW), (1, RED)], decimals=0),
            nothing="no max_age is set",
            alerts=("RotatorCredentialTooOld",),
        ),
        number(
            "In time, 30 days",
            "The objective: the share of changes of secrets that reached their connection, seen "
            "READY, within 15 minutes; of the rotation that does worst. At least 99 %.",
            f"1 - max({series(f'{_LATE}30d', ROTATION)})",
            Look("percentunit", [(0.99, GREEN)], base=RED, decimals=2),
            nothing="no change yet, or no rules are loaded",
            alerts=("RotatorObjectiveBurnsFast", "RotatorObjectiveBurnsSlowly"),
        ),
    ]


def _firing(alerts: Sequence[str]) -> Panel:
    place = 'namespace=~"$namespace|", job=~"$job|"'
    everything = f'ALERTS{{alertname=~"Rotator.+", {place}}}'
    by = "alertname, alertstate, severity, namespace, job, rotation, target, source, connection"
    named = f'label_replace({everything}, "runbook", "$1", "alertname", "(.+)")'
    return rows(
        "Alerts",
        "What is firing, or pending: it will fire unless it ends by itself. Each has a runbook. At "
        "most 20 are shown. Empty although something is wrong: are the rules loaded?",
        [
            Column("", expr=f"topk(20, max by ({by}, runbook) ({named}))"),
            Column("state", label="alertstate"),
            Column("alert", label="alertname"),
            Column("severity", label="severity"),
            Column("rotation", label="rotation"),
            Column("target", label="target"),
            Column("source", label="source"),
            Column("connection", label="connection"),
            Column(
                "runbook",
                label="runbook",
                texts={alert: alert.lower() for alert in alerts},
                link="${runbooks:raw}#${__value.text}",
            ),
        ],
        nothing="no alert",
        width=15,
        height=8,
    )


def _burn() -> Panel:
    return graph(
        "Burn of the error budget",
        "How fast the allowed 1 % of late changes is used up, by rotation: 1 uses up exactly all "
        "of it in 30 days. An alert comes at 14.4 in the last hour (with 6 in six hours), or at 1 "
        "in six hours and three days.",
        [
            Line(
                f"{series(f'{_LATE}{window}', ROTATION)} / {ALLOWED_LATE}",
                f"{{{{rotation}}}}, {window}",
            )
            for window in ("1h", "6h", "3d")
        ],
        Look(steps=[(1, YELLOW), (6, ORANGE), (14.4, RED)]),
        highest=2,
        alerts=("RotatorObjectiveBurnsFast", "RotatorObjectiveBurnsSlowly"),
        width=9,
    )
