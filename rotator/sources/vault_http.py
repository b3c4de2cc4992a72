"""Requests to Vault and OpenBao, with hvac kept on a short lead.

Left to itself, hvac takes VAULT_TOKEN from the environment, resends the token to wherever a
redirect leads, hides status codes, answers with a Response where it expected JSON, and its
exceptions hold whole bodies. Its adapter is where all of that is settled.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

import hvac
import requests
from hvac.adapters import RawAdapter
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as SocketTimeout

from rotator.config.models import VaultSource
from rotator.errors import SourceError
from rotator.sources.text import NotAnObject, json_object

Answer = Mapping[str, Any]

LARGEST = 4 * 1024 * 1024
"""Bytes of an answer; Vault's own limit of a stored secret is 1 MiB or less."""
_IDLE = 30.0
"""Seconds for which an idle connection is used again; firewalls forget older ones without a word.
"""


class Refused(Exception):
    """An answer that is no success, with what decides: the status, and known phrases."""

    def __init__(self, status: int, document: Answer) -> None:
        super().__init__(status)
        self.status = status
        self.document = document

    def says(self, phrase: str) -> bool:
        for key in ("errors", "warnings"):
            texts = self.document.get(key)
            if isinstance(texts, list) and any(phrase in str(text) for text in texts):
                return True
        return False


class NoAnswer(Exception):
    """None came, or none that Vault would give. Says why, without any of it."""


class _Adapter(RawAdapter):  # type: ignore[misc] # hvac ships no types
    """JSON objects of a 200, nothing of a 204; Refused or NoAnswer for all else."""

    def request(self, method: str, url: str, **options: Any) -> Answer:
        seconds = self._kwargs["timeout"]
        deadline = monotonic() + seconds
        options |= {"raise_exception": False, "stream": True}
        # Not compressed, so that the limit of size is one of memory too.
        options["headers"] = {**(options.get("headers") or {}), "Accept-Encoding": "identity"}
        try:
            with super().request(method, url, **options) as response:
                content = _content(response, deadline)
        except requests.exceptions.SSLError:
            raise NoAnswer(
                f"the TLS certificate of {self.base_uri} is not trusted, or not its own; check "
                "url and ca_file"
            ) from None
        except (requests.exceptions.Timeout, SocketTimeout, TimeoutError):
            raise NoAnswer(f"no answer from {self.base_uri} within {seconds:g} s") from None
        except (requests.exceptions.RequestException, HTTPError, OSError) as error:
            kind = type(error).__name__
            raise NoAnswer(f"no answer from {self.base_uri} ({kind})") from None
        except UnicodeError:
            raise NoAnswer("namespace or token holds what no HTTP header can") from None
        return _answer(response.status_code, content)


def _content(response: requests.Response, deadline: float) -> bytes:
    """All of it. A timeout of requests starts anew with every byte that comes; this doesn't."""
    content = bytearray()
    while piece := response.raw.read1(65536):
        content += piece
        if len(content) > LARGEST:
            raise NoAnswer(f"an answer of more than {LARGEST // 1024 // 1024} MiB")
        if monotonic() > deadline:
            raise TimeoutError
    return bytes(content)


def _answer(status: int, content: bytes) -> Answer:
    if status == 204:
        return {}
    document: Answer = {}
    try:
        document = json_object(content.decode())
    except (UnicodeDecodeError, NotAnObject):
        if status == 200:
            raise NoAnswer(
                "an answer that is no JSON; is url right, or does a proxy answer instead?"
            ) from None
    if status != 200:
        raise Refused(status, document)
    return document


class Connections:
    """Clients by turns: a session of requests and the token of a client are not thread-safe."""

    def __init__(self, name: str, config: VaultSource, now: Callable[[], float]) -> None:
        """`now` is in seconds, and never goes back."""
        self._name = name
        self._config = config
        self._now = now
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Any]] = []
        self._closed = False

    @contextmanager
    def client(self, token: str) -> Iterator[Any]:
        """An hvac.Client, whose calls raise Refused and NoAnswer. Raises SourceError."""
        client = self._take() or self._new()
        client.token = token
        try:
            yield client
        finally:
            client.token = ""
            with self._lock:
                if not self._closed:
                    self._idle.append((self._now(), client))
                    client = None
            if client is not None:
                client.adapter.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for _, client in idle:
            client.adapter.close()

    def _take(self) -> Any:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                since, client = self._idle.pop()
            if self._now() - since < _IDLE:
                return client
            client.adapter.close()

    def _new(self) -> Any:
        session = requests.Session()
        # No proxy, .netrc or certificates of the environment: the configuration says it all.
        session.trust_env = False
        session.verify = self._trusted()
        return hvac.Client(
            url=self._config.url,
            token="",  # with None it takes VAULT_TOKEN or ~/.vault-token
            timeout=self._config.timeout.total_seconds(),
            allow_redirects=False,
            session=session,  # hvac takes `verify` from it, and forgets its own argument
            adapter=_Adapter,
            namespace=self._config.namespace,
        )

    def _trusted(self) -> str | bool:
        path = self._config.ca_file
        if path is None:
            return True
        try:
            ssl.create_default_context(cafile=path)
        except ssl.SSLError:
            why = "holds no certificate in PEM"
        except OSError as error:
            why = f"can't be read: {error.strerror}"
        else:
            return str(path)
        raise SourceError(self._name, "", f"ca_file {path} {why}")
