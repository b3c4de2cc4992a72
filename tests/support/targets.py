"""Several targets: environments of one sandbox, each a target of the configuration."""

from __future__ import annotations

from copy import deepcopy

from rotator.sandbox.server import Sandbox
from tests.support.deployment import Deployment


def add_target(
    to: Deployment, cloud: Sandbox, name: str, *, connections: int, kind: str = "OPENAI"
) -> None:
    """One more target, `name`, of the rotation `openai`: the environment `env-NAME`."""
    environment = f"env-{name}"
    cloud.state.add_environment(environment)
    cloud.state.seed(cloud.state.connections(environment), connections, [kind])
    to.document["targets"][name] = deepcopy(to.target) | {"environment": environment}
    to.rotation["targets"] = [*to.rotation["targets"], name]


def holders_in(cloud: Sandbox, name: str, value: str) -> set[str]:
    """The connections of the target `name` that hold this API key."""
    connections = cloud.state.connections(f"env-{name}")
    held = {each: connections.current(each).data for each in connections.names()}
    return {each for each, data in held.items() if data == {"API_KEY": value}}
