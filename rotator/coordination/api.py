"""One Lease over HTTP, with the service account of the pod."""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rotator import __version__
from rotator.config.coordination import LeaseCoordination
from rotator.coordination.election import WriteLease
from rotator.coordination.lease import Lease, NotALease, document, parse
from rotator.errors import (
    CoordinationConflict,
    CoordinationDenied,
    CoordinationError,
    CoordinationUnavailable,
)
from rotator.http.bodies import Body, TooLarge
from rotator.http.httpx_light import cause, httpx
from rotator.http.retry import retry_after

_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/"""
_LARGEST = 1024 * 1024
"""Bytes of an answer. A Lease has one or two KiB."""
_LONGEST_AFTER = 60.0


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    after: float | None
    """Seconds, from Retry-After."""


@dataclass(frozen=True, slots=True)
class LeaseAddress:
    """Where the Lease is, and how to reach it."""

    url: str
    namespace: str
    name: str
    token_file: Path
    ca_file: Path | None
    """None: there is no TLS."""

    def __str__(self) -> str:
        return f"Lease {self.namespace}/{self.name}"

    @property
    def collection(self) -> str:
        return f"{self.url}/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"


def locate(config: LeaseCoordination) -> LeaseAddress:
    """The address of the configured Lease. Raises CoordinationDenied if something is missing that a
    pod has."""
    url = config.url or _cluster()
    token_file = config.token_file or _POD / "token"
    ca_file = None if url.startswith("http://") else config.ca_file or _POD / "ca.crt"
    namespace = config.namespace or _text(
        _POD / "namespace", "the pod's namespace", "set coordination.namespace"
    )
    address = LeaseAddress(url, namespace, config.name, token_file, ca_file)
    _token(address)
    _context(address)
    return address


def _cluster() -> str:
    host = os.environ.get("KUBERNETES_SERVICE_HOST")
    if not host:
        raise CoordinationDenied(
            "coordination.url: KUBERNETES_SERVICE_HOST isn't set, so this is no pod; "
            "set coordination.url, or coordination: {kind: none}"
        )
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not re.fullmatch(r"[0-9]{1,5}", port):
        raise CoordinationDenied(
            "coordination.url: KUBERNETES_SERVICE_PORT is no port; set coordination.url"
        )
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


_NO_ACCOUNT = "set automountServiceAccountToken: true for the pod, or coordination."


def _token(address: LeaseAddress) -> str:
    """The token, read again for each request: the kubelet renews it in its file."""
    return _text(address.token_file, "the service account's token", f"{_NO_ACCOUNT}token_file")


def _text(path: Path, what: str, remedy: str) -> str:
    try:
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CoordinationDenied(
            f"coordination: {what} can't be read from {path}: {reason}; {remedy}"
        ) from None
    if not text or not text.isprintable() or " " in text:
        said = "is empty" if not text else "holds more than that"
        raise CoordinationDenied(f"coordination: {what}: {path} {said}; {remedy}")
    return text


def _context(address: LeaseAddress) -> ssl.SSLContext | None:
    if address.ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(address.ca_file))
    except OSError as error:  # an SSLError is one too
        raise CoordinationDenied(
            f"coordination: the CA of the API server can't be read from {address.ca_file}: "
            f"{error.strerror or 'it holds no certificate'}; {_NO_ACCOUNT}ca_file"
        ) from None


class LeaseApi:
    """Raises CoordinationError and nothing else. Ignores the environment (proxies), and follows no
    redirect."""

    def __init__(self, address: LeaseAddress) -> None:
        self.address = address
        self._client: httpx.AsyncClient | None = None

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def get(self, deadline: float) -> Lease | None:
        """The Lease, or None if there is none. `deadline` limits the whole request, in seconds."""
        answer = await self._send("GET", f"{self.address.collection}/{self.address.name}", deadline)
        if answer.status == 404:
            return None
        return self._lease(answer, "get")

    async def write(self, write: WriteLease, deadline: float) -> Lease:
        """Raises CoordinationConflict if the Lease is not the one that `write` replaces."""
        body = document(self.address.namespace, self.address.name, write.spec, write.former)
        if write.former is None:
            answer = await self._send("POST", self.address.collection, deadline, body)
            return self._lease(answer, "create")
        url = f"{self.address.collection}/{self.address.name}"
        answer = await self._send("PUT", url, deadline, body)
        return self._lease(answer, "update")

    async def _send(
        self, method: str, url: str, deadline: float, body: dict[str, Any] | None = None
    ) -> _Answer:
        answer = await self._once(method, url, deadline, body)
        if answer.status == 401:
            # The kubelet may have renewed the token between its reading and its use.
            answer = await self._once(method, url, deadline, body)
        return answer

    async def _once(
        self, method: str, url: str, deadline: float, body: dict[str, Any] | None
    ) -> _Answer:
        headers = {"Authorization": f"Bearer {_token(self.address)}"}
        try:
            async with asyncio.timeout(deadline):
                client = self._client = self._client or self._open()
                async with client.stream(method, url, headers=headers, json=body) as answer:
                    content = Body(_LARGEST)
                    async for piece in answer.aiter_bytes():
                        content.add(piece)
                    after = retry_after(answer.headers, _LONGEST_AFTER)
                    return _Answer(answer.status_code, content.content, after)
        except TooLarge as error:
            raise self._unavailable(str(error)) from None
        except TimeoutError:
            # Whatever made it hang may hold on to this connection.
            await self.aclose()
            raise self._unavailable(f"no answer within {deadline:g} s") from None
        except httpx.HTTPError as error:
            # After a renewal of the CA, only a new context helps.
            await self.aclose()
            said = cause(error) or f"the connection broke off ({type(error).__name__})"
            raise self._unavailable(said) from None

    def _open(self) -> httpx.AsyncClient:
        context = _context(self.address)
        return httpx.AsyncClient(
            verify=context or True,
            trust_env=False,
            timeout=None,
            headers={"User-Agent": f"rotator/{__version__}", "Accept": "application/json"},
            limits=httpx.Limits(max_connections=2),
        )

    def _lease(self, answer: _Answer, verb: str) -> Lease:
        status = answer.status
        if status in {200, 201}:
            try:
                return parse(json.loads(answer.body))
            except (NotALease, ValueError):
                raise self._unavailable(
                    "the answer is no Lease; is coordination.url the API server's?"
                ) from None
        if status == 409:
            raise CoordinationConflict(f"{self.address}: it was written by another meanwhile")
        if status == 429 or status >= 500:
            raise self._unavailable(f"HTTP {status}", answer.after)
        raise self._denied(status, verb)

    def _denied(self, status: int, verb: str) -> CoordinationError:
        remedy = {
            401: f"the API server doesn't know the token in {self.address.token_file}",
            403: f"the service account may not {verb} it; its Role needs the verbs get and update "
            f"on leases of coordination.k8s.io with the name {self.address.name}, and create",
            404: f"there is no namespace {self.address.namespace}",
        }.get(status, f"the API server refuses to {verb} it")
        return CoordinationDenied(f"{self.address}: {remedy} (HTTP {status})")

    def _unavailable(self, reason: str, after: float | None = None) -> CoordinationUnavailable:
        return CoordinationUnavailable(
            f"{self.address}: the API server at {self.address.url}: {reason}", after
        )
