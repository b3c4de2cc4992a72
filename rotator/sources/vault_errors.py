"""What an answer of Vault means, in our own words. Bodies are never repeated.

For statuses and phrases see https://developer.hashicorp.com/vault/api-docs#http-status-codes. Some
phrases were seen with OpenBao 2.6.
"""

from __future__ import annotations

from typing import Any

from rotator.errors import (
    LeaseGone,
    PolicyDenied,
    SecretDeleted,
    SecretInvalid,
    SecretMissing,
    SourceError,
    SourceUnavailable,
)
from rotator.model.secret import SecretRef
from rotator.sources.vault_http import Answer, NoAnswer, VaultRefusal

_LEASE_IS_GONE = (
    "lease not found",
    "lease expired",
    "lease is expired",
    "lease is not renewable",
    "past the max TTL",
    "invalid lease",
)
_TRY_AGAIN = frozenset({412, 429, 500, 502, 503, 504})


def mapping(document: Answer, *keys: str) -> dict[str, Any] | None:
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def worth_another_try(error: BaseException) -> bool:
    """Whether a request that only reads should be tried again."""
    if isinstance(error, NoAnswer):
        return error.fleeting
    return isinstance(error, VaultRefusal) and error.status in _TRY_AGAIN


def by_policy(refused: VaultRefusal) -> bool:
    """Whether an ACL refuses, so that the token itself is valid.

    Vault and OpenBao say "1 error occurred" when an ACL refuses. For a token that is not valid,
    OpenBao gives no number and Vault says "2 errors occurred":
    https://developer.hashicorp.com/vault/docs/concepts/tokens
    """
    return refused.status == 403 and refused.says("1 error occurred")


class Meaning:
    """Makes the errors of one source."""

    def __init__(self, name: str) -> None:
        self._name = name

    def of_policy(self, path: str, needed: str) -> PolicyDenied:
        return PolicyDenied(
            self._name, path, f"permission denied: the policies of its token must permit {needed}"
        )

    def of_read(self, ref: SecretRef, mount: str, refused: VaultRefusal) -> SourceError:
        name, path = self._name, ref.path
        metadata = mapping(refused.document, "data", "metadata")
        match refused.status:
            case 404 if metadata is not None:
                which = f"version {ref.version}" if ref.version else "its current version"
                state = "destroyed" if metadata.get("destroyed") else "deleted"
                return SecretDeleted(name, path, f"{which} was {state}")
            case 404 if refused.says("Invalid path for a versioned"):
                return SecretInvalid(
                    name, path, f"mount {mount} is KV v2, and the engine is set to kv-v1"
                )
            case 404 if refused.says("no handler for route"):
                return SecretMissing(name, path, f"there is no mount {mount}; check mount")
            case 404 if refused.says("namespace not found"):
                return SecretMissing(name, path, "there is no such namespace; check namespace")
            case 404 if ref.version is not None:
                return SecretMissing(
                    name,
                    path,
                    f"there is no version {ref.version}: it never was, or was trimmed since newer "
                    "ones came (max_versions)",
                )
            case 404:
                kv = "" if ref.engine in {"database", "aws", "generic"} else ", or it is no KV v2"
                return SecretMissing(
                    name, path, f"there is nothing at this path of mount {mount}{kv}"
                )
            case 400 if refused.says("Upgrading from non-versioned"):
                return SourceUnavailable(name, path, f"mount {mount} is being upgraded to KV v2")
            case 400 if refused.says("unknown role"):
                return SecretMissing(name, path, f"mount {mount} has no such role")
            case 400 if refused.says("one use left"):
                return SecretInvalid(
                    name, path, "its token had one use left, and the lease ended with it"
                )
            case 405:
                return SecretInvalid(name, path, f"mount {mount} can't be read at this path")
            case _:
                return self._common(path, refused)

    def of_lease(self, lease: str, refused: VaultRefusal) -> SourceError:
        if refused.status == 400 and refused.says(*_LEASE_IS_GONE):
            return LeaseGone(self._name, lease, "this lease has ended, or can't be renewed")
        if refused.status == 400 and refused.says("failed to renew", "failed to revoke"):
            # Here a 400 means that the backend is down.
            return SourceUnavailable(self._name, lease, "its backend does not do it; tried again")
        if refused.status == 403:
            return self.of_policy(lease, "sys/leases/renew and sys/leases/revoke")
        return self._common(lease, refused)

    def _common(self, path: str, refused: VaultRefusal) -> SourceError:
        name, status = self._name, refused.status
        match status:
            case 503 if refused.says("sealed"):
                return SourceUnavailable(name, path, "it is sealed; unseal it")
            case _ if 300 <= status < 400:
                return SourceUnavailable(
                    name,
                    path,
                    f"HTTP {status}: it redirects, as a standby does, to an address that is not "
                    "among redirects; url must name the active node or a load balancer",
                )
            case _ if status in _TRY_AGAIN or status >= 500:
                return SourceUnavailable(name, path, f"HTTP {status}; try again later")
            case _:
                return SecretInvalid(name, path, f"HTTP {status}: it can't make sense of this path")
