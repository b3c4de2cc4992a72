"""Listings: rows, printed as a table for people or as JSON for scripts.

rich is imported when a table is drawn, so that the daemon never loads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import click

from rotator.model.connection import Connection
from rotator.model.lease import HeldLease
from rotator.model.plan import Change
from rotator.model.record import Record
from rotator.model.run import Outcome, Run

if TYPE_CHECKING:
    from rotator.config.models import Config, TargetConfig

Format = Literal["table", "json"]
Row = Mapping[str, object]

_WRAPPED = frozenset({"endpoint", "error", "reason", "status_detail"})
"""Columns that wrap on a narrow terminal."""
_COLOURS = {
    "READY": "green",
    "ACTIVE": "green",
    "INVALID_AUTH": "red",
    "UNREACHABLE": "red",
    "PENDING": "yellow",
    "invalid": "red",
    "failed": "red",
    "refused": "red",
    "interrupted": "yellow",
    "drifted": "yellow",
    "changed": "cyan",
    "new": "cyan",
    "unverified": "yellow",
    "untouched": "yellow",
    "gone": "yellow",
    "rotated": "green",
    "verified": "green",
    "succeeded": "green",
}


def listing(rows: Sequence[Row], form: Format, *, empty: str, columns: Sequence[str] = ()) -> None:
    """Print rows. `columns` selects and orders the columns of a table; JSON has all of them."""
    if form == "json":
        click.echo(json.dumps(rows, indent=2, default=_plain))
        return
    if not rows:
        click.echo(empty)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    names = list(columns) or list(rows[0])
    for name in names:
        table.add_column(
            name.replace("_", " ").title(), overflow="fold", no_wrap=name not in _WRAPPED
        )
    for row in rows:
        cells = [_cell(row.get(name)) for name in names]
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in cells))
    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)  # a pipe has no width: nothing is folded there, for grep
    console.print(table)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return _UNPRINTABLE.sub(" ", str(value))


def change_row(change: Change) -> Row:
    return {
        "rotation": None,
        "target": change.connection.target,
        "connection": change.connection.name,
        "type": change.connection.type,
        "phase": change.connection.phase,
        "verdict": str(change.verdict),
        "update": change.update,
        "reason": change.reason,
        "secret": str(change.secret) if change.secret else None,
        "secret_version": change.credential.secret_version if change.credential else None,
        "warning": change.warning,
    }


def connection_row(connection: Connection, config: TargetConfig, rotations: Iterable[str]) -> Row:
    """The keys of `confluent flink connection list -o json`, and then those that rotator adds."""
    cloud, region = _place(config.url)
    row: dict[str, object] = {
        "creation_date": connection.created_at,
        "name": connection.name,
        "environment": config.environment,
        "cloud": cloud,
        "region": region,
        "type": connection.type,
        "endpoint": connection.endpoint,
        "data": "<REDACTED>",
        "status": connection.phase,
    }
    if connection.detail:
        row["status_detail"] = connection.detail
    return {**row, "target": connection.target, "rotation": ", ".join(rotations) or None}


def _place(url: str) -> tuple[str | None, str | None]:
    host = urlsplit(url).hostname or ""
    match = re.fullmatch(r"flink\.(?P<region>[^.]+)\.(?P<cloud>[^.]+)\..*confluent\.cloud", host)
    return (match["cloud"], match["region"]) if match else (None, None)


def status_row(known: Record | Outcome) -> Row:
    return record_row(known) if isinstance(known, Record) else untouched_row(known)


def record_row(record: Record) -> Row:
    return {
        "target": record.target,
        "connection": record.connection,
        "rotation": record.rotation,
        "stage": str(record.stage) if record.gone_at is None else "gone",
        "phase": record.phase,
        "put_at": record.put_at,
        "rotated_at": record.rotated_at,
        "verified_at": record.verified_at,
        "secret_version": record.secret_version,
        "error": record.error,
        "run": record.run_id,
        "fingerprint": record.fingerprint[:12],
        "gone_at": record.gone_at,
    }


def untouched_row(outcome: Outcome) -> Row:
    """A connection that no update was ever sent to, with the keys of one on record."""
    return {
        "target": outcome.target,
        "connection": outcome.connection,
        "rotation": outcome.rotation,
        "stage": "untouched",
        "phase": outcome.phase,
        "put_at": None,
        "rotated_at": None,
        "verified_at": None,
        "secret_version": None,
        "error": outcome.reason,
        "run": outcome.run_id,
        "fingerprint": None,
        "gone_at": None,
    }


def lease_row(lease: HeldLease) -> Row:
    return {
        "source": lease.ref.source,
        "rotation": lease.rotation,
        "holder": lease.ref.holder,
        "state": str(lease.state),
        "made_at": lease.made_at,
        "expires_at": lease.expires_at,
        "token_ends_at": lease.owner_ends_at,
        "revoke_at": lease.revoke_at,
        "lease": lease.id,
        "renewable": lease.renewable,
        "run": lease.run_id,
    }


def outcome_row(outcome: Outcome) -> Row:
    return {
        "at": outcome.at,
        "rotation": outcome.rotation,
        "target": outcome.target,
        "connection": outcome.connection,
        "result": str(outcome.result),
        "reason": outcome.reason,
        "phase": outcome.phase,
        "secret_version": outcome.secret_version,
        "verify_seconds": outcome.verify_seconds,
        "run": outcome.run_id,
    }


def run_row(run: Run, outcomes: Iterable[Outcome] = ()) -> Row:
    seconds = (run.finished_at - run.started_at).total_seconds() if run.finished_at else None
    return {
        "run": run.id,
        "rotation": run.rotation,
        "trigger": run.trigger,
        "result": str(run.result) if run.result else "running",
        "seconds": seconds,
        **{name: run.counts.get(name, 0) for name in ("rotated", "unchanged", "failed", "skipped")},
        "reason": run.reason or None,
        "outcomes": [outcome_row(outcome) for outcome in outcomes],
    }


def claimed_by(config: Config, target: str, connection: Connection) -> tuple[str, ...]:
    from rotator.config.rules import rules
    from rotator.rotation.match import claimants

    return claimants(rules(config), target, connection)
