"""The body that is sent: JSON of a stable schema, with a `text` that Slack and others show as it
is.

deploy/notifications.md describes the schema. Keys are only ever added to it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rotator.model.events import Occasion
from rotator.model.run import Outcome, Result, RunResult
from rotator.notify.decisions import FinishedRun

VERSION = 1
MOST_CONNECTIONS = 20
"""The most entries of `connections`; `connections_total` counts all."""
_MOST_IN_TEXT = 3
_LONGEST = 500
"""The most characters of one reason."""


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification, rendered once: every attempt sends the same bytes to every webhook."""

    id: str
    occasion: Occasion
    rotation: str
    run: str
    body: bytes = field(repr=False)


def notification(ended: FinishedRun, occasion: Occasion, targets: Sequence[str]) -> Notification:
    """`targets` are the targets of the rotation."""
    run = ended.run
    # Made from the run alone, so that a receiver recognises a copy.
    of_it = f"{run.id}-{occasion}"
    chosen = _chosen(ended, occasion)
    content = {
        "version": VERSION,
        "id": of_it,
        "event": str(occasion),
        "time": _stamp(run.finished_at) if run.finished_at else None,
        "rotation": run.rotation,
        "run": run.id,
        "targets": list(targets),
        "connections": [
            {
                "target": outcome.target,
                "connection": _line(outcome.connection),
                "phase": outcome.phase,
                "reason": _line(outcome.reason),
            }
            for outcome in chosen[:MOST_CONNECTIONS]
        ],
        "connections_total": len(chosen),
        "connections_matched": ended.matched,
        "reason": _line(run.reason),
        "todo": ended.remedy,
        "text": escaped(_text(ended, occasion, chosen)),
    }
    body = json.dumps(content, separators=(",", ":")).encode()
    return Notification(of_it, occasion, run.rotation, run.id, body)


def _chosen(ended: FinishedRun, occasion: Occasion) -> list[Outcome]:
    """Rolled back connections first if a rollback is the news, and failed ones if not; then by
    name."""
    first = Result.ROLLED_BACK if occasion is Occasion.ROLLED_BACK else Result.FAILED
    return sorted(
        ended.troubles,
        key=lambda outcome: (outcome.result is not first, outcome.target, outcome.connection),
    )


def _text(ended: FinishedRun, occasion: Occasion, chosen: list[Outcome]) -> str:
    run = ended.run
    if occasion is Occasion.RECOVERED:
        counted = ", ".join(f"{count} {result}" for result, count in run.counts.items())
        return f"rotation {run.rotation} recovered" + (f": {counted}" if counted else "")
    refused = run.result is RunResult.REFUSED
    happened = "was refused" if refused else str(occasion).replace("_", " ")
    parts = [_line(run.reason)] if run.reason else []
    if chosen:
        shown = [
            f"{outcome.target}/{_line(outcome.connection)}: {_line(outcome.reason)}"
            for outcome in chosen[:_MOST_IN_TEXT]
        ]
        if len(chosen) > _MOST_IN_TEXT:
            shown.append(f"and {len(chosen) - _MOST_IN_TEXT} more")
        of_all = f" of {ended.matched}" if ended.matched is not None else ""
        one = (ended.matched or len(chosen)) == 1
        counted = f"{len(chosen)}{of_all} connection{'s' * (not one)}"
        parts.insert(0, f"{counted} ({'; '.join(shown)})")
    parts.append(ended.remedy[:1].upper() + ended.remedy[1:])
    return f"rotation {run.rotation} {happened}: {'. '.join(filter(None, parts))}"


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _line(text: str) -> str:
    """One line of text that others wrote, without halves of surrogate pairs."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    line = " ".join("".join(c if c.isprintable() else " " for c in plain).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def escaped(text: str) -> str:
    """Escapes what Slack would interpret: `<!channel>` would call everybody.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def signature(secret: str, at: int, body: bytes) -> str:
    """The value of X-Rotator-Signature. The time is signed too, so that a copy can't be sent
    later."""
    key = secret.encode("utf-8", "surrogatepass")
    made = hmac.new(key, f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={made.hexdigest()}"
