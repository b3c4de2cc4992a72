"""The filters of the page: which connections, in which order, and which page of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlencode

from rotator.web.views import ConnectionView

PAGE_SIZE = 100
_LONGEST = 200
"""The most characters of a parameter. No name is longer."""

_NEVER = datetime.min.replace(tzinfo=UTC)
ORDERS: Mapping[str, tuple[str, Callable[[ConnectionView], Any]]] = {
    "attention": ("what needs attention first", lambda view: not view.needs_attention),
    "name": ("by name", lambda _: 0),
    "oldest": ("oldest credential first", lambda view: view.put_at or _NEVER),
    "newest": ("newest credential first", lambda view: -(view.put_at or _NEVER).timestamp()),
}
"""Word in the query → words for people, and what is compared before the name."""


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters in the query of a page. An empty one lets all pass."""

    search: str = ""
    """A part of the name in any case, or a glob for all of it."""
    phase: str = ""
    type: str = ""
    target: str = ""
    rotation: str = ""
    order: str = "attention"
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filters:
        """The filters of a query, without those that make no sense."""
        names = {field.name for field in fields(cls)} - {"page", "order"}
        texts = {name: query.get(name, "").strip()[:_LONGEST] for name in names}
        order = query.get("order", "")
        page = query.get("page", "")
        return cls(
            **texts,
            order=order if order in ORDERS else "attention",
            page=int(page) if page.isascii() and page.isdecimal() and len(page) < 7 else 1,
        )

    @property
    def narrow(self) -> bool:
        return bool(self.search or self.phase or self.type or self.target or self.rotation)

    def wants(self, view: ConnectionView) -> bool:
        return (
            self.phase in {"", view.phase or "unknown"}
            and self.type in {"", view.type}
            and self.target in {"", view.target}
            and self.rotation in {"", view.rotation}
            and self._finds(view.connection)
        )

    def _finds(self, name: str) -> bool:
        if any(character in self.search for character in "*?["):
            return fnmatchcase(name.lower(), self.search.lower())
        return self.search.lower() in name.lower()

    def address(self, **changes: Any) -> str:
        """A relative URL, since the page may be behind a proxy under another path."""
        wanted = replace(self, **changes)
        standard = Filters()
        given = {
            field.name: getattr(wanted, field.name)
            for field in fields(wanted)
            if getattr(wanted, field.name) != getattr(standard, field.name)
        }
        query = urlencode(given, errors="replace")
        return f"./?{query}#connections" if query else "./#connections"


@dataclass(frozen=True, slots=True)
class Found:
    """One page of the connections that pass the filters."""

    shown: Sequence[ConnectionView]
    total: int
    page: int
    pages: int

    @property
    def first(self) -> int:
        return (self.page - 1) * PAGE_SIZE + 1


def find(filters: Filters, views: Iterable[ConnectionView]) -> Found:
    """The page. A number beyond the last gives the last: since the link was made, some may be
    gone."""
    _, key = ORDERS[filters.order]
    wanted = sorted(
        (view for view in views if filters.wants(view)),
        key=lambda view: (key(view), view.connection, view.target),
    )
    pages = max(1, -(-len(wanted) // PAGE_SIZE))
    page = min(max(1, filters.page), pages)
    begin = (page - 1) * PAGE_SIZE
    return Found(wanted[begin : begin + PAGE_SIZE], len(wanted), page, pages)
