"""Event notifications of Vault Enterprise: a hint to look at a secret, and no more.

An event is sent at most once and never again, so whoever listens must go on looking as well.
https://developer.hashicorp.com/vault/docs/concepts/events
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from socket import SHUT_RDWR
from ssl import SSLContext

from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from rotator.backoff import Backoff
from rotator.errors import SourceError

_TOPIC = "/v1/sys/events/subscribe/kv*?json=true"
_READING = frozenset({"kv-v2/metadata-read", "kv-v2/data-read"})
_LARGEST = 256 * 1024
_BACKOFF = Backoff(first=1.0, longest=300.0)
"""Between attempts to connect."""

log = logging.getLogger(__name__)


class Events:
    """A thread that listens, from the first `start` to `close`.

    The thread calls `token`, which raises SourceError, and `hint` with the path that changed. After
    each connect it calls `hint` with an empty path, since earlier events are lost.
    """

    def __init__(
        self,
        name: str,
        url: str,
        token: Callable[[], str],
        hint: Callable[[str], None],
        *,
        namespace: str | None = None,
        tls: Callable[[], SSLContext | None] = lambda: None,
        server_name: str | None = None,
        proxy: str | None = None,
    ) -> None:
        self._name = name
        self._url = url.replace("http", "ws", 1) + _TOPIC
        self._token = token
        self._hint = hint
        self._headers = {"X-Vault-Namespace": namespace} if namespace else {}
        self._tls = tls
        self._server_name = server_name
        self._proxy = proxy
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: ClientConnection | None = None

    def start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                name = f"events of {self._name}"
                self._thread = threading.Thread(target=self._listen, name=name, daemon=True)
                self._thread.start()

    def close(self) -> None:
        with self._lock:
            self._closed.set()
            connection = self._connection
        if connection is not None:
            _hang_up(connection)

    def _listen(self) -> None:
        failures = 0
        while not self._closed.is_set():
            forbidden = False
            try:
                with self._connected() as connection:
                    failures = 0
                    self._hint("")
                    for message in connection:
                        if path := changed_path(message):
                            self._hint(path)
            except InvalidStatus as refused:
                status = refused.response.status_code
                if status == 404:
                    self._warn("offers no events (Vault Enterprise does); looks go on as before")
                    return
                self._warn(f"refuses events (HTTP {status}); its policy must permit to subscribe")
                forbidden = status == 403
            except (WebSocketException, InvalidHandshake, OSError, SourceError) as error:
                self._warn(f"no events for now ({type(error).__name__})")
            failures += 1
            self._closed.wait(_BACKOFF.longest if forbidden else _BACKOFF.pause(failures))

    def _connected(self) -> ClientConnection:
        token = self._token()
        tls = self._tls()
        connection = connect(
            self._url,
            additional_headers={**self._headers, "X-Vault-Token": token, "X-Vault-Request": "true"},
            ssl=tls,
            server_hostname=self._server_name if tls else None,
            proxy=self._proxy,
            compression=None,
            max_size=_LARGEST,
            logger=_QUIET,
        )
        with self._lock:
            self._connection = connection
            closed = self._closed.is_set()
        if closed:
            _hang_up(connection)
        return connection

    def _warn(self, what: str) -> None:
        if not self._closed.is_set():
            log.warning("source.events", extra={"source": self._name, "reason": what})


def _hang_up(connection: ClientConnection) -> None:
    """Shuts the socket down, which wakes the reader. The closing handshake of WebSockets could
    hang."""
    try:
        connection.socket.shutdown(SHUT_RDWR)
    except OSError:
        return  # it has ended already


_QUIET = logging.getLogger(f"{__name__}.protocol")
"""The library would log headers, and the token with them."""
_QUIET.disabled = True


def changed_path(message: str | bytes) -> str | None:
    """The path of the secret that changed; None if the notification is about something else."""
    try:
        document = json.loads(message)
        kind = document["data"]["event_type"]
        metadata = document["data"]["event"]["metadata"]
        path = metadata.get("data_path") or metadata["path"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if kind in _READING or not isinstance(path, str):
        return None
    return path
