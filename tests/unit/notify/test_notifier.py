"""The observer: what it makes of a run's events, and what a reload leaves of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rotator.config.models import Config, Reference
from rotator.config.references import FromEnv
from rotator.errors import ValueUnavailable
from rotator.model.connection import Condition, Connection
from rotator.model.events import (
    Event,
    Notified,
    Occasion,
    Planned,
    RunFinished,
    RunStarted,
    Settled,
)
from rotator.model.plan import Change, Verdict
from rotator.model.run import Outcome, Result, Run, RunResult
from rotator.notify.decisions import Told
from rotator.notify.notifier import Notifier
from tests.support.faulty import Trouble
from tests.support.leasing import MovedClock
from tests.support.waiting import until
from tests.support.webhooks import Webhook, webhook_running

NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)


async def nothing(reference: Reference, key: str) -> str:
    assert isinstance(reference, FromEnv)
    raise ValueUnavailable(f"{key}: environment variable {reference.env} is not set")


def config(*notify: dict[str, Any], rotations: Sequence[str] = ("openai", "mcp")) -> Config:
    target = {
        "url": "https://a.example",
        "organization": "o",
        "environment": "env-1",
        "auth": {"token": {"env": "T"}},
    }
    rule = {
        "targets": ["prod"],
        "match": {},
        "secret": {"source": "s", "path": "p"},
        "credential": {"api-key": "k"},
    }
    return Config.model_validate(
        {
            "targets": {"prod": target},
            "sources": {"s": {"kind": "file", "root": "/x"}},
            "rotations": dict.fromkeys(rotations, rule),
            "notify": list(notify),
        }
    )


@dataclass(slots=True)
class Telling:
    notifier: Notifier
    events: list[Event]
    runs: int = 0

    def run(
        self,
        result: RunResult,
        *failed: str,
        rotation: str = "openai",
        outcome: Result = Result.FAILED,
    ) -> None:
        """Every event of one run of four connections."""
        self.runs += 1
        run = Run(f"run-{self.runs}", rotation, "schedule", NOW)
        changes = tuple(
            Change(
                Connection("prod", name, "OPENAI", "https://x", "READY", Condition.USABLE),
                Verdict.CHANGED,
                "",
            )
            for name in "abcd"
        )
        self.notifier(RunStarted(run))
        self.notifier(Planned(run.id, rotation, changes))
        for name in "abcd":
            of_it = outcome if name in failed else Result.ROTATED
            self.notifier(
                Settled(Outcome(run.id, rotation, "prod", name, of_it, "INVALID_AUTH", NOW))
            )
        self.notifier(RunFinished(replace(run, finished_at=NOW, result=result)))

    def fail(self, *failed: str, rotation: str = "openai") -> None:
        self.run(RunResult.FAILED, *(failed or "a"), rotation=rotation)

    def succeed(self, rotation: str = "openai") -> None:
        self.run(RunResult.SUCCEEDED, rotation=rotation)

    def results(self, result: str) -> int:
        return sum(isinstance(event, Notified) and event.result == result for event in self.events)


@asynccontextmanager
async def notifier(*notify: dict[str, Any]) -> AsyncIterator[Telling]:
    events: list[Event] = []
    made = Notifier(nothing, MovedClock(), events.append)
    made.configure(config(*notify))
    try:
        yield Telling(made, events)
    finally:
        await made.aclose()


async def test_the_connections_of_a_run_and_of_no_other(webhook: Webhook) -> None:
    async with notifier({"url": webhook.url}) as told:
        told.fail("c", "a")
        told.fail("b", rotation="mcp")
    openai, mcp = webhook.received
    assert [found["connection"] for found in openai["connections"]] == ["a", "c"]
    assert (openai["connections_total"], openai["connections_matched"]) == (2, 4)
    assert openai["targets"] == ["prod"]
    assert (mcp["rotation"], mcp["connections"][0]["connection"]) == ("mcp", "b")


async def test_rotations_fail_and_recover_each_for_itself(webhook: Webhook) -> None:
    async with notifier({"url": webhook.url}) as told:
        told.fail()
        told.succeed("mcp")
        told.fail(rotation="mcp")
        told.succeed()
        told.fail(rotation="mcp")
    assert webhook.told == [("failed", "openai"), ("failed", "mcp"), ("recovered", "openai")]


async def test_a_run_that_never_began_is_announced_too(webhook: Webhook) -> None:
    run = Run("run-1", "openai", "schedule", NOW, NOW, RunResult.FAILED, "the ledger is full")
    async with notifier({"url": webhook.url}) as told:
        told.notifier(RunFinished(run))
    assert webhook.received[0]["reason"] == "the ledger is full"


async def test_each_webhook_gets_what_it_takes(webhook: Webhook) -> None:
    with webhook_running() as failures, webhook_running() as ends:
        notify = (
            {"url": webhook.url},
            {"url": failures.url, "events": ["failed"]},
            {"url": ends.url, "events": ["recovered", "quarantined"]},
        )
        async with notifier(*notify) as told:
            told.run(RunResult.FAILED, "a", outcome=Result.ROLLED_BACK)
            told.succeed()
        assert [event for event, _ in webhook.told] == ["rolled_back", "recovered"]
        assert [event for event, _ in failures.told] == ["failed"]
        assert [event for event, _ in ends.told] == ["recovered"]


async def test_a_webhook_that_hangs_delays_no_other(webhook: Webhook) -> None:
    with webhook_running() as slow:
        slow.always(Trouble.HANG)
        async with notifier({"url": slow.url}, {"url": webhook.url}) as told:
            told.fail()
            await until(lambda: told.results("sent") == 1)
            assert webhook.told == [("failed", "openai")]


async def test_what_never_arrived_is_announced_again(webhook: Webhook) -> None:
    webhook.answer(404)
    async with notifier({"url": webhook.url}) as told:
        told.fail()
        await until(lambda: told.results("failed") == 1)
        told.fail()
        told.fail()
        told.succeed()
    assert [event for event, _ in webhook.told] == ["failed", "failed", "recovered"]


async def test_the_end_of_a_failure_that_never_arrived_is_no_news(webhook: Webhook) -> None:
    webhook.answer(404)
    async with notifier({"url": webhook.url}) as told:
        told.fail()
        await until(lambda: told.results("failed") == 1)
        told.succeed()
    assert [event for event, _ in webhook.told] == ["failed"]


async def test_a_change_that_arrived_outlives_a_loss_before_it(webhook: Webhook) -> None:
    webhook.answer(404)
    async with notifier({"url": webhook.url}) as told:
        told.fail("a")
        told.fail("b")
        await until(lambda: told.results("sent") == 1)
        told.fail("b")
    assert len(webhook.told) == 2


async def test_what_is_restored_is_not_announced_again(webhook: Webhook) -> None:
    async with notifier({"url": webhook.url}) as told:
        told.notifier.restore({"openai": Told("of another shape", NOW, "run-0")})
        told.succeed()
        told.succeed()
    assert webhook.told == [("recovered", "openai")]


async def test_a_reload_keeps_what_is_as_it_was(webhook: Webhook) -> None:
    with webhook_running() as other:
        async with notifier({"url": webhook.url}) as told:
            told.fail()
            told.notifier.configure(config({"url": other.url}, {"url": webhook.url}))
            told.fail()
            told.notifier.configure(config({"url": other.url}))
            told.succeed()
        assert webhook.told == [("failed", "openai")]
        assert other.told == [("failed", "openai"), ("recovered", "openai")]


async def test_a_webhook_that_is_taken_away_still_gets_what_waits(webhook: Webhook) -> None:
    webhook.answer(500)
    async with notifier({"url": webhook.url}) as told:
        told.fail()
        await until(lambda: told.results("delayed") == 1)
        told.notifier.configure(config())
        await until(lambda: told.results("sent") == 1)
        told.fail("b")
    assert webhook.told == [("failed", "openai")] * 2


async def test_a_webhook_that_is_taken_away_leaves_no_client_open(webhook: Webhook) -> None:
    async with notifier({"url": webhook.url}) as told:
        told.fail()
        await until(lambda: told.results("sent") == 1)
        ((_, courier),) = told.notifier._webhooks
        client = courier.receiver._client
        assert client is not None
        told.notifier.configure(config())
        await until(lambda: courier.ended)
        told.notifier.configure(config())  # forgets those that have ended
        assert client.is_closed


async def test_a_rotation_that_is_gone_is_forgotten(webhook: Webhook) -> None:
    async with notifier({"url": webhook.url}) as told:
        told.fail()
        told.notifier.configure(config({"url": webhook.url}, rotations=("mcp",)))
        told.notifier.configure(config({"url": webhook.url}))
        told.succeed()
    assert webhook.told == [("failed", "openai")]


async def test_without_webhooks_nothing_is_kept() -> None:
    async with notifier() as told:
        told.fail()
        assert told.events == []
        assert told.notifier._open == {}


async def test_the_place_of_a_webhook_is_that_of_the_present_file() -> None:
    async with notifier({"url": {"env": "A"}}, {"url": {"env": "B"}}) as told:
        told.notifier.configure(config({"url": {"env": "B"}}))
        told.fail()
        await until(lambda: told.results("delayed") == 1)
    (delayed, _) = told.events
    assert isinstance(delayed, Notified)
    assert delayed.reason == "notify[0].url: environment variable B is not set"
    assert delayed.occasion is Occasion.FAILED
