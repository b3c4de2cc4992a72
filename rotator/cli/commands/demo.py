"""`rotator demo`."""

from __future__ import annotations

import click

from rotator.cli.options import finish


@click.command()
@click.option("--keep", is_flag=True, help="Keep running after the last step, until Ctrl-C.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="The port of metrics and the page; by default a free one.",
)
def demo(keep: bool, port: int) -> None:
    """Show the whole job in under a minute.

    The demo starts an emulated Confluent Cloud, an emulated AWS Secrets Manager and the daemon.
    Then secrets change, and you see each change noticed, rolled out and verified; a bad secret is
    stopped at the first connection. When the demo ends, it removes everything that it started.

    \b
    Examples:
      rotator demo
      rotator demo --keep --port 9464
    """
    from rotator.cli.demo import demo as play

    finish(play(keep, port))
