"""What lists: `rotator connections`, `status`, `leases` and `history`."""

from __future__ import annotations

from pathlib import Path

import click

from rotator.cli import tables
from rotator.cli.options import chosen, config_option, filter_option, finish, output_option


@click.command()
@config_option
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@output_option
def connections(path: Path, targets: tuple[str, ...], form: tables.Format) -> None:
    """List connections, with the rotation that matches each.

    Name the targets to list, or name none to list all. JSON has the keys of `confluent flink
    connection list -o json`, and also target and rotation.

    \b
    Examples:
      rotator connections -c rotator.yaml
      rotator connections -c rotator.yaml prod-us-east-1 -o json
    """
    from rotator.cli.asking import connections_of
    from rotator.config.load import load

    config = load(path)
    listed = finish(connections_of(config, chosen("target", targets, config.targets)))
    rows = [
        tables.connection_row(
            connection,
            config.targets[connection.target],
            tables.claimed_by(config, connection.target, connection),
        )
        for connection in listed
    ]
    tables.listing(
        rows,
        form,
        empty="no connections",
        columns=("target", "name", "type", "endpoint", "status", "status_detail", "rotation"),
    )


@click.command()
@config_option
@output_option
def status(path: Path, form: tables.Format) -> None:
    """Show the state of each connection, as the ledger has it.

    It shows what is on each connection, since when, and whether it works. A connection that no run
    has touched yet is untouched, and its error says why. One that no longer exists is gone.

    It reads the ledger, and asks no target and no source. Sources that fail are listed on standard
    error.

    \b
    Example:  rotator status -c rotator.yaml
    """
    from rotator.cli.asking import known_connections, source_states
    from rotator.config.load import load

    config = load(path)
    tables.listing(
        [tables.status_row(known) for known in finish(known_connections(config))],
        form,
        empty="nothing was rotated yet",
        columns=(
            "target",
            "connection",
            "rotation",
            "stage",
            "phase",
            "put_at",
            "verified_at",
            "error",
        ),
    )
    for state in finish(source_states(config)):
        if state.failing_since is not None:
            since = state.failing_since.astimezone().strftime("%Y-%m-%d %H:%M:%S")
            click.echo(
                f"Warning: since {since}: {state.reason}. The connections keep what they have",
                err=True,
            )


@click.command()
@config_option
@output_option
def leases(path: Path, form: tables.Format) -> None:
    """List the leases of credentials, with their holders.

    A source that creates credentials grants a lease for each. A live lease is renewed while a
    connection needs it. A retired lease is revoked at the time shown. A lease that was only asked
    for got no answer; it ends by itself. The command reads the ledger, and asks no source.

    \b
    Example:  rotator leases -c rotator.yaml
    """
    from rotator.cli.asking import held_leases
    from rotator.config.load import load

    tables.listing(
        [tables.lease_row(lease) for lease in finish(held_leases(load(path)))],
        form,
        empty="no leases are held",
        columns=("source", "holder", "state", "made_at", "expires_at", "revoke_at", "lease"),
    )


@click.command()
@config_option
@filter_option
@click.option("--since", metavar="DURATION", help="Only outcomes younger than this: 12h, 7d.")
@output_option
def history(path: Path, only: str | None, since: str | None, form: tables.Format) -> None:
    """List past outcomes, the newest first.

    \b
    Examples:
      rotator history -c rotator.yaml --since 7d
      rotator history -c rotator.yaml --connection 'openai-*' -o json
    """
    from rotator.cli.asking import outcomes
    from rotator.config.fields import parse_duration
    from rotator.config.load import load

    try:
        age = parse_duration(since) if since else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
    found = finish(outcomes(load(path), only, age))
    tables.listing(
        [tables.outcome_row(outcome) for outcome in found],
        form,
        empty="no outcomes",
        columns=("at", "rotation", "target", "connection", "result", "reason"),
    )
