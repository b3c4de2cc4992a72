"""Looks between runs: at secrets without their values, and at connections as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from rotator.model.secret import Probe, SecretRef
from rotator.model.source import Finding
from rotator.ports import ConnectionKey, RunContext
from rotator.rotation.listing import listed, secret_refs


@dataclass(frozen=True, slots=True)
class Probes:
    """What the secrets of a rotation are at now."""

    wanted: Mapping[ConnectionKey, SecretRef]
    """The secret of each connection that has one without a lease."""
    found: Mapping[SecretRef, Probe]


async def probe_secrets(context: RunContext, rotation: str) -> Probes:
    """What each secret of a rotation is at now, without its value where the source can.

    Raises TargetError or SourceError: a look that fails decides nothing. Leased credentials have no
    version to look at; their leases are watched elsewhere.
    """
    wanted = {
        key: ref for key, ref in (await _wanted(context, rotation)).items() if not ref.dynamic
    }
    refs = list(dict.fromkeys(wanted.values()))
    found = await asyncio.gather(*(context.sources[ref.source].probe(ref) for ref in refs))
    return Probes(wanted, dict(zip(refs, found, strict=True)))


async def examine_leased(context: RunContext, rotation: str) -> tuple[Finding, ...]:
    """Whether the source would make the credentials of a rotation; nothing if it only reads.

    Raises TargetError or SourceError.
    """
    place = context.rules[rotation].secret
    if place.lease is None:
        return ()
    wanted = await _wanted(context, rotation)
    refs = [ref for ref in dict.fromkeys(wanted.values()) if ref.dynamic]
    return await context.sources[place.source].examine(refs, ()) if refs else ()


async def look(context: RunContext, rotation: str) -> None:
    """See the connections of a rotation as they are now, and tell the observer; no more.

    Raises TargetError where no target of it could be listed.
    """
    await listed(context, context.rules[rotation])


async def _wanted(context: RunContext, rotation: str) -> Mapping[ConnectionKey, SecretRef]:
    """The secret of each connection. Raises TargetError where any target could not be listed."""
    rule = context.rules[rotation]
    listing = await listed(context, rule)
    for error in listing.failures.values():
        raise error
    refs = secret_refs(context, rule, listing.connections)
    return {key: ref for key, ref in refs.items() if isinstance(ref, SecretRef)}
