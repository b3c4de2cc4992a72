"""What a Vault source may do, asked without doing it. Asking makes nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rotator.errors import PolicyDenied, SecretInvalid
from rotator.model.secret import SecretRef
from rotator.model.source import Finding
from rotator.sources.reader import trouble
from rotator.sources.vault_engines import VaultPath


@dataclass(frozen=True, slots=True)
class _Need:
    what: str
    path: str
    capability: str
    required: bool = True
    without: str = ""
    """What happens if this permission is missing."""


def examined(
    name: str,
    refs: Collection[SecretRef],
    watched: Collection[SecretRef],
    *,
    engine_of: Callable[[SecretRef], str],
    capabilities: Callable[[Collection[str]], Mapping[str, Any]],
    read: Callable[[SecretRef], object],
    could_make: Callable[[SecretRef], object],
) -> tuple[Finding, ...]:
    """The findings. Raises SourceError only if nothing at all can be asked.

    `could_make` raises SourceError if a lease could not be made. It makes none.
    """
    findings = {"log in": Finding("log in")}
    wanted: dict[str, _Need] = {}
    to_try: list[tuple[str, SecretRef]] = []
    for ref in refs:
        try:
            place, engine = VaultPath.of(name, ref), engine_of(ref)
        except SecretInvalid as invalid:
            what = f"read {ref.path}"
            findings[what] = Finding(what, invalid.message)
            continue
        path = place.data if engine == "kv-v2" else place.plain
        what = f"make {path}" if ref.dynamic else f"read {path}"
        wanted[what] = _Need(what, path, "read")
        to_try.append((what, ref))
        if engine == "kv-v2" and ref in watched:
            what, without = f"probe {place.metadata}", "the watch reads the value instead"
            wanted[what] = _Need(what, place.metadata, "read", False, without)
    if any(ref.dynamic for ref in refs):
        wanted |= {need.what: need for need in _of_leases()}
    try:
        granted = capabilities([need.path for need in wanted.values()])
    except PolicyDenied as denied:
        # The token may still have all permissions that it needs; reading shows that.
        what = "ask what is permitted"
        findings[what] = Finding(what, denied.message, required=False)
        to_try = [(what, ref) for what, ref in to_try if not ref.dynamic]
        findings |= {what: Finding(what) for what, _ in to_try}
    else:
        findings |= {what: _finding(need, granted) for what, need in wanted.items()}
    for what, ref in to_try:
        if not findings[what].problem:
            # A permission doesn't mean that there is anything to read.
            findings[what] = Finding(what, trouble(could_make if ref.dynamic else read, ref))
    return tuple(findings.values())


def _of_leases() -> Iterable[_Need]:
    yield _Need("renew leases", "sys/leases/renew", "update")
    without = "leases that nobody needs are shortened by a renewal, and end by themselves"
    yield _Need("revoke leases", "sys/leases/revoke", "update", False, without)


def _finding(need: _Need, capabilities: Mapping[str, Any]) -> Finding:
    granted = capabilities.get(need.path)
    permitted = isinstance(granted, list) and bool({need.capability, "root"} & set(granted))
    if permitted:
        return Finding(need.what, required=need.required)
    missing = f'the policy lacks: path "{need.path}" {{ capabilities = ["{need.capability}"] }}'
    problem = f"{missing}; without it {need.without}" if need.without else missing
    return Finding(need.what, problem, need.required)
