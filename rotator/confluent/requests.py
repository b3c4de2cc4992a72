"""Sends requests to one target: at its pace, with its key, and again where nothing was applied."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential_jitter,
)

from rotator import __version__
from rotator.confluent.authorization import Authorization
from rotator.confluent.settings import TargetSettings
from rotator.confluent.throttle import Throttle
from rotator.confluent.transport import HttpAnswer, RequestWithheld, Transport, TransportError
from rotator.errors import (
    KeyRefused,
    TargetUnavailable,
    UpdateUncertain,
    UpdateWithheld,
    ValueUnavailable,
)
from rotator.http.dates import clock_ahead
from rotator.model.events import RequestAnswered
from rotator.ports import Clock, Observer

PATIENCE = 20.0
"""Seconds for which a request is tried again before the target counts as unavailable."""
COMPARED_EVERY = 30.0
"""Seconds between two comparisons with the target's clock."""

Authorize = Callable[[], Awaitable[Authorization]]


class Requests:
    """The requests of one target. They raise TargetError and nothing else."""

    def __init__(
        self,
        name: str,
        settings: TargetSettings,
        authorize: Authorize,
        observe: Observer,
        clock: Clock,
        may_write: Callable[[], bool],
    ) -> None:
        self._name = name
        self._authorize = authorize
        self._observe = observe
        self._clock = clock
        self._may_write = may_write
        self._transport = Transport(
            settings.url,
            concurrency=settings.concurrency,
            timeout=settings.timeout,
            user_agent=f"rotator/{__version__}",
            ca_file=settings.ca_file,
        )
        self._throttle = Throttle(settings.requests_per_second, clock)
        self._gate = asyncio.Semaphore(settings.concurrency)
        self._authorization: Authorization | None = None
        self._key_lock = asyncio.Lock()
        self._compared_at = float("-inf")

    async def aclose(self) -> None:
        await self._transport.aclose()

    def attempts(self) -> AsyncRetrying:
        """Capped exponential backoff with jitter, for requests that certainly changed nothing."""
        return AsyncRetrying(
            sleep=self._clock.sleep,
            stop=stop_after_delay(PATIENCE),
            wait=wait_exponential_jitter(multiplier=0.1, max=10.0, jitter=0.2),
            retry=retry_if_exception_type(TargetUnavailable),
            reraise=True,
        )

    async def ask(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        content_type: str = "application/json",
    ) -> HttpAnswer:
        """Ask once, and once more where the key was replaced. Never answers with a 429."""
        used = await self._present_key()
        answer = await self._once(method, path, content, content_type, used)
        if answer.status == 401:
            fresh = await self._fresh_key(used)
            if fresh != used:
                answer = await self._once(method, path, content, content_type, fresh)
        if answer.status == 429:
            raise TargetUnavailable(
                self._name, "its rate limit holds", status=429, request_id=answer.request_id
            )
        if answer.status >= 500 and method == "GET":
            raise TargetUnavailable(
                self._name,
                "it does not answer as it should",
                status=answer.status,
                request_id=answer.request_id,
            )
        return answer

    async def _once(
        self,
        method: str,
        path: str,
        content: bytes | None,
        content_type: str,
        authorization: Authorization,
    ) -> HttpAnswer:
        async with self._gate:
            departure = await self._throttle.leave()
            started = self._clock.monotonic()
            try:
                answer = await self._transport.send(
                    method,
                    path,
                    authorization=authorization.header,
                    content=content,
                    content_type=content_type,
                    may_leave=None if method == "GET" else self._may_write,
                )
            except RequestWithheld:
                self._throttle.lost()
                raise UpdateWithheld(
                    self._name, "not sent: this process may not write any more"
                ) from None
            except TransportError as trouble:
                self._throttle.lost()
                self._tell(method, "timeout" if trouble.timeout else "error", started)
                if method != "GET" and trouble.sent:
                    raise UpdateUncertain(self._name, trouble.kind) from None
                raise TargetUnavailable(self._name, trouble.kind) from None
            except BaseException:
                self._throttle.lost()
                raise
            self._throttle.answered(departure, answer.status, answer.headers)
            self._tell(method, str(answer.status), started, answer)
            return answer

    def _tell(
        self, method: str, status: str, started: float, answer: HttpAnswer | None = None
    ) -> None:
        now = self._clock.monotonic()
        ahead = request_id = None
        if answer is not None:
            request_id = answer.request_id
            if now >= self._compared_at + COMPARED_EVERY:
                ahead = clock_ahead(answer.headers.get("date"), self._clock.now())
                self._compared_at = now
        self._observe(RequestAnswered(self._name, method, status, now - started, request_id, ahead))

    async def _present_key(self) -> Authorization:
        if self._authorization is not None:
            return self._authorization
        return await self._fresh_key(None)

    async def _fresh_key(self, used: Authorization | None) -> Authorization:
        """Look the key up once, however many requests were refused with the same key."""
        async with self._key_lock:
            if self._authorization == used or self._authorization is None:
                try:
                    self._authorization = await self._authorize()
                except ValueUnavailable as missing:
                    raise KeyRefused(self._name, str(missing)) from None
            return self._authorization
