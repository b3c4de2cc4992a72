"""Looks at everything before anything is decided: connections, secrets and records → a Plan.

Nothing here changes anything, so `rotator plan`, a dry run and a run share it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from rotator.errors import CredentialInvalid, SourceError
from rotator.leases.held import Leased, leased_now
from rotator.model.connection import Connection
from rotator.model.credential import AuthData
from rotator.model.plan import Change
from rotator.model.record import Record
from rotator.model.rule import Rule
from rotator.model.run import ActedOn
from rotator.model.secret import Secret, SecretRef
from rotator.ports import ConnectionKey, RunContext, Target
from rotator.rotation import credential, match
from rotator.rotation.decide import decide, decide_leased, invalid
from rotator.rotation.listing import Listing, listed, secret_refs
from rotator.rotation.plan import Plan


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen, and the plan that follows from it."""

    plan: Plan
    listing: Listing
    acted_on: Mapping[ConnectionKey, ActedOn]
    """The version of the secret that was read for each connection of the plan."""
    gone: Mapping[ConnectionKey, Record]
    """Records of connections that do not exist any more: the target said so, asked by name."""
    left: frozenset[ConnectionKey]
    """Connections on record that exist, but that the rule doesn't match any more."""


async def survey(
    context: RunContext, rotation: str, *, only: str | None = None, force: bool = False
) -> Survey:
    """Raises TargetError where no target of the rotation could be listed.

    `only` is a glob on names that limits the changes, but not what `expect` counts. Each distinct
    secret is read once, however many connections use it; where a read would make a credential,
    nothing is read, and the leases in the ledger decide.
    """
    rule = context.rules[rotation]
    records = {name: await context.ledger.records(name) for name in rule.targets}
    listing = await listed(context, rule, records)
    chosen = [each for each in listing.connections if only is None or fnmatchcase(each.name, only)]
    refs = secret_refs(context, rule, chosen)
    distinct = {ref for ref in refs.values() if isinstance(ref, SecretRef) and not ref.dynamic}
    secrets = await _read_all(context, distinct)
    leased = await leased_now(context, rule)

    def change(connection: Connection) -> Change:
        ref = refs[connection.target, connection.name]
        if isinstance(ref, CredentialInvalid):
            return invalid(connection, str(ref))
        others = match.claimants(context.rules, connection.target, connection)
        if len(others) > 1:
            names = ", ".join(others)
            return invalid(connection, f"several rotations match it ({names}): narrow match", ref)
        record = records[connection.target].get(connection.name)
        if ref.dynamic:
            return _change_leased(context, rule, connection, ref, record, leased, force=force)
        return _change(context, rule, connection, secrets[ref], record, force=force)

    plan = Plan(
        rotation=rotation,
        matched=len(listing.connections),
        changes=tuple(change(connection) for connection in chosen),
        missing_targets=tuple(listing.failures),
    )
    read = {
        key: ActedOn(ref, secret.version)
        for key, ref in refs.items()
        if isinstance(ref, SecretRef) and isinstance(secret := secrets.get(ref), Secret)
    }
    own = {
        (target, name): record
        for target, of_target in records.items()
        for name, record in of_target.items()
        if record.rotation == rotation
    }
    gone = {key: record for key, record in own.items() if key in listing.gone}
    present = listing.keys
    left = frozenset(
        key
        for key, record in own.items()
        if key not in present
        and key not in gone
        and record.gone_at is None
        and key[0] not in listing.failures
    )
    return Survey(plan, listing, read, gone, left)


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


def _change_leased(
    context: RunContext,
    rule: Rule,
    connection: Connection,
    ref: SecretRef,
    record: Record | None,
    leased: Leased | None,
    *,
    force: bool,
) -> Change:
    try:
        known = context.targets[connection.target].takes(connection.type, rule.mapping)
    except CredentialInvalid as error:
        return invalid(connection, str(error), ref)
    return decide_leased(
        connection,
        ref,
        record,
        leased.stale(record.secret_version, rule, ref) if record and leased else None,
        reapply_drift=rule.reapply_drift,
        force=force,
        warning=_unknown_type(connection, known=known),
    )


def _change(
    context: RunContext,
    rule: Rule,
    connection: Connection,
    secret: Secret | SourceError,
    record: Record | None,
    *,
    force: bool,
) -> Change:
    if isinstance(secret, SourceError):
        return invalid(connection, str(secret), cause=secret.cause)
    try:
        made = auth_data(context.targets[connection.target], rule, connection, secret)
    except CredentialInvalid as error:
        return invalid(connection, str(error), secret.ref)
    return decide(
        connection,
        credential.credential(made, context.fingerprint, secret.version, secret.changed_at),
        secret.ref,
        record,
        adopt_unknown=context.adopt_unknown,
        reapply_drift=rule.reapply_drift,
        force=force,
        warning=_unknown_type(connection, known=made.known),
    )


def auth_data(target: Target, rule: Rule, connection: Connection, secret: Secret) -> AuthData:
    """What a secret becomes on a connection. Raises CredentialInvalid."""
    return target.auth_data(connection.type, credential.values(rule.mapping, secret.fields))


def _unknown_type(connection: Connection, *, known: bool) -> str | None:
    return None if known else f"type {connection.type} is not known: keys are sent as written"
