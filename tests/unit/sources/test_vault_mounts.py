"""Each login at a mount of its own name, in a namespace that is not that of the secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rotator.errors import SourceUnavailable
from tests.support.certificates import Certificates, certificates
from tests.support.faulty import Reply
from tests.support.vault import FakeVault, Login, vault_running
from tests.support.vault_reading import KV, Readers, reader, vault

__all__ = ["certificates", "reader", "vault"]

MOUNT = "teams/flink"
SEALED = Reply(503, b'{"errors": ["Vault is sealed"]}')
METHODS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "approle": ({"role_id": "r", "secret_id": {"env": "SECRET"}}, {"secret_id": "canary"}),
    "kubernetes": ({"role": "r"}, {"jwt": "canary"}),
    "jwt": ({"role": "r", "jwt": {"env": "SECRET"}}, {"jwt": "canary"}),
    "userpass": ({"username": "r", "password": {"env": "SECRET"}}, {"password": "canary"}),
    "aws": (
        {"role": "r", "region": "cn-north-1"},
        {"sts_host": "sts.cn-north-1.amazonaws.com.cn"},
    ),
    "cert": ({"role": "r"}, {"common_name": "rotator"}),
}


def admit(vault: FakeVault, method: Any, expected: dict[str, str]) -> None:
    vault.namespaces |= {"platform", "platform/flink"}
    vault.mounts["platform/flink", "kv"] = 2
    vault.policies["reader"] = ("flink/kv/data/*",)
    vault.logins[MOUNT, "r"] = Login(
        expected, ("reader",), 600, method=method, namespace="platform"
    )


def check(vault: FakeVault, reader: Readers, auth: dict[str, Any], **options: Any) -> None:
    """The first login fails, and nothing of it is left behind."""
    opened = reader(auth=auth, namespace="platform/flink", **options)
    vault.fail("* /v1/auth/*/login*", SEALED)
    with pytest.raises(SourceUnavailable, match="sealed"):
        opened.read(KV)
    vault.advance(10)
    assert opened.read(KV).fields == {"api_key": "canary-value"}
    seen = [(request.path, request.headers["x-vault-namespace"]) for request in vault.requests]
    login = f"/v1/auth/{MOUNT}/login" + ("/r" if auth["method"] == "userpass" else "")
    assert seen == [
        (login, "platform"),
        (login, "platform"),
        ("/v1/kv/data/flink/openai", "platform/flink"),
    ]


@pytest.mark.parametrize("method", [name for name in METHODS if name != "cert"])
def test_the_login_has_its_own_place(
    vault: FakeVault, reader: Readers, tmp_path: Path, method: str
) -> None:
    reader.environment.setenv("SECRET", "canary")
    reader.environment.setenv("AWS_ACCESS_KEY_ID", "AKIACANARY")
    reader.environment.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    reader.environment.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    settings, expected = METHODS[method]
    if method == "kubernetes":
        (tmp_path / "jwt").write_text("canary\n")
        settings = {**settings, "token_file": str(tmp_path / "jwt")}
    admit(vault, method, expected)
    auth = {"method": method, "mount": MOUNT, "namespace": "platform", **settings}
    check(vault, reader, auth)


def test_the_login_by_certificate_has_its_own_place_too(
    reader: Readers, certificates: Certificates
) -> None:
    settings, expected = METHODS["cert"]
    with vault_running(certificates.mutual) as (server, url):
        server.put("flink/openai", {"api_key": "canary-value"})
        admit(server, "cert", expected)
        reader.vault = server
        check(
            server,
            reader,
            {"method": "cert", "mount": MOUNT, "namespace": "platform", **settings},
            url=url,
            ca_file=str(certificates.ca),
            client_certificate={"cert_file": str(certificates.client)},
        )
