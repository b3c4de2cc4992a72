"""Makes text from outside safe to send."""

from __future__ import annotations


def utf8(text: str) -> str:
    """Replaces halves of surrogate pairs, which JSON can carry (`\\ud800`). One of them would break
    every scrape, and lose every trace that is sent with it."""
    return text if text.isascii() else text.encode(errors="replace").decode()
