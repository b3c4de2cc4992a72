"""The tables, and the numbered migrations that make them.

They don't use Alembic, which costs 10 MiB, and 0.4 s at each start with a new ledger. A sidecar
with an emptyDir always starts with a new one. The steps run in one transaction, and `PRAGMA
user_version` counts them.
"""

from __future__ import annotations

import sqlalchemy as sa

APPLICATION_ID = 0x726F7461
"""`rota`, in the header of the file: https://www.sqlite.org/pragma.html#pragma_application_id"""

metadata = sa.MetaData()

connections = sa.Table(
    "connections",
    metadata,
    sa.Column("target", sa.String, primary_key=True),
    sa.Column("connection", sa.String, primary_key=True),
    sa.Column("rotation", sa.String, nullable=False),
    sa.Column("stage", sa.String, nullable=False),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("secret_version", sa.String, nullable=False),
    sa.Column("resource_version", sa.String),
    sa.Column("version_before", sa.String),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("uid", sa.String),
    sa.Column("phase", sa.String),
    sa.Column("error", sa.String),
    sa.Column("verified_fingerprint", sa.String),
    sa.Column("rotated_at", sa.String),
    sa.Column("verified_at", sa.String),
    sa.Column("verified_version", sa.String),
    sa.Column("put_at", sa.String),
    sa.Column("gone_at", sa.String),
    sa.Column("older_versions", sa.String, nullable=False),
    sa.Column("maybe_in_place", sa.String, nullable=False),
)
"""The present state, with a row for each connection on record: model.Record, its older versions as
JSON."""

outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("rotation", sa.String, nullable=False),
    sa.Column("target", sa.String, nullable=False),
    sa.Column("connection", sa.String, nullable=False),
    sa.Column("result", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("phase", sa.String),
    sa.Column("resource_version", sa.String),
    sa.Column("fingerprint", sa.String),
    sa.Column("secret_version", sa.String),
    sa.Column("verify_seconds", sa.Float),
)
"""The history: model.Outcome. Rows are only added; `pruning` deletes them again."""

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("rotation", sa.String, nullable=False),
    sa.Column("trigger", sa.String, nullable=False),
    sa.Column("started_at", sa.String, nullable=False),
    sa.Column("finished_at", sa.String),
    sa.Column("result", sa.String),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("counts", sa.String, nullable=False),
)
"""Every execution of a rotation: model.Run, its counts as JSON."""

acted_on = sa.Table(
    "acted_on",
    metadata,
    sa.Column("rotation", sa.String, primary_key=True),
    sa.Column("target", sa.String, primary_key=True),
    sa.Column("connection", sa.String, primary_key=True),
    sa.Column("ref", sa.String, nullable=False),
    sa.Column("version", sa.String, nullable=False),
)
"""What a rotation last acted on, for each connection: model.ActedOn, `ref` is SecretRef as JSON."""

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("ref", sa.String, nullable=False),
    sa.Column("rotation", sa.String, nullable=False),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("made_at", sa.String, nullable=False),
    sa.Column("duration", sa.Float, nullable=False),
    sa.Column("renewable", sa.Boolean, nullable=False),
    sa.Column("expires_at", sa.String),
    sa.Column("mapping", sa.String, nullable=False),
    sa.Column("owner", sa.String),
    sa.Column("owner_ends_at", sa.String),
    sa.Column("revoke_at", sa.String),
)
"""The leases that are not known to have ended: model.HeldLease, `ref` as in acted_on."""

sources = sa.Table(
    "sources",
    metadata,
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("ok_at", sa.String),
    sa.Column("failing_since", sa.String),
    sa.Column("reason", sa.String, nullable=False),
)
"""How each source answered last: model.SourceState."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE connections (
            target TEXT NOT NULL, connection TEXT NOT NULL, rotation TEXT NOT NULL,
            stage TEXT NOT NULL, fingerprint TEXT NOT NULL, secret_version TEXT NOT NULL,
            resource_version TEXT, version_before TEXT, run_id TEXT NOT NULL, at TEXT NOT NULL,
            uid TEXT, phase TEXT, error TEXT, verified_fingerprint TEXT, rotated_at TEXT,
            verified_at TEXT, PRIMARY KEY (target, connection)) WITHOUT ROWID""",
        """CREATE TABLE outcomes (
            number INTEGER PRIMARY KEY, run_id TEXT NOT NULL, rotation TEXT NOT NULL,
            target TEXT NOT NULL, connection TEXT NOT NULL, result TEXT NOT NULL,
            reason TEXT NOT NULL, at TEXT NOT NULL, phase TEXT, resource_version TEXT,
            fingerprint TEXT, secret_version TEXT, verify_seconds REAL)""",
        "CREATE INDEX outcomes_run ON outcomes (run_id)",
        "CREATE INDEX outcomes_at ON outcomes (at)",
        """CREATE TABLE runs (
            id TEXT PRIMARY KEY, rotation TEXT NOT NULL, "trigger" TEXT NOT NULL,
            started_at TEXT NOT NULL, finished_at TEXT, result TEXT, reason TEXT NOT NULL,
            counts TEXT NOT NULL) WITHOUT ROWID""",
        "CREATE INDEX runs_rotation ON runs (rotation, started_at)",
        "CREATE INDEX runs_started ON runs (started_at)",
        """CREATE TABLE secrets_seen (
            rotation TEXT NOT NULL, ref TEXT NOT NULL, version TEXT NOT NULL,
            PRIMARY KEY (rotation, ref)) WITHOUT ROWID""",
    ),
    (
        "ALTER TABLE connections ADD COLUMN verified_version TEXT",
        "UPDATE connections SET verified_version = secret_version WHERE stage = 'verified'",
        """CREATE TABLE leases (
            id TEXT PRIMARY KEY, ref TEXT NOT NULL, rotation TEXT NOT NULL, run_id TEXT NOT NULL,
            state TEXT NOT NULL, made_at TEXT NOT NULL, duration REAL NOT NULL,
            renewable INTEGER NOT NULL, expires_at TEXT, mapping TEXT NOT NULL, owner TEXT,
            owner_ends_at TEXT, revoke_at TEXT) WITHOUT ROWID""",
        """CREATE TABLE sources (
            source TEXT PRIMARY KEY, ok_at TEXT, failing_since TEXT,
            reason TEXT NOT NULL) WITHOUT ROWID""",
    ),
    ("CREATE INDEX outcomes_connection ON outcomes (connection, target, number)",),
    (
        "ALTER TABLE connections ADD COLUMN put_at TEXT",
        """UPDATE connections SET put_at = CASE stage
            WHEN 'verified' THEN rotated_at WHEN 'put' THEN at WHEN 'failed' THEN at END""",
        "ALTER TABLE connections ADD COLUMN gone_at TEXT",
        "ALTER TABLE connections ADD COLUMN older_versions TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE connections ADD COLUMN maybe_in_place TEXT NOT NULL DEFAULT '[]'",
    ),
    (
        # An update that was interrupted or refused left the credential before it in place.
        "UPDATE connections SET put_at = rotated_at WHERE put_at IS NULL",
        # The old table had the versions of a whole rotation, and not those of each connection.
        "DROP TABLE secrets_seen",
        """CREATE TABLE acted_on (
            rotation TEXT NOT NULL, target TEXT NOT NULL, connection TEXT NOT NULL,
            ref TEXT NOT NULL, version TEXT NOT NULL,
            PRIMARY KEY (rotation, target, connection)) WITHOUT ROWID""",
        "CREATE INDEX outcomes_unchanged ON outcomes (rotation) WHERE result = 'unchanged'",
    ),
)
"""A released step is never edited. A change is another step."""
