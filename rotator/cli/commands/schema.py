"""`rotator schema`."""

from __future__ import annotations

import json

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of the configuration.

    Editors use it to complete and check the file as you write it.

    \b
    Example:  rotator schema > rotator.schema.json
    """
    from rotator.config.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
