"""`rotator rotate` and `rotator plan`."""

from __future__ import annotations

from pathlib import Path

import click

from rotator.cli import tables
from rotator.cli.options import chosen, config_option, filter_option, finish, output_option

_PENDING = 2


@click.command()
@config_option
@click.argument("rotations", nargs=-1, metavar="[ROTATION]...")
@filter_option
@click.option("--force", is_flag=True, help="Send each credential, even if nothing changed.")
@click.option("--dry-run", is_flag=True, help="Show the plan and send nothing, as `plan` does.")
@output_option
def rotate(
    path: Path,
    rotations: tuple[str, ...],
    only: str | None,
    force: bool,
    dry_run: bool,
    form: tables.Format,
) -> int:
    """Run rotations now.

    Name the rotations to run, or name none to run all. They run side by side; one that fails
    doesn't stop the others. The exit status is 1 if any rotation did not succeed.

    With --connection, a rotation that has no such connection is left out. If no rotation has one,
    nothing runs, and the exit status is 1.

    \b
    Examples:
      rotator rotate -c rotator.yaml
      rotator rotate -c rotator.yaml openai --connection 'openai-eu-*'
      rotator rotate -c rotator.yaml openai --force -o json
    """
    from rotator.cli.rotate import rotate_now
    from rotator.config.load import load

    if dry_run:
        return 1 if _show_plan(path, rotations, only, force, form) == 1 else 0
    config = load(path)
    names = chosen("rotation", rotations, config.rotations)
    results = finish(rotate_now(config, names, only=only, force=force))
    tables.listing(
        [{**tables.run_row(each.run, each.outcomes), "todo": each.remedy} for each in results],
        form,
        empty="no rotations",
        columns=("rotation", "result", "rotated", "unchanged", "failed", "skipped", "reason"),
    )
    for each in results:
        if each.remedy is not None and form == "table":
            click.echo(f"{each.run.rotation}: {each.remedy}", err=True)
    return 0 if all(each.run.result == "succeeded" for each in results) else 1


@click.command()
@config_option
@click.argument("rotations", nargs=-1, metavar="[ROTATION]...")
@filter_option
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 if changes are pending.")
@output_option
def plan(
    path: Path,
    rotations: tuple[str, ...],
    only: str | None,
    detailed_exitcode: bool,
    form: tables.Format,
) -> int:
    """Show what a run would change, and why.

    It reads connections, secrets and the ledger. It changes nothing, and shows no secret value.
    The exit status is 1 if a run would fail or be refused.

    \b
    Examples:
      rotator plan -c rotator.yaml
      rotator plan -c rotator.yaml openai --detailed-exitcode && echo nothing to do
    """
    status = _show_plan(path, rotations, only, False, form)
    return status if status != _PENDING or detailed_exitcode else 0


def _show_plan(
    path: Path, rotations: tuple[str, ...], only: str | None, force: bool, form: tables.Format
) -> int:
    from rotator.cli.plan import plan_now
    from rotator.config.load import load

    config = load(path)
    names = chosen("rotation", rotations, config.rotations)
    planned = finish(plan_now(config, names, only=only, force=force))
    tables.listing(
        [
            {**tables.change_row(change), "rotation": each.rotation}
            for each in planned
            for change in each.changes
        ],
        form,
        empty="no connection matches",
        columns=("rotation", "target", "connection", "type", "phase", "verdict", "reason"),
    )
    for each in planned:
        for warning in each.warnings:
            click.echo(f"Warning: {each.rotation}: {warning}", err=True)
    problems = [problem for each in planned for problem in each.problems]
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if problems:
        return 1
    return _PENDING if any(each.pending for each in planned) else 0
