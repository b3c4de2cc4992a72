"""Blocking vendors behind an asynchronous seam: bounded threads, a total deadline, one observer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol, TypeVar

from rotator.errors import SourceError, SourceUnavailable
from rotator.model import Secret, SecretRef, SourceRead
from rotator.ports import Observer

T = TypeVar("T")

AT_ONCE = 8
"""Calls under way in one source."""


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
        """`timeout` is the total deadline of one call, in seconds."""
        self._name = name
        self._reader = reader
        self._timeout = timeout
        self._observe = observe
        self._places = asyncio.Semaphore(AT_ONCE)

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
        started, result = monotonic(), "error"
        try:
            async with self._places, asyncio.timeout(self._timeout):
                answer = await _in_thread(call)
        except TimeoutError:
            result = SourceUnavailable.result
            raise SourceUnavailable(
                self._name, ref.path, f"no answer within {self._timeout:g} s"
            ) from None
        except SourceError as error:
            result = error.result
            raise
        else:
            result = "ok"
            return answer
        finally:
            self._observe(SourceRead(self._name, operation, result, monotonic() - started))


async def _in_thread(call: Callable[[], T]) -> T:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(answer: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(answer)
        else:
            done.set_exception(error)

    def work() -> None:
        answer, failure = None, None
        try:
            answer = call()
        except BaseException as error:  # noqa: BLE001 - handed to the waiting coroutine
            failure = error
        try:
            loop.call_soon_threadsafe(settle, answer, failure)
        except RuntimeError:
            return  # the loop has ended, and with it whoever waited

    threading.Thread(target=work, name="source", daemon=True).start()
    return await done
