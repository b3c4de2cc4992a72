"""Finds out what an identity may do by doing it. None of it changes anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

from rotator.errors import LoginDenied, SourceError
from rotator.model.secret import Probe, Secret, SecretRef
from rotator.model.source import Finding
from rotator.sources.aws_batch import Batches
from rotator.sources.aws_client import Client
from rotator.sources.aws_errors import KeyDenied, NotPermitted


class _Describes(Protocol):
    def read(self, ref: SecretRef) -> Secret: ...

    def describe(self, ref: SecretRef) -> Probe: ...


def examine(
    reader: _Describes,
    client: Client,
    batches: Batches,
    refs: Collection[SecretRef],
    watched: Collection[SecretRef],
) -> tuple[Finding, ...]:
    """Findings: who we are, each secret, and the permissions that rotator can do without."""
    who = _who(client)
    if who.problem and who.required:
        return (who,)
    batches.forget()
    return (
        who,
        *(_read(reader, ref) for ref in refs),
        *_together(batches, refs),
        *(_describe(reader, ref) for ref in watched),
    )


def _who(client: Client) -> Finding:
    """Who we are. No policy can forbid the question; if STS can't be reached, it is not needed."""
    try:
        return Finding(f"log in as {client.who()}")
    except LoginDenied as error:
        return Finding("log in", error.message)
    except SourceError as error:
        return Finding("log in (sts:GetCallerIdentity)", error.message, required=False)


def _read(reader: _Describes, ref: SecretRef) -> Finding:
    try:
        reader.read(ref)
    except KeyDenied as error:
        return Finding(f"decrypt {ref.path} (kms:Decrypt)", error.message)
    except SourceError as error:
        return Finding(f"read {ref.path}", error.message)
    return Finding(f"read {ref.path}")


def _together(batches: Batches, refs: Collection[SecretRef]) -> Iterator[Finding]:
    groups = [group for group in batches.groups(refs) if len(group) > 1]
    if not groups:
        return
    what = f"read {sum(map(len, groups))} secrets at once"
    problem = ""
    try:
        batches.read(groups[0])
    except SourceError as error:
        problem = error.message
    if not problem and not batches.permitted(groups[0]):
        problem = (
            "the identity lacks secretsmanager:BatchGetSecretValue (on *), so that they are read "
            "one by one"
        )
    yield Finding(what, problem, required=False)


def _describe(reader: _Describes, ref: SecretRef) -> Finding:
    what = f"describe {ref.path}"
    try:
        return Finding(what, reader.describe(ref).warning, required=False)
    except NotPermitted as error:
        return Finding(
            what, f"{error.message}; without it, every look reads the value", required=False
        )
    except SourceError as error:
        return Finding(what, error.message)
