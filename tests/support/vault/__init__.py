"""A Vault over HTTP, as far as a reader of secrets can tell: profiles, time, faults, state.

Status codes, envelopes and words are those of an OpenBao 2.6.2.
"""

from tests.support.vault.answers import (
    DENIED,
    DENIED_BY_POLICY,
    ROLE_DENIED,
    Answered,
    envelope,
    refused,
    stamp,
)
from tests.support.vault.server import FakeVault, vault_running
from tests.support.vault.state import ROOT, START, Profile
from tests.support.vault.things import (
    AwsRole,
    DatabaseRole,
    KeySettings,
    LeaseState,
    Login,
    SecretId,
    StaticRole,
    Token,
    Version,
    Wrapped,
)

__all__ = [
    "DENIED",
    "DENIED_BY_POLICY",
    "ROLE_DENIED",
    "ROOT",
    "START",
    "Answered",
    "AwsRole",
    "DatabaseRole",
    "FakeVault",
    "KeySettings",
    "LeaseState",
    "Login",
    "Profile",
    "SecretId",
    "StaticRole",
    "Token",
    "Version",
    "Wrapped",
    "envelope",
    "refused",
    "stamp",
    "vault_running",
]
