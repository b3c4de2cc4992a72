"""Targets whose reads lag behind their writes."""

from __future__ import annotations

import pytest

from rotator.rotation.verify import resend_after
from rotator.sandbox.server import Sandbox
from tests.e2e.test_rotate import GOOD, holders, updates
from tests.support.deployment import Deployment, DeploymentFactory, deployment
from tests.support.sandbox import SandboxFactory, sandbox

__all__ = ["deployment", "sandbox"]

CONNECTIONS = 3
LAG = 3.0
"""Seconds. Longer than a run with this configuration waits before it sends an update again."""


@pytest.fixture
async def cloud(sandbox: SandboxFactory) -> Sandbox:
    return await sandbox(connections=CONNECTIONS, types=("OPENAI",), settle=0.1, lag=LAG)


@pytest.fixture
def installed(deployment: DeploymentFactory, cloud: Sandbox) -> Deployment:
    made = deployment(cloud.url)
    made.secret("openai", {"api_key": GOOD})
    made.rotation["verify"] = {"timeout": "8s", "interval": "200ms"}
    made.rotation["rollout"] = {"canary": 0}
    return made


@pytest.mark.parametrize("update_answer", ["empty", "connection"])
@pytest.mark.parametrize(
    ("form", "patch_version"), [("put", "check"), ("patch", "check"), ("patch", "ignore")]
)
async def test_lag_alone_never_makes_drift(
    installed: Deployment,
    cloud: Sandbox,
    form: str,
    patch_version: str,
    update_answer: str,
) -> None:
    """The record follows the last write that was sent, even where an update was sent again."""
    assert resend_after(interval=0.2, timeout=8.0) < LAG
    cloud.state.change(patch_version=patch_version, update_answer=update_answer)
    installed.target["update"] = form
    first = await installed.rotator("rotate", "-o", "json")
    assert (first.status, first.json()[0]["rotated"]) == (0, CONNECTIONS), first.out
    assert len(holders(cloud, GOOD)) == CONNECTIONS
    sent = updates(cloud)
    again = await installed.rotator("rotate", "-o", "json")
    assert (again.json()[0]["unchanged"], updates(cloud)) == (CONNECTIONS, sent)
    needless = form == "patch" and patch_version == "ignore" and update_answer == "empty"
    assert sent == (2 * CONNECTIONS if needless else CONNECTIONS)
