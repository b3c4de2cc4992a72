"""One figure, and the limit that it must keep."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: float
    limit: float
    unit: str

    @property
    def holds(self) -> bool:
        return self.value <= self.limit

    def __str__(self) -> str:
        mark = "ok  " if self.holds else "MISS"
        return f"{mark}  {self.name:<62} {self.value:>9.2f} {self.unit:<9} limit {self.limit:g}"
