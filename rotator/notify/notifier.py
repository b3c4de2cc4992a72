"""The observer that sends notifications."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from rotator.config.models import Config, WebhookConfig, targets_of
from rotator.model.events import Event, Planned, RunFinished, RunStarted, Settled
from rotator.model.run import Outcome
from rotator.notify.courier import Courier
from rotator.notify.decisions import WORTH_TELLING, FinishedRun, Told, decide
from rotator.notify.message import Notification, notification
from rotator.notify.receiver import Receiver, Resolve
from rotator.ports import Clock, Observer
from rotator.remedy import remedy_after

GRACE = 2.0
"""Seconds that the process waits at its end for unsent notifications, counted from the first sign
of the end. Much of that passes while runs finish."""
LEAST_GRACE = 0.75
"""The least of these seconds that is left for what the last runs said."""


@dataclass(slots=True)
class _Webhook:
    """One webhook, and the last failure of each rotation that it was told about."""

    config: WebhookConfig
    told: dict[str, Told] = field(default_factory=dict)

    def news(self, ended: FinishedRun, targets: tuple[str, ...]) -> Notification | None:
        rotation = ended.run.rotation
        decision = decide(ended, self.told.pop(rotation, None))
        if decision.told is not None:
            self.told[rotation] = decision.told
        wanted = (each for each in decision.occasions if str(each) in self.config.events)
        occasion = next(wanted, None)
        return None if occasion is None else notification(ended, occasion, targets)

    def lost(self, letter: Notification) -> None:
        """Forgets a notification that never arrived, so that the next failure is sent although
        nothing changed."""
        told = self.told.get(letter.rotation)
        if told is not None and told.run == letter.run:
            del self.told[letter.rotation]


@dataclass(slots=True)
class _RunUnderWay:
    """A run in progress."""

    troubles: list[Outcome] = field(default_factory=list)
    matched: int | None = None


class Notifier:
    """Never blocks and never raises: each webhook has a courier for what is slow or fails."""

    def __init__(self, resolve: Resolve, clock: Clock, observe: Observer) -> None:
        """`observe` gets the events about notifications."""
        self._resolve = resolve
        self._clock = clock
        self._observe = observe
        self._webhooks: list[tuple[_Webhook, Courier]] = []
        self._former: list[Courier] = []
        """Couriers of webhooks that a reload removed, while they send what waits."""
        self._targets: Mapping[str, tuple[str, ...]] = {}
        self._open: dict[str, _RunUnderWay] = {}
        self._hurried_at: float | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted(run):
                self._open[run.id] = _RunUnderWay()
            case Planned(run_id=run_id, changes=changes) if run_id in self._open:
                self._open[run_id].matched = len(changes)
            case Settled(outcome) if outcome.result in WORTH_TELLING:
                if outcome.run_id in self._open:
                    self._open[outcome.run_id].troubles.append(outcome)
            case RunFinished():
                self._finished(event)
            case _:
                pass

    def _finished(self, event: RunFinished) -> None:
        run = event.run
        seen = self._open.pop(run.id, None) or _RunUnderWay()
        ended = FinishedRun(run, tuple(seen.troubles), seen.matched, remedy_after(event))
        for webhook, courier in self._webhooks:
            letter = webhook.news(ended, self._targets.get(run.rotation, ()))
            if letter is not None:
                courier.put(letter)

    # Configuration and memory

    def configure(self, config: Config) -> None:
        """Applies a configuration, at the start and after a reload, in the event loop.

        An unchanged webhook keeps its queue, and what it was told. A new one starts with nothing.
        """
        former = {webhook.config: (webhook, courier) for webhook, courier in self._webhooks}
        self._former = [courier for courier in self._former if not courier.ended]
        self._targets = targets_of(config)
        self._webhooks = []
        for index, wanted in enumerate(config.notify):
            webhook, courier = former.pop(wanted) if wanted in former else self._opened(wanted)
            courier.receiver.key = f"notify[{index}]"
            for gone in webhook.told.keys() - config.rotations.keys():
                del webhook.told[gone]
            self._webhooks.append((webhook, courier))
        for _, courier in former.values():
            courier.finish()
            self._former.append(courier)

    def _opened(self, config: WebhookConfig) -> tuple[_Webhook, Courier]:
        webhook = _Webhook(config)
        receiver = Receiver(config, "notify", self._resolve, self._clock)
        courier = Courier(receiver, self._clock, self._observe, webhook.lost)
        courier.start()
        return webhook, courier

    def restore(self, told: Mapping[str, Told]) -> None:
        """Takes over what the former process will have announced, by rotation."""
        for webhook, _ in self._webhooks:
            webhook.told.update(told)

    # The end

    def hurry(self) -> None:
        """The process is about to end: what waits for another attempt is tried now."""
        if self._hurried_at is None:
            self._hurried_at = self._clock.monotonic()
        for courier in self._couriers:
            courier.hurry()

    async def aclose(self) -> None:
        """Ends within GRACE of the first `hurry`, but gives LEAST_GRACE in any case."""
        self.hurry()
        gone = self._clock.monotonic() - (self._hurried_at or 0.0)
        grace = max(LEAST_GRACE, GRACE - gone)
        await asyncio.gather(*(courier.aclose(grace) for courier in self._couriers))

    @property
    def _couriers(self) -> list[Courier]:
        return [*self._former, *(courier for _, courier in self._webhooks)]
