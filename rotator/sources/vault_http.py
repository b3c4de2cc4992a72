"""Requests to Vault and OpenBao with hvac, made safe.

By itself, hvac takes VAULT_TOKEN from the environment, sends the token wherever a redirect leads,
hides status codes, returns a Response where it expected JSON, and puts whole bodies into its
exceptions. The adapter here prevents all of that.
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
"""Bytes of an answer. Vault itself limits a stored secret to 1 MiB or less."""
MOST_HOPS = 3
_LONGEST_AFTER = 300.0
"""The most seconds that Retry-After may ask for."""
_IDLE = 30.0
"""Seconds for which an idle connection is used again. Firewalls silently drop older ones."""


class VaultRefusal(Exception):
    """An answer that is no success, with what decides: the status, and known phrases."""

    def __init__(self, status: int, document: Answer, retry_after: float | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.document = document
        self.retry_after = retry_after
        """Seconds, if the server asks for a pause."""

    def says(self, *phrases: str) -> bool:
        """Whether the errors or warnings of the answer hold any of the phrases."""
        for key in ("errors", "warnings"):
            texts = self.document.get(key)
            if isinstance(texts, list):
                said = " ".join(str(text) for text in texts)
                if any(phrase in said for phrase in phrases):
                    return True
        return False


class NoAnswer(Exception):
    """No answer came, or none that Vault would give. Says why, without any of its text.

    `fleeting` is whether the next attempt may well get one.
    """

    def __init__(self, why: str, *, fleeting: bool = False) -> None:
        super().__init__(why)
        self.fleeting = fleeting


class _Adapter(RawAdapter):  # type: ignore[misc] # hvac ships no types
    """Returns the JSON object of a 200, and {} for a 204. Raises VaultRefusal or NoAnswer
    otherwise."""

    base_uri: str
    _kwargs: dict[str, Any]
    redirects: frozenset[str] = frozenset()
    """Addresses that a redirect may lead to."""
    deadline: float | None = None
    """For all requests that follow, by `monotonic`; None: each request gets the timeout for
    itself."""

    def request(self, method: str, url: str, **options: Any) -> Answer:
        home = self.base_uri
        deadline = self.deadline or monotonic() + self._kwargs["timeout"]
        try:
            for _ in range(MOST_HOPS):
                try:
                    return self._once(method, url, deadline, options)
                except _Moved as moved:
                    # Send the same request, with its token and body, to the allowed address.
                    self.base_uri = moved.to
            raise NoAnswer("it redirects again and again; is there an active node?")
        finally:
            self.base_uri = home

    def _once(self, method: str, url: str, deadline: float, options: Mapping[str, Any]) -> Answer:
        seconds = deadline - monotonic()
        if seconds <= 0:
            raise NoAnswer(f"no answer from {self.base_uri} in time")
        headers = {**(options.get("headers") or {}), "Accept-Encoding": "identity"}
        # Uncompressed, so that the limit of size limits memory too.
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
    """The whole body. A timeout of requests starts again with every byte that arrives; this one
    doesn't."""
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
    """Expects a name in the certificate that differs from the address."""

    def __init__(self, server_name: str) -> None:
        self._server_name = server_name
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        options |= {"server_hostname": self._server_name, "assert_hostname": self._server_name}
        super().init_poolmanager(*arguments, **options)


class VaultClients:
    """A pool of clients, each used by one thread at a time: sessions and tokens are not
    thread-safe."""

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

        `seconds` limits all of its requests together; default: each request has the timeout.
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
        # Ignore proxies, .netrc and certificates of the environment: only the configuration counts.
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
