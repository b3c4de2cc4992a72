"""Blocking vendors behind an asynchronous seam: bounded threads, a total deadline, one observer."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Protocol, TypeVar

from rotator.errors import SourceError, SourceUnavailable
from rotator.model import Event, Secret, SecretRef, SourceRead
from rotator.ports import Observer

T = TypeVar("T")

AT_ONCE = 8
"""Calls under way in one source, and also those given up whose threads may still hang."""


class Reader(Protocol):
    """What a vendor's file implements: blocking, thread-safe, raises SourceError only."""

    def read(self, ref: SecretRef) -> Secret: ...

    def probe(self, ref: SecretRef) -> str: ...

    def close(self) -> None: ...


class ThreadedSource:
    """Fits the core's Source.

    Threads are daemons of their own rather than an executor's: a call that hangs must delay
    neither another source nor the end of the process, and the interpreter waits for executors.
    """

    def __init__(self, name: str, reader: Reader, timeout: float, observe: Observer) -> None:
        """`timeout` is the total deadline of one call, in seconds, once it has a thread."""
        self._name = name
        self._reader = reader
        self._timeout = timeout
        self._observe = observe
        self._places = asyncio.Semaphore(AT_ONCE)
        self._hanging = 0

    @property
    def name(self) -> str:
        return self._name

    async def read(self, ref: SecretRef) -> Secret:
        return await self._observed("read", ref, lambda: self._reader.read(ref))

    async def probe(self, ref: SecretRef) -> str:
        return await self._observed("probe", ref, lambda: self._reader.probe(ref))

    async def aclose(self) -> None:
        self._reader.close()

    async def _observed(self, operation: str, ref: SecretRef, call: Callable[[], T]) -> T:
        async with self._places:
            started = monotonic()
            result = "ok"
            try:
                return await self._in_thread(ref, call)
            except SourceError as error:
                result = error.result
                raise
            except asyncio.CancelledError:
                result = SourceUnavailable.result
                raise
            finally:
                self._observe(SourceRead(self._name, operation, result, monotonic() - started))

    async def _in_thread(self, ref: SecretRef, call: Callable[[], T]) -> T:
        if self._hanging >= AT_ONCE:
            raise SourceUnavailable(
                self._name, ref.path, f"{self._hanging} earlier calls still hang; not asked again"
            )
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
                finish = _with(done.set_exception, _defect(self._name, ref, error))
            else:
                finish = _with(done.set_result, answer)
            try:
                loop.call_soon_threadsafe(settle, finish)
            except RuntimeError:
                return  # the loop has ended, and with it whoever waited

        try:
            threading.Thread(target=work, name=f"source {self._name}", daemon=True).start()
        except RuntimeError:
            raise SourceUnavailable(
                self._name, ref.path, "the machine lets rotator start no more threads"
            ) from None
        try:
            async with asyncio.timeout(self._timeout):
                try:
                    return await done
                finally:
                    if done.cancelled():
                        self._hanging += 1
        except TimeoutError:
            raise SourceUnavailable(
                self._name, ref.path, f"no answer within {self._timeout:g} s"
            ) from None


def on_this_loop(observe: Observer) -> Observer:
    """For threads: what they tell reaches `observe` in the loop that runs now."""
    loop = asyncio.get_running_loop()

    def tell(event: Event) -> None:
        try:
            loop.call_soon_threadsafe(observe, event)
        except RuntimeError:
            return  # the loop has ended, and with it whoever listened

    return tell


def _with(action: Callable[[T], None], value: T) -> Callable[[], None]:
    return lambda: action(value)


def _defect(source: str, ref: SecretRef, error: Exception) -> SourceError:
    """Names the place of what should not happen; never its text."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return SourceError(
        source, ref.path, f"unexpected {type(error).__name__} at {where}; please report it"
    )
