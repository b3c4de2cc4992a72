"""Bodies of answers, up to a limit."""

from __future__ import annotations

from collections.abc import Mapping

_MIB = 1024 * 1024


class TooLarge(Exception):
    """An answer that is larger than any correct one."""


class Body:
    """Collects the pieces of one body. Sizes are in bytes."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._content = bytearray()

    def add(self, piece: bytes) -> None:
        """Adds a piece. Raises TooLarge, whose text gives the limit."""
        self._content += piece
        if len(self._content) > self._largest:
            raise TooLarge(f"an answer of more than {self._largest // _MIB} MiB")

    def is_cut_off(self, headers: Mapping[str, str]) -> bool:
        """Whether less arrived than was promised. The body must not be compressed."""
        promised = headers.get("Content-Length", "")
        return promised.isdecimal() and len(self._content) < int(promised)

    @property
    def content(self) -> bytes:
        return bytes(self._content)
