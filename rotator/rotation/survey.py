"""Looking, before anything is decided: connections, secrets and records → a Plan.

Nothing here changes anything, so `rotator plan`, a dry run and a run share it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from rotator.config.models import Config, RotationConfig
from rotator.errors import CredentialInvalid, RotatorError, SourceError, TargetError
from rotator.model import Change, Connection, Credential, Record, Secret, SecretRef
from rotator.ports import Clock, Ledger, Observer, Source, Target
from rotator.rotation import credential, match
from rotator.rotation.plan import Plan, decide, invalid

T = TypeVar("T")
E = TypeVar("E", bound=RotatorError)


@dataclass(frozen=True, slots=True)
class World:
    """All that a run touches, as the composition root built it."""

    config: Config
    targets: Mapping[str, Target]
    sources: Mapping[str, Source]
    ledger: Ledger
    clock: Clock
    observe: Observer
    fingerprint: Callable[[Mapping[str, str]], str]


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen, and the plan that follows from it."""

    plan: Plan
    listed: Mapping[str, tuple[Connection, ...]]
    """Target → connections that the rule matches, where the listing worked."""
    failures: Mapping[str, TargetError]
    """Target → why its connections couldn't be listed."""
    versions: Mapping[SecretRef, str]
    """Of each secret that was read."""


async def survey(
    world: World, rotation: str, *, only: str | None = None, force: bool = False
) -> Survey:
    """Raises TargetError where no target of the rotation could be listed.

    `only` is a glob on names that limits the changes, but not what `expect` counts. Each distinct
    secret is read once, however many connections use it.
    """
    rule = world.config.rotations[rotation]
    matched, failures = await _matched(world, rule)
    chosen = [
        connection
        for connections in matched.values()
        for connection in connections
        if only is None or fnmatchcase(connection.name, only)
    ]
    refs = {_key(connection): _ref(world, rotation, connection) for connection in chosen}
    distinct = {ref for ref in refs.values() if isinstance(ref, SecretRef)}
    secrets = await _read_all(world, distinct)
    records = {target: await world.ledger.records(target) for target in matched}

    def change(connection: Connection) -> Change:
        ref = refs[_key(connection)]
        if isinstance(ref, CredentialInvalid):
            return invalid(connection, str(ref))
        others = match.claimants(world.config.rotations, connection.target, connection)
        if len(others) > 1:
            names = ", ".join(others)
            return invalid(connection, f"several rotations match it ({names}): narrow match", ref)
        record = records[connection.target].get(connection.name)
        return _decide(world, rule, connection, secrets[ref], record, force=force)

    plan = Plan(
        rotation=rotation,
        matched=sum(len(connections) for connections in matched.values()),
        changes=tuple(change(connection) for connection in chosen),
        missing_targets=tuple(failures),
    )
    versions = {
        ref: secret.version for ref, secret in secrets.items() if isinstance(secret, Secret)
    }
    return Survey(plan, matched, failures, versions)


async def secret_versions(world: World, rotation: str) -> Mapping[SecretRef, str]:
    """The present version of each secret of a rotation, without its value where the source can.

    What the watch looks at. Raises TargetError or SourceError: a look that fails decides nothing.
    """
    rule = world.config.rotations[rotation]
    matched, failures = await _matched(world, rule)
    for error in failures.values():
        raise error
    refs = {
        ref
        for connections in matched.values()
        for connection in connections
        if isinstance(ref := _ref(world, rotation, connection), SecretRef)
    }
    probe = {ref: world.sources[ref.source].probe(ref) for ref in refs}
    found = dict(zip(probe, await asyncio.gather(*probe.values()), strict=True))
    return {ref: probe.version for ref, probe in found.items()}


def _key(connection: Connection) -> tuple[str, str]:
    return connection.target, connection.name


async def _matched(
    world: World, rule: RotationConfig
) -> tuple[dict[str, tuple[Connection, ...]], dict[str, TargetError]]:
    narrowed = match.only_type(rule.match)
    answers = await asyncio.gather(
        *(
            _or_error(world.targets[name].connections(narrowed), TargetError)
            for name in rule.targets
        )
    )
    matched: dict[str, tuple[Connection, ...]] = {}
    failures: dict[str, TargetError] = {}
    for name, answer in zip(rule.targets, answers, strict=True):
        if isinstance(answer, TargetError):
            failures[name] = answer
        else:
            matched[name] = tuple(c for c in answer if match.matches(rule.match, c))
    if not matched:
        raise next(iter(failures.values()))
    return matched, failures


def _ref(world: World, rotation: str, connection: Connection) -> SecretRef | CredentialInvalid:
    environment = world.config.targets[connection.target].environment
    try:
        secret = world.config.rotations[rotation].secret
        return match.secret_of(secret, rotation, connection, environment)
    except CredentialInvalid as error:
        return error


async def _read_all(
    world: World, refs: Iterable[SecretRef]
) -> Mapping[SecretRef, Secret | SourceError]:
    reads = {ref: _or_error(world.sources[ref.source].read(ref), SourceError) for ref in refs}
    return dict(zip(reads, await asyncio.gather(*reads.values()), strict=True))


def _decide(
    world: World,
    rule: RotationConfig,
    connection: Connection,
    secret: Secret | SourceError,
    record: Record | None,
    *,
    force: bool,
) -> Change:
    if isinstance(secret, SourceError):
        return invalid(connection, str(secret))
    try:
        known = credential.fit(connection.type, rule.credential) is not None
        data = credential.auth_data(connection.type, rule.credential, secret.fields)
    except CredentialInvalid as error:
        return invalid(connection, str(error), secret.ref)
    return decide(
        connection,
        Credential(data, world.fingerprint(data), secret.version),
        secret.ref,
        record,
        reapply_drift=rule.on_drift == "reapply",
        force=force,
        warning=None if known else f"type {connection.type} is not known: keys are sent as written",
    )


async def _or_error(work: Awaitable[T], kind: type[E]) -> T | E:
    try:
        return await work
    except kind as error:
        return error
