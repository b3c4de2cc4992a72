"""Requests to Vault and OpenBao, with hvac kept on a short lead.

Left to itself, hvac takes VAULT_TOKEN from the environment, resends the token to wherever a
redirect leads, hides status codes, answers with a Response where it expected JSON, and its
exceptions hold whole bodies. Its adapter is where all of that is settled.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from rotator.config.models import VaultSource
from rotator.http.bodies import Body, TooLarge
from rotator.http.requests_light import requests
from rotator.http.retry import retry_after
from rotator.sources.text import NotAnObject, json_object
from rotator.sources.vault_tls import Certificates

# isort: split
# These import requests too, so after it.
import hvac
from hvac.adapters import RawAdapter
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as SocketTimeout

Answer = Mapping[str, Any]

LARGEST = 4 * 1024 * 1024
"""Bytes of an answer; Vault's own limit of a stored secret is 1 MiB or less."""
MOST_HOPS = 3
_LONGEST_AFTER = 300.0
"""Seconds that Retry-After may ask for."""
_IDLE = 30.0
"""Seconds for which an idle connection is used again; firewalls forget older ones without a word.
"""


class VaultRefusal(Exception):
    """An answer that is no success, with what decides: the status, and known phrases."""

    def __init__(self, status: int, document: Answer, retry_after: float | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.document = document
        self.retry_after = retry_after
        """Seconds, where the server asks for them."""

    def says(self, *phrases: str) -> bool:
        """Whether any of the phrases stands in what it says for people."""
        for key in ("errors", "warnings"):
            texts = self.document.get(key)
            if isinstance(texts, list):
                said = " ".join(str(text) for text in texts)
                if any(phrase in said for phrase in phrases):
                    return True
        return False


class NoAnswer(Exception):
    """None came, or none that Vault would give. Says why, without any of it.

    `fleeting` is whether the next try may well get one.
    """

    def __init__(self, why: str, *, fleeting: bool = False) -> None:
        super().__init__(why)
        self.fleeting = fleeting


class _Adapter(RawAdapter):  # type: ignore[misc] # hvac ships no types
    """JSON objects of a 200, nothing of a 204; VaultRefusal or NoAnswer for all else."""

    base_uri: str
    _kwargs: dict[str, Any]
    redirects: frozenset[str] = frozenset()
    """Addresses that a redirect may lead to."""
    deadline: float | None = None
    """Of all that follows, by `monotonic`; None: each request has the timeout for itself."""

    def request(self, method: str, url: str, **options: Any) -> Answer:
        home = self.base_uri
        deadline = self.deadline or monotonic() + self._kwargs["timeout"]
        try:
            for _ in range(MOST_HOPS):
                try:
                    return self._once(method, url, deadline, options)
                except _Moved as moved:
                    # The same request, with its token and body, to an address that is allowed.
                    self.base_uri = moved.to
            raise NoAnswer("it redirects again and again; is there an active node?")
        finally:
            self.base_uri = home

    def _once(self, method: str, url: str, deadline: float, options: Mapping[str, Any]) -> Answer:
        seconds = deadline - monotonic()
        if seconds <= 0:
            raise NoAnswer(f"no answer from {self.base_uri} in time")
        headers = {**(options.get("headers") or {}), "Accept-Encoding": "identity"}
        # Not compressed, so that the limit of size is one of memory too.
        sent = {**options, "headers": headers, "raise_exception": False, "stream": True}
        own, self._kwargs = self._kwargs, {**self._kwargs, "timeout": seconds}
        try:
            with super().request(method, url, **sent) as response:
                content = _content(response, deadline)
        except requests.exceptions.SSLError:
            raise NoAnswer(
                f"the TLS certificate of {self.base_uri} is not trusted, or not its own, or it "
                "wants one of ours; check url, ca_file and client_certificate"
            ) from None
        except (requests.exceptions.Timeout, SocketTimeout, TimeoutError):
            raise NoAnswer(f"no answer from {self.base_uri} within {own['timeout']:g} s") from None
        except requests.exceptions.ProxyError:
            raise NoAnswer("the proxy refuses or does not answer; check proxy") from None
        except (requests.exceptions.RequestException, HTTPError, OSError) as error:
            kind = type(error).__name__
            raise NoAnswer(f"no answer from {self.base_uri} ({kind})", fleeting=True) from None
        except UnicodeError:
            raise NoAnswer("namespace or token holds what no HTTP header can") from None
        finally:
            self._kwargs = own
        if response.status_code in {307, 308}:
            raise _Moved(self._allowed(response.headers.get("Location", "")))
        return _answer(response, content)

    def _allowed(self, location: str) -> str:
        parts = urlsplit(location)
        to = f"{parts.scheme}://{parts.netloc}"
        if to not in self.redirects:
            raise VaultRefusal(307, {})
        return to


class _Moved(Exception):
    def __init__(self, to: str) -> None:
        super().__init__(to)
        self.to = to


def _content(response: requests.Response, deadline: float) -> bytes:
    """All of it. A timeout of requests starts anew with every byte that comes; this doesn't."""
    body = Body(LARGEST)
    try:
        while piece := response.raw.read1(65536):
            body.add(piece)
            if monotonic() > deadline:
                raise TimeoutError
    except TooLarge as error:
        raise NoAnswer(str(error)) from None
    if body.is_cut_off(response.headers):
        raise NoAnswer("an answer that was cut off", fleeting=True)
    return body.content


def _answer(response: requests.Response, content: bytes) -> Answer:
    status = response.status_code
    if status == 204 or (status == 202 and not content.strip()):
        return {}
    document: Answer = {}
    try:
        document = json_object(content.decode())
    except (UnicodeDecodeError, NotAnObject):
        if status in {200, 202}:
            raise NoAnswer(
                "an answer that is no JSON; is url right, or does a proxy answer instead?"
            ) from None
    if status not in {200, 202}:
        raise VaultRefusal(status, document, retry_after(response.headers, _LONGEST_AFTER))
    return document


class _NamedServer(HTTPAdapter):
    """Expects another name in the certificate than that of the address."""

    def __init__(self, server_name: str) -> None:
        self._server_name = server_name
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        options |= {"server_hostname": self._server_name, "assert_hostname": self._server_name}
        super().init_poolmanager(*arguments, **options)


class VaultClients:
    """Clients by turns: a session of requests and the token of a client are not thread-safe."""

    def __init__(self, name: str, config: VaultSource, now: Callable[[], float]) -> None:
        """`now` is in seconds, and never goes back."""
        self._config = config
        self._certificates = Certificates(name, config)
        self._now = now
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Any]] = []
        self._closed = False

    @contextmanager
    def client(
        self, token: str, *, namespace: str | None = None, seconds: float | None = None
    ) -> Iterator[Any]:
        """An hvac.Client, whose calls raise VaultRefusal and NoAnswer. Raises SourceError.

        `seconds` are for all that is asked of it; default: the timeout, for each request.
        """
        client = self._take() or self._new()
        client.token = token
        client.adapter.namespace = namespace or self._config.namespace
        client.adapter.deadline = None if seconds is None else monotonic() + seconds
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
        config = self._config
        session = requests.Session()
        # No proxy, .netrc or certificates of the environment: the configuration says it all.
        session.trust_env = False
        session.verify, session.cert = self._certificates.checked()
        if config.proxy is not None:
            session.proxies = {"http": config.proxy, "https": config.proxy}
        if config.tls_server_name is not None:
            session.mount("https://", _NamedServer(config.tls_server_name))
        client = hvac.Client(
            url=config.url,
            token="",  # with None it takes VAULT_TOKEN or ~/.vault-token
            timeout=config.timeout.total_seconds(),
            allow_redirects=False,
            session=session,  # hvac takes `verify` from it, and forgets its own argument
            adapter=_Adapter,
        )
        client.adapter.redirects = frozenset({config.url, *config.redirects})
        return client
