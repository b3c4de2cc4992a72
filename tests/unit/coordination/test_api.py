"""One Lease over real sockets: what the API server may answer, and what is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rotator.config.coordination import LeaseCoordination
from rotator.coordination.api import LeaseApi, locate
from rotator.coordination.election import WriteLease
from rotator.coordination.lease import Lease, Spec, document, parse, timestamp
from rotator.errors import (
    CoordinationConflict,
    CoordinationDenied,
    CoordinationError,
    CoordinationUnavailable,
)
from tests.support.certificates import Certificates, certificates
from tests.support.faulty import HTML, NOTHING, Reply, Trouble
from tests.support.kubernetes import FakeKubernetes, kubernetes_running, rotator_role

__all__ = ["certificates"]

NOON = timestamp(datetime(2026, 11, 20, 12, tzinfo=UTC))
SPEC = Spec("pod-a", 15, NOON, NOON, 0)
ROUTE = "* /apis/*"


@pytest.fixture
def server() -> Iterator[FakeKubernetes]:
    with kubernetes_running() as running:
        yield running


def config(server: FakeKubernetes, folder: Path, **settings: object) -> LeaseCoordination:
    token = folder / "token"
    if not token.exists():
        token.write_text(server.account("pod-a", rotator_role()) + "\n")
    return LeaseCoordination.model_validate(
        {"kind": "lease", "namespace": "default", "url": server.url, "token_file": token} | settings
    )


@pytest.fixture
def api(server: FakeKubernetes, tmp_path: Path) -> LeaseApi:
    return LeaseApi(locate(config(server, tmp_path)))


async def test_it_is_made_replaced_and_read(api: LeaseApi) -> None:
    assert await api.get(5) is None
    made = await api.write(WriteLease(SPEC, None), 5)
    assert (made.spec, made.ours) == (SPEC, True)
    later = Spec("pod-a", 15, NOON, NOON.replace("12:00:00", "12:00:05"), 0)
    replaced = await api.write(WriteLease(later, made), 5)
    assert replaced.uid == made.uid
    assert replaced.version != made.version
    assert await api.get(5) == replaced
    with pytest.raises(CoordinationConflict):
        await api.write(WriteLease(SPEC, made), 5)
    with pytest.raises(CoordinationConflict):
        await api.write(WriteLease(SPEC, None), 5)
    await api.aclose()


async def test_a_renewal_does_not_recreate_a_lease_that_was_deleted(
    api: LeaseApi, server: FakeKubernetes
) -> None:
    made = await api.write(WriteLease(SPEC, None), 5)
    server.delete()
    with pytest.raises(CoordinationConflict):
        await api.write(WriteLease(SPEC, made), 5)
    assert server.lease() is None
    await api.aclose()


async def test_labels_and_annotations_of_others_stay(api: LeaseApi, server: FakeKubernetes) -> None:
    server.put({}, {"team": "data"})
    found = await api.get(5)
    assert found is not None
    assert (found.ours, found.spec) == (False, Spec())
    taken = await api.write(WriteLease(SPEC, found), 5)
    assert taken.metadata["labels"] == {
        "team": "data",
        "app.kubernetes.io/managed-by": "rotator",
    }
    await api.aclose()


@pytest.mark.parametrize(
    "what",
    [
        Trouble.HANG,
        Trouble.RESET,
        Trouble.RESET_AFTER,
        Trouble.TRUNCATED,
        Trouble.DRIP,
        HTML,
        NOTHING,
        Reply(200, b"[]"),
        Reply(200, b'{"kind": "Lease"}'),
        Reply(200, b'{"kind": "Lease", "metadata": []}'),
        Reply(200, b'{"kind": "Lease", "metadata": {"uid": 1, "resourceVersion": 2}}'),
        Reply(
            200, b'{"kind": "Lease", "metadata": {"uid": "u", "resourceVersion": "2"}, "spec": 1}'
        ),
        Reply(200, b'{"kind": "Pod", "metadata": {"uid": "u", "resourceVersion": "1"}}'),
        Reply(200, b'"' + b"x" * 2_000_000 + b'"'),
        Reply(500, b"{}"),
        Reply(503),
        Reply(504, b"<html>"),
    ],
    ids=str,
)
async def test_an_answer_that_proves_nothing_is_unavailable(
    api: LeaseApi, server: FakeKubernetes, what: Trouble | Reply
) -> None:
    made = await api.write(WriteLease(SPEC, None), 5)
    for _ in range(2):
        server.fail(ROUTE, what)
        with pytest.raises(CoordinationUnavailable) as told:
            await api.write(WriteLease(SPEC, made), 0.3)
        assert str(told.value).startswith(f"Lease default/rotator: the API server at {server.url}")
        assert "token-of-pod-a" not in str(told.value)
    assert await api.get(5) is not None, "and the next request is answered"
    await api.aclose()


@pytest.mark.parametrize(
    ("after", "seconds"), [("7", 7.0), ("9999", 60.0), ("soon", None), (None, None)]
)
async def test_a_server_that_throttles_says_for_how_long(
    api: LeaseApi, server: FakeKubernetes, after: str | None, seconds: float | None
) -> None:
    server.fail(ROUTE, Reply(429, b"", {"Retry-After": after} if after else {}))
    with pytest.raises(CoordinationUnavailable) as told:
        await api.get(5)
    assert told.value.after == seconds
    await api.aclose()


async def test_a_token_that_was_renewed_is_read_again(
    api: LeaseApi, server: FakeKubernetes, tmp_path: Path
) -> None:
    assert await api.get(5) is None
    (tmp_path / "token").write_text(server.account("pod-a", rotator_role(), "another"))
    assert await api.get(5) is None
    await api.aclose()


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (
            lambda server: server.account("pod-a", rotator_role(), "another"),
            "the API server doesn't know the token in {folder}/token (HTTP 401)",
        ),
        (
            lambda server: server.account("pod-a", (), "token-of-pod-a"),
            (
                "the service account may not get it; its Role needs the verbs get and update on "
                "leases of coordination.k8s.io with the name rotator, and create (HTTP 403)"
            ),
        ),
    ],
)
async def test_a_refusal_names_its_remedy(
    api: LeaseApi, server: FakeKubernetes, tmp_path: Path, prepare: object, said: str
) -> None:
    assert callable(prepare)
    prepare(server)
    with pytest.raises(CoordinationDenied) as told:
        await api.get(5)
    assert str(told.value) == "Lease default/rotator: " + said.format(folder=tmp_path)
    await api.aclose()


async def test_an_invalid_namespace(server: FakeKubernetes, tmp_path: Path) -> None:
    api = LeaseApi(locate(config(server, tmp_path, namespace="nowhere")))
    assert await api.get(5) is None
    with pytest.raises(CoordinationDenied, match=r"there is no namespace nowhere \(HTTP 404\)"):
        await api.write(WriteLease(SPEC, None), 5)
    await api.aclose()


async def test_nobody_at_the_address(server: FakeKubernetes, tmp_path: Path) -> None:
    api = LeaseApi(locate(config(server, tmp_path, url="http://127.0.0.1:1")))
    with pytest.raises(CoordinationUnavailable, match=r"127\.0\.0\.1:1: "):
        await api.get(5)
    await api.aclose()


async def test_tls_with_the_cluster_s_ca(certificates: Certificates, tmp_path: Path) -> None:
    with kubernetes_running(certificates.server) as server:
        trusting = config(server, tmp_path, ca_file=certificates.ca)
        api = LeaseApi(locate(trusting))
        made = await api.write(WriteLease(SPEC, None), 5)
        assert isinstance(made, Lease)
        await api.aclose()

        ca = tmp_path / "renewed.pem"
        ca.write_bytes(certificates.other_ca.read_bytes())
        api = LeaseApi(locate(config(server, tmp_path, ca_file=ca)))
        with pytest.raises(CoordinationUnavailable, match="its certificate is not trusted"):
            await api.get(5)
        ca.write_bytes(certificates.ca.read_bytes())
        assert await api.get(5) == made, "a CA that was renewed is read again"
        await api.aclose()


def test_outside_of_a_pod(tmp_path: Path) -> None:
    with pytest.raises(CoordinationDenied, match="KUBERNETES_SERVICE_HOST isn't set"):
        locate(LeaseCoordination(kind="lease"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read from {file}: No such file or directory"),
        (b"", "{file} is empty"),
        (b" \n", "{file} is empty"),
        (b"one two", "{file} holds more than that"),
        (b"\xff\xfe", "can't be read from {file}: it is no text"),
    ],
)
def test_an_invalid_token(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    wanted = LeaseCoordination.model_validate(
        {"kind": "lease", "namespace": "d", "url": "http://127.0.0.1:1", "token_file": file}
    )
    with pytest.raises(CoordinationError) as told:
        locate(wanted)
    assert said.format(file=file) in str(told.value)
    assert str(told.value).endswith(
        "set automountServiceAccountToken: true for the pod, or coordination.token_file"
    )


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_an_invalid_ca(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "token").write_text("token")
    file = tmp_path / "ca.crt"
    if content is not None:
        file.write_bytes(content)
    wanted = LeaseCoordination.model_validate(
        {
            "kind": "lease",
            "namespace": "d",
            "url": "https://127.0.0.1:1",
            "token_file": tmp_path / "token",
            "ca_file": file,
        }
    )
    with pytest.raises(CoordinationDenied, match="the CA of the API server can't be read from"):
        locate(wanted)


def test_a_spec_may_miss_every_field_or_have_odd_ones() -> None:
    def parsed(**spec: object) -> Spec:
        labels: object = [] if spec else {}
        metadata = {"uid": "u", "resourceVersion": "1", "labels": labels}
        return parse({"kind": "Lease", "metadata": metadata, "spec": spec}).spec

    assert parsed() == Spec()
    assert parsed(holderIdentity=None, leaseTransitions=3) == Spec(transitions=3)
    odd: dict[str, object] = {
        "holderIdentity": 5,
        "leaseDurationSeconds": -1,
        "acquireTime": [],
        "leaseTransitions": True,
    }
    assert parsed(**odd) == Spec()
    bare = {"kind": "Lease", "metadata": {"uid": "u", "resourceVersion": "1"}}
    assert parse(bare).spec == Spec()


def test_what_others_wrote_is_sent_back() -> None:
    owners = [{"kind": "Deployment", "name": "rotator", "uid": "d"}]
    found = parse(
        {
            "kind": "Lease",
            "metadata": {
                "uid": "u",
                "resourceVersion": "7",
                "ownerReferences": owners,
                "annotations": {"a": "b"},
                "managedFields": [{"manager": "somebody"}],
            },
        }
    )
    sent = document("default", "rotator", SPEC, found)["metadata"]
    assert sent["ownerReferences"] == owners
    assert sent["annotations"] == {"a": "b"}
    assert (sent["uid"], sent["resourceVersion"]) == ("u", "7")
    assert "managedFields" not in sent
