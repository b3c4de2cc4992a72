"""A reader of the fake Vault, called as the threads of a source call it, with the fake's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from rotator.config.models import VaultSource
from rotator.model.events import Event, SourceRead
from rotator.model.secret import SecretRef
from rotator.sources.vault import VaultReader
from tests.support.digest import digest
from tests.support.vault import ROOT, FakeVault, vault_running

KV = SecretRef("vault", "flink/openai", "kv-v2")
LOGIN = "* /v1/auth/*/login*"
LOOKUP = "GET /v1/auth/token/lookup-self"
RENEW = "POST /v1/auth/token/renew-self"
REVOKE = "POST /v1/auth/token/revoke-self"


@dataclass(slots=True)
class Readers:
    """Makes readers, and closes them with the test."""

    vault: FakeVault
    environment: pytest.MonkeyPatch
    events: list[Event] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    made: list[VaultReader] = field(default_factory=list)

    def __call__(self, **options: Any) -> VaultReader:
        """With the root token, unless `auth` says otherwise."""
        document = {
            "kind": "vault",
            "url": self.vault.url,
            "auth": {"method": "token", "token": {"env": "TEST_TOKEN"}},
            "timeout": "5s",
            **options,
        }
        config = VaultSource.model_validate(document)
        reader = VaultReader(
            "vault",
            config,
            self.events.append,
            digest,
            self.vault.seconds,
            sleep=self._sleep,
        )
        self.made.append(reader)
        return reader

    def _sleep(self, seconds: float) -> None:
        """The server's clock moves, and the test doesn't wait."""
        self.slept.append(seconds)
        self.vault.advance(seconds)

    def token(self, *policies: str, **options: Any) -> str:
        """A token that an operator made, and that the configuration refers to."""
        made = self.vault.token(*policies, **options)
        self.environment.setenv("TEST_TOKEN", made)
        return made

    def told(self, operation: str) -> list[str]:
        reads = [event for event in self.events if isinstance(event, SourceRead)]
        return [read.result for read in reads if read.operation == operation]


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    with vault_running() as (vault, _):
        vault.policies["reader"] = (
            "kv/data/*",
            "kv/metadata/*",
            "kv1/*",
            "database/*",
            "aws/*",
            "custom/*",
            "sys/leases/revoke",
        )
        vault.put("flink/openai", {"api_key": "canary-value"})
        yield vault


@pytest.fixture
def reader(vault: FakeVault, monkeypatch: pytest.MonkeyPatch) -> Iterator[Readers]:
    monkeypatch.setenv("TEST_TOKEN", ROOT)
    readers = Readers(vault, monkeypatch)
    yield readers
    for made in readers.made:
        made.close()


Break = Callable[[FakeVault], None]
