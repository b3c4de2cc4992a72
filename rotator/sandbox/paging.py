"""Pages of an ordered list. Each token says after which name the page starts.

So the order is stable, and a page neither loses nor repeats an item if another is made or deleted
meanwhile. Clients must not interpret the token.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from rotator.sandbox.answers import ApiError

DEFAULT_SIZE = 10
MAX_SIZE = 100
_TOKEN_LIMIT = 255


@dataclass(frozen=True, slots=True)
class PageRequest:
    size: int = DEFAULT_SIZE
    after: str = ""


def page_request(query: Mapping[str, str]) -> PageRequest:
    return PageRequest(_size(query.get("page_size")), _after(query.get("page_token", "")))


def page_token(after: str) -> str:
    return base64.urlsafe_b64encode(f"after:{after}".encode()).decode().rstrip("=")


def _size(text: str | None) -> int:
    if text is None:
        return DEFAULT_SIZE
    if text.isdecimal() and text.isascii() and len(text) < 4 and 1 <= int(text) <= MAX_SIZE:
        return int(text)
    raise _invalid("page_size", f"page_size must be a number from 1 to {MAX_SIZE}")


def _after(token: str) -> str:
    if not token:
        return ""
    try:
        padded = token[:_TOKEN_LIMIT] + "=" * (-len(token) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    word, colon, name = text.partition(":")
    if word != "after" or not colon:
        raise _invalid("page_token", "page_token is not one of ours")
    return name


def _invalid(parameter: str, detail: str) -> ApiError:
    return ApiError(400, "invalid_parameter", "Bad Request", detail, parameter=parameter)
