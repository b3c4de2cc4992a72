"""HTTP for botocore, with a deadline and a limit of size, which botocore lacks.

botocore's timeouts hold for one attempt, and start again with every byte that arrives. Its event
`before-send` lets a handler do the sending.
https://botocore.amazonaws.com/v1/documentation/api/latest/topics/events.html
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError, HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from rotator.http.bodies import Body, TooLarge

LARGEST = 16 * 1024 * 1024
"""Bytes of an answer: twenty secrets of 64 KiB, of which JSON may make six times as many."""

CONNECT = 3.0
READ = 10.0


class GaveUp(Exception):
    """This module gave up. It is no error of botocore's, since botocore would try again."""


class Wire:
    """Sends for all clients of one source. Thread-safe."""

    def __init__(self, timeout: float, monotonic: Callable[[], float]) -> None:
        """`timeout` is the source's, in seconds. No attempt gets more."""
        self._timeouts = (min(CONNECT, timeout), min(READ, timeout))
        self._monotonic = monotonic
        self._of_thread = threading.local()
        self._lock = threading.Lock()
        self._sessions: dict[tuple[str, str], URLLib3Session] = {}

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Limits what this thread sends: it is answered in time, or GaveUp is raised.

        The outermost limit wins: nested work has one deadline for all of it.
        """
        if self._deadline() is not None:
            yield
            return
        self._of_thread.deadline = self._monotonic() + seconds
        try:
            yield
        finally:
            self._of_thread.deadline = None

    def sender(self, ca_bundle: str | bool) -> Callable[..., AWSResponse]:
        """A handler of `before-send`. `ca_bundle` means the same as botocore's `verify`."""

        def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
            self._check()
            request.stream_output = True  # else botocore reads all of it, however long that takes
            response = self._session(request.url, ca_bundle).send(request)
            body = self._body(response.raw)
            if body.is_cut_off(response.headers):
                raise ConnectionClosedError(endpoint_url=request.url)
            whole = _Whole(body.content)
            return AWSResponse(request.url, response.status_code, response.headers, whole)

        return send

    def close(self) -> None:
        with self._lock:
            sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.close()

    def _session(self, url: str, ca_bundle: str | bool) -> URLLib3Session:
        place = urlsplit(url)
        with self._lock:
            key = (place.scheme, place.netloc)
            if key not in self._sessions:
                self._sessions[key] = URLLib3Session(
                    verify=ca_bundle,
                    proxies=get_environ_proxies(url),
                    timeout=self._timeouts,
                )
            return self._sessions[key]

    def _body(self, raw: Any) -> Body:
        body = Body(LARGEST)
        try:
            with raw:
                while piece := raw.read1(65536):
                    body.add(piece)
                    self._check()
        except TooLarge as error:
            raise GaveUp(str(error)) from None
        except (HTTPError, OSError) as error:
            raise HTTPClientError(error=type(error).__name__) from None
        return body

    def _deadline(self) -> float | None:
        return getattr(self._of_thread, "deadline", None)

    def _check(self) -> None:
        deadline = self._deadline()
        if deadline is not None and self._monotonic() > deadline:
            raise GaveUp("none in time")


class _Whole:
    """A body as AWSResponse expects it: one that can be streamed."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._content
