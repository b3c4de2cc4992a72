"""What a Vault source may do, asked without doing it: nothing is made by asking."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rotator.model import Finding, SecretRef
from rotator.sources.vault_engines import Place


@dataclass(frozen=True, slots=True)
class Need:
    what: str
    path: str
    capability: str
    required: bool = True
    without: str = ""
    """What becomes of it where this is missing."""


def needs(
    name: str,
    refs: Collection[SecretRef],
    watched: Collection[SecretRef],
    engine_of: Callable[[SecretRef], str],
) -> Iterable[Need]:
    """Each once. Raises SourceError."""
    for ref in refs:
        place, engine = Place.of(name, ref), engine_of(ref)
        path = place.data if engine == "kv-v2" else place.plain
        yield Need(f"make {path}" if ref.dynamic else f"read {path}", path, "read")
        if engine == "kv-v2" and ref in watched:
            without = "the watch reads the value instead"
            yield Need(f"probe {place.metadata}", place.metadata, "read", False, without)
    if any(ref.dynamic for ref in refs):
        yield Need("renew leases", "sys/leases/renew", "update")
        without = "leases that nobody needs are shortened by a renewal, and end by themselves"
        yield Need("revoke leases", "sys/leases/revoke", "update", False, without)


def finding(need: Need, capabilities: Mapping[str, Any]) -> Finding:
    granted = capabilities.get(need.path)
    permitted = isinstance(granted, list) and bool({need.capability, "root"} & set(granted))
    if permitted:
        return Finding(need.what, required=need.required)
    missing = f'the policy lacks: path "{need.path}" {{ capabilities = ["{need.capability}"] }}'
    problem = f"{missing}; without it {need.without}" if need.without else missing
    return Finding(need.what, problem, need.required)
