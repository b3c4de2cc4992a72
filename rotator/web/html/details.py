"""The page of one connection with its history, and the page of one run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import htpy as h

from rotator.model.run import Outcome, Run
from rotator.web.html import parts
from rotator.web.html.overview import progress
from rotator.web.views import ConnectionView, ProgressView

MOST_OUTCOMES = 500
_WORST_FIRST = ("failed", "rolled_back", "skipped", "rotated", "unchanged")


def connection_page(
    view: ConnectionView | None,
    target: str,
    name: str,
    outcomes: Sequence[Outcome],
    now: datetime,
    leader: str | None,
) -> h.Element:
    """`view` is None if the connection is gone. Its history stays."""
    return parts.document(
        f"{name} · rotator",
        now,
        h.h1[name],
        h.div("#connection-live", data_live=True)[_facts(view, target, now)],
        h.section(aria_labelledby="history-heading")[
            h.h2("#history-heading")["History"],
            h.div("#history-live", data_live=True)[_history(outcomes, now)],
        ],
        leader=leader,
    )


def _facts(view: ConnectionView | None, target: str, now: datetime) -> h.Element:
    if view is None:
        return parts.facts(("Target", target), ("State", "not there any more, as far as was seen"))
    old = [" ", parts.badge("too old", "bad")] if view.too_old else None
    return parts.facts(
        ("Phase", parts.phase(view.phase)),
        ("Target", target),
        ("Type", view.type or "not seen yet"),
        ("Endpoint", view.endpoint or "not seen yet"),
        ("Rotation", view.rotation or "none"),
        ("State", parts.stage(view.stage)),
        ("Why", view.error or "-"),
        ("Credential put", [_put(view, now), old]),
        ("Seen READY after it", parts.moment(view.verified_at, now) if view.verified else "no"),
        ("Secret version", view.secret_version or "-"),
        ("Last run", parts.run_link(view.run, view.run) or "-"),
    )


def _put(view: ConnectionView, now: datetime) -> h.Node:
    if view.put_at is None:
        return "never"
    return [parts.moment(view.put_at, now), ", verified" if view.verified else ", not verified"]


def _history(outcomes: Sequence[Outcome], now: datetime) -> h.Node:
    return parts.table(
        "What became of it in past runs, the newest first",
        ("When", "Result", "Phase", "Secret version", "READY after", "Why"),
        (
            (
                parts.moment(outcome.at, now),
                parts.run_link(outcome.run_id, parts.result(str(outcome.result))),
                parts.phase(outcome.phase) if outcome.phase else "",
                outcome.secret_version or "",
                "" if outcome.verify_seconds is None else f"{outcome.verify_seconds:.1f} s",
                outcome.reason,
            )
            for outcome in outcomes
        ),
        "Nothing was done with it yet.",
    )


def run_page(
    run: Run,
    outcomes: Sequence[Outcome],
    under_way: ProgressView | None,
    now: datetime,
    leader: str | None,
) -> h.Element:
    ordered = sorted(outcomes, key=lambda outcome: _WORST_FIRST.index(str(outcome.result)))
    more = len(ordered) - MOST_OUTCOMES
    return parts.document(
        f"{run.id} · rotator",
        now,
        h.h1[f"Run of {run.rotation}"],
        h.div("#run-live", data_live=True, data_busy=run.result is None)[
            _run_facts(run, under_way, now)
        ],
        h.section(aria_labelledby="outcomes-heading")[
            h.h2("#outcomes-heading")["Connections"],
            h.div("#outcomes-live", data_live=True)[
                parts.table(
                    "What became of each connection, the worst first",
                    ("Connection", "Target", "Result", "Phase", "READY after", "Why"),
                    (_outcome(outcome) for outcome in ordered[:MOST_OUTCOMES]),
                    "None is settled yet." if run.result is None else "None was touched.",
                ),
                more > 0
                and h.p[f"{more} more: ", h.a(href=f"api/v1/runs/{run.id}")["all of them as JSON"]],
            ],
        ],
        leader=leader,
    )


def _run_facts(run: Run, under_way: ProgressView | None, now: datetime) -> h.Element:
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in run.counts.items())
    if run.result is not None:
        state: h.Node = parts.result(str(run.result))
    elif under_way is not None:
        state = [parts.result("running"), " ", progress(under_way)]
    else:
        state = parts.result("interrupted")
    length = run.finished_at - run.started_at if run.finished_at else None
    return parts.facts(
        ("State", state),
        ("Why", run.reason or "-"),
        ("Connections", counts or "-"),
        ("Began", parts.moment(run.started_at, now)),
        ("Took", parts.took(length) if length is not None else "-"),
        ("Called for by", run.trigger),
        ("Id", run.id),
    )


def _outcome(outcome: Outcome) -> Sequence[h.Node]:
    return (
        parts.connection_link(outcome.target, outcome.connection),
        outcome.target,
        parts.result(str(outcome.result)),
        parts.phase(outcome.phase) if outcome.phase else "",
        "" if outcome.verify_seconds is None else f"{outcome.verify_seconds:.1f} s",
        outcome.reason,
    )


def trouble_page(words: str, now: datetime) -> h.Element:
    """The page if the ledger can't be read, or has nothing of that name."""
    return parts.document("rotator", now, h.h1["Not to be shown now"], h.p[words], leader=None)
