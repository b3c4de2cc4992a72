"""The page at `/`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import htpy as h

from rotator.web.filters import ORDERS, Filters, Found, find
from rotator.web.html import parts, words
from rotator.web.views import (
    ConnectionView,
    LeaseView,
    ProgressView,
    RotationView,
    SourceView,
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What the page shows."""

    rotations: Sequence[RotationView]
    connections: Sequence[ConnectionView]
    sources: Sequence[SourceView]
    leases: Sequence[LeaseView]
    leader: str | None


def overview(contents: Contents, filters: Filters, now: datetime) -> h.Element:
    return parts.document(
        "rotator",
        now,
        h.h1["Credentials of Flink connections"],
        _summary(contents.connections),
        h.section("#rotations", aria_labelledby="rotations-heading")[
            h.h2("#rotations-heading")["Rotations"],
            h.div("#rotations-live", data_live=True)[_rotations(contents.rotations, now)],
        ],
        h.section("#connections", aria_labelledby="connections-heading")[
            h.h2("#connections-heading")["Connections"],
            _form(contents.connections, filters),
            h.div("#connections-live", data_live=True)[
                _connections(find(filters, contents.connections), filters, now)
            ],
        ],
        h.section("#sources", aria_labelledby="sources-heading")[
            h.h2("#sources-heading")["Sources"],
            h.div("#sources-live", data_live=True)[_sources(contents.sources, now)],
            h.div("#leases-live", data_live=True)[_leases(contents.leases, now)],
        ],
        leader=contents.leader,
        home=True,
    )


def _summary(connections: Sequence[ConnectionView]) -> h.Element:
    """The line that somebody who was woken up wants to read first."""
    trouble = sum(view.needs_attention for view in connections)
    known = len(connections)
    if not known:
        said: h.Node = "No connection was seen yet."
    elif trouble:
        verb = "needs" if trouble == 1 else "need"
        said = parts.badge(f"{trouble} of {known} connections {verb} attention", "bad")
    else:
        said = parts.badge(f"{known} connections, and nothing is wrong", "good")
    phases = Counter(view.phase or "unknown" for view in connections)
    return h.div("#summary", data_live=True)[
        h.p(".summary")[said],
        known > 0
        and h.ul(".phases", aria_label="Connections by phase")[
            (
                h.li[
                    h.a(href=Filters(phase=phase).address())[
                        parts.phase(None if phase == "unknown" else phase), f" {count}"
                    ]
                ]
                for phase, count in sorted(phases.items(), key=lambda item: (-item[1], item[0]))
            )
        ],
    ]


def _rotations(rotations: Sequence[RotationView], now: datetime) -> h.Node:
    return parts.table(
        "Each rotation, when it runs, and how its last run ended",
        ("Rotation", "Targets", "Runs", "Next by schedule", "Last run", "Why"),
        (_rotation(view, now) for view in rotations),
        "There is no rotation.",
    )


def _rotation(view: RotationView, now: datetime) -> Sequence[h.Node]:
    schedule = words.schedule(view.cron, view.timezone or "UTC") if view.cron else view.schedule
    runs = " and ".join(filter(None, (schedule, view.watch))) or "on command"
    return (
        h.a(href=Filters(rotation=view.name).address())[view.name],
        ", ".join(view.targets),
        runs,
        parts.moment(view.next_run, now, never="-"),
        _last(view, now),
        view.last_run.reason if view.last_run and not view.running else "",
    )


def _last(view: RotationView, now: datetime) -> h.Node:
    if view.running:
        return [parts.run_link(view.running, "under way"), " ", progress(view.progress)]
    last = view.last_run
    if last is None:
        return parts.result("never")
    ended = parts.moment(last.finished_at, now, never="not finished")
    result = str(last.result) if last.result else "interrupted"
    return [parts.run_link(last.id, parts.result(result)), " ", ended]


def progress(view: ProgressView | None) -> h.Node:
    if view is None or not view.total:
        return h.progress(aria_label="The plan is being made")
    failed = f", {view.failed} failed" if view.failed else ""
    return [
        h.progress(aria_label="Connections done", value=str(view.settled), max=str(view.total)),
        f" {view.settled} of {view.total}{failed}",
    ]


# Connections


def _form(connections: Sequence[ConnectionView], filters: Filters) -> h.Element:
    def values(of: Callable[[ConnectionView], str | None]) -> list[str]:
        return sorted({value for view in connections if (value := of(view))})

    phases = sorted({view.phase or "unknown" for view in connections})
    return h.form("#filters", method="get", action="./#connections", role="search")[
        h.label[
            "Name ",
            h.input(
                type="search",
                name="search",
                value=filters.search,
                placeholder="part of it, or openai-*",
                autocomplete="off",
                spellcheck="false",
            ),
        ],
        _select("Phase", "phase", phases, filters.phase),
        _select("Type", "type", values(lambda view: view.type), filters.type),
        _select("Target", "target", values(lambda view: view.target), filters.target),
        _select("Rotation", "rotation", values(lambda view: view.rotation), filters.rotation),
        h.label[
            "Order ",
            h.select(name="order")[
                (
                    h.option(value=name, selected=name == filters.order)[said]
                    for name, (said, _) in ORDERS.items()
                )
            ],
        ],
        h.button(type="submit")["Show"],
        h.a(href="./#connections")["Show all"],
    ]


def _select(label: str, name: str, values: Iterable[str], chosen: str) -> h.Element:
    # The chosen value stays in the list, even if no connection has it any more.
    offered = list(dict.fromkeys([*values, *([chosen] if chosen else [])]))
    return h.label[
        f"{label} ",
        h.select(name=name)[
            h.option(value="", selected=not chosen)["any"],
            (h.option(value=value, selected=value == chosen)[value] for value in offered),
        ],
    ]


def _connections(found: Found, filters: Filters, now: datetime) -> h.Node:
    if not found.total:
        return h.p["No connection is like that." if filters.narrow else "None was seen yet."]
    last = found.first + len(found.shown) - 1
    shown = f"{found.first} to {last} of {found.total}" if found.pages > 1 else str(found.total)
    return [
        h.p(".count")[f"Shown: {shown}"],
        parts.table(
            "Each connection, the phase that it was last seen in, and the age of its credential",
            ("Connection", "Target", "Type", "Rotation", "Phase", "Credential", "State", "Why"),
            (_connection(view, now) for view in found.shown),
            "",
        ),
        _pages(found, filters),
    ]


def _connection(view: ConnectionView, now: datetime) -> Sequence[h.Node]:
    old = [" ", parts.badge("too old", "bad")] if view.too_old else None
    return (
        parts.connection_link(view.target, view.connection),
        view.target,
        view.type or "",
        view.rotation,
        parts.phase(view.phase),
        [
            parts.age(view.put_at, now),
            ", not verified" if view.put_at and not view.verified else None,
            old,
        ],
        parts.stage(view.stage),
        view.error or "",
    )


def _pages(found: Found, filters: Filters) -> h.Node:
    if found.pages == 1:
        return None
    before = (
        found.page > 1 and h.a(href=filters.address(page=found.page - 1), rel="prev")["Previous"]
    )
    after = (
        found.page < found.pages
        and h.a(href=filters.address(page=found.page + 1), rel="next")["Next"]
    )
    return h.nav(".pages", aria_label="Pages of connections")[
        before, f" Page {found.page} of {found.pages} ", after
    ]


# Sources


def _sources(sources: Sequence[SourceView], now: datetime) -> h.Node:
    return parts.table(
        "Where secrets are read, and how that went last",
        ("Source", "Kind", "State", "Last success", "Token ends", "Why"),
        (_source(view, now) for view in sources),
        "There is no source.",
    )


def _source(view: SourceView, now: datetime) -> Sequence[h.Node]:
    if view.failing_since is not None:
        state: h.Node = [
            parts.badge("fails", "bad"),
            " since ",
            parts.moment(view.failing_since, now),
        ]
    elif view.ok_at is not None:
        state = parts.badge("works", "good")
    else:
        state = parts.badge("not asked yet", "none")
    failing = view.failing_since is not None
    return (
        view.name,
        view.kind,
        state,
        parts.moment(view.ok_at, now),
        parts.moment(view.token_ends_at, now, never="-"),
        view.reason if failing else "",
    )


def _leases(leases: Sequence[LeaseView], now: datetime) -> h.Node:
    if not leases:
        return None
    return [
        h.h3["Leases"],
        parts.table(
            "Credentials that sources made for rotator, and until when they live",
            ("Holder", "Source", "State", "Made", "Ends", "Revoked"),
            (
                (
                    view.holder or view.rotation,
                    view.source,
                    parts.badge(view.state, "good" if view.state == "live" else "none"),
                    parts.moment(view.made_at, now),
                    parts.moment(view.expires_at, now),
                    parts.moment(view.revoke_at, now, never="-"),
                )
                for view in leases
            ),
            "",
        ),
    ]
