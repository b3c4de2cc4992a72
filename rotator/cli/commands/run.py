"""`rotator run`."""

from __future__ import annotations

from pathlib import Path

import click

from rotator.cli.options import config_option, finish


@click.command()
@config_option
@click.option(
    "--until-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PATH",
    help="Exit once this file exists. The last step of a Job creates it.",
)
def run(path: Path, until_file: Path | None) -> None:
    """Run the daemon.

    It runs rotations on their schedules and when a secret changes, and serves metrics, health and
    a page over HTTP (http.listen).

    On SIGTERM it finishes the requests under way and exits 0; the next start verifies what was
    sent and not yet verified. On SIGHUP it reads the configuration again; if that is invalid, the
    daemon logs why and keeps the configuration that it has.

    With coordination: {kind: lease}, one of several replicas rotates and the others stand by.

    \b
    Examples:
      rotator run -c /etc/rotator/rotator.yaml
      rotator run -c /etc/rotator/rotator.yaml --until-file /shared/done
    """
    from rotator.daemon.serve import serve

    finish(serve(path, until_file))
