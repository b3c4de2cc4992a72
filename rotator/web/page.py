"""The page for people: rotations and connections, without a script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape

from rotator import __version__
from rotator.web.views import ConnectionView, RotationView

MOST_CONNECTIONS = 500
_CSS = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
div { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .35rem .8rem .35rem 0; text-align: left; vertical-align: top; }
th { border-bottom: 2px solid; font-weight: 600; } td { border-bottom: 1px solid #8884; }
.good { color: light-dark(#116329, #7ee787); } .bad { color: light-dark(#a40e26, #ff9d94); }
footer { margin-top: 2rem; opacity: .8; }
"""
CSS_DIGEST = "sha256-" + base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()


def page(
    rotations: Sequence[RotationView], connections: Sequence[ConnectionView], now: datetime
) -> str:
    shown = sorted(connections, key=lambda c: (c.error is None, c.target, c.connection))
    more = len(shown) - MOST_CONNECTIONS
    note = f"<p>{more} more: see /api/v1/connections</p>" if more > 0 else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>rotator</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_CSS}</style></head><body><header><h1>rotator</h1></header><main>"
        "<h2>Rotations</h2>"
        + _table(
            ("Rotation", "Targets", "Schedule", "Next run", "Last run", "Why"),
            (_rotation(view, now) for view in rotations),
        )
        + f"<h2>Connections ({len(connections)})</h2>"
        + _table(
            ("Connection", "Target", "Rotation", "State", "Phase", "Rotated", "Verified", "Why"),
            (_connection(view, now) for view in shown[:MOST_CONNECTIONS]),
        )
        + note
        + f"</main><footer>rotator {escape(__version__)}, "
        f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC. "
        'Metrics: <a href="/metrics">/metrics</a></footer></body></html>'
    )


def _rotation(view: RotationView, now: datetime) -> Iterable[str]:
    last = view.last_run
    result = str(last.result or "not finished") if last else "never"
    if view.running:
        result = "running"
    yield escape(view.name)
    yield escape(", ".join(view.targets))
    yield escape(" and ".join(filter(None, (view.schedule, view.watch))) or "on command")
    yield _time(view.next_run, now)
    ended = _time(last.finished_at if last else None, now)
    yield f"{_word(result, good='succeeded', bad='failed refused')} {ended}"
    yield escape(last.reason if last else "")


def _connection(view: ConnectionView, now: datetime) -> Iterable[str]:
    yield escape(view.connection)
    yield escape(view.target)
    yield escape(view.rotation)
    yield _word(view.stage, good="verified", bad="failed refused")
    yield escape(view.phase or "")
    yield _time(view.rotated_at, now)
    yield _time(view.verified_at, now)
    yield escape(view.error or "")


def _word(word: str, *, good: str, bad: str) -> str:
    style = "good" if word in good.split() else "bad" if word in bad.split() else ""
    return f'<span class="{style}">{escape(word)}</span>'


def _time(moment: datetime | None, now: datetime) -> str:
    """How long ago, or how soon; the moment itself is in the title."""
    if moment is None:
        return ""
    utc = moment.astimezone(UTC)
    away = _duration(abs((now - moment).total_seconds()))
    words = f"{away} ago" if moment <= now else f"in {away}"
    return f'<time datetime="{utc.isoformat()}" title="{utc:%Y-%m-%d %H:%M:%S} UTC">{words}</time>'


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
