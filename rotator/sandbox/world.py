"""What all resources share: the present settings, the clock, versions and addresses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

from rotator.sandbox.answers import bad_request
from rotator.sandbox.settings import SandboxSettings

HERE = "\x00"
"""Stands in a rendered document for the address of its environment, which depends on the
request."""
_HERE_IN_JSON = rb"\u0000"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_LIMIT = 100


class World:
    def __init__(self, settings: SandboxSettings, now: Callable[[], float]) -> None:
        self.settings = settings
        self.now = now
        self._versions = 0

    def next_version(self) -> str:
        """Grows with every write to any resource, as the version of a database does."""
        self._versions += 1
        if self.settings.versions == "counter":
            return str(self._versions)
        return f"v{self._versions * 2_654_435_761 % 2**32:08x}"


def timestamp(moment: float) -> str:
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def own_address(collection: str, name: str) -> str:
    return f"{HERE}/{collection}/{quote(name, safe='')}"


def render(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def at_address(rendered: bytes, address: str) -> bytes:
    """Fills in the address at which the reader found the environment."""
    return rendered.replace(_HERE_IN_JSON, json.dumps(address)[1:-1].encode())


def check_name(name: str) -> str:
    if len(name) > _NAME_LIMIT or not _NAME.fullmatch(name):
        raise bad_request(
            f"name must have at most {_NAME_LIMIT} characters and match {_NAME.pattern}", "/name"
        )
    return name
