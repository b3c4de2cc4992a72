"""Text of other people, as it may go out."""

from __future__ import annotations


def utf8(text: str) -> str:
    """JSON can carry half a character (`\\ud800`); one of those would end every scrape, and lose
    every trace that it is sent with."""
    return text if text.isascii() else text.encode(errors="replace").decode()
