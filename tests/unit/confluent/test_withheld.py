"""An update of a process that may not write any more never arrives, however late that turns out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from rotator.clock import SystemClock
from rotator.confluent.authorization import Authorization, basic
from rotator.confluent.client import FlinkTarget
from rotator.confluent.settings import TargetSettings
from rotator.errors import UpdateWithheld
from rotator.model.credential import Credential
from rotator.sandbox.server import Sandbox
from rotator.sandbox.settings import API_KEY, API_SECRET, ENVIRONMENT, ORGANIZATION
from tests.support.sandbox import SandboxFactory, sandbox

__all__ = ["sandbox"]

CREDENTIAL = Credential({"API_KEY": "sk-withheld"}, "fingerprint", "v1")


async def authorize() -> Authorization:
    return basic(API_KEY, API_SECRET)


@asynccontextmanager
async def target(cloud: Sandbox, may_write: Callable[[], bool]) -> AsyncIterator[FlinkTarget]:
    settings = TargetSettings(cloud.url, ORGANIZATION, ENVIRONMENT)
    made = FlinkTarget("prod", settings, authorize, lambda _: None, SystemClock(), may_write)
    try:
        yield made
    finally:
        await made.aclose()


@pytest.mark.parametrize("granted", [0, 1], ids=["before the headers", "before the body"])
async def test_it_is_asked_before_each_part_leaves(sandbox: SandboxFactory, granted: int) -> None:
    cloud = await sandbox(connections=1, types=("OPENAI",))
    answers = [True] * granted

    def may_write() -> bool:
        return answers.pop() if answers else False

    async with target(cloud, may_write) as withheld:
        (connection,) = await withheld.connections()
        with pytest.raises(UpdateWithheld, match="not sent: this process may not write any more"):
            await withheld.update(connection, CREDENTIAL)
        assert await withheld.connections() == (connection,), "reading goes on"
    assert sum(cloud.state.counters.updates.values()) == 0


async def test_a_connection_that_was_given_up_harms_no_later_update(
    sandbox: SandboxFactory,
) -> None:
    cloud = await sandbox(connections=1, types=("OPENAI",))
    answers = [True, False]
    async with target(cloud, lambda: answers.pop(0) if answers else True) as withheld:
        (connection,) = await withheld.connections()
        with pytest.raises(UpdateWithheld):
            await withheld.update(connection, CREDENTIAL)
        await withheld.update(connection, CREDENTIAL)
    assert sum(cloud.state.counters.updates.values()) == 1
