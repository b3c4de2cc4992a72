"""What rotator talks to: targets and their API, sources, and their tokens and leases."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.generator.parts import (
    GREEN,
    RED,
    YELLOW,
    Column,
    Line,
    Look,
    graph,
    rows,
)
from deploy.grafana.generator.queries import (
    ROTATION,
    TARGET,
    increase,
    quantile,
    rate,
    series,
)

_REQUESTS = "rotator_target_requests_total"
_THROTTLED = "rotator_target_throttled_total"
_MINUTES = 900


def targets() -> list[list[Panel]]:
    bad = 'status!~"2..|429"'
    return [
        [
            graph(
                "Requests",
                "By status, or `timeout` and `error` where no answer came. Mostly 200; 429 is "
                "throttling and does no harm.",
                [Line(rate(_REQUESTS, "status", TARGET), "{{status}}", exemplars=True)],
                Look("reqps"),
                stacked=True,
            ),
            graph(
                "Throttled",
                "Share of the requests to each target that were turned away with 429. Above 5 % "
                "for long: something else uses the limit, or `requests_per_second` is too high.",
                [
                    Line(
                        f"{rate(_THROTTLED, 'target', TARGET)} / "
                        f"({rate(_REQUESTS, 'target', TARGET)} > 0)",
                        "{{target}}",
                    )
                ],
                Look("percentunit", [(0.05, YELLOW)]),
                highest=0.1,
                alerts=("RotatorThrottled",),
            ),
            graph(
                "Errors",
                "Requests a second that got neither success nor 429, by target and status. 401 and "
                "403: the key; 404: organization, environment or region; timeout, error: the "
                "network; 5..: Confluent Cloud.",
                [Line(rate(_REQUESTS, "target, status", TARGET, bad), "{{target}}: {{status}}")],
                Look("reqps"),
                alerts=("RotatorTargetDown",),
            ),
        ],
        [
            graph(
                "Latency",
                "How long targets take to answer, of the last hour: half of the requests are "
                "faster than the lower line of a target, 99 % than the upper.",
                [
                    Line(
                        quantile(
                            share, "rotator_target_request_duration_seconds", "target", TARGET
                        ),
                        f"{{{{target}}}}, {name}",
                        exemplars=True,
                    )
                    for share, name in ((0.5, "half"), (0.99, "99 %"))
                ],
                Look("s"),
            ),
            graph(
                "Since the last success",
                "How long ago a request to each target was last answered with success, by any "
                "process. It saws between runs and looks; a steady climb means that it is away.",
                [
                    Line(
                        _since("rotator_target_last_success_timestamp_seconds", "target", TARGET),
                        "{{target}}",
                    )
                ],
                Look("s", [(_MINUTES, RED)]),
                alerts=("RotatorTargetDown",),
            ),
            graph(
                "Clock skew",
                "How far each target's clock is ahead of rotator's. Beyond 30 s either way "
                "schedules and logins suffer: mostly the node's own clock is wrong.",
                [
                    Line(
                        "max by (target, instance) "
                        f"({series('rotator_target_clock_skew_seconds', TARGET)})",
                        "{{target}}, seen by {{instance}}",
                    )
                ],
                Look("s", [(-30, GREEN), (30, RED)], base=RED),
                lowest=None,
                alerts=("RotatorClockSkew",),
            ),
        ],
    ]


def _since(metric: str, by: str, *matchers: str) -> str:
    return f"time() - max by ({by}) ({series(metric, *matchers)})"


def sources() -> list[list[Panel]]:
    return [
        [
            graph(
                "Reads",
                "Reads and probes a second by source and result: anything but `ok` is said in the "
                "log, in `source.read`.",
                [
                    Line(
                        rate("rotator_source_reads_total", "source, result"),
                        "{{source}}: {{result}}",
                        exemplars=True,
                    )
                ],
                Look("ops"),
                alerts=("RotatorSourceDown",),
            ),
            graph(
                "Latency of reads",
                "How long sources take to answer, of the last hour: half of the reads are faster "
                "than the lower line of a source, 99 % than the upper.",
                [
                    Line(
                        quantile(share, "rotator_source_read_duration_seconds", "source"),
                        f"{{{{source}}}}, {name}",
                        exemplars=True,
                    )
                    for share, name in ((0.5, "half"), (0.99, "99 %"))
                ],
                Look("s"),
            ),
            graph(
                "Since the last good read",
                "How long ago each source was last read or probed with success. Between runs it "
                "climbs, unless the rotation watches its secret.",
                [
                    Line(
                        _since("rotator_source_last_success_timestamp_seconds", "source"),
                        "{{source}}",
                    )
                ],
                Look("s"),
                alerts=("RotatorSourceDown",),
            ),
        ]
    ]


def leases() -> list[list[Panel]]:
    token = series("rotator_source_token_expiry_timestamp_seconds")
    lease = series("rotator_lease_expiry_timestamp_seconds", ROTATION)
    return [
        [
            graph(
                "Time left of tokens",
                "Until the token with which rotator reads a source ends, unless it is renewed: a "
                "saw. What goes down to 0 was neither renewed nor replaced.",
                [Line(f"min by (source) ({token} - time())", "{{source}}")],
                Look("s", [(15, GREEN)], base=RED),
                alerts=("RotatorTokenEnds", "RotatorTokenNearItsEnd"),
            ),
            graph(
                "Time left of leases",
                "Until the first credential ends that connections live on and that Vault made. It "
                "is renewed, and replaced when a fifth of its life is left.",
                [
                    Line(
                        f"min by (source, rotation) ({lease} - time())",
                        "{{source}}, {{rotation}}",
                    )
                ],
                Look("s", [(15, GREEN)], base=RED),
                alerts=("RotatorLeaseNearItsEnd",),
            ),
            rows(
                "Tokens",
                "When each ends unless it is renewed, and whether rotator can log in again by "
                "itself. Where it can't, a person has to bring the next one. Tokens without an end "
                "have no time here.",
                [
                    Column("source", label="source"),
                    Column(
                        "ends",
                        expr=f"1000 * min by (namespace, job, source) ({token})",
                        look=Look("dateTimeFromNow"),
                    ),
                    Column(
                        "logs in by itself",
                        expr="min by (namespace, job, source) "
                        f"({series('rotator_source_token_replaceable')})",
                        look=Look(
                            steps=[(1, GREEN)],
                            base=YELLOW,
                            words={0: ("no: a person must", YELLOW), 1: ("yes", GREEN)},
                        ),
                    ),
                    Column("job", label="job"),
                    Column("namespace", label="namespace"),
                ],
                nothing="no source has a token",
                alerts=("RotatorTokenNearItsEnd",),
                width=8,
                height=8,
            ),
        ],
        [
            graph(
                "Leases by state",
                "live: connections use it. retired: to be revoked, once no connection needs it. "
                "asked: its answer was lost, so that nobody knows its id.",
                [
                    Line(
                        "sum by (rotation, state) ("
                        "max by (namespace, job, source, rotation, state) "
                        f"({series('rotator_leases', ROTATION)}))",
                        "{{rotation}}: {{state}}",
                    )
                ],
                Look(),
                width=12,
            ),
            graph(
                "Steps of leases",
                "In each interval: made, renewed, retired, revoked, and what failed of it.",
                [
                    Line(
                        increase("rotator_lease_changes_total", "source, change", ROTATION),
                        "{{source}}: {{change}}",
                    )
                ],
                Look(),
                stacked=True,
                bars=True,
                alerts=("RotatorLeaseNearItsEnd",),
                width=12,
            ),
        ],
    ]
