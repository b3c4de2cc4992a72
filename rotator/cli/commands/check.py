"""`rotator check` and `rotator policy`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rotator.cli import tables
from rotator.cli.options import config_option, finish, output_option

if TYPE_CHECKING:
    from rotator.cli.checks import Check


@click.command()
@config_option
@click.option("--online", is_flag=True, help="Also ask each source and target what works.")
@output_option
def check(path: Path, online: bool, form: tables.Format) -> int:
    """Validate the configuration.

    It reports every problem at once, each with its file, line and key.

    With --online it also logs in to each source, says which permissions are missing, lists the
    connections of each target, and plans each rotation. It changes nothing, and creates no
    credential.

    \b
    Examples:
      rotator check -c rotator.yaml
      rotator check -c rotator.yaml --online
    """
    from rotator.cli.checks import check_configured
    from rotator.config.load import load

    config = load(path)
    if not online:
        click.echo(
            f"{path}: fine ({len(config.targets)} targets, {len(config.sources)} sources, "
            f"{len(config.rotations)} rotations)"
        )
        return 0
    done = finish(check_configured(config))
    if form == "json":
        tables.listing([asdict(each) for each in done], form, empty="")
    else:
        _print(done)
    return 1 if any(each.fails for each in done) else 0


def _print(done: list[Check]) -> None:
    """What works goes to standard output, what doesn't to standard error."""
    from rotator.cli.checks import CheckResult, wants_policy

    for each in done:
        words = f"{each.place}: {each.what}: "
        if each.verdict is CheckResult.WORKS:
            click.echo(words + "works")
        elif each.verdict is CheckResult.WARNING:
            click.echo(f"{words}warning: {each.problem}", err=True)
        else:
            click.echo(words + each.problem, err=True)
    if wants_policy(done):
        click.echo("`rotator policy` prints the policies that the sources need", err=True)


@click.command()
@config_option
@output_option
def policy(path: Path, form: tables.Format) -> None:
    """Print the least policies that the sources need.

    It prints HCL for Vault and OpenBao, and IAM policies for AWS. It reads the configuration, and
    asks no source. JSON has one object for each policy.

    \b
    Examples:
      rotator policy -c rotator.yaml
      rotator policy -c rotator.yaml -o json
    """
    from rotator.cli.policy import policies
    from rotator.config.load import load

    made = policies(load(path))
    if form == "json":
        click.echo(json.dumps([asdict(each) for each in made], indent=2))
        return
    click.echo("\n\n".join(each.text for each in made) or "no source needs a policy")
