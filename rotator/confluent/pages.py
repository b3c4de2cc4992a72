"""Remembers on which page of the list each connection was last seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable


class PageIndex:
    """Name of a connection → the path of the page on which it was last seen.

    It is never larger than the list: a name is on one page, and a page without names is forgotten.
    """

    def __init__(self) -> None:
        self._page_of: dict[str, str] = {}
        self._names_on: dict[str, set[str]] = {}

    def pages(self, names: Iterable[str]) -> set[str]:
        """The pages on which these names were last seen."""
        return {self._page_of[name] for name in names if name in self._page_of}

    def saw(self, path: str, names: Iterable[str]) -> None:
        """This page holds these names, and no others."""
        self.forget(path)
        for name in names:
            self._drop(name)
            self._page_of[name] = path
            self._names_on.setdefault(path, set()).add(name)

    def forget(self, path: str) -> None:
        for name in tuple(self._names_on.get(path, ())):
            self._drop(name)

    def keep_only(self, names: Collection[str]) -> None:
        """The whole list holds these names, and no others."""
        for name in [name for name in self._page_of if name not in names]:
            self._drop(name)

    def _drop(self, name: str) -> None:
        path = self._page_of.pop(name, None)
        if path is None:
            return
        self._names_on[path].discard(name)
        if not self._names_on[path]:
            del self._names_on[path]
