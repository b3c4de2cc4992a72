"""The events of Vault Enterprise over a real WebSocket, apart from the rest of the fake Vault.

The shape of a notification: https://developer.hashicorp.com/vault/docs/concepts/events
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from tests.support.waiting import DEADLINE

TOPIC = "/v1/sys/events/subscribe/kv*?json=true"


def notification(kind: str, path: str, **more: str) -> str:
    metadata = {"modified": "true", "operation": kind.partition("/")[2], "path": path, **more}
    event = {"id": "1", "metadata": metadata}
    data = {"event": event, "event_type": kind, "plugin_info": {"mount_path": "kv/"}}
    return json.dumps({"id": "1", "specversion": "1.0", "type": "*", "data": data})


@dataclass(slots=True)
class EventsServer:
    """Accepts subscriptions with the right token. `send` reaches all of them."""

    token: str = "canary-token"
    namespace: str | None = None
    status: int | None = None
    """The status to answer with, instead of accepting."""
    url: str = ""
    refused: list[int] = field(default_factory=list)
    listeners: list[ServerConnection] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        status = self.status
        if status is None and request.path != TOPIC:
            status = 404
        if status is None and (
            request.headers.get("X-Vault-Token") != self.token
            or request.headers.get("X-Vault-Namespace") != self.namespace
        ):
            status = 403
        if status is None:
            return None
        with self.changed:
            self.refused.append(status)
            self.changed.notify_all()
        return connection.respond(HTTPStatus(status), '{"errors":["permission denied"]}\n')

    def handle(self, connection: ServerConnection) -> None:
        with self.changed:
            self.listeners.append(connection)
            self.changed.notify_all()
        for _ in connection:
            pass  # a subscriber says nothing; this ends with the connection

    def send(self, message: str) -> None:
        for connection in self._listening():
            connection.send(message)

    def drop(self) -> None:
        """Drops all connections, as a node does that goes away."""
        for connection in self._listening():
            connection.close()
        self.listeners.clear()

    def _listening(self) -> list[ServerConnection]:
        """Waits for the handler: a client may know that it is connected before its handler here has
        begun."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.listeners, DEADLINE)
            return list(self.listeners)


@contextmanager
def events_running(**settings: object) -> Iterator[EventsServer]:
    made = EventsServer(**settings)  # type: ignore[arg-type] # its own fields
    with serve(made.handle, "127.0.0.1", 0, process_request=made.admit) as server:
        made.url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield made
        for connection in made.listeners:
            connection.close()
        server.shutdown()
        thread.join()
