"""Looking, before anything is decided: connections, secrets and records → a Plan.

Nothing here changes anything, so `rotator plan`, a dry run and a run share it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from rotator.config.models import RotationConfig
from rotator.errors import CredentialInvalid, RotatorError, SourceError, TargetError
from rotator.leases.held import Leased, leased_now
from rotator.model.connection import Connection
from rotator.model.credential import Credential
from rotator.model.events import Listed
from rotator.model.plan import Change
from rotator.model.record import Record
from rotator.model.secret import Probe, Secret, SecretRef
from rotator.model.source import Finding
from rotator.rotation import credential, match
from rotator.rotation.context import RunContext
from rotator.rotation.plan import Plan, decide, decide_leased, invalid

T = TypeVar("T")
E = TypeVar("E", bound=RotatorError)


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
    gone: frozenset[tuple[str, str]] = frozenset()
    """Connections (target, name) on record that no longer exist."""
    left: frozenset[tuple[str, str]] = frozenset()
    """Connections on record that exist, but that the rule doesn't match any more."""


async def survey(
    context: RunContext, rotation: str, *, only: str | None = None, force: bool = False
) -> Survey:
    """Raises TargetError where no target of the rotation could be listed.

    `only` is a glob on names that limits the changes, but not what `expect` counts. Each distinct
    secret is read once, however many connections use it; where a read would make a credential,
    nothing is read, and the leases in the ledger decide.
    """
    rule = context.config.rotations[rotation]
    listed, failures = await _listed(context, rule)
    matched = _matching(rule, listed)
    _tell(context, rotation, matched)
    chosen = [
        connection
        for connections in matched.values()
        for connection in connections
        if only is None or fnmatchcase(connection.name, only)
    ]
    refs = {_key(connection): _ref(context, rotation, connection) for connection in chosen}
    distinct = {ref for ref in refs.values() if isinstance(ref, SecretRef) and not ref.dynamic}
    secrets = await _read_all(context, distinct)
    records = {target: await context.ledger.records(target) for target in matched}
    leased = await leased_now(context, rotation)

    def change(connection: Connection) -> Change:
        ref = refs[_key(connection)]
        if isinstance(ref, CredentialInvalid):
            return invalid(connection, str(ref))
        others = match.claimants(context.config.rotations, connection.target, connection)
        if len(others) > 1:
            names = ", ".join(others)
            return invalid(connection, f"several rotations match it ({names}): narrow match", ref)
        record = records[connection.target].get(connection.name)
        if ref.dynamic:
            return _decide_leased(rule, connection, ref, record, leased, force=force)
        return _decide(context, rule, connection, secrets[ref], record, force=force)

    plan = Plan(
        rotation=rotation,
        matched=sum(len(connections) for connections in matched.values()),
        changes=tuple(change(connection) for connection in chosen),
        missing_targets=tuple(failures),
    )
    versions = {
        ref: secret.version for ref, secret in secrets.items() if isinstance(secret, Secret)
    }
    recorded = {
        (target, name)
        for target, of_target in records.items()
        for name, record in of_target.items()
        if record.rotation == rotation
    }
    # A listing that was narrowed to a type has every name that this rotation can have put.
    gone = frozenset(recorded - _keys(listed))
    left = frozenset(recorded - _keys(matched) - gone)
    return Survey(plan, matched, failures, versions, gone, left)


async def probe_secrets(context: RunContext, rotation: str) -> Mapping[SecretRef, Probe]:
    """What each secret of a rotation is at now, without its value where the source can.

    What the watch looks at. Raises TargetError or SourceError: a look that fails decides nothing.
    Leased credentials have no version to look at; their leases are watched elsewhere.
    """
    refs = [ref for ref in await _refs(context, rotation) if not ref.dynamic]
    probes = (context.sources[ref.source].probe(ref) for ref in refs)
    return dict(zip(refs, await asyncio.gather(*probes), strict=True))


async def examine_leased(context: RunContext, rotation: str) -> tuple[Finding, ...]:
    """Whether the source would make the credentials of a rotation; nothing if it only reads.

    Raises TargetError or SourceError.
    """
    if context.config.rotations[rotation].secret.dynamic is None:
        return ()
    refs = [ref for ref in await _refs(context, rotation) if ref.dynamic]
    source = context.sources[context.config.rotations[rotation].secret.source]
    return await source.examine(refs, ()) if refs else ()


async def _refs(context: RunContext, rotation: str) -> tuple[SecretRef, ...]:
    """Each once. Raises TargetError where any target could not be listed."""
    rule = context.config.rotations[rotation]
    listed, failures = await _listed(context, rule)
    matched = _matching(rule, listed)
    _tell(context, rotation, matched)
    for error in failures.values():
        raise error
    refs = (
        _ref(context, rotation, connection)
        for connections in matched.values()
        for connection in connections
    )
    return tuple(dict.fromkeys(ref for ref in refs if isinstance(ref, SecretRef)))


async def look(context: RunContext, rotation: str) -> None:
    """See the connections of a rotation as they are now, and tell the observer; no more.

    Raises TargetError where no target of it could be listed.
    """
    rule = context.config.rotations[rotation]
    listed, _ = await _listed(context, rule)
    _tell(context, rotation, _matching(rule, listed))


def _tell(context: RunContext, rotation: str, matched: ByTarget) -> None:
    connections = tuple(each for found in matched.values() for each in found)
    context.observe(Listed(rotation, frozenset(matched), connections))


def _key(connection: Connection) -> tuple[str, str]:
    return connection.target, connection.name


ByTarget = Mapping[str, tuple[Connection, ...]]
"""Target → connections."""


async def _listed(
    context: RunContext, rule: RotationConfig
) -> tuple[ByTarget, Mapping[str, TargetError]]:
    """Raises TargetError where no target could be listed."""
    narrowed = match.only_type(rule.match)
    answers = await asyncio.gather(
        *(
            _or_error(context.targets[name].connections(narrowed), TargetError)
            for name in rule.targets
        )
    )
    found = dict(zip(rule.targets, answers, strict=True))
    failures = {name: given for name, given in found.items() if isinstance(given, TargetError)}
    listed = {name: given for name, given in found.items() if not isinstance(given, TargetError)}
    if not listed:
        raise next(iter(failures.values()))
    return listed, failures


def _matching(rule: RotationConfig, listed: ByTarget) -> dict[str, tuple[Connection, ...]]:
    return {
        target: tuple(c for c in connections if match.matches(rule.match, c))
        for target, connections in listed.items()
    }


def _keys(connections: ByTarget) -> set[tuple[str, str]]:
    return {_key(connection) for found in connections.values() for connection in found}


def _ref(
    context: RunContext, rotation: str, connection: Connection
) -> SecretRef | CredentialInvalid:
    environment = context.config.targets[connection.target].environment
    try:
        secret = context.config.rotations[rotation].secret
        return match.secret_of(secret, rotation, connection, environment)
    except CredentialInvalid as error:
        return error


async def _read_all(
    context: RunContext, refs: Iterable[SecretRef]
) -> Mapping[SecretRef, Secret | SourceError]:
    by_source: dict[str, list[SecretRef]] = {}
    for ref in refs:
        by_source.setdefault(ref.source, []).append(ref)
    answers: dict[SecretRef, Secret | SourceError] = {}
    reads = (context.sources[name].read_all(wanted) for name, wanted in by_source.items())
    for answered in await asyncio.gather(*reads):
        answers |= answered
    return answers


def _decide_leased(
    rule: RotationConfig,
    connection: Connection,
    ref: SecretRef,
    record: Record | None,
    leased: Leased | None,
    *,
    force: bool,
) -> Change:
    try:
        known = credential.fit(connection.type, rule.credential) is not None
    except CredentialInvalid as error:
        return invalid(connection, str(error), ref)
    return decide_leased(
        connection,
        ref,
        record,
        leased.stale(record.secret_version, rule, ref) if record and leased else None,
        reapply_drift=rule.on_drift == "reapply",
        force=force,
        warning=_unknown_type(connection, known=known),
    )


def _unknown_type(connection: Connection, *, known: bool) -> str | None:
    return None if known else f"type {connection.type} is not known: keys are sent as written"


def _decide(
    context: RunContext,
    rule: RotationConfig,
    connection: Connection,
    secret: Secret | SourceError,
    record: Record | None,
    *,
    force: bool,
) -> Change:
    if isinstance(secret, SourceError):
        return invalid(connection, str(secret), cause=secret.cause)
    try:
        known = credential.fit(connection.type, rule.credential) is not None
        data = credential.auth_data(connection.type, rule.credential, secret.fields)
    except CredentialInvalid as error:
        return invalid(connection, str(error), secret.ref)
    return decide(
        connection,
        Credential(data, context.fingerprint(data), secret.version, secret.changed_at),
        secret.ref,
        record,
        adopt_unknown=context.config.ledger.on_unknown == "adopt",
        reapply_drift=rule.on_drift == "reapply",
        force=force,
        warning=_unknown_type(connection, known=known),
    )


async def _or_error(work: Awaitable[T], kind: type[E]) -> T | E:
    try:
        return await work
    except kind as error:
        return error
