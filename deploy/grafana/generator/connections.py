"""Freshness and phases: which connections, and how old what they have is."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.generator.parts import (
    FEW,
    GREEN,
    ORANGE,
    RED,
    YELLOW,
    Column,
    Line,
    Look,
    graph,
    heat,
    rows,
)
from deploy.grafana.generator.queries import (
    AGE,
    NOT_USABLE,
    OF_MAX_AGE,
    ROTATED,
    ROTATION,
    TARGET,
    UNDER_WAY,
    fleet,
    phases,
    series,
)

_HOUR, _DAY = 3600, 86_400
_AGES = (_HOUR, _DAY, 7 * _DAY, 28 * _DAY, 91 * _DAY, 365 * _DAY)
_CONNECTION = "namespace, job, target, connection, rotation"

PHASE_COLORS = {
    "READY": GREEN,
    "ACTIVE": GREEN,
    "PENDING": YELLOW,
    "UNREACHABLE": ORANGE,
    "INVALID_AUTH": RED,
}


def freshness() -> list[list[Panel]]:
    # Filters that keep the labels, and no arithmetic: over 5,000 connections that is much faster.
    younger = [fleet(f"{ROTATED} >= time() - {age}", count="count") for age in _AGES]
    buckets = [f"{count} or 0 * count({UNDER_WAY})" for count in younger]
    buckets.append(fleet(ROTATED, count="count"))
    by_age = [
        f'label_replace({bucket}, "le", "{le}", "", "")'
        for le, bucket in zip((*_AGES, "+Inf"), buckets, strict=True)
    ]
    oldest = f"topk(10, max by ({_CONNECTION}) ({AGE}))"
    verified = series("rotator_connection_last_verified_timestamp_seconds", TARGET, ROTATION)
    return [
        [
            heat(
                "Age of credentials",
                "How many connections have a credential of which age, over time: the darker, the "
                "more. A rotation lets a band move down to the bottom; one that climbs was not "
                "rotated.",
                "\nor ".join(by_age),
            ),
            rows(
                "The ten oldest credentials",
                "Age since the credential that works was put; of max_age: 100 % is as old as the "
                "rotation permits (empty without max_age).",
                [
                    Column("connection", label="connection"),
                    Column("target", label="target"),
                    Column("rotation", label="rotation"),
                    Column("age", expr=oldest, look=Look("s")),
                    Column(
                        "of max_age",
                        expr=f"max by ({_CONNECTION}) ({OF_MAX_AGE}) and {oldest}",
                        look=Look("percentunit", [(0.8, YELLOW), (1, RED)], decimals=0),
                    ),
                    Column(
                        "verified ago",
                        expr=f"max by ({_CONNECTION}) (time() - {verified}) and {oldest}",
                        look=Look("s"),
                    ),
                    Column("job", label="job"),
                    Column("namespace", label="namespace"),
                ],
                nothing="nothing was rotated yet",
                sort="age",
                alerts=("RotatorCredentialTooOld",),
            ),
        ]
    ]


def phase() -> list[list[Panel]]:
    bad = f"max by (namespace, job, target, connection, phase) ({phases(NOT_USABLE)} == 1)"
    place = "namespace, job, target, connection"
    return [
        [
            graph(
                "Connections by phase",
                "All connections, as Confluent Cloud was last heard to judge them. A run turns "
                "some PENDING for seconds; INVALID_AUTH is a credential that does not work, "
                "UNREACHABLE an endpoint.",
                [Line(fleet(phases(), by="phase"), "{{phase}}")],
                Look(),
                stacked=True,
                points=FEW,
                colors=PHASE_COLORS,
                alerts=(
                    "RotatorConnectionInvalidAuth",
                    "RotatorConnectionFailing",
                    "RotatorConnectionPending",
                ),
                width=12,
                height=9,
            ),
            rows(
                "Connections that are not READY",
                "At most 50, with the age of the last credential that worked there and who put it "
                "(both empty where none ever did).",
                [
                    Column("", expr=f"topk(50, {bad})"),
                    Column("phase", label="phase"),
                    Column("connection", label="connection"),
                    Column("target", label="target"),
                    Column("rotation", label="rotation"),
                    Column(
                        "age of the credential",
                        expr=f"max by ({_CONNECTION}) ({AGE}) and on ({place}) topk(50, {bad})",
                        look=Look("s"),
                    ),
                    Column("job", label="job"),
                    Column("namespace", label="namespace"),
                ],
                nothing="every connection is READY",
                alerts=("RotatorConnectionInvalidAuth", "RotatorConnectionFailing"),
            ),
        ]
    ]
