"""Which mount a path belongs to."""

from __future__ import annotations

from tests.support.vault.state import State


def engine_of(vault: State, namespace: str, mount: str) -> int | str | None:
    """The version of KV, or the type of another engine; None if nothing is mounted there."""
    told = vault.mounts.get((namespace, mount))
    if told is not None or namespace:
        return told
    if any(known == mount for known, _ in (*vault.databases, *vault.static_roles)):
        return "database"
    if any(known == mount for known, _ in vault.aws_roles):
        return "aws"
    return mount if any(known == mount for known, _ in vault.generic) else None


def mount_of(vault: State, namespace: str, path: str) -> str | None:
    """The longest mount that fits."""
    parts = path.split("/")
    for length in range(len(parts), 0, -1):
        mount = "/".join(parts[:length])
        if engine_of(vault, namespace, mount) is not None:
            return mount
    return None
