"""Notifications of Vault Enterprise are hints: heard, checked for their shape, not relied on."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterator
from logging.handlers import QueueHandler

import pytest

from rotator.errors import SourceUnavailable
from rotator.sources.vault_events import Events, changed_path
from tests.support.vault_events import EventsServer, events_running, notification
from tests.support.waiting import DEADLINE

Opened = Callable[..., tuple[Events, "queue.Queue[str]"]]


@pytest.fixture
def server() -> Iterator[EventsServer]:
    with events_running() as server:
        yield server


@pytest.fixture
def listen() -> Iterator[Opened]:
    opened: list[Events] = []

    def start(
        server: EventsServer, token: Callable[[], str] = lambda: "canary-token", **more: str
    ) -> tuple[Events, queue.Queue[str]]:
        hints: queue.Queue[str] = queue.Queue()
        events = Events("vault", server.url, token, hints.put, **more)  # type: ignore[arg-type] # namespace alone
        opened.append(events)
        events.start()
        return events, hints

    yield start
    for events in opened:
        events.close()


def test_a_change_is_told_by_its_path(server: EventsServer, listen: Opened) -> None:
    _, hints = listen(server)
    assert hints.get(timeout=DEADLINE) == "", "what came before the connection, nobody heard"
    server.send(notification("kv-v2/data-write", "kv/data/a", data_path="kv/data/a"))
    server.send(notification("kv-v2/metadata-read", "kv/metadata/a"))
    server.send("no JSON")
    server.send(notification("kv-v1/write", "kv1/b"))
    assert [hints.get(timeout=DEADLINE) for _ in range(2)] == ["kv/data/a", "kv1/b"]


def test_a_connection_that_ends_is_made_again(server: EventsServer, listen: Opened) -> None:
    _, hints = listen(server)
    assert hints.get(timeout=DEADLINE) == ""
    server.drop()
    assert hints.get(timeout=DEADLINE) == "", "look once: events in between are lost"
    server.send(notification("kv-v2/data-write", "kv/data/a"))
    assert hints.get(timeout=DEADLINE) == "kv/data/a"


def test_the_namespace_goes_along(listen: Opened) -> None:
    with events_running(namespace="platform") as server:
        _, hints = listen(server, namespace="platform")
        assert hints.get(timeout=DEADLINE) == ""


def test_where_there_are_no_events_it_is_said_once(
    listen: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), events_running(status=404) as server:
        events, hints = listen(server)
        thread = events._thread
        assert thread is not None
        thread.join(DEADLINE)
        assert not thread.is_alive(), "404 is not going to change"
        assert server.refused == [404]
        events.start()
        assert server.refused == [404]
    assert hints.empty()
    assert [record.getMessage() for record in caplog.records] == ["source.events"]


def test_a_refused_token_stays_out_of_the_log(server: EventsServer, listen: Opened) -> None:
    told: queue.Queue[logging.LogRecord] = queue.Queue()
    logger, handler = logging.getLogger("rotator.sources"), QueueHandler(told)
    logger.addHandler(handler)
    try:
        listen(server, lambda: "canary-wrong")
        record = told.get(timeout=DEADLINE)
    finally:
        logger.removeHandler(handler)
    assert server.refused == [403]
    assert "HTTP 403" in vars(record)["reason"]
    assert "canary" not in repr(vars(record))
    assert told.empty()


def test_a_login_that_fails_is_tried_again(server: EventsServer, listen: Opened) -> None:
    sealed = SourceUnavailable("vault", "", "it is sealed")
    tokens: Iterator[SourceUnavailable | str] = iter([sealed, "canary-token"])

    def token() -> str:
        given = next(tokens)
        if isinstance(given, SourceUnavailable):
            raise given
        return given

    _, hints = listen(server, token)
    assert hints.get(timeout=DEADLINE) == ""


def test_closing_ends_the_thread_at_once(server: EventsServer, listen: Opened) -> None:
    events, hints = listen(server)
    assert hints.get(timeout=DEADLINE) == ""
    events.close()
    assert events._thread is not None
    events._thread.join(DEADLINE)
    assert not events._thread.is_alive()
    events.start()
    assert not events._thread.is_alive(), "closed for good"


@pytest.mark.parametrize(
    "message",
    [
        "",
        "[]",
        "null",
        "{}",
        '{"data": null}',
        '{"data": {"event_type": "kv-v2/data-write", "event": {"metadata": {}}}}',
        '{"data": {"event_type": "kv-v2/data-write", "event": {"metadata": {"path": 5}}}}',
        notification("kv-v2/data-read", "kv/data/a"),
        b"\xff\xfe",
    ],
)
def test_what_is_no_change_of_a_secret(message: str | bytes) -> None:
    assert changed_path(message) is None
