"""What runs do: outcomes, time to READY, and the runs themselves."""

from __future__ import annotations

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
    rows,
    states,
)
from deploy.grafana.generator.queries import (
    DUE,
    LAST,
    LAST_SUCCESS,
    NEXT,
    ROTATION,
    TARGET,
    UNDER_WAY,
    increase,
    quantile,
)

IN_TIME = 900
"""Seconds, of the objective."""

_RUN_ID = "Points are exemplars: each has the id of its run, for the log and the API."
_ROTATION = "namespace, job, rotation"


def outcomes() -> list[list[Panel]]:
    return [
        [
            graph(
                "Runs that ended",
                "By result, in each interval. A refused run sent nothing: its plan was not "
                f"plausible. {_RUN_ID}",
                [Line(increase("rotator_runs_total", "result", ROTATION), "{{result}}", True)],
                Look(),
                stacked=True,
                bars=True,
                colors={"succeeded": GREEN, "failed": RED, "refused": ORANGE},
                alerts=("RotatorRunFailed",),
            ),
            graph(
                "Credentials",
                "Connections that runs dealt with, by outcome, in each interval. Most are "
                f"unchanged: they cost no update. {_RUN_ID}",
                [
                    Line(
                        increase("rotator_credentials_total", "outcome", TARGET, ROTATION),
                        "{{outcome}}",
                        True,
                    )
                ],
                Look(),
                stacked=True,
                bars=True,
                colors={
                    "rotated": GREEN,
                    "unchanged": BLUE,
                    "failed": RED,
                    "rolled_back": ORANGE,
                    "skipped": YELLOW,
                },
                alerts=("RotatorRunFailed",),
            ),
            graph(
                "Changes of secrets",
                "Each connection once for each change: in_time when it was seen READY with it "
                "within 15 minutes, late as soon as it can't be any more. This is what the "
                "objective counts.",
                [
                    Line(
                        increase("rotator_secret_changes_total", "result", TARGET, ROTATION),
                        "{{result}}",
                        True,
                    )
                ],
                Look(),
                stacked=True,
                bars=True,
                colors={"in_time": GREEN, "late": RED},
                alerts=("RotatorObjectiveBurnsFast", "RotatorObjectiveBurnsSlowly"),
            ),
        ],
        [
            rows(
                "Where credentials failed",
                "In the time range that is chosen above: the ten places with the most failures. "
                "One rotation in many targets: its secret; one target in many rotations: the "
                "target.",
                [
                    Column("rotation", label="rotation"),
                    Column("target", label="target"),
                    Column(
                        "failed",
                        expr="topk(10, "
                        + increase(
                            "rotator_credentials_total",
                            "namespace, job, rotation, target",
                            'outcome="failed"',
                            TARGET,
                            ROTATION,
                            window="$__range",
                        )
                        + " > 0)",
                        look=Look(decimals=0),
                    ),
                    Column("job", label="job"),
                    Column("namespace", label="namespace"),
                ],
                nothing="nothing failed",
                sort="failed",
                alerts=("RotatorRunFailed",),
                width=8,
                height=8,
            ),
            graph(
                "From the update to READY",
                "How long Confluent Cloud takes, of the last hour: half of the updates are faster "
                "than the lower line of a target, 99 % than the upper. Not narrowed by rotation. "
                f"{_RUN_ID}",
                _quantiles("rotator_verify_duration_seconds", "target", TARGET),
                Look("s"),
                alerts=("RotatorConnectionPending",),
            ),
            graph(
                "From the change of a secret to READY",
                "How long connections were behind their secret, of the last hour, by rotation. The "
                f"line at 15 minutes is the objective. {_RUN_ID}",
                _quantiles("rotator_change_to_ready_seconds", "rotation", ROTATION),
                Look("s", [(IN_TIME, RED)]),
                alerts=("RotatorObjectiveBurnsFast",),
            ),
        ],
    ]


def _quantiles(histogram: str, by: str, *matchers: str) -> list[Line]:
    return [
        Line(quantile(share, histogram, by, *matchers), f"{{{{{by}}}}}, {name}", True)
        for share, name in ((0.5, "half"), (0.99, "99 %"))
    ]


def runs() -> list[list[Panel]]:
    ended, good = (f"max by ({_ROTATION}) ({gauge})" for gauge in (LAST, LAST_SUCCESS))
    moment = Look("dateTimeFromNow")
    return [
        [
            rows(
                "Rotations",
                "When each ran last, when it last did all that it should, and when it is next to "
                "run. due: the schedule asks (or asked) for a good run by then; in the past for "
                "more than 15 minutes, it is overdue. Empty next and due: no schedule, a watch "
                "alone.",
                [
                    Column("rotation", label="rotation"),
                    Column(
                        "last result",
                        expr=f"({good} >= bool {ended}) or 0 * {ended}",
                        look=Look(
                            steps=[(1, GREEN)],
                            base=RED,
                            words={0: ("failed", RED), 1: ("succeeded", GREEN)},
                        ),
                    ),
                    Column("last run", expr=f"1000 * {ended}", look=moment),
                    Column("last good run", expr=f"1000 * {good}", look=moment),
                    Column("next", expr=f"1000 * max by ({_ROTATION}) ({NEXT})", look=moment),
                    Column("due", expr=f"1000 * max by ({_ROTATION}) ({DUE})", look=moment),
                    Column(
                        "now",
                        expr=f"max by ({_ROTATION}) ({UNDER_WAY})",
                        look=Look(
                            steps=[(1, BLUE)], words={0: ("idle", GREEN), 1: ("running", BLUE)}
                        ),
                    ),
                    Column("job", label="job"),
                    Column("namespace", label="namespace"),
                ],
                nothing="no data: is rotator scraped?",
                alerts=("RotatorRunFailed", "RotatorRunOverdue"),
                width=24,
                height=8,
            )
        ],
        [
            states(
                "Runs under way",
                "When which rotation ran. Runs that are shorter than the interval of scrapes may "
                "not be seen here; the marks in all panels show each by its end.",
                Line(f"max by (rotation) ({UNDER_WAY})", "{{rotation}}"),
                Look(steps=[(1, BLUE)], words={0: ("idle", GREEN), 1: ("running", BLUE)}),
                alerts=("RotatorRunEndless",),
            ),
            graph(
                "How long runs take",
                "Of the last hour, by rotation. A run over many connections takes as long as the "
                f"rate limit of its targets says. {_RUN_ID}",
                _quantiles("rotator_run_duration_seconds", "rotation", ROTATION),
                Look("s"),
                alerts=("RotatorRunEndless",),
                width=12,
            ),
        ],
    ]
