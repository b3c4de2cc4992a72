"""What a path permits: the most specific rule decides, and deny wins.

https://openbao.org/docs/concepts/policies/#priority-matching
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

Policy = tuple[str, ...] | Mapping[str, Collection[str]]
"""Paths with everything permitted, or path → capabilities. `*` at the end, `+` for a part."""

DENY = frozenset({"deny"})
_ALL = frozenset({"create", "delete", "list", "patch", "read", "sudo", "update"})

DEFAULT: Policy = {
    "auth/token/lookup-self": {"read"},
    "auth/token/renew-self": {"update"},
    "auth/token/revoke-self": {"update"},
    "sys/capabilities-self": {"update"},
    "sys/internal/ui/resultant-acl": {"read"},
    "sys/renew": {"update"},
    "sys/leases/renew": {"update"},
    "sys/leases/lookup": {"update"},
    "cubbyhole/*": {"create", "read", "update", "delete", "list"},
    "sys/wrapping/wrap": {"update"},
    "sys/wrapping/lookup": {"update"},
    "sys/wrapping/unwrap": {"update"},
}
"""The policy of a new server, as far as secrets are concerned: it doesn't permit to revoke
leases."""

NEEDED = {
    "GET": {"read"},
    "HEAD": {"read"},
    "LIST": {"list"},
    "POST": {"create", "update"},
    "PUT": {"create", "update"},
    "DELETE": {"delete"},
    "PATCH": {"patch"},
}
"""Verb → the capabilities of which one is needed. (A real server needs `create` for what is
new.)"""


def capabilities(policies: Iterable[Policy], path: str) -> frozenset[str]:
    """`deny` alone if nothing is permitted."""
    matching: dict[str, set[str]] = {}
    for pattern, granted in _rules(policies):
        if _matches(pattern, path):
            matching.setdefault(pattern, set()).update(granted)
    if not matching:
        return DENY
    found = matching[max(matching, key=_specificity)]
    return DENY if "deny" in found or not found else frozenset(found)


def reach(policies: Iterable[Policy], folder: str) -> bool:
    """Whether anything is permitted at or below `folder`, which ends with a slash."""
    return any(
        set(granted) - DENY
        and (pattern.startswith(folder) or _matches(pattern, folder) or _spans(pattern, folder))
        for pattern, granted in _rules(policies)
    )


def _rules(policies: Iterable[Policy]) -> Iterable[tuple[str, Collection[str]]]:
    for policy in policies:
        if isinstance(policy, tuple):
            yield from ((pattern, _ALL) for pattern in policy)
        else:
            yield from policy.items()


def _matches(pattern: str, path: str) -> bool:
    stem = pattern.removesuffix("*")
    parts = ["[^/]+" if part == "+" else re.escape(part) for part in stem.split("/")]
    return re.fullmatch("/".join(parts) + (".*" if pattern != stem else ""), path) is not None


def _spans(pattern: str, folder: str) -> bool:
    return pattern.endswith("*") and folder.startswith(pattern[:-1])


def _specificity(pattern: str) -> tuple[int, bool, int, int, str]:
    wild = re.search(r"[+*]", pattern)
    first = wild.start() if wild else len(pattern) + 1
    return (first, not pattern.endswith("*"), -pattern.count("+"), len(pattern), pattern)
