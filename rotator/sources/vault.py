"""KV v2 of HashiCorp Vault and OpenBao."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rotator.config.models import VaultSource
from rotator.errors import (
    SecretInvalid,
    SecretMissing,
    SourceDenied,
    SourceError,
    SourceUnavailable,
)
from rotator.model import Probe, Secret, SecretRef
from rotator.ports import Observer
from rotator.sources.reader import Digest, Reader
from rotator.sources.vault_http import Answer, Connections, NoAnswer, Refused
from rotator.sources.vault_login import Tokens

DEFAULT_MOUNT = "kv"


class _PolicyDenied(SourceDenied):
    """A valid token may not do this one thing."""


class VaultReader(Reader):
    """Logs in when it first has to, and again when the token is refused or about to end."""

    def __init__(
        self,
        name: str,
        config: VaultSource,
        observe: Observer,
        digest: Digest,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`observe` is told of logins, by the threads that read."""
        self._name = name
        self._digest = digest
        self._connections = Connections(name, config, now)
        self._tokens = Tokens(name, config, self._connections, observe, now)
        self._without_metadata: set[SecretRef] = set()
        """Those whose metadata the policies don't permit, but their data: probed by reading."""

    def close(self) -> None:
        self._tokens.forget()
        self._connections.close()

    def read(self, ref: SecretRef) -> Secret:
        mount, path = self._place(ref)
        answer = self._ask(
            ref,
            lambda client: client.secrets.kv.v2.read_secret_version(
                path, mount_point=mount, raise_on_deleted_version=True
            ),
        )
        fields, metadata = _mapping(answer, "data", "data"), _mapping(answer, "data", "metadata")
        if fields is None or metadata is None:
            raise SecretInvalid(
                self._name, ref.path, f"mount {mount} answers, but not as KV v2; is it KV v1?"
            )
        version = self._version(ref, metadata.get("version"), metadata.get("created_time"))
        return Secret(ref, version, fields)

    def probe(self, ref: SecretRef) -> Probe:
        """From the metadata, which hold no value; by reading where these don't decide."""
        if ref in self._without_metadata:
            return Probe(self.read(ref).version)
        mount, path = self._place(ref)
        try:
            answer = self._ask(
                ref,
                lambda client: client.secrets.kv.v2.read_secret_metadata(path, mount_point=mount),
            )
        except _PolicyDenied:
            version = self.read(ref).version
            self._without_metadata.add(ref)
            return Probe(version)
        number = (_mapping(answer, "data") or {}).get("current_version")
        current = _mapping(answer, "data", "versions", str(number))
        if current is None:
            raise SecretMissing(self._name, ref.path, "it has metadata, but no version")
        if current.get("destroyed") is True:
            raise SecretMissing(self._name, ref.path, f"version {number} was destroyed")
        if current.get("deletion_time"):
            # Deleted, or to be: the clock that decides it is the server's.
            return Probe(self.read(ref).version)
        return Probe(self._version(ref, number, current.get("created_time")))

    def _place(self, ref: SecretRef) -> tuple[str, str]:
        """Mount and path. hvac would let `..` through, and fold an empty part away."""
        mount, path = (ref.mount or DEFAULT_MOUNT).strip("/"), ref.path.strip("/")
        for part in (*mount.split("/"), *path.split("/")):
            if part in {"", ".", ".."} or not part.isprintable():
                raise SecretInvalid(
                    self._name,
                    ref.path,
                    "no part of mount and path may be empty, . or .., or hold control characters",
                )
        return mount, path

    def _version(self, ref: SecretRef, number: object, created: object) -> str:
        """Both, for a secret that is deleted with its metadata and made again starts at 1."""
        if not isinstance(number, int) or not isinstance(created, str) or not created:
            raise SourceUnavailable(self._name, ref.path, "an answer that tells no version")
        return f"{number}@{created}"

    # Requests

    def _ask(self, ref: SecretRef, call: Callable[[Any], Answer]) -> Answer:
        """A 403 can be the token's end or a policy: the token itself is asked which."""
        try:
            token = self._tokens.current()
            try:
                return self._call(token, call)
            except Refused as refused:
                if refused.status != 403:
                    raise
            fresh = None if self._holds(token) else self._tokens.other_than(token)
            if fresh is None:
                raise self._denied(ref)
            return self._call(fresh, call)
        except Refused as refused:
            raise self._error(ref, refused) from None
        except NoAnswer as failure:
            raise SourceUnavailable(self._name, ref.path, str(failure)) from None

    def _call(self, token: str, call: Callable[[Any], Answer]) -> Answer:
        with self._connections.client(token) as client:
            return call(client)

    def _holds(self, token: str) -> bool:
        try:
            self._call(token, lambda client: client.auth.token.lookup_self())
        except Refused as refused:
            if refused.status != 403:
                raise
            return False
        return True

    def _denied(self, ref: SecretRef) -> SourceDenied:
        mount, path = self._place(ref)
        return _PolicyDenied(
            self._name,
            ref.path,
            f"permission denied: the token must be valid and its policies permit to read "
            f"{mount}/data/{path} and, for watch, {mount}/metadata/{path}",
        )

    def _error(self, ref: SecretRef, answer: Refused) -> SourceError:
        """What an answer means, in words of our own: bodies are never repeated."""
        name, path = self._name, ref.path
        mount, _ = self._place(ref)
        metadata = _mapping(answer.document, "data", "metadata")
        match answer.status:
            case 403:
                return self._denied(ref)
            case 404 if metadata is not None:
                state = "destroyed" if metadata.get("destroyed") else "deleted"
                return SecretMissing(name, path, f"its current version was {state}")
            case 404 if answer.says("no handler for route"):
                return SecretMissing(name, path, f"there is no mount {mount}; check mount")
            case 404 if answer.says("namespace not found"):
                return SecretMissing(name, path, "there is no such namespace; check namespace")
            case 404:
                return SecretMissing(
                    name, path, f"there is nothing at this path of mount {mount}, or it is no KV v2"
                )
            case 400 if answer.says("Upgrading from non-versioned"):
                return SourceUnavailable(name, path, f"mount {mount} is being upgraded to KV v2")
            case 503 if answer.says("sealed"):
                return SourceUnavailable(name, path, "it is sealed; unseal it")
            case status if 300 <= status < 400:
                return SourceUnavailable(
                    name,
                    path,
                    f"HTTP {status}: it redirects, as a standby does; url must name "
                    "the active node or a load balancer",
                )
            case status if status in {412, 429} or status >= 500:
                return SourceUnavailable(name, path, f"HTTP {status}; try again later")
            case status:
                return SecretInvalid(name, path, f"HTTP {status}: it can't make sense of this path")


def _mapping(document: Answer, *keys: str) -> dict[str, Any] | None:
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None
