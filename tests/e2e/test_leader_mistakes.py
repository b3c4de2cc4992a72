"""What users get wrong about the election, told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from rotator.sandbox.server import Sandbox
from tests.e2e.test_rotate import GOOD
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.faulty import Reply, Trouble
from tests.support.kubernetes import FakeKubernetes, kubernetes_running, rotator_role
from tests.support.sandbox import SandboxFactory, sandbox
from tests.support.waiting import until

__all__ = ["deployment", "sandbox"]

TOKEN = "canary-service-account-token"


@pytest.fixture
def server() -> Iterator[FakeKubernetes]:
    with kubernetes_running() as running:
        running.account("pod-a", rotator_role(), TOKEN)
        yield running


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=2, types=("OPENAI",), settle=0.1)


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox, server: FakeKubernetes) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    (made.folder / "token").write_text(TOKEN)
    made.document["coordination"] = {
        "kind": "lease",
        "namespace": "default",
        "identity": "pod-a",
        "lease_duration": "4s",
        "url": server.url,
        "token_file": str(made.folder / "token"),
    }
    return made


async def test_no_pod_around(installed: Deployment) -> None:
    installed.document["coordination"] = {"kind": "lease"}
    for command in ("run", "rotate"):
        refused = await installed.rotator(command)
        assert refused.status == 1
        assert refused.err == (
            "Error: coordination.url: KUBERNETES_SERVICE_HOST isn't set, so this is no pod; "
            "set coordination.url, or coordination: {kind: none}\n"
        )


async def test_an_invalid_port(installed: Deployment) -> None:
    installed.document["coordination"] = {"kind": "lease"}
    pod = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "tcp://10.0.0.1:443"}
    refused = await installed.rotator("rotate", **pod)
    assert refused.status == 1
    assert refused.err == (
        "Error: coordination.url: KUBERNETES_SERVICE_PORT is no port; set coordination.url\n"
    )


async def test_a_missing_token_file(installed: Deployment) -> None:
    (installed.folder / "token").unlink()
    for command in (("run",), ("rotate",), ("check", "--online")):
        refused = await installed.rotator(*command)
        assert refused.status == 1
        (line,) = refused.err.splitlines()
        assert line.endswith(
            f"the service account's token can't be read from {installed.folder}/token: No such "
            "file or directory; set automountServiceAccountToken: true for the pod, or "
            "coordination.token_file"
        )


async def test_an_api_server_that_refuses(installed: Deployment, server: FakeKubernetes) -> None:
    server.account("pod-a", (), TOKEN)
    refused = await installed.rotator("rotate")
    assert refused.status == 1
    (line,) = refused.err.splitlines()
    assert line.startswith("Error: Lease default/rotator: the service account may not get it;")
    async with installed.daemon() as running:
        told = await running.event("coordination.failed")
        assert "its Role needs the verbs get and update" in told["reason"]
        async with running.client() as client:
            answer = await client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["checks"]["coordination"] == told["reason"]
        server.account("pod-a", rotator_role(), TOKEN)
        await running.event("leader.elected")
    assert TOKEN not in "\n".join(running.lines)


async def test_a_lease_of_something_else(installed: Deployment, server: FakeKubernetes) -> None:
    server.put({"holderIdentity": "kube-scheduler", "leaseDurationSeconds": 600}, {})
    checked = await installed.rotator("check", "--online")
    assert checked.status == 1
    assert (
        "coordination: read Lease default/rotator (held by kube-scheduler): Lease default/rotator "
        "is held by kube-scheduler, and no rotator made it: if it belongs to something else, set "
        "another coordination.name\n"
    ) in checked.err
    async with installed.daemon() as running:
        told = await running.event("coordination.stranger")
        assert "set another coordination.name" in told["reason"]
    assert not [e for e in running.events if e["event"] == "leader.elected"]


async def test_a_token_that_ends_while_it_leads(
    installed: Deployment, server: FakeKubernetes
) -> None:
    """The kubelet writes another in time, and nobody notices."""
    async with installed.daemon() as running:
        await running.event("leader.elected")
        server.account("pod-a", rotator_role(), "another")
        (installed.folder / "token").write_text("another")
        seen = server.count("PUT *")
        await until(lambda: server.count("PUT *") > seen + 5)
    assert not [e for e in running.events if e["event"] == "leader.deposed"]


def renewed(server: FakeKubernetes, count: int) -> bool:
    return len(server.journal) > count


async def test_a_renewal_that_fails_once_deposes_nobody(
    installed: Deployment, server: FakeKubernetes
) -> None:
    """Whatever the answer: several renewals fit into the time for which a leader may lead."""
    troubles: list[Reply | Trouble] = [
        Reply(429, b"", {"Retry-After": "60"}),
        Reply(401),
        Reply(403),
        Reply(409),
        Trouble.RESET_AFTER,
        Trouble.HANG,
    ]
    installed.document["coordination"]["lease_duration"] = "6s"
    async with installed.daemon() as running:
        await running.event("leader.elected")
        for trouble in troubles:
            # A 401 is tried once more with the token as it is then.
            server.fail("PUT *", trouble)
            if trouble == Reply(401):
                server.fail("PUT *", trouble)
            await until(lambda: not any(fault.times for fault in server.faults))
            await until(partial(renewed, server, len(server.journal) + 1))
    told = [event["event"] for event in running.events]
    assert "leader.deposed" not in told
    assert told.count("coordination.failed") == len(troubles) - 1, "all but the conflict"


async def test_a_lease_that_was_made_beforehand_needs_no_create(
    installed: Deployment, server: FakeKubernetes
) -> None:
    """And is led at once: nobody can hold it any more."""
    only_this = tuple(rule for rule in rotator_role() if rule.names)
    server.account("pod-a", only_this, TOKEN)
    server.put({}, {"team": "data"})
    async with installed.daemon() as running:
        await running.event("leader.elected")
        lease = server.lease()
        assert lease is not None
        assert lease["spec"]["holderIdentity"] == "pod-a"
        assert lease["metadata"]["labels"]["team"] == "data"
    assert not [e for e in running.events if e["event"] == "coordination.failed"]


async def test_a_change_of_the_section_needs_a_restart(installed: Deployment) -> None:
    async with installed.daemon() as running:
        await running.event("leader.elected")
        installed.document["coordination"]["name"] = "another"
        installed.write()
        running.process.send_signal(1)
        refused = await running.event("config.refused")
        assert "coordination: a change of this section needs a restart" in refused["reason"]
