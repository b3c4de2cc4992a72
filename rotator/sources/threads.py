"""Runs blocking readers behind an asynchronous interface, with bounded threads and deadlines."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from time import monotonic
from typing import TypeVar

from rotator.errors import SourceError, SourceUnavailable, SourceUncertain
from rotator.model.events import Event, SourceRead
from rotator.model.lease import Owner
from rotator.model.secret import Grant, Probe, Secret, SecretRef
from rotator.model.source import Finding
from rotator.ports import Observer
from rotator.sources.reader import Reader

T = TypeVar("T")

AT_ONCE = 8
"""Calls in progress in one source. Also the limit for abandoned calls whose threads still hang."""
LONGEST_CLOSING = 3.0
"""Seconds. A reader gives up by itself before that, unless something hangs that it can't bound."""


class ThreadedSource:
    """Implements the core's Source with a Reader.

    Its threads are daemon threads instead of an executor's: a call that hangs must delay neither
    another source nor the end of the process, and the interpreter waits for executors.
    """

    def __init__(
        self,
        name: str,
        reader: Reader,
        timeout: float,
        observe: Observer,
        *,
        closing: float = LONGEST_CLOSING,
    ) -> None:
        """Seconds: `timeout` limits one call once it has a thread, `closing` limits `aclose`."""
        self._name = name
        self._reader = reader
        self._timeout = timeout
        self._closing = closing
        self._observe = observe
        self._places = asyncio.Semaphore(AT_ONCE)
        self._hanging = 0

    @property
    def name(self) -> str:
        return self._name

    async def read(self, ref: SecretRef) -> Secret:
        return await self._observed("read", ref.path, lambda: self._reader.read(ref))

    async def read_all(
        self, refs: Collection[SecretRef]
    ) -> Mapping[SecretRef, Secret | SourceError]:
        groups = [self._read_group(group) for group in self._reader.groups(refs)]
        answers: dict[SecretRef, Secret | SourceError] = {}
        for answered in await asyncio.gather(*groups):
            answers |= answered
        return answers

    async def probe(self, ref: SecretRef) -> Probe:
        return await self._observed("probe", ref.path, lambda: self._reader.probe(ref))

    async def renew(self, lease: str, seconds: float) -> Grant:
        return await self._observed("renew", lease, lambda: self._reader.renew(lease, seconds))

    async def revoke(self, lease: str) -> None:
        await self._observed("revoke", lease, lambda: self._reader.revoke(lease))

    async def keep_alive(self) -> Owner | None:
        return await self._in_thread("", self._reader.keep_alive)

    async def examine(
        self, refs: Collection[SecretRef], watched: Collection[SecretRef]
    ) -> tuple[Finding, ...]:
        asked = 1 + len(refs) + len(watched)  # one after another, each within its own timeout
        return await self._observed(
            "examine", "", lambda: self._reader.examine(refs, watched), self._timeout * asked
        )

    async def aclose(self) -> None:
        """Closes the reader in a thread, since giving a token back waits for the server. Raises
        nothing."""
        with suppress(SourceError):  # it is late; its thread ends with the process
            await self._threaded("", self._reader.close, self._closing)

    async def _read_group(
        self, refs: tuple[SecretRef, ...]
    ) -> Mapping[SecretRef, Secret | SourceError]:
        """One call, with one event for each secret. Each of them took as long as the call."""
        async with self._places:
            started = monotonic()
            answers: Mapping[SecretRef, Secret | SourceError] = {}
            try:
                answers = await self._in_thread(refs[0].path, lambda: self._reader.read_group(refs))
            except SourceError as error:
                answers = {ref: type(error)(self._name, ref.path, error.message) for ref in refs}
            finally:
                for ref in refs:
                    self._tell("read", started, answers.get(ref, SourceUnavailable))
            return answers

    async def _observed(
        self, operation: str, path: str, call: Callable[[], T], seconds: float | None = None
    ) -> T:
        async with self._places:
            started = monotonic()
            outcome: object = SourceUnavailable
            try:
                outcome = answer = await self._in_thread(path, call, seconds)
            except SourceError as error:
                outcome = error
                raise
            else:
                return answer
            finally:
                self._tell(operation, started, outcome)

    def _tell(self, operation: str, started: float, outcome: object) -> None:
        """`outcome` is the answer, the error, or SourceUnavailable where nobody waited for it."""
        result, reason = "ok", ""
        if isinstance(outcome, SourceError):
            result, reason = outcome.result, str(outcome)
        elif outcome is SourceUnavailable:
            result = SourceUnavailable.result
        self._observe(SourceRead(self._name, operation, result, monotonic() - started, reason))

    async def _in_thread(self, path: str, call: Callable[[], T], seconds: float | None = None) -> T:
        seconds = self._timeout if seconds is None else seconds
        if self._hanging >= AT_ONCE:
            raise SourceUnavailable(
                self._name, path, f"{self._hanging} earlier calls still hang; not asked again"
            )
        return await self._threaded(path, call, seconds)

    async def _threaded(self, path: str, call: Callable[[], T], seconds: float) -> T:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def settle(finish: Callable[[], None]) -> None:
            if done.cancelled():
                self._hanging -= 1
            else:
                finish()

        def work() -> None:
            try:
                answer = call()
            except SourceError as error:
                finish = _with(done.set_exception, error)
            except Exception as error:  # noqa: BLE001 - a defect, whose text may hold a value
                finish = _with(done.set_exception, _defect(self._name, path, error))
            else:
                finish = _with(done.set_result, answer)
                if done.cancelled():
                    self._take_back(answer)
            try:
                loop.call_soon_threadsafe(settle, finish)
            except RuntimeError:
                return  # the loop has ended, and with it whoever waited

        try:
            # In the context of who asks, so that a login tells which run it was for.
            threading.Thread(
                target=copy_context().run, args=(work,), name=f"source {self._name}", daemon=True
            ).start()
        except RuntimeError:
            raise SourceUnavailable(
                self._name, path, "the machine lets rotator start no more threads"
            ) from None
        try:
            async with asyncio.timeout(seconds):
                try:
                    return await done
                finally:
                    if done.cancelled():
                        self._hanging += 1
        except TimeoutError:
            raise SourceUncertain(self._name, path, f"no answer within {seconds:g} s") from None

    def _take_back(self, answer: object) -> None:
        """Revokes the lease of an answer that came too late."""
        if isinstance(answer, Secret) and answer.lease is not None:
            try:
                self._reader.revoke(answer.lease.id)
            except SourceError:
                return  # it ends by itself; the ledger says that it was asked for


def on_this_loop(observe: Observer) -> Observer:
    """For threads: an observer that calls `observe` in the loop that runs now."""
    loop = asyncio.get_running_loop()

    def tell(event: Event) -> None:
        try:
            loop.call_soon_threadsafe(observe, event)
        except RuntimeError:
            return  # the loop has ended, and with it whoever listened

    return tell


def _with(action: Callable[[T], None], value: T) -> Callable[[], None]:
    return lambda: action(value)


def _defect(source: str, path: str, error: Exception) -> SourceError:
    """Says where an unexpected error happened, and leaves out its text."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return SourceError(
        source, path, f"unexpected {type(error).__name__} at {where}; please report it"
    )
