"""The faults between a client and an API, on order or by chance."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import ConfigDict, Field, with_config


class FaultKind(StrEnum):
    """What goes wrong. A docstring says what the client sees."""

    # The request is not acted on.
    ERROR_500 = "error-500"
    ERROR_502 = "error-502"
    """HTML, as a proxy writes it."""
    ERROR_503 = "error-503"
    ODD_ERROR = "odd-error"
    """500 with `{"error": {"code", "message"}}`."""
    UNAUTHORIZED = "unauthorized"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    """A PUT of a connection gets a 405."""
    CONFLICT = "conflict"
    """An update gets a 409."""
    THROTTLED = "throttled"
    """429; with Retry-After if `retry_after` is given."""
    RESET = "reset"
    HANG = "hang"
    """No answer until the client leaves."""
    HTML = "html"
    """200 with a page, as a portal writes it."""
    EMPTY = "empty"
    """200 with nothing, from a proxy that never passed the request on."""
    FOREIGN = "foreign"
    """200 with a JSON document of another kind."""
    REDIRECT = "redirect"
    """307 to `location`."""
    # The request is acted on, and its answer is spoilt.
    ERROR_AFTER = "error-after"
    """500."""
    RESET_AFTER = "reset-after"
    HANG_AFTER = "hang-after"
    TRUNCATED = "truncated"
    """The connection closes in the middle of the answer."""
    BROKEN_JSON = "broken-json"
    """Half a document, in an answer that is complete by its Content-Length."""
    DRIP = "drip"
    """One byte each `seconds`."""
    OVERSIZED = "oversized"
    """200 with `size` bytes."""
    # Only updates of connections: somebody else acts on the connection at the same time.
    FOREIGN_WRITE = "foreign-write"
    """The update is applied; then another credential is put, before the answer leaves."""
    FOREIGN_WRITE_INSTEAD = "foreign-write-instead"
    """502; the update is not applied, but another credential is put."""
    DELETED = "deleted"
    """The update is applied; then the connection is deleted, before the answer leaves."""
    RECREATED = "recreated"
    """As `deleted`, and the connection is made again, with a new uid and another credential."""
    # Only lists; `duplicate` and `skip` only from the second page on.
    FOREIGN_NEXT = "foreign-next"
    """metadata.next points to `location`."""
    DUPLICATE = "duplicate"
    """The last item of the page before stands on this one as well."""
    SKIP = "skip"
    """The first item of the page is missing: it moved to the page before while that was read."""
    UNLISTED = "unlisted"
    """The connection of this `path` is missing from the page that should hold it, and so from the
    whole list, although it exists. Counted by the pages that lack it."""


BY_OTHERS = frozenset(
    {
        FaultKind.FOREIGN_WRITE,
        FaultKind.FOREIGN_WRITE_INSTEAD,
        FaultKind.DELETED,
        FaultKind.RECREATED,
    }
)
"""What somebody else does while a connection is updated."""
UPDATES_ONLY = frozenset({FaultKind.CONFLICT, *BY_OTHERS})
PUTS_ONLY = frozenset({FaultKind.METHOD_NOT_ALLOWED})
LISTS_ONLY = frozenset({FaultKind.FOREIGN_NEXT, FaultKind.DUPLICATE, FaultKind.SKIP})
ACTED_ON = frozenset(
    {
        FaultKind.ERROR_AFTER,
        FaultKind.RESET_AFTER,
        FaultKind.HANG_AFTER,
        FaultKind.TRUNCATED,
        FaultKind.BROKEN_JSON,
        FaultKind.DRIP,
        FaultKind.OVERSIZED,
        *BY_OTHERS,
        *LISTS_ONLY,
    }
)


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault, ordered for the next requests that match it."""

    kind: FaultKind
    method: str | None = None
    path: str = "*"
    """A glob over the whole path, decoded: `*/connections/openai-001`. That of a connection also
    for `unlisted`."""
    times: Annotated[int, Field(ge=1)] | None = 1
    """How often it happens; None: until it is taken back."""
    after: Annotated[int, Field(ge=0)] = 0
    """How many matching requests pass first."""
    retry_after: Annotated[float, Field(ge=0)] | None = None
    seconds: Annotated[float, Field(ge=0)] = 0.1
    size: Annotated[int, Field(ge=0)] = 64 * 2**20
    location: str = "https://elsewhere.invalid/"
    value: str = "somebody-elses"
    """The value that somebody else puts for each key of the credential. One that contains "invalid"
    ends in INVALID_AUTH, as always."""

    def fits(self, method: str, path: str, *, listing: bool) -> bool:
        return (
            (self.method is None or self.method == method)
            and _possible(self.kind, method, listing=listing)
            and fnmatchcase(path, self.path)
        )


def _possible(kind: FaultKind, method: str, *, listing: bool) -> bool:
    """Whether the fault can happen to a whole request; `unlisted` happens to items of a list."""
    if kind is FaultKind.UNLISTED:
        return False
    if kind in UPDATES_ONLY:
        return method in {"PUT", "PATCH"}
    if kind in PUTS_ONLY:
        return method == "PUT"
    return listing if kind in LISTS_ONLY else True


class FaultPlan:
    """Decides which request gets which fault. Ordered faults come first, in their order; for all
    other requests chance decides.

    The chance is seeded: the same requests in the same order get the same faults.
    """

    def __init__(self, seed: int = 0) -> None:
        self._orders: list[Fault] = []
        self._counts: list[int] = []
        self._random = random.Random(seed)  # noqa: S311 -- faults, not keys

    def order(self, fault: Fault) -> None:
        self._orders.append(fault)
        self._counts.append(0)

    def orders(self) -> tuple[Fault, ...]:
        """The orders that are not used up."""
        return tuple(self._orders)

    def clear(self) -> None:
        self._orders.clear()
        self._counts.clear()

    def draw(
        self, method: str, path: str, *, listing: bool, rates: Mapping[FaultKind, float]
    ) -> Fault | None:
        for index, fault in enumerate(self._orders):
            if fault.fits(method, path, listing=listing) and self._is_due(index):
                return fault
        return self._chance(method, listing=listing, rates=rates) if rates else None

    def unlisted(self, paths: Iterable[str], rates: Mapping[FaultKind, float]) -> frozenset[str]:
        """Which of the items that a page should hold are missing from it, by their paths."""
        rate = rates.get(FaultKind.UNLISTED, 0.0)
        if not rate and all(fault.kind is not FaultKind.UNLISTED for fault in self._orders):
            return frozenset()
        return frozenset(
            path
            for path in paths
            if self._ordered_unlisted(path) or (rate and self._random.random() < rate)
        )

    def _ordered_unlisted(self, path: str) -> bool:
        return any(
            fault.kind is FaultKind.UNLISTED
            and fnmatchcase(path, fault.path)
            and self._is_due(index)
            for index, fault in enumerate(self._orders)
        )

    def _is_due(self, index: int) -> bool:
        """Count one more request that fits this order. The last one takes the order out."""
        fault = self._orders[index]
        self._counts[index] += 1
        count = self._counts[index]
        if count <= fault.after:
            return False
        if fault.times is not None and count == fault.after + fault.times:
            del self._orders[index], self._counts[index]
        return True

    def _chance(
        self, method: str, *, listing: bool, rates: Mapping[FaultKind, float]
    ) -> Fault | None:
        point = self._random.random()
        for kind, rate in rates.items():
            if not _possible(kind, method, listing=listing):
                continue
            if point < rate:
                return Fault(kind)
            point -= rate
        return None
