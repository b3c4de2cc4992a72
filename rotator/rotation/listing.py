"""The connections of a rotation as its targets list them, and the secret that each wants."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rotator.errors import CredentialInvalid, TargetError
from rotator.model.connection import Connection
from rotator.model.events import Listed
from rotator.model.record import Record
from rotator.model.rule import Rule
from rotator.model.secret import SecretRef
from rotator.ports import ConnectionKey, RunContext
from rotator.rotation import match

Records = Mapping[str, Mapping[str, Record]]
"""Target → name of the connection → what the ledger remembers of it."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What the targets of a rotation show."""

    matched: Mapping[str, tuple[Connection, ...]]
    """Target → connections that the rule matches, where the listing worked."""
    failures: Mapping[str, TargetError]
    """Target → why its connections couldn't be listed."""
    gone: frozenset[ConnectionKey] = field(default_factory=frozenset)
    """Connections on record that do not exist: the target said so, asked for them by name."""

    @property
    def connections(self) -> tuple[Connection, ...]:
        return tuple(each for found in self.matched.values() for each in found)

    @property
    def keys(self) -> frozenset[ConnectionKey]:
        return frozenset((each.target, each.name) for each in self.connections)


async def listed(context: RunContext, rule: Rule, records: Records | None = None) -> Listing:
    """Lists all targets at once, and tells the observer.

    Pages may shift while they are read, and a connection then stands on none of them. So what the
    records know and a listing lacks is asked for by name.

    Raises TargetError where no target could be listed.
    """
    known = records or {}
    answers = await asyncio.gather(
        *(_of_target(context, rule, name, known.get(name, {})) for name in rule.targets)
    )
    found = dict(zip(rule.targets, answers, strict=True))
    failures = {name: given for name, given in found.items() if isinstance(given, TargetError)}
    matched: dict[str, tuple[Connection, ...]] = {}
    gone: set[ConnectionKey] = set()
    for target, answer in found.items():
        if isinstance(answer, TargetError):
            continue
        connections, missing = answer
        matched[target] = tuple(c for c in connections if match.matches(rule.matching, c))
        gone |= {(target, name) for name in missing}
    if failures and not matched:
        raise next(iter(failures.values()))
    listing = Listing(matched, failures, frozenset(gone))
    context.observe(Listed(rule.name, frozenset(matched), listing.connections))
    return listing


async def _of_target(
    context: RunContext, rule: Rule, name: str, records: Mapping[str, Record]
) -> tuple[tuple[Connection, ...], frozenset[str]] | TargetError:
    """The connections, and the names on record that do not exist."""
    target = context.targets[name]
    try:
        connections = await target.connections(match.only_type(rule.matching))
        present = {connection.name for connection in connections}
        missing = {
            record.connection
            for record in records.values()
            if record.rotation == rule.name
            and record.gone_at is None
            and record.connection not in present
        }
        found = await target.look(missing) if missing else {}
    except TargetError as error:
        return error
    return (*connections, *found.values()), frozenset(missing - found.keys())


def secret_refs(
    context: RunContext, rule: Rule, connections: Iterable[Connection]
) -> Mapping[ConnectionKey, SecretRef | CredentialInvalid]:
    """The secret that each connection wants, or why that can't be told."""
    return {(each.target, each.name): _ref(context, rule, each) for each in connections}


def _ref(context: RunContext, rule: Rule, connection: Connection) -> SecretRef | CredentialInvalid:
    try:
        environment = context.targets[connection.target].environment
        return match.secret_of(rule, connection, environment)
    except CredentialInvalid as error:
        return error
