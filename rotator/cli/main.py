"""The command `rotator`: it gathers the commands, and turns errors into exit statuses."""

from __future__ import annotations

import logging
import sys

import click

from rotator import __version__
from rotator.cli.commands.check import check, policy
from rotator.cli.commands.demo import demo
from rotator.cli.commands.health import health
from rotator.cli.commands.listings import connections, history, leases, status
from rotator.cli.commands.rotate import plan, rotate
from rotator.cli.commands.run import run
from rotator.cli.commands.schema import schema
from rotator.errors import ConfigurationError, RotatorError
from rotator.sandbox.command import sandbox


def main() -> None:
    """Exit status 0 or 1, for usage errors too; 2 comes from `plan --detailed-exitcode` alone."""
    # What a command has to say it prints; the daemon alone sets up a log.
    logging.getLogger("rotator").addHandler(logging.NullHandler())
    try:
        status = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = 1
    except click.Abort:
        click.echo("interrupted", err=True)
        status = 1
    except ConfigurationError as error:
        # As compilers write them, so that editors jump there.
        click.echo(str(error), err=True)
        status = 1
    except RotatorError as error:
        click.echo(f"Error: {error}", err=True)
        status = 1
    sys.exit(status if isinstance(status, int) else 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="rotator %(version)s")
def cli() -> None:
    """Keep the credentials of Confluent Cloud Flink connections fresh.

    rotator reads secrets from Vault, OpenBao, AWS Secrets Manager or files. It updates the
    credentials of the connections that a rotation matches, and nothing else about them. It watches
    each connection until it is READY.

    \b
    Try it:                 rotator demo
    See what it would do:   rotator plan -c rotator.yaml
    Do it once:             rotator rotate -c rotator.yaml
    Keep it running:        rotator run -c rotator.yaml
    """


for _command in (
    check,
    connections,
    demo,
    health,
    history,
    leases,
    plan,
    policy,
    rotate,
    run,
    sandbox,
    schema,
    status,
):
    cli.add_command(_command)
