"""HashiCorp Vault and OpenBao.

One file for each reason to change:

    vault_http, vault_tls            the transport
    vault_login                      the login methods
    vault_token, vault_token_keeper  a token, and who keeps it valid
    vault_requests                   requests with that token
    vault_engines                    what the engines answer
    vault_errors                     what a refusal means
    vault_examine                    what the source may do
    vault_events                     notifications of changes
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rotator.config.models import VaultSource
from rotator.errors import (
    LeaseGone,
    LoginDenied,
    PolicyDenied,
    SecretInvalid,
    SourceDenied,
    SourceError,
    SourceUnavailable,
    SourceUncertain,
)
from rotator.model.events import SecretHinted
from rotator.model.lease import Owner
from rotator.model.secret import Grant, Probe, Secret, SecretRef
from rotator.model.source import Finding
from rotator.ports import Observer
from rotator.sources.reader import Digest, Reader
from rotator.sources.vault_engines import Engines, VaultPath, lease_of, url
from rotator.sources.vault_errors import Meaning, mapping
from rotator.sources.vault_examine import examined
from rotator.sources.vault_http import Answer, NoAnswer, VaultClients, VaultRefusal
from rotator.sources.vault_login import Login
from rotator.sources.vault_requests import VaultRequests
from rotator.sources.vault_tls import Certificates
from rotator.sources.vault_token_keeper import TokenKeeper

if TYPE_CHECKING:
    from rotator.sources.vault_events import Events


_ROTATING_FOR = 10.0
"""Seconds that a read waits for a static role that is being rotated."""


class VaultReader(Reader):
    """Logs in when it first has to, and again when the token is refused or about to end."""

    def __init__(
        self,
        name: str,
        config: VaultSource,
        observe: Observer,
        digest: Digest,
        now: Callable[[], float] = time.monotonic,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`observe` is called from the threads that read, for logins and renewals."""
        self._name = name
        self._config = config
        self._observe = observe
        self._sleep = sleep
        self._timeout = config.timeout.total_seconds()
        self._clients = VaultClients(name, config, now)
        login = Login(name, config, self._clients)
        self._tokens = TokenKeeper(name, login, self._clients, observe, now)
        self._requests = VaultRequests(name, self._timeout, self._clients, self._tokens, sleep)
        self._engines = Engines(name, digest)
        self._meaning = Meaning(name)
        self._kv_of: dict[str, str] = {}
        """Mount → engine, as far as the server said."""
        self._without_metadata: set[SecretRef] = set()
        """Secrets whose metadata the policies forbid, but not their data. They are probed by
        reading."""
        self._events = self._listener()

    def close(self) -> None:
        if self._events is not None:
            self._events.close()
        self._tokens.give_back()
        self._clients.close()

    # Reading

    def read(self, ref: SecretRef) -> Secret:
        place = VaultPath.of(self._name, ref)
        if ref.dynamic:
            return self._made(ref, place)
        if self._engine(ref) == "kv-v2":
            path = url(place.data) + (f"?version={ref.version}" if ref.version else "")
            answer = self._requests.read(ref, place.mount, path, f'"read" on {place.data}')
            return self._engines.kv2_secret(ref, answer, place.mount, datetime.now(UTC))
        answer = self._plain(ref, place)
        if lease_of(answer, None) is not None:
            raise self._unexpected_lease(ref, answer)
        return self._engines.plain_secret(ref, answer)

    def probe(self, ref: SecretRef) -> Probe:
        """From the metadata, which hold no value. By reading, where the metadata don't decide."""
        if self._events is not None:
            self._events.start()
        if self._engine(ref) != "kv-v2":
            return self._by_reading(ref)
        warning = "its policies don't permit the metadata, so that every look reads its value"
        if ref in self._without_metadata:
            return self._by_reading(ref, warning)
        place = VaultPath.of(self._name, ref)
        try:
            answer = self._requests.read(
                ref, place.mount, url(place.metadata), f'"read" on {place.metadata}'
            )
        except PolicyDenied:
            probe = self._by_reading(ref, warning)
            self._without_metadata.add(ref)
            return probe
        return self._engines.kv2_probe(ref, answer) or self._by_reading(ref)

    def _by_reading(self, ref: SecretRef, warning: str = "") -> Probe:
        secret = self.read(ref)
        return Probe(secret.version, secret.changes_in, warning)

    def _plain(self, ref: SecretRef, place: VaultPath) -> Answer:
        needed = f'"read" on {place.plain}'
        answer = self._requests.read(ref, place.mount, url(place.plain), needed)
        waited = 0.0
        while self._engines.rotating(ref, answer):
            if waited >= min(_ROTATING_FOR, self._timeout / 2):
                raise SourceUnavailable(
                    self._name, ref.path, "Vault is about to rotate it; try again"
                )
            self._sleep(0.5)
            waited += 0.5
            answer = self._requests.read(ref, place.mount, url(place.plain), needed)
        return answer

    def _made(self, ref: SecretRef, place: VaultPath) -> Secret:
        """Makes a credential with exactly one request, whatever comes back."""
        token = self._tokens.use_for_lease()
        try:
            with self._clients.client(token.value) as client:
                answer: Answer = client.adapter.get(url(place.plain))
        except VaultRefusal as refused:
            if refused.status == 403:
                needed = f'"read" on {place.plain}'
                raise self._requests.refused(refused, token.value, ref.path, needed) from None
            raise self._meaning.of_read(ref, place.mount, refused) from None
        except NoAnswer as failure:
            raise SourceUncertain(self._name, ref.path, str(failure)) from None
        return self._engines.leased_secret(ref, answer, token.accessor)

    def _unexpected_lease(self, ref: SecretRef, answer: Answer) -> SourceError:
        lease = lease_of(answer, None)
        if lease is not None:
            with suppress(SourceError):  # then it ends by itself
                self.revoke(lease.id)
        return SecretInvalid(
            self._name,
            ref.path,
            "every read of it makes a credential with a lease; say so: lease: shared, or "
            "per-connection",
        )

    def _engine(self, ref: SecretRef) -> str:
        """The configured engine, or else that of the mount. Raises SourceError."""
        if ref.engine is not None:
            return ref.engine
        place = VaultPath.of(self._name, ref)
        known = self._kv_of.get(place.mount)
        if known is not None:
            return known
        try:
            answer = self._requests.read(
                ref, place.mount, url(f"sys/internal/ui/mounts/{place.mount}"), "to read the mount"
            )
        except SourceDenied as denied:
            if isinstance(denied, LoginDenied):
                raise
            return "kv-v2"  # nothing on that mount is permitted, or it isn't there: reading tells
        except SourceUnavailable:
            raise
        except SourceError:
            return "kv-v2"
        about = mapping(answer, "data") or {}
        kind, options = about.get("type"), about.get("options")
        version = options.get("version") if isinstance(options, dict) else None
        if kind not in {"kv", "generic"}:
            raise SecretInvalid(
                self._name,
                ref.path,
                f"mount {place.mount} is of another kind than KV; say which: engine: database, aws "
                "or generic",
            )
        self._kv_of[place.mount] = engine = "kv-v2" if version == "2" else "kv-v1"
        return engine

    # Leases, and the token that they die with

    def keep_alive(self) -> Owner | None:
        return self._tokens.keep_alive()

    def renew(self, lease: str, seconds: float) -> Grant:
        answer = self._of_lease(lease, "renew", {"increment": max(1, round(seconds))})
        renewed = lease_of(answer, None)
        if renewed is None:
            raise SourceUnavailable(self._name, lease, "an answer that tells no lease")
        if renewed.id != lease:
            raise SourceError(self._name, lease, "the answer is about another lease")
        return renewed

    def revoke(self, lease: str) -> None:
        try:
            self._of_lease(lease, "revoke", {"sync": True})
        except LeaseGone:
            return

    def _of_lease(self, lease: str, what: str, more: dict[str, object]) -> Answer:
        """One request about a lease. It is safe to repeat: renewing or revoking twice does no
        harm."""
        path = f"/v1/sys/leases/{what}"

        def ask(token: str) -> Answer:
            with self._clients.client(token) as client:
                answer: Answer = client.adapter.put(path, json={"lease_id": lease, **more})
                return answer

        try:
            return self._requests.with_token(lease, ask, f'"update" on sys/leases/{what}')
        except VaultRefusal as refused:
            raise self._meaning.of_lease(lease, refused) from None
        except NoAnswer as failure:
            raise SourceUnavailable(self._name, lease, str(failure)) from None

    # What it may do

    def examine(
        self, refs: Collection[SecretRef], watched: Collection[SecretRef]
    ) -> tuple[Finding, ...]:
        return examined(
            self._name,
            refs,
            watched,
            engine_of=self._engine,
            capabilities=self._capabilities,
            read=self.read,
            could_make=lambda _: self._tokens.check_for_lease(),
        )

    def _capabilities(self, paths: Collection[str]) -> Answer:
        asked = list(paths) or ["sys/capabilities-self"]  # of none at all, Vault makes an error

        def ask(token: str) -> Answer:
            with self._clients.client(token) as client:
                answer: Answer = client.adapter.post(
                    "/v1/sys/capabilities-self", json={"paths": asked}
                )
                return answer

        try:
            answer = self._requests.with_token("", ask, '"update" on sys/capabilities-self')
        except VaultRefusal as refused:
            raise self._meaning.of_lease("", refused) from None
        except NoAnswer as failure:
            raise SourceUnavailable(self._name, "", str(failure)) from None
        told = mapping(answer, "data") or answer
        if not told.keys() >= set(asked):
            raise SourceUnavailable(self._name, "", "an answer that tells no capabilities")
        return told

    # Events

    def _listener(self) -> Events | None:
        config = self._config
        if not config.events:
            return None
        from rotator.sources.vault_events import Events

        certificates = Certificates(self._name, config)
        secure = config.url.startswith("https")
        return Events(
            self._name,
            config.url,
            self._tokens.use,
            lambda path: self._observe(SecretHinted(self._name, path)),
            namespace=config.namespace,
            tls=certificates.context if secure else lambda: None,
            server_name=config.tls_server_name,
            proxy=config.proxy,
        )
