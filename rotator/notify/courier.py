"""A bounded queue to one webhook, and the task that empties it. A slow receiver delays no other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rotator.backoff import Backoff
from rotator.clock import either
from rotator.model.events import Notified
from rotator.notify.message import Notification
from rotator.notify.receiver import Again, Answer, Arrived, Never, Receiver
from rotator.ports import Clock, Observer

MOST_WAITING = 100
MOST_ATTEMPTS = 12
LONGEST_TRIED = 1800.0
"""Seconds after the first attempt at which a notification is given up as too old."""
BACKOFF = Backoff(first=1.0, longest=300.0)


@dataclass(slots=True)
class Courier:
    """Delivers one at a time and in order: `recovered` never comes before the `failed` that it
    ends."""

    receiver: Receiver
    clock: Clock
    observe: Observer
    lost: Callable[[Notification], None] = lambda _: None
    """Called with each notification that never arrives."""
    _waiting: deque[Notification] = field(default_factory=deque)
    _at_work_on: Notification | None = None
    _full: bool = False
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _hurried: asyncio.Event = field(default_factory=asyncio.Event)
    _finishing: bool = False
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self.receiver.key)

    def put(self, notification: Notification) -> None:
        """Queues a notification and returns at once. If the queue is full, the oldest is
        dropped."""
        if len(self._waiting) >= MOST_WAITING:
            said = "" if self._full else f"more than {MOST_WAITING} wait for this webhook"
            self._full = True
            self._give_up(self._waiting.popleft(), "dropped", said)
        self._waiting.append(notification)
        self._wake.set()

    def hurry(self) -> None:
        """From now on each is tried at most once more, without a pause."""
        self._hurried.set()

    def finish(self) -> None:
        """Nothing more comes: the task ends after it has sent what waits."""
        self.hurry()
        self._finishing = True
        self._wake.set()

    @property
    def ended(self) -> bool:
        return self._task is None or self._task.done()

    async def aclose(self, grace: float) -> None:
        """Ends the task. What is left after `grace` seconds is dropped."""
        self.finish()
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=grace)
            if late:
                self._task.cancel()
                await asyncio.wait(late)
        left = [self._at_work_on] if self._at_work_on is not None else []
        left += self._waiting
        self._waiting.clear()
        self._at_work_on = None
        for index, notification in enumerate(left):
            said = f"rotator ends, and {len(left)} had not arrived" if index == 0 else ""
            self._give_up(notification, "dropped", said)

    async def _run(self) -> None:
        try:
            await self._empty()
        finally:
            # Here, since nobody waits for a courier that ends after a reload.
            await self.receiver.aclose()

    async def _empty(self) -> None:
        while True:
            while self._waiting:
                self._at_work_on = self._waiting.popleft()
                await self._deliver(self._at_work_on)
                self._at_work_on = None
            self._full = False
            if self._finishing:
                return
            self._wake.clear()
            await self._wake.wait()

    async def _deliver(self, notification: Notification) -> None:
        began, attempt = self.clock.monotonic(), 0
        while True:
            attempt += 1
            match await self._attempt(notification):
                case Arrived():
                    self._tell(notification, "sent", "", attempt)
                    return
                case Never(reason):
                    self._give_up(notification, "failed", reason, attempt)
                    return
                case Again(reason, after):
                    wait = max(after or 0.0, BACKOFF.pause(attempt))
                    over = self.clock.monotonic() + wait - began > LONGEST_TRIED
                    if over or attempt >= MOST_ATTEMPTS or self._hurried.is_set():
                        self._give_up(notification, "failed", reason, attempt)
                        return
                    if attempt == 1:
                        self._tell(notification, "delayed", reason, attempt)
                    await either(self.clock.sleep(wait), self._hurried)

    async def _attempt(self, notification: Notification) -> Answer:
        try:
            return await self.receiver.post(notification)
        except Exception as error:  # noqa: BLE001 - told below; the next one may be fine
            return Never(f"internal error: {type(error).__name__}")

    def _give_up(
        self, notification: Notification, result: str, reason: str, attempts: int = 0
    ) -> None:
        self._tell(notification, result, reason, attempts)
        self.lost(notification)

    def _tell(self, notification: Notification, result: str, reason: str, attempts: int) -> None:
        self.observe(
            Notified(
                id=notification.id,
                occasion=notification.occasion,
                rotation=notification.rotation,
                receiver=self.receiver.name,
                result=result,
                reason=reason,
                attempts=attempts,
            )
        )
