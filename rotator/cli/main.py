"""The command line: parse, call, print. What a command does stands in `commands` and `daemon`."""

from __future__ import annotations

import asyncio
import difflib
import gc
import json
import logging
import sys
from collections.abc import Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rotator import __version__
from rotator.cli import tables as show
from rotator.errors import ConfigurationError, RotatorError
from rotator.sandbox.command import sandbox

if TYPE_CHECKING:
    from rotator.cli.checks import Check

T = TypeVar("T")

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

config_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar="ROTATOR_CONFIG",
    required=True,
    show_envvar=True,
    help="The configuration file.",
)
output_option = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, JSON for scripts.",
)


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


def _run(work: Coroutine[Any, Any, T]) -> T:
    # What was imported never becomes garbage, and a run of thousands of small tasks makes little
    # of it: to look for it as often as by default costs 5 % of a large run (measured).
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    return asyncio.run(work)


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, message="rotator %(version)s")
def cli() -> None:
    """Keep the credentials of Confluent Cloud Flink connections fresh.

    rotator reads secrets from Vault, OpenBao, AWS Secrets Manager or files, updates only the
    credentials of the connections that a rotation matches, and watches each until it is READY.

    \b
    Try it:              rotator demo
    See what it'd do:    rotator plan -c rotator.yaml
    Do it once:          rotator rotate -c rotator.yaml
    Let it run:          rotator run -c rotator.yaml
    """


@cli.command()
@config_option
@click.option(
    "--until-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PATH",
    help="End once this file exists: the last step of a Job makes it.",
)
def run(path: Path, until_file: Path | None) -> None:
    """The daemon: schedules, watches, metrics and health over HTTP.

    SIGTERM lets requests under way end and exits 0; what was put and not yet verified is verified
    by the next start. SIGHUP reads the configuration again; a bad one is refused and the old stays.

    With coordination: {kind: lease}, only one of several replicas rotates; the others follow.

    \b
    Examples:
      rotator run -c /etc/rotator/rotator.yaml
      rotator run -c /etc/rotator/rotator.yaml --until-file /shared/done
    """
    from rotator.daemon.serve import serve

    _run(serve(path, until_file))


@cli.command()
@config_option
@click.argument("rotations", nargs=-1, metavar="[ROTATION]...")
@click.option("--connection", "only", metavar="GLOB", help="Only connections with such a name.")
@click.option("--force", is_flag=True, help="Send the credential even where nothing changed.")
@click.option("--dry-run", is_flag=True, help="Show the plan; send nothing. The same as `plan`.")
@output_option
def rotate(
    path: Path,
    rotations: tuple[str, ...],
    only: str | None,
    force: bool,
    dry_run: bool,
    form: show.Format,
) -> int:
    """Run rotations now; without names, all of them.

    Exit status 1 if any connection of any rotation did not end well.

    \b
    Examples:
      rotator rotate -c rotator.yaml
      rotator rotate -c rotator.yaml openai --connection 'openai-eu-*'
      rotator rotate -c rotator.yaml openai --force -o json
    """
    from rotator.cli import commands

    if dry_run:
        return 1 if _show_plan(path, rotations, only, force, form) == 1 else 0
    results = _run(commands.rotate(path, rotations, only=only, force=force))
    show.listing(
        [{**show.run_row(ended.run, ended.outcomes), "todo": ended.todo} for ended in results],
        form,
        empty="no rotations",
        columns=("rotation", "result", "rotated", "unchanged", "failed", "skipped", "reason"),
    )
    for ended in results:
        if ended.todo is not None and form == "table":
            click.echo(f"{ended.run.rotation}: {ended.todo}", err=True)
    return 0 if all(ended.run.result == "succeeded" for ended in results) else 1


@cli.command()
@config_option
@click.argument("rotations", nargs=-1, metavar="[ROTATION]...")
@click.option("--connection", "only", metavar="GLOB", help="Only connections with such a name.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 if changes are pending.")
@output_option
def plan(
    path: Path,
    rotations: tuple[str, ...],
    only: str | None,
    detailed_exitcode: bool,
    form: show.Format,
) -> int:
    """What a run would change, and why. Never writes, never shows a value.

    \b
    Examples:
      rotator plan -c rotator.yaml
      rotator plan -c rotator.yaml openai --detailed-exitcode && echo nothing to do
    """
    status = _show_plan(path, rotations, only, False, form)
    return status if status != 2 or detailed_exitcode else 0


def _show_plan(
    path: Path, rotations: tuple[str, ...], only: str | None, force: bool, form: show.Format
) -> int:
    from rotator.cli import commands

    plans = _run(commands.plan(path, rotations, only=only, force=force))
    rows = [
        {**show.change_row(change), "rotation": made.survey.plan.rotation}
        for made in plans
        for change in made.survey.plan.changes
    ]
    show.listing(
        rows,
        form,
        empty="no connection matches",
        columns=("rotation", "target", "connection", "type", "phase", "verdict", "reason"),
    )
    problems = [problem for made in plans for problem in made.problems]
    for made in plans:
        for warning in dict.fromkeys(c.warning for c in made.survey.plan.changes if c.warning):
            click.echo(f"Warning: {made.survey.plan.rotation}: {warning}", err=True)
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if problems:
        return 1
    return 2 if any(made.survey.plan.pending for made in plans) else 0


@cli.command()
@config_option
@click.option("--online", is_flag=True, help="Also ask every source and target what works.")
@output_option
def check(path: Path, online: bool, form: show.Format) -> int:
    """Validate the configuration: every problem at once, each with file, line and key.

    With --online it asks each source what works and which permission is missing, lists every
    target and plans every rotation. It changes nothing, and makes no credential.

    \b
    Examples:
      rotator check -c rotator.yaml
      rotator check -c rotator.yaml --online
    """
    from rotator.cli import commands
    from rotator.cli.checks import Verdict

    config = commands.load_config(path)
    if not online:
        click.echo(
            f"{path}: fine ({len(config.targets)} targets, {len(config.sources)} sources, "
            f"{len(config.rotations)} rotations)"
        )
        return 0
    done = _run(commands.check_online(config))
    if form == "json":
        show.listing([asdict(check) for check in done], form, empty="")
    else:
        _tell_checks(done)
    return 1 if any(check.verdict is Verdict.FAILS for check in done) else 0


def _tell_checks(done: list[Check]) -> None:
    """What works on standard output, what doesn't on standard error."""
    from rotator.cli.checks import Verdict, wants_policy

    for check in done:
        words = f"{check.place}: {check.what}: "
        if check.verdict is Verdict.WORKS:
            click.echo(words + "works")
        elif check.verdict is Verdict.WARNING:
            click.echo(f"{words}warning: {check.problem}", err=True)
        else:
            click.echo(words + check.problem, err=True)
    if wants_policy(done):
        click.echo("the least policies: rotator policy", err=True)


@cli.command()
@config_option
@output_option
def policy(path: Path, form: show.Format) -> None:
    """The least that each source must permit: HCL for Vault and OpenBao, an IAM policy for AWS.

    Asks nobody. JSON has an object for each policy.

    \b
    Examples:
      rotator policy -c rotator.yaml
      rotator policy -c rotator.yaml -o json
    """
    from rotator.cli import commands
    from rotator.cli.policy import policies

    made = policies(commands.load_config(path))
    if form == "json":
        click.echo(json.dumps([asdict(policy) for policy in made], indent=2))
        return
    click.echo("\n\n".join(policy.text for policy in made) or "no source needs a policy")


@cli.command()
@config_option
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@output_option
def connections(path: Path, targets: tuple[str, ...], form: show.Format) -> None:
    """The connections of the targets, each with the rotation that matches it.

    JSON has the keys of `confluent flink connection list -o json`, and target and rotation.

    \b
    Examples:
      rotator connections -c rotator.yaml
      rotator connections -c rotator.yaml prod-us-east-1 -o json
    """
    from rotator.cli import commands

    config = commands.load_config(path)
    chosen = _named("target", targets, config.targets)
    listed = _run(commands.connections(config, chosen))
    rows = [
        show.connection_row(
            connection,
            config.targets[connection.target],
            show.claimed_by(config, connection.target, connection),
        )
        for connection in listed
    ]
    show.listing(
        rows,
        form,
        empty="no connections",
        columns=("target", "name", "type", "endpoint", "status", "status_detail", "rotation"),
    )


@cli.command()
@config_option
@output_option
def status(path: Path, form: show.Format) -> None:
    """The ledger's present state: what is on each connection, since when, and whether it works.

    A connection that runs planned for and never got to is untouched; its error says why. One that
    no longer exists is gone.

    Reads the ledger alone; asks neither targets nor sources. A source that the daemon saw fail is
    told on standard error.

    \b
    Example:  rotator status -c rotator.yaml
    """
    from rotator.cli import commands

    config = commands.load_config(path)
    known = _run(commands.status(config))
    show.listing(
        [show.status_row(one) for one in known],
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
    for state in _run(commands.source_states(config)):
        if state.failing_since is not None:
            since = state.failing_since.astimezone().strftime("%Y-%m-%d %H:%M:%S")
            click.echo(
                f"Warning: since {since}: {state.reason}. The connections keep what they have",
                err=True,
            )


@cli.command()
@config_option
@output_option
def leases(path: Path, form: show.Format) -> None:
    """The leases of credentials that sources made for us: who holds them, and until when.

    A live lease is renewed while a connection needs it; a retired one is revoked at its time; of
    one that was only asked for, the answer was lost, and it ends by itself. Reads the ledger alone.

    \b
    Example:  rotator leases -c rotator.yaml
    """
    from rotator.cli import commands

    held = _run(commands.leases(commands.load_config(path)))
    show.listing(
        [show.lease_row(lease) for lease in held],
        form,
        empty="no leases are held",
        columns=("source", "holder", "state", "made_at", "expires_at", "revoke_at", "lease"),
    )


@cli.command()
@config_option
@click.option("--connection", metavar="GLOB", help="Only connections with such a name.")
@click.option("--since", metavar="DURATION", help="Only what is younger: 12h, 7d.")
@output_option
def history(path: Path, connection: str | None, since: str | None, form: show.Format) -> None:
    """Past outcomes, the newest first.

    Leaves out connections that a run found unchanged; the last run's page has them.

    \b
    Examples:
      rotator history -c rotator.yaml --since 7d
      rotator history -c rotator.yaml --connection 'openai-*' -o json
    """
    from rotator.cli import commands
    from rotator.config.fields import parse_duration

    try:
        age = parse_duration(since) if since else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
    outcomes = _run(commands.history(commands.load_config(path), connection, age))
    show.listing(
        [show.outcome_row(outcome) for outcome in outcomes],
        form,
        empty="no outcomes",
        columns=("at", "rotation", "target", "connection", "result", "reason"),
    )


@cli.command()
@config_option
@click.option("--ready", is_flag=True, help="Ask /readyz instead of /livez.")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0.1, 600.0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
)
def health(path: Path, ready: bool, seconds: float) -> None:
    """Ask the daemon of this machine how it is; exit status 1 where something is missing.

    For a HEALTHCHECK: it needs no shell, and little memory. The address is http.listen.

    \b
    Example:  rotator health -c rotator.yaml --ready
    """
    from rotator.cli.health import ask, listens_on

    click.echo(ask(listens_on(path), "/readyz" if ready else "/livez", seconds))


@cli.command()
def schema() -> None:
    """The JSON Schema of the configuration, for editors.

    \b
    Example:  rotator schema > rotator.schema.json
    """
    from rotator.config.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


@cli.command()
@click.option("--keep", is_flag=True, help="Stay up when the story is told, until Ctrl-C.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Of metrics and the page; default a free one.",
)
def demo(keep: bool, port: int) -> None:
    """The whole job, in front of your eyes, in under a minute.

    Starts an emulated Confluent Cloud, an emulated AWS Secrets Manager and the daemon; then secrets
    change, and you see each noticed, rolled out and verified, and a bad one stopped. Everything
    ends and is removed with it.

    \b
    Examples:
      rotator demo
      rotator demo --keep --port 9464
    """
    from rotator.cli.demo import demo as play

    _run(play(keep, port))


cli.add_command(sandbox)


def _named(kind: str, names: tuple[str, ...], known: Any) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise click.UsageError(f"no {kind} is named {name}; {hint}")
    return names or tuple(known)
