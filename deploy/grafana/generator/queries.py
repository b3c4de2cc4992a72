"""PromQL that several panels share, narrowed by the variables of the dashboard.

Installations are told apart by namespace and job, as in the rules. Where nothing sets a namespace,
`.*` matches its absence too.
"""

from __future__ import annotations

SITE = 'namespace=~"$namespace", job=~"$job"'
TARGET = 'target=~"$target"'
ROTATION = 'rotation=~"$rotation"'


def series(metric: str, *matchers: str) -> str:
    return f"{metric}{{{', '.join((SITE, *matchers))}}}"


_PLACE = "namespace, job, target, connection"


def phases(*matchers: str) -> str:
    """The series of phases don't name a rotation: those that belong to another one are taken away,
    so that a connection which was never rotated shows whatever is chosen."""
    others = series(
        "rotator_connection_last_rotated_timestamp_seconds", TARGET, 'rotation!~"$rotation"'
    )
    shown = series("rotator_connection_phase", TARGET, *matchers)
    return f"({shown} unless on ({_PLACE}) {others})"


def fleet(connections: str, *, count: str = "sum", by: str = "") -> str:
    """How many connections, each once: for a moment after another process took over, Prometheus
    still has the series of the one before. To take the greater number of each target is a third of
    the work of telling connections apart."""
    own = f", {by}" if by else ""
    each = f"{count} by (namespace, job, instance, target{own}) ({connections})"
    over = f"max by (namespace, job, target{own}) ({each})"
    return f"sum by ({by}) ({over})" if by else f"sum({over})"


USABLE = 'phase=~"READY|ACTIVE"'
NOT_USABLE = 'phase!~"READY|ACTIVE"'

ROTATED = series("rotator_connection_last_rotated_timestamp_seconds", TARGET, ROTATION)
AGE = f"(time() - {ROTATED})"
MAX_AGE = series("rotator_credential_max_age_seconds", ROTATION)
OF_MAX_AGE = f"{AGE} / on (namespace, job, instance, rotation) group_left () {MAX_AGE}"

UNDER_WAY = series("rotator_run_under_way", ROTATION)
LAST = series("rotator_run_last_timestamp_seconds", ROTATION)
LAST_SUCCESS = series("rotator_run_last_success_timestamp_seconds", ROTATION)
NEXT = series("rotator_run_next_timestamp_seconds", ROTATION)
DUE = series("rotator_run_due_timestamp_seconds", ROTATION)

FAILING = f"(({LAST} > {LAST_SUCCESS}) or ({LAST} unless {LAST_SUCCESS}))"
OVERDUE = (
    f"((time() - {DUE} > 900) unless on (namespace, job, instance, rotation) ({UNDER_WAY} == 1))"
)
"""As the alert RotatorRunOverdue has it."""


def counted(expression: str, zero: str) -> str:
    """How many rotations; 0 only where `zero` has any, so that what nobody scrapes shows no 0."""
    return f"count(max by (namespace, job, rotation) ({expression})) or 0 * count({zero})"


def rate(metric: str, by: str, *matchers: str) -> str:
    return f"sum by ({by}) (rate({series(metric, *matchers)}[$__rate_interval]))"


def increase(metric: str, by: str, *matchers: str, window: str = "$__rate_interval") -> str:
    return f"sum by ({by}) (increase({series(metric, *matchers)}[{window}]))"


def quantile(share: float, histogram: str, by: str, *matchers: str) -> str:
    """A window of an hour: secrets change seldom, so a shorter one is nearly always empty."""
    buckets = increase(f"{histogram}_bucket", f"le, {by}", *matchers, window="1h")
    return f"histogram_quantile({share}, {buckets})"
