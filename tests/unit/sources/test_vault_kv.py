"""KV of both kinds: versions, what is gone, and what only looks like an answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from rotator.errors import (
    SecretDeleted,
    SecretInvalid,
    SecretMissing,
    SourceUnavailable,
)
from rotator.model.secret import SecretRef
from tests.support.faulty import Reply
from tests.support.vault import FakeVault, KeySettings
from tests.support.vault_reading import KV, Readers, reader, vault

__all__ = ["reader", "vault"]

READ = "GET /v1/kv/data/*"
V1 = SecretRef("vault", "app", "kv-v1", "kv1")


@pytest.fixture
def kv1(vault: FakeVault) -> dict[str, Any]:
    vault.mounts["", "kv1"] = 1
    fields = {"api_key": "canary-one"}
    vault.kv1["kv1", "app"] = fields
    return fields


def test_what_is_deleted_is_never_a_value(vault: FakeVault, reader: Readers) -> None:
    """Vault answers 404, with an envelope whose data is null."""
    vault.kv["kv", "flink/openai"][-1].deleted = vault.now
    for ask in (reader().read, reader().probe):
        with pytest.raises(SecretDeleted, match="its current version was deleted"):
            ask(KV)


def test_what_is_destroyed_without_a_deletion_time(vault: FakeVault, reader: Readers) -> None:
    vault.kv["kv", "flink/openai"][-1].destroyed = True
    with pytest.raises(SecretDeleted, match="its current version was destroyed"):
        reader().read(KV)
    with pytest.raises(SecretDeleted, match="version 1 was destroyed"):
        reader().probe(KV)


def test_a_deletion_in_the_future_is_a_reason_to_look_before_it(
    vault: FakeVault, reader: Readers
) -> None:
    vault.now = datetime.now(UTC)
    vault.kv_settings["kv", "flink/openai"] = KeySettings(delete_version_after=3600)
    vault.put("flink/openai", {"api_key": "canary-short"})
    secret, probe = reader().read(KV), reader().probe(KV)
    assert secret.changed_at == vault.kv["kv", "flink/openai"][-1].created
    assert secret.fields == {"api_key": "canary-short"}
    assert secret.version == probe.version
    for changes_in in (secret.changes_in, probe.changes_in):
        assert changes_in is not None
        assert 3590 < changes_in < 3600
    vault.kv["kv", "flink/openai"][-1].deleted = datetime.now(UTC) + timedelta(seconds=1)
    vault.now = datetime.now(UTC)
    assert reader().read(KV).changes_in == 1.0, "not at once, and not in the past"


def test_times_with_an_offset(vault: FakeVault, reader: Readers) -> None:
    """Go writes the zone of the server; +08:00 is eight hours before the same digits in UTC."""
    china = timezone(timedelta(hours=8))
    version = vault.kv["kv", "flink/openai"][-1]
    version.created = datetime(2026, 11, 20, 10, tzinfo=china)
    vault.now = datetime.now(china)
    version.deleted = vault.now + timedelta(hours=1)
    secret = reader().read(KV)
    assert secret.changed_at == datetime(2026, 11, 20, 2, tzinfo=UTC)
    assert secret.changes_in is not None
    assert 3590 < secret.changes_in < 3600


def test_pinned_versions(vault: FakeVault, reader: Readers) -> None:
    vault.put("flink/openai", {"api_key": "canary-two"})
    first, second = replace(KV, version="1"), replace(KV, version="2")
    assert reader().read(first).fields == {"api_key": "canary-value"}
    assert reader().read(second).fields == {"api_key": "canary-two"}
    assert reader().probe(first).version == reader().read(first).version
    assert reader().probe(first).version != reader().probe(second).version

    vault.kv["kv", "flink/openai"][0].deleted = vault.now
    with pytest.raises(SecretDeleted, match="version 1 was deleted"):
        reader().read(first)
    assert reader().read(second).fields == {"api_key": "canary-two"}
    for number in range(12):
        vault.put("flink/openai", {"api_key": str(number)})
    for ask in (reader().read, reader().probe):
        with pytest.raises(SecretMissing, match="there is no version 2"):
            ask(second)
    with pytest.raises(SecretMissing, match=r"trimmed since newer ones came \(max_versions\)"):
        reader().read(second)


def test_made_again_it_starts_at_one_and_is_another(vault: FakeVault, reader: Readers) -> None:
    before = reader().probe(KV).version
    del vault.kv["kv", "flink/openai"]
    vault.put("flink/openai", {"api_key": "canary-again"})
    after = reader().probe(KV).version
    assert before.split("@")[0] == after.split("@")[0] == "1"
    assert before != after == reader().read(KV).version


def test_the_same_content_is_another_version(vault: FakeVault, reader: Readers) -> None:
    """The plan compares fingerprints, and decides what it means."""
    before = reader().read(KV)
    vault.put("flink/openai", {"api_key": "canary-value"})
    after = reader().read(KV)
    assert before.version != after.version
    assert before.fields == after.fields


def test_without_the_metadata_it_reads_and_says_so(vault: FakeVault, reader: Readers) -> None:
    vault.policies["data"] = ("kv/data/*",)
    reader.token("data")
    opened = reader()
    probes = [opened.probe(KV) for _ in range(3)]
    assert {probe.version for probe in probes} == {opened.read(KV).version}
    assert "its policies don't permit the metadata" in probes[0].warning
    assert len({probe.warning for probe in probes}) == 1
    assert vault.count("GET /v1/kv/metadata/*") == 1, "it is not asked for again"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"number": 7, "truth": True, "nothing": None, "list": ["a"], "a.b": {"c": "d"}},
        {"text": "ü" * 32 * 1024},
    ],
)
def test_fields_come_as_they_are(vault: FakeVault, reader: Readers, fields: dict[str, Any]) -> None:
    """The core decides what can be a credential, and names the field if it can't."""
    vault.put("flink/openai", fields)
    assert reader().read(KV).fields == fields


def test_one_kind_of_kv_taken_for_the_other(
    vault: FakeVault, reader: Readers, kv1: dict[str, Any]
) -> None:
    with pytest.raises(SecretInvalid, match="mount kv is KV v2, and the engine is set to kv-v1"):
        reader().read(replace(KV, engine="kv-v1"))
    with pytest.raises(SecretMissing, match="or it is no KV v2"):
        reader().read(replace(V1, engine="kv-v2"))


def test_the_mount_is_asked_once_which_kind_it_is(
    vault: FakeVault, reader: Readers, kv1: dict[str, Any]
) -> None:
    opened = reader()
    assert opened.read(replace(V1, engine=None)).fields == kv1
    assert opened.read(replace(KV, engine=None)).fields == {"api_key": "canary-value"}
    opened.probe(replace(KV, engine=None))
    assert vault.count("GET /v1/sys/internal/ui/mounts/*") == 2
    vault.mounts["", "pki"] = "pki"
    with pytest.raises(SecretInvalid, match="another kind than KV; say which: engine"):
        opened.read(SecretRef("vault", "x", None, "pki"))
    with pytest.raises(SecretMissing, match="there is no mount nothing"):
        opened.read(SecretRef("vault", "x", None, "nothing"))


def test_an_upgrade_under_way_is_waited_for(vault: FakeVault, reader: Readers) -> None:
    """Vault answers 400 meanwhile, which is not the request's fault."""
    vault.upgrading.add("kv")
    with pytest.raises(SourceUnavailable, match="being upgraded to KV v2"):
        reader().read(KV)
    vault.upgrading.clear()
    assert reader().read(KV).fields


@pytest.mark.parametrize(
    "path", ["a b", "what?", "a#b", "ü/ß", "100%", "%2e%2e/x", "kv", "kv/data/kv", "a+b&c=d"]
)
def test_an_odd_path_is_one_request_path(vault: FakeVault, reader: Readers, path: str) -> None:
    vault.put(path, {"api_key": path})
    opened = reader()
    for written in (path, f"/{path}", f"{path}/"):
        assert opened.read(SecretRef("vault", written, "kv-v2")).fields == {"api_key": path}
    assert len({seen.path for seen in vault.requests}) == 1


def test_the_version_of_a_read_is_that_of_its_value(vault: FakeVault, reader: Readers) -> None:
    """The secret changes between the look and the read."""
    opened = reader()
    looked = opened.probe(KV).version
    vault.put("flink/openai", {"api_key": "canary-two"})
    secret = opened.read(KV)
    assert secret.version != looked
    assert secret.fields == {"api_key": "canary-two"}
    assert secret.version == opened.probe(KV).version


def test_kv_v1_has_versions_of_its_content(
    vault: FakeVault, reader: Readers, kv1: dict[str, Any]
) -> None:
    first = reader().read(V1)
    assert first.fields == kv1
    assert (first.lease, first.changes_in) == (None, None), "its lease_duration is none"
    assert reader().probe(V1).version == first.version == reader().read(V1).version
    vault.kv1["kv1", "app"] = {"api_key": "canary-two"}
    assert reader().probe(V1).version != first.version
    vault.kv1["kv1", "app"] = kv1
    assert reader().probe(V1).version == first.version, "the same content is the same version"
    assert "canary" not in first.version


def test_kv_v1_that_is_not_there(reader: Readers, kv1: dict[str, Any]) -> None:
    with pytest.raises(SecretMissing, match="nothing at this path of mount kv1"):
        reader().read(replace(V1, path="none"))


@pytest.mark.parametrize("body", [b'{"data": null}', b'{"data": []}', b"{}"])
def test_kv_v1_that_answers_without_data(
    vault: FakeVault, reader: Readers, kv1: dict[str, Any], body: bytes
) -> None:
    vault.fail("GET /v1/kv1/*", Reply(200, body), None)
    with pytest.raises(SecretInvalid, match="it answers without data"):
        reader().read(V1)


def test_a_charset_in_the_content_type_changes_nothing(vault: FakeVault, reader: Readers) -> None:
    said = b'{"errors": ["1 error occurred:\\n\\t* permission denied\\n\\n"]}'
    headers = {"Content-Type": "application/json; charset=utf-8"}
    vault.fail(READ, Reply(404, said, headers), None)
    with pytest.raises(SecretMissing, match="nothing at this path"):
        reader().read(KV)
