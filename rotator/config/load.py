"""Reads a file into a Config, or reports all of its problems at once, each with a line and a
remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rotator.config.explain import explain
from rotator.config.models import Config
from rotator.config.yaml import Document, Place, parse
from rotator.confluent.types import fit, is_secret_option
from rotator.errors import ConfigurationError, CredentialInvalid

_KINDS = ("vault", "aws-secrets-manager", "file")
_OF_KINDS = {
    "engine": ("vault",),
    "mount": ("vault",),
    "lease": ("vault",),
    "revoke_after": ("vault",),
    "version": ("vault", "aws-secrets-manager"),
    "stage": ("aws-secrets-manager",),
}
"""The keys of a secret that only some kinds of source have."""


def _is_number(version: object) -> bool:
    return (isinstance(version, int) and not isinstance(version, bool) and version > 0) or (
        isinstance(version, str) and version.isdecimal() and int(version) > 0
    )


def load(path: Path) -> Config:
    """Raises ConfigurationError with all problems, in the order of their lines."""
    document = parse(path)
    config: Config | None = None
    errors: list[ErrorDetails] = []
    try:
        config = Config.model_validate(document.data)
    except ValidationError as error:
        # Without the input: a value in the wrong place may be a secret.
        errors = error.errors(include_input=False, include_url=False)
    explain(document, errors)
    _check_targets(document)
    _check_secrets(document)
    _check_credentials(document)
    if document.problems or config is None:
        raise ConfigurationError(tuple(sorted(document.problems)))
    return config


# Checks that no single section can make. They run even if other sections are wrong.


def _check_targets(document: Document) -> None:
    targets = _section(document, "targets")
    for rotation in _section(document, "rotations"):
        place: Place = ("rotations", rotation, "targets")
        listed = document.at(place)
        if not isinstance(listed, list):
            continue
        for index, target in enumerate(listed):
            if isinstance(target, str) and target in listed[:index]:
                document.add((*place, index), "is in the list already")
            else:
                _must_exist(document, (*place, index), "target", targets)


def _check_secrets(document: Document) -> None:
    sources = _section(document, "sources")
    for place in _secrets(document.data, ()):
        _must_exist(document, (*place, "source"), "source", sources)
        name = document.at((*place, "source"))
        kind = document.at(("sources", name, "kind"))
        for key, kinds in _OF_KINDS.items():
            if kind in _KINDS and kind not in kinds and document.at((*place, key)) is not None:
                only = " or ".join(kinds)
                document.add(
                    (*place, key), f"only a source of kind {only} has one; {name} is of kind {kind}"
                )
        version = document.at((*place, "version"))
        if kind == "vault" and version is not None and not _is_number(version):
            document.add((*place, "version"), "must be the number of a version of KV v2")


def _check_credentials(document: Document) -> None:
    for rotation in _section(document, "rotations"):
        place: Place = ("rotations", rotation, "credential")
        credential = document.at(place)
        if not isinstance(credential, dict):
            continue
        for option, value in credential.items():
            if isinstance(value, dict) and "value" in value and is_secret_option(option):
                document.add(
                    (*place, option), "is a secret: name a field of the secret, don't write it here"
                )
        types = document.at(("rotations", rotation, "match", "type"))
        for connection_type in types if credential and isinstance(types, list) else ():
            try:
                fit(str(connection_type).upper(), credential)
            except CredentialInvalid as error:
                document.add(place, str(error))


def _section(document: Document, name: str) -> Mapping[str, Any]:
    section = document.at((name,))
    return section if isinstance(section, dict) else {}


def _must_exist(document: Document, place: Place, kind: str, known: Mapping[str, Any]) -> None:
    name = document.at(place)
    if not isinstance(name, str) or name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
    document.add(place, f"no {kind} has this name; {hint}")


def _secrets(data: Any, place: Place) -> Iterable[Place]:
    """The place of every mapping under a key `secret`."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key == "secret" and isinstance(value, dict):
                yield (*place, key)
            yield from _secrets(value, (*place, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _secrets(value, (*place, index))
