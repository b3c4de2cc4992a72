"""The connections of one Confluent Cloud environment, over sql/v1."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from rotator.confluent import types
from rotator.confluent.documents import (
    Malformed,
    Page,
    collection_path,
    one_connection,
    page,
    patch_document,
    says_missing,
    update_document,
    version_in_answer,
)
from rotator.confluent.pages import PageIndex
from rotator.confluent.refusals import odd_answer, odd_update, refusal, update_error
from rotator.confluent.requests import Authorize, Requests
from rotator.confluent.settings import TargetSettings
from rotator.confluent.transport import HttpAnswer
from rotator.confluent.update_form import UpdateForm, UpdateForms
from rotator.errors import TargetRefused
from rotator.model.connection import Connection
from rotator.model.credential import AuthData, Credential
from rotator.ports import Clock, Observer

__all__ = ["Authorize", "FlinkTarget"]

PAGE_SIZE = 100
"""The largest page that the API gives."""
MOST_PAGES = 1000
MOST_ODD_ANSWERS = 5
"""Answers in a row that are not the API's. A proxy may answer once with a page of its own; if it
goes on, the address is wrong."""

T = TypeVar("T")


class FlinkTarget:
    """Implements the core's Target. Its requests raise TargetError and nothing else."""

    def __init__(
        self,
        name: str,
        settings: TargetSettings,
        authorize: Authorize,
        observe: Observer,
        clock: Clock,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """`authorize` looks up the key. It is called at the start, and again after a 401.

        `may_write` is called at the very moment at which an update would leave.
        """
        self._name = name
        self._settings = settings
        self._clock = clock
        self._path = collection_path(settings.organization, settings.environment)
        self._requests = Requests(name, settings, authorize, observe, clock, may_write)
        self._forms = UpdateForms(settings.update)
        self._pages = PageIndex()

    @property
    def name(self) -> str:
        return self._name

    @property
    def environment(self) -> str:
        return self._settings.environment

    @property
    def concurrency(self) -> int:
        return self._settings.concurrency

    async def aclose(self) -> None:
        await self._requests.aclose()

    # Credentials

    def takes(self, connection_type: str, options: Collection[str]) -> bool:
        return types.fit(connection_type, options) is not None

    def auth_data(self, connection_type: str, values: Mapping[str, str]) -> AuthData:
        return types.auth_data(connection_type, values)

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
        if connection_type is None:
            self._pages.keep_only(found)
        return tuple(found.values())

    async def look(self, names: Collection[str]) -> Mapping[str, Connection]:
        """Read the pages on which the names were last seen, all at once. If some have moved, read
        the whole list. Ask by name for those that are still missing."""
        wanted = set(names)
        found: dict[str, Connection] = {}
        known = self._pages.pages(wanted)
        for answer in await _all(self._known_page(path) for path in known):
            found.update((c.name, c) for c in answer if c.name in wanted)
        if found.keys() != wanted:
            found |= {c.name: c for c in await self.connections() if c.name in wanted}
        if found.keys() != wanted:
            found |= await self.find(wanted - found.keys())
        return found

    async def find(self, names: Collection[str]) -> Mapping[str, Connection]:
        answers = await _all(self._one(name) for name in names)
        return {connection.name: connection for connection in answers if connection is not None}

    async def _known_page(self, path: str) -> tuple[Connection, ...]:
        try:
            return (await self._page(path)).connections
        except TargetRefused as error:
            # The token of a page may no longer be good; the whole list has new ones.
            if error.status not in {400, 404}:
                raise
            self._pages.forget(path)
            return ()

    async def _page(self, path: str) -> Page:
        def read(answer: HttpAnswer) -> Page:
            if answer.status != 200:
                raise refusal(self._name, "listing its connections", answer)
            return page(self._name, self._settings.url, answer.body)

        found = await self._read(path, "the list", read)
        self._pages.saw(path, [connection.name for connection in found.connections])
        return found

    async def _one(self, name: str) -> Connection | None:
        """The connection; None where the target says that it doesn't exist."""
        what = f"reading connection {name}"

        def read(answer: HttpAnswer) -> Connection | None:
            if answer.status == 404 and says_missing(answer.body):
                return None
            if answer.status != 200:
                raise refusal(self._name, what, answer)
            return one_connection(self._name, name, answer.body)

        return await self._read(self._address(name), f"connection {name}", read)

    async def _read(self, path: str, what: str, read: Callable[[HttpAnswer], T]) -> T:
        """Ask until `read` takes the answer. It raises Malformed for one that isn't the API's."""
        async for attempt in self._requests.attempts():
            with attempt:
                answer = await self._requests.ask("GET", path)
                try:
                    return read(answer)
                except Malformed as odd:
                    final = attempt.retry_state.attempt_number >= MOST_ODD_ANSWERS
                    raise odd_answer(self._name, what, odd, answer, final=final) from None
        raise AssertionError("tenacity returns or raises")

    # Updating

    async def update(self, connection: Connection, credential: Credential) -> str | None:
        what = f"updating connection {connection.name}"
        async for attempt in self._requests.attempts():
            with attempt:
                answer = await self._send_update(connection, credential)
                error = update_error(self._name, what, answer, credential)
                if error is not None:
                    raise error
                try:
                    return version_in_answer(connection, answer.body)
                except Malformed as odd:
                    raise odd_update(self._name, what, odd, answer) from None
        raise AssertionError("tenacity returns or raises")

    async def _send_update(self, connection: Connection, credential: Credential) -> HttpAnswer:
        """Send in the form that the target takes, or in another one after a 400 or 405."""
        versioned = connection.resource_version is not None
        tried: tuple[UpdateForm, ...] = ()
        form: UpdateForm | None = self._forms.first(self._clock.monotonic())
        while form is not None:
            answer = await self._in_form(form, connection, credential)
            tried = (*tried, form)
            now = self._clock.monotonic()
            form = self._forms.after(tried, answer.status, now, versioned=versioned)
        return answer

    async def _in_form(
        self, form: UpdateForm, connection: Connection, credential: Credential
    ) -> HttpAnswer:
        path = self._address(connection.name)
        if form is UpdateForm.PUT:
            return await self._requests.ask("PUT", path, update_document(connection, credential))
        version = connection.resource_version if form is UpdateForm.PATCH else None
        document = patch_document(credential, version)
        return await self._requests.ask("PATCH", path, document, "application/merge-patch+json")

    def _address(self, name: str) -> str:
        return f"{self._path}/{quote(name, safe='')}"


async def _all(reads: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all at once. Where one fails, the others are cancelled."""
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
