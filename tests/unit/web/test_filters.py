"""Which connections the page shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rotator.web.filters import PAGE_SIZE, Filters, find
from rotator.web.views import ConnectionView

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def view(name: str, phase: str | None = "READY", days: float = 1, **more: str) -> ConnectionView:
    return ConnectionView(
        target=more.get("target", "prod"),
        connection=name,
        rotation=more.get("rotation", "openai"),
        phase=phase,
        stage="verified",
        # An order by age goes by what is in place, verified or not.
        rotated_at=None,
        put_at=NOW - timedelta(days=days) if days else None,
        verified_at=None,
        secret_version=None,
        error=more.get("error"),
        run=None,
        type=more.get("type"),
    )


VIEWS = (
    view("chat-1", days=3),
    view("Chat-2", "INVALID_AUTH", days=2, target="test"),
    view("vision", None, days=0, type="VERTEXAI", rotation="vertex"),
)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["Chat-2", "chat-1", "vision"]),
        ({"search": "CHAT"}, ["Chat-2", "chat-1"]),
        ({"search": " chat-? "}, ["Chat-2", "chat-1"]),
        ({"search": "hat-*"}, []),
        ({"search": "[cv]*"}, ["Chat-2", "chat-1", "vision"]),
        ({"phase": "unknown"}, ["vision"]),
        ({"phase": "READY", "target": "test"}, []),
        ({"type": "VERTEXAI"}, ["vision"]),
        ({"rotation": "openai", "order": "name"}, ["Chat-2", "chat-1"]),
        ({"order": "oldest"}, ["vision", "chat-1", "Chat-2"]),
        ({"order": "newest"}, ["Chat-2", "chat-1", "vision"]),
        ({"order": "upside-down", "page": "-1", "color": "red"}, ["Chat-2", "chat-1", "vision"]),
        ({"search": "x" * 10_000}, []),
    ],
)
def test_filters_and_orders_select_connections(query: dict[str, str], names: list[str]) -> None:
    found = find(Filters.of(query), VIEWS)
    assert [shown.connection for shown in found.shown] == names
    assert found.total == len(names)


@pytest.mark.parametrize(
    ("asked", "page", "shown"),
    [("1", 1, 100), ("3", 3, 50), ("4", 3, 50), ("0", 1, 100), ("²", 1, 100), ("9" * 9, 1, 100)],
)
def test_pages(asked: str, page: int, shown: int) -> None:
    views = [view(f"n-{number:03d}") for number in range(250)]
    found = find(Filters.of({"page": asked}), views)
    assert (found.page, found.pages, len(found.shown), found.total) == (page, 3, shown, 250)
    assert found.shown[0].connection == f"n-{(page - 1) * PAGE_SIZE:03d}"


def test_an_address_holds_what_differs_from_the_default() -> None:
    assert Filters().address() == "./#connections"
    assert Filters(page=3).address(page=1) == "./#connections"
    odd = Filters(search="a&b=\ud800 ü", order="oldest").address(page=2)
    assert odd == "./?search=a%26b%3D%3F+%C3%BC&order=oldest&page=2#connections"


def test_no_time_at_all_is_the_oldest_of_all() -> None:
    assert find(Filters(order="newest"), VIEWS).shown[-1].connection == "vision"
