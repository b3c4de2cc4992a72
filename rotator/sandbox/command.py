"""`rotator sandbox`, and `python -m rotator.sandbox`."""

from __future__ import annotations

import asyncio
import errno
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rotator.sandbox.server import Sandbox
    from rotator.sandbox.settings import SandboxSettings

DEFAULT_PORT = 8765


def _seconds(text: str) -> float:
    from rotator.config.fields import parse_duration

    try:
        return parse_duration(text).total_seconds()
    except ValueError as problem:
        raise click.BadParameter(str(problem)) from None


def _order(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise click.BadParameter(
            'write a fault as JSON: {"kind": "unlisted", "path": "*/openai-001", "times": 2}'
        ) from None


def _share(text: str) -> tuple[str, float]:
    kind, _, share = text.partition("=")
    try:
        return kind, float(share)
    except ValueError:
        raise click.BadParameter(
            "write a fault and its share of the requests: error-500=0.05"
        ) from None


@click.command(
    epilog="""\b
Examples:
  rotator sandbox
  rotator sandbox --connections 1000 --type OPENAI --latency 50ms
  rotator sandbox --limit 40 --fault error-500=0.05 --fault reset-after=0.05
  curl -u sandbox-key:sandbox-secret \\
    http://127.0.0.1:8765/sql/v1/organizations/any/environments/env-sandbox/connections
  curl http://127.0.0.1:8765/sandbox        # how to steer it while it runs
"""
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="The port on 127.0.0.1; 0 takes a free one.",
)
@click.option("--connections", type=int, help="How many connections to begin with.  [default: 12]")
@click.option(
    "--type", "types", multiple=True, help="A type of theirs, taken in turn; by default all 19."
)
@click.option(
    "--environment", "environments", multiple=True, help="An environment; by default env-sandbox."
)
@click.option("--strict", is_flag=True, help="Follow the published contract to the letter.")
@click.option(
    "--latency", type=_seconds, metavar="DURATION", help="How long each answer takes: 50ms."
)
@click.option(
    "--settle",
    type=_seconds,
    metavar="DURATION",
    help="How long from an update to READY.  [default: 1s]",
)
@click.option(
    "--phase-lag",
    type=_seconds,
    metavar="DURATION",
    help="How long the phase from before stays after the version has moved.",
)
@click.option(
    "--lag",
    type=_seconds,
    metavar="DURATION",
    help="How far reads lag behind writes, version and phase alike.",
)
@click.option(
    "--update-answer",
    type=click.Choice(["empty", "connection"]),
    help="What a 200 to an update carries.  [default: empty]",
)
@click.option(
    "--patch-version",
    type=click.Choice(["check", "ignore", "refuse"]),
    help="What becomes of the resource version in a PATCH.  [default: check]",
)
@click.option("--limit", type=int, help="How many requests a second are answered; more get a 429.")
@click.option(
    "--fault",
    "faults",
    type=_share,
    metavar="KIND=SHARE",
    multiple=True,
    help="A fault, and the share of requests that it hits: error-500=0.05.",
)
@click.option(
    "--order",
    "orders",
    type=_order,
    metavar="JSON",
    multiple=True,
    help="A fault of the next requests that it fits, as POST /sandbox/faults takes it: "
    '{"kind": "foreign-write", "path": "*/openai-001"}.',
)
@click.option("--seed", type=int, help="The seed of the random faults.")
@click.option(
    "--settings",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML or JSON with these and all other settings (API keys, tokens, roles, the rule of "
    "accepted credentials, ...), named as in rotator/sandbox/settings.py, times in seconds; "
    "options win.",
)
@click.option(
    "--output",
    "-o",
    type=click.Choice(["text", "json"]),
    help="What to print when it is up: a guide, or one line of JSON with its url.  "
    "[default: text on a terminal]",
)
def sandbox(
    port: int, strict: bool, limit: int | None, file: Path | None, output: str | None, **given: Any
) -> None:
    """Emulate Confluent Cloud on loopback.

    It has connections and statements as the sql/v1 API does, with phases that take their time,
    and fails on request in every way that we could think of. A credential with a value that
    contains "invalid" ends in INVALID_AUTH; every other one, in READY. It forgets everything when
    it ends.
    """
    from rotator.sandbox.server import serve

    changes = {name: value for name, value in given.items() if value is not None and value != ()}
    if strict:
        changes["strict"] = True
    if limit is not None:
        changes["limit"] = {"requests": limit}
    if "faults" in changes:
        changes["faults"] = dict(changes["faults"])
    if "types" in changes:
        changes["types"] = [word.upper() for word in changes["types"]]
    settings = _settings({"connections": 12, **_from_file(file), **changes})
    as_text = output == "text" or (output is None and sys.stdout.isatty())
    try:
        asyncio.run(serve(settings, port, _announce_text if as_text else _announce_json))
    except OSError as problem:
        if problem.errno not in {errno.EADDRINUSE, errno.EACCES}:
            raise
        why = "in use" if problem.errno == errno.EADDRINUSE else "not permitted"
        raise click.ClickException(
            f"port {port} of 127.0.0.1 is {why}; choose another with --port (0 takes a free one)"
        ) from None


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    import yaml

    try:
        document = yaml.safe_load(file.read_text())
    except OSError as problem:
        raise click.ClickException(f"{file}: {problem.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise click.ClickException(f"{file}: not YAML") from None
    if not isinstance(document, dict):
        raise click.ClickException(f"{file}: must be a mapping of settings")
    return document


def _settings(values: dict[str, Any]) -> SandboxSettings:
    from pydantic import ValidationError

    from rotator.sandbox.settings import SETTINGS

    try:
        return SETTINGS.validate_python(values)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise click.ClickException("; ".join(problems)) from None


def _announce_json(running: Sandbox) -> None:
    click.echo(json.dumps({"url": running.url, "environments": [*running.state.environments]}))


def _announce_text(running: Sandbox) -> None:
    from rotator.sandbox.settings import API_KEY, API_SECRET, ORGANIZATION

    settings = running.state.settings
    environment = next(iter(running.state.environments))
    count = len(running.state.connections().names())
    key, secret = (
        (API_KEY, API_SECRET) if API_KEY in settings.keys else ("an-api-key", "its-secret")
    )
    click.echo(
        f"""\
An emulated Confluent Cloud with {count} connections in {environment}. Ctrl+C ends it.

A target for a rotator configuration:

targets:
  sandbox:
    url: {running.url}
    organization: {settings.organization or ORGANIZATION}
    environment: {environment}
    auth:
      api_key: {{env: SANDBOX_KEY}}
      api_secret: {{env: SANDBOX_SECRET}}

export SANDBOX_KEY={key} SANDBOX_SECRET={secret}

How to steer it: curl {running.url}/sandbox"""
    )
