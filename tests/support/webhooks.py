"""A receiver of notifications: a real server that remembers requests, and fails on order."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.faulty import NOTHING, FaultyServer, Reply, Request, Trouble

PATH = "/services/canary-T0/canary-B0"
"""Like Slack's: whoever knows it may post."""


@dataclass(slots=True)
class Webhook:
    server: FaultyServer

    @property
    def url(self) -> str:
        return f"{self.server.url}{PATH}"

    @property
    def requests(self) -> list[Request]:
        """Every attempt, however it was answered."""
        return self.server.requests

    @property
    def received(self) -> list[dict[str, Any]]:
        return [json.loads(request.body) for request in self.requests]

    @property
    def told(self) -> list[tuple[str, str]]:
        """The event and the rotation of each notification."""
        return [(content["event"], content["rotation"]) for content in self.received]

    def answer(self, *replies: int | Reply | Trouble) -> None:
        """Answers the next requests with these, in order; then with 200 again."""
        for reply in replies:
            self.server.fail("*", Reply(reply) if isinstance(reply, int) else reply)

    def always(self, reply: int | Reply | Trouble) -> None:
        self.server.faults.clear()
        self.server.fail("*", Reply(reply) if isinstance(reply, int) else reply, None)

    def well(self) -> None:
        self.server.faults.clear()


@contextmanager
def webhook_running(tls: ssl.SSLContext | None = None) -> Iterator[Webhook]:
    server = FaultyServer(lambda _: NOTHING, tls)
    with server.serving():
        yield Webhook(server)


def verified(request: Request, secret: str) -> int:
    """Verifies a signature as deploy/notifications.md tells receivers to. Returns its time."""
    parts = dict(part.split("=", 1) for part in request.headers["x-rotator-signature"].split(","))
    signed = parts["t"].encode() + b"." + request.body
    expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(parts["v1"], expected)
    return int(parts["t"])
