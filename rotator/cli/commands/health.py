"""`rotator health`."""

from __future__ import annotations

from pathlib import Path

import click

from rotator.cli.options import config_option


@click.command()
@config_option
@click.option("--ready", is_flag=True, help="Ask /readyz instead of /livez.")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0.1, 600.0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the answer.",
)
def health(path: Path, ready: bool, seconds: float) -> None:
    """Ask the daemon on this machine for its health.

    It asks at the address of http.listen. The exit status is 1 if something is missing, or if no
    answer comes. As a HEALTHCHECK of a container it needs no shell, and little memory.

    \b
    Example:  rotator health -c rotator.yaml --ready
    """
    from rotator.cli.health import ask, listens_on

    click.echo(ask(listens_on(path), "/readyz" if ready else "/livez", seconds))
