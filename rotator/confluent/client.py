"""The connections of one Confluent Cloud environment, over sql/v1."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from urllib.parse import quote, urlencode

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential_jitter,
)

from rotator import __version__
from rotator.config.models import TargetConfig
from rotator.confluent.authorization import Authorization
from rotator.confluent.documents import (
    Foreign,
    Malformed,
    Page,
    collection_path,
    complaint,
    page,
    patch_document,
    update_document,
    version_in_answer,
)
from rotator.confluent.throttle import Throttle
from rotator.confluent.transport import HttpAnswer, Transport, TransportError, Withheld
from rotator.errors import (
    KeyRefused,
    TargetError,
    TargetRefused,
    TargetUnavailable,
    UpdateConflict,
    UpdateUncertain,
    UpdateWithheld,
    ValueUnavailable,
)
from rotator.http.dates import clock_ahead
from rotator.model.connection import Connection
from rotator.model.credential import Credential
from rotator.model.events import RequestAnswered
from rotator.ports import Clock, Observer

PAGE_SIZE = 100
"""The most that the API gives."""
MOST_PAGES = 1000
MOST_ODD_ANSWERS = 5
"""A proxy's page may come once; one that keeps coming is a wrong address."""
PATIENCE = 20.0
"""Seconds that one request is tried again, before the target counts as unavailable."""
COMPARED_EVERY = 30.0
"""Seconds between two looks at the target's clock."""

Authorize = Callable[[], Awaitable[Authorization]]


class FlinkTarget:
    """Fits the core's Target; raises TargetError and nothing else."""

    def __init__(
        self,
        name: str,
        config: TargetConfig,
        authorize: Authorize,
        observe: Observer,
        clock: Clock,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """`authorize` looks the key up anew; it is asked at the start, and after a 401.

        `may_write` is asked at the very moment at which an update would leave.
        """
        self._name = name
        self._config = config
        self._authorize = authorize
        self._observe = observe
        self._clock = clock
        self._may_write = may_write
        self._path = collection_path(config.organization, config.environment)
        self._transport = Transport(
            config.url,
            concurrency=config.concurrency,
            timeout=config.timeout.total_seconds(),
            user_agent=f"rotator/{__version__}",
            ca_file=config.ca_file,
        )
        self._throttle = Throttle(config.requests_per_second, clock)
        self._gate = asyncio.Semaphore(config.concurrency)
        self._authorization: Authorization | None = None
        self._key_lock = asyncio.Lock()
        self._method = "PATCH" if config.update == "patch" else "PUT"
        self._pages: dict[str, str] = {}
        """Name of a connection → the page on which it was last seen."""
        self._compared_at = float("-inf")

    @property
    def name(self) -> str:
        return self._name

    async def aclose(self) -> None:
        await self._transport.aclose()

    # Reading

    async def connections(self, connection_type: str | None = None) -> tuple[Connection, ...]:
        query = {"page_size": str(PAGE_SIZE)}
        if connection_type is not None:
            query["spec.connection_type"] = connection_type
        found: dict[str, Connection] = {}
        visited: set[str] = set()
        following: str | None = f"{self._path}?{urlencode(query)}"
        while following is not None:
            if following in visited or len(visited) >= MOST_PAGES:
                raise TargetRefused(self._name, "the pages of its list never end")
            visited.add(following)
            read = await self._page(following)
            found.update((connection.name, connection) for connection in read.connections)
            following = read.next
        return tuple(found.values())

    async def look(self, names: Collection[str]) -> Mapping[str, Connection]:
        """Reads the pages on which the names were last seen, all at once; then, for those that
        moved, the whole list."""
        wanted = set(names)
        paths = {self._pages[name] for name in wanted if name in self._pages}
        found: dict[str, Connection] = {}
        for answer in await asyncio.gather(*(self._known_page(path) for path in paths)):
            found.update((c.name, c) for c in answer if c.name in wanted)
        if len(found) < len(wanted):
            found |= {c.name: c for c in await self.connections() if c.name in wanted}
        return found

    async def _known_page(self, path: str) -> tuple[Connection, ...]:
        try:
            return (await self._page(path)).connections
        except TargetRefused as error:
            # The token of a page may no longer be good; the whole list has new ones.
            if error.status not in {400, 404}:
                raise
            for name in [name for name, seen in self._pages.items() if seen == path]:
                del self._pages[name]
            return ()

    async def _page(self, path: str) -> Page:
        async for attempt in self._attempts():
            with attempt:
                answer = await self._ask("GET", path)
                if answer.status != 200:
                    raise self._refusal("listing its connections", answer)
                try:
                    read = page(self._name, self._config.url, answer.body)
                except Malformed as odd:
                    final = attempt.retry_state.attempt_number >= MOST_ODD_ANSWERS
                    raise self._odd("the list", odd, answer, final=final) from None
                self._pages.update((connection.name, path) for connection in read.connections)
                return read
        raise AssertionError("tenacity returns or raises")

    # Updating

    async def update(self, connection: Connection, credential: Credential) -> str | None:
        async for attempt in self._attempts():
            with attempt:
                answer = await self._send_update(connection, credential)
                return self._updated(connection, credential, answer)
        raise AssertionError("tenacity returns or raises")

    async def _send_update(self, connection: Connection, credential: Credential) -> HttpAnswer:
        path = f"{self._path}/{quote(connection.name, safe='')}"
        if self._method == "PUT":
            answer = await self._ask("PUT", path, update_document(connection, credential))
            if answer.status != 405 or self._config.update == "put":
                return answer
            self._method = "PATCH"
        document = patch_document(credential)
        return await self._ask("PATCH", path, document, "application/merge-patch+json")

    def _updated(
        self, connection: Connection, credential: Credential, answer: HttpAnswer
    ) -> str | None:
        what = f"updating connection {connection.name}"
        if answer.status in {409, 412}:
            raise UpdateConflict(
                self._name,
                f"{what}: it changed meanwhile",
                status=answer.status,
                request_id=answer.request_id,
            )
        if answer.status >= 500:
            raise UpdateUncertain(
                self._name,
                f"{what}: an error that doesn't say whether it was applied",
                status=answer.status,
                request_id=answer.request_id,
            )
        if not 200 <= answer.status < 300:
            raise self._refusal(what, answer, credential)
        try:
            return version_in_answer(connection, answer.body)
        except Malformed as odd:
            said = "HTML, not the API's" if answer.is_html else str(odd)
            raise UpdateUncertain(
                self._name,
                f"{what}: the answer is {said}",
                status=answer.status,
                request_id=answer.request_id,
            ) from None

    # One request

    def _attempts(self) -> AsyncRetrying:
        """Capped exponential backoff with jitter, for what surely changed nothing."""
        return AsyncRetrying(
            sleep=self._clock.sleep,
            stop=stop_after_delay(PATIENCE),
            wait=wait_exponential_jitter(multiplier=0.1, max=10.0, jitter=0.2),
            retry=retry_if_exception_type(TargetUnavailable),
            reraise=True,
        )

    async def _ask(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        content_type: str = "application/json",
    ) -> HttpAnswer:
        """One answer that is neither a 429, nor a 401 that a fresh key could cure."""
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
            except Withheld:
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

    # Keys

    async def _present_key(self) -> Authorization:
        if self._authorization is not None:
            return self._authorization
        return await self._fresh_key(None)

    async def _fresh_key(self, used: Authorization | None) -> Authorization:
        """Looked up once, however many requests were refused with the same key."""
        async with self._key_lock:
            if self._authorization == used or self._authorization is None:
                try:
                    self._authorization = await self._authorize()
                except ValueUnavailable as missing:
                    raise KeyRefused(self._name, str(missing)) from None
            return self._authorization

    # Errors

    def _refusal(
        self, what: str, answer: HttpAnswer, credential: Credential | None = None
    ) -> TargetError:
        said = complaint(answer.body, credential)
        words = _REMEDIES.get(answer.status, "refused")
        if 300 <= answer.status < 400:
            words = "it redirects elsewhere, which is never followed; is its url right?"
            said = ""
        if answer.is_html:
            words = _HTML
        kind = KeyRefused if answer.status in {401, 403} else TargetRefused
        return kind(
            self._name,
            f"{what}: {words}" + (f": {said}" if said else ""),
            status=answer.status,
            request_id=answer.request_id,
        )

    def _odd(self, what: str, odd: Malformed, answer: HttpAnswer, *, final: bool) -> TargetError:
        words = _HTML if answer.is_html else f"{what} is not as the API's: {odd}"
        kind = TargetRefused if final or isinstance(odd, Foreign) else TargetUnavailable
        return kind(self._name, words, status=answer.status, request_id=answer.request_id)


_HTML = "it answers HTML, not the API; is its url right, is a proxy in between?"
_REMEDIES = {
    400: "it takes the request for wrong",
    401: "it doesn't know the key; check auth, and that a Flink key is of this region",
    403: "the key may not do this; it needs FlinkAdmin, EnvironmentAdmin or OrganizationAdmin",
    404: "not found; check organization, environment and the region in url",
    405: "it doesn't take this kind of update; set update: patch or auto",
}
