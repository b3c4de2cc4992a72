"""The parts that all pages are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import htpy as h

from rotator import __version__
from rotator.web.assets import address_of

_PHASES = {"READY": "good", "ACTIVE": "good", "PENDING": "busy"}
_STAGES = {"verified": "good", "failed": "bad", "refused": "bad", "unknown": "none"}
_RESULTS = {
    "succeeded": "good",
    "rotated": "good",
    "unchanged": "none",
    "skipped": "none",
    "interrupted": "busy",
    "running": "busy",
    "never": "none",
}
_SIGNS = {"good": "✓", "bad": "✕", "busy": "…", "none": "○"}
"""A symbol beside the word, so that nothing depends on colour alone."""


def document(
    title: str, now: datetime, *content: h.Node, leader: str | None, home: bool = False
) -> h.Element:
    """`leader` is another process that leads; empty: none is known; None: this one leads."""
    return h.html(lang="en")[
        h.head[
            h.meta(charset="utf-8"),
            h.title[title],
            h.meta(name="viewport", content="width=device-width, initial-scale=1"),
            h.meta(name="color-scheme", content="light dark"),
            h.link(rel="icon", href=address_of("icon.svg"), type="image/svg+xml"),
            h.link(rel="stylesheet", href=address_of("rotator.css")),
            h.script(src=address_of("rotator.js"), defer=True),
        ],
        h.body[
            h.a(".skip", href="#main")["To the content"],
            h.header[
                h.p(".brand")["rotator" if home else h.a(href="./")["rotator"]],
                home
                and h.nav(aria_label="Page")[
                    h.a(href="#rotations")["Rotations"],
                    h.a(href="#connections")["Connections"],
                    h.a(href="#sources")["Sources"],
                ],
                h.p(".refresh", hidden=True)[
                    h.button("#live", type="button", aria_pressed="true")["Refresh by itself"],
                    h.span("#refreshed", role="status"),
                ],
            ],
            h.main("#main", tabindex="-1")[
                h.div("#follower", data_live=True)[_follower(leader)], content
            ],
            h.footer[
                h.p[
                    f"rotator {__version__}, ",
                    h.span("#made", data_live=True)[f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"],
                    ". ",
                    h.a(href="metrics")["Metrics"],
                    ", ",
                    h.a(href="readyz")["health"],
                    ", ",
                    h.a(href="api/v1/connections")["API"],
                ]
            ],
        ],
    ]


def _follower(leader: str | None) -> h.Node:
    if leader is None:
        return None
    who = f"{leader} leads" if leader else "Nobody is known to lead"
    return h.p(".note")[
        f"{who}; this process follows, and what it shows is only what it has seen itself."
    ]


def badge(word: str, kind: str) -> h.Element:
    return h.span(class_=f"badge {kind}")[h.span(aria_hidden="true")[_SIGNS[kind]], " ", word]


def phase(word: str | None) -> h.Element:
    return badge(word, _PHASES.get(word, "bad")) if word else badge("unknown", "none")


def stage(word: str) -> h.Element:
    return badge("not rotated yet" if word == "unknown" else word, _STAGES.get(word, "busy"))


def result(word: str) -> h.Element:
    return badge(word.replace("_", " "), _RESULTS.get(word, "bad"))


def moment(at: datetime | None, now: datetime, never: str = "never") -> h.Node:
    """How long ago, or how soon. The exact time is in the tooltip, and for programs."""
    if at is None:
        return never
    utc = at.astimezone(UTC)
    away = duration(abs((now - at).total_seconds()))
    words = f"{away} ago" if at <= now else f"in {away}"
    return h.time(datetime=utc.isoformat(), title=f"{utc:%Y-%m-%d %H:%M:%S} UTC")[words]


def age(at: datetime | None, now: datetime) -> h.Node:
    if at is None:
        return "-"
    utc = at.astimezone(UTC)
    words = duration(max(0.0, (now - at).total_seconds()))
    return h.time(datetime=utc.isoformat(), title=f"since {utc:%Y-%m-%d %H:%M:%S} UTC")[words]


def duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def took(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[h.Node]], empty: str
) -> h.Node:
    """A table, in which the first cell of a row heads it.

    On a narrow screen each row is a card, so each cell carries its heading. The roles keep it a
    table for screen readers.
    """
    made = [
        h.tr(role="row")[
            (
                h.th(scope="row", role="rowheader", data_head=head)[cell]
                if number == 0
                else h.td(role="cell", data_head=head)[h.div[cell] if cell else None]
                for number, (head, cell) in enumerate(zip(heads, row, strict=True))
            )
        ]
        for row in rows
    ]
    if not made:
        return h.p[empty]
    return h.table(role="table")[
        h.caption[caption],
        h.thead(role="rowgroup")[
            h.tr(role="row")[(h.th(scope="col", role="columnheader")[head] for head in heads)]
        ],
        h.tbody(role="rowgroup")[made],
    ]


def facts(*pairs: tuple[str, h.Node]) -> h.Element:
    return h.dl[((h.dt[name], h.dd[said]) for name, said in pairs)]


def connection_link(target: str, name: str) -> h.Element:
    query = urlencode({"target": target, "name": name}, errors="replace")
    return h.a(href=f"connection?{query}")[name]


def run_link(run_id: str | None, words: h.Node = None) -> h.Node:
    if not run_id:
        return words
    return h.a(href=f"run?{urlencode({'id': run_id}, errors='replace')}")[words or run_id]
