"""One POST to one webhook, and what its answer means."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from rotator import __version__
from rotator.config.fields import is_webhook_url
from rotator.config.models import Reference, WebhookConfig
from rotator.errors import ValueUnavailable
from rotator.http.httpx_light import cause, httpx
from rotator.http.retry import retry_after
from rotator.notify.message import Notification, signature
from rotator.ports import Clock

Resolve = Callable[[Reference, str], Awaitable[str]]
"""Returns the value of a reference. Raises ValueUnavailable, which names the key that it is
given."""

NO_URL = "{key}: what is there is no https://HOST/PATH (http:// only for loopback)"
PATIENCE = 10.0
"""Seconds for one attempt as a whole."""
_LONGEST_AFTER = 86_400.0
"""Seconds. A receiver that asks for more than the courier tries is given up, whether it asks for a
day or a year."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """Answered with 2xx."""


@dataclass(frozen=True, slots=True)
class Again:
    """Worth another attempt."""

    reason: str
    after: float | None = None
    """Seconds that the receiver asks to wait."""


@dataclass(frozen=True, slots=True)
class Never:
    """A clear refusal: another attempt would get the same."""

    reason: str


Answer = Arrived | Again | Never


@dataclass(slots=True)
class Receiver:
    """Posts to one webhook. It ignores the environment (proxies, netrc) and follows no redirect:
    the body would go to an address that nobody allowed."""

    config: WebhookConfig
    key: str
    """Where it is in the configuration: `notify[0]`."""
    resolve: Resolve = field(repr=False)
    clock: Clock
    patience: float = PATIENCE
    _host: str = ""
    _client: httpx.AsyncClient | None = None

    @property
    def name(self) -> str:
        """The host if it is known; never more of the URL."""
        return self._host or self.key

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def post(self, notification: Notification) -> Answer:
        """Makes one attempt. Raises nothing that a receiver or the network may cause."""
        try:
            async with asyncio.timeout(self.patience):
                url = await self._url()
                headers = await self._headers(notification)
                return await self._post(url, headers, notification.body)
        except ValueUnavailable as error:
            return Again(str(error))
        except TimeoutError:
            # Whatever made it hang may still hold this connection.
            await self.aclose()
            return Again(f"no answer within {self.patience:g} s")
        except (httpx.HTTPError, OSError) as error:
            # After a renewal of the CA, only a new context helps.
            await self.aclose()
            return Again(cause(error) or _words(error))
        except (httpx.InvalidURL, UnicodeError):
            # The host can't be looked up: it has a label of 70 letters, for example.
            return Never(f"{self.key}.url has a host that can't be one")

    async def _url(self) -> str:
        """Looks the URL up for each attempt: after a correction, nothing has to be restarted."""
        given = self.config.url
        key = f"{self.key}.url"
        url = given if isinstance(given, str) else (await self.resolve(given, key)).strip()
        host = _host(url)
        if host is None:
            raise ValueUnavailable(NO_URL.format(key=key))
        self._host = host
        return url

    async def _headers(self, notification: Notification) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"rotator/{__version__}",
            "X-Rotator-Id": notification.id,
        }
        if self.config.secret is not None:
            secret = await self.resolve(self.config.secret, f"{self.key}.secret")
            now = int(self.clock.now().timestamp())
            headers["X-Rotator-Signature"] = signature(secret, now, notification.body)
        return headers

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        client = self._client = self._client or self._open()
        async with client.stream("POST", url, headers=headers, content=body) as answer:
            # Only the status counts; a body may be a login page of any length.
            return self._judged(answer.status_code, answer.headers)

    def _open(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=self._context(),
            trust_env=False,
            follow_redirects=False,
            timeout=None,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=0),
        )

    def _context(self) -> ssl.SSLContext:
        ca_file = self.config.ca_file
        try:
            return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        except OSError as error:  # an SSLError is one too
            said = error.strerror or "it holds no certificate"
            raise ValueUnavailable(
                f"{self.key}.ca_file: file {ca_file} can't be read: {said}"
            ) from None

    def _judged(self, status: int, headers: httpx.Headers) -> Answer:
        if 200 <= status < 300:
            return Arrived()
        if status in {408, 425, 429} or status >= 500:
            return Again(f"HTTP {status}", retry_after(headers, _LONGEST_AFTER, self.clock.now()))
        if 300 <= status < 400:
            return Never(
                f"HTTP {status}: it redirects, and redirects are not followed; "
                f"write where it leads in {self.key}.url"
            )
        hint = "; check url and secret" if status in {401, 403, 404, 410} else ""
        return Never(f"HTTP {status}{hint}")


def _words(error: Exception) -> str:
    """The error in our own words: its text may hold the URL."""
    if isinstance(error, httpx.ConnectError):
        return "nobody answers there"
    return f"the connection broke off ({type(error).__name__})"


def _host(url: str) -> str | None:
    """The host; None if it is not the URL of a webhook."""
    try:
        return urlsplit(url).hostname if is_webhook_url(url) else None
    except ValueError:  # of an address in brackets that is none
        return None
