"""Requests to Secrets Manager, with the credentials that are valid now."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from botocore import xform_name
from botocore.exceptions import ConfigParseError, NoCredentialsError, PartialCredentialsError

from rotator.config.models import AwsSource
from rotator.errors import SourceError
from rotator.sources.aws_errors import Errors, Stale, origin_of
from rotator.sources.aws_identity import open_session, secrets_manager, sts
from rotator.sources.aws_wire import Wire

_PAUSE = 10.0
"""Seconds after a failure before credentials are looked for again. Otherwise up to eight threads
would, the metadata service may take seconds, and STS limits its callers."""
_HALF_WRITTEN = 0.2
"""Seconds that a writer gets to finish a file of credentials."""
_TRIES = 3
_SHARE = 0.9
"""The share of the caller's timeout that may be used, so that the caller still hears the result."""


@dataclass(frozen=True, slots=True)
class _Made:
    session: Any
    client: Any
    origin: str


class Client:
    """A client of botocore. Makes its session at the first use. Thread-safe; raises SourceError
    only."""

    def __init__(
        self,
        errors: Errors,
        config: AwsSource,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        timeout = config.timeout.total_seconds()
        self._errors = errors
        self._config = config
        self._monotonic = monotonic
        self._sleep = sleep
        self._seconds = timeout * _SHARE
        self._wire = Wire(timeout, monotonic)
        self._lock = threading.Lock()
        self._made: _Made | None = None
        self._failure: tuple[float, SourceError] | None = None
        self._renew_not_before: float | None = None

    def in_time(self) -> AbstractContextManager[None]:
        """One deadline for all requests inside, shortly before the caller's."""
        return self._wire.within(self._seconds)

    def ask(self, path: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Sends a request, and again with new credentials if the ones in use are refused."""
        with self.in_time():
            made = self._current(path)
            try:
                return self._answer(path, made, operation, parameters)
            except Stale:
                if not self._may_renew(made):
                    raise
            fresh = self._current(path)
            try:
                return self._answer(path, fresh, operation, parameters)
            except Stale:
                self._renew_not_before = self._monotonic() + _PAUSE
                raise

    def who(self) -> str:
        """The ARN of the identity. Every identity may ask for its own."""
        with self.in_time():
            made = self._current("")
            try:
                answer = sts(made.session, self._config).get_caller_identity()
            except Exception as error:  # noqa: BLE001 - translated, or raised again if unknown
                raise self._errors.of("", error, made.origin) from None
            return str(answer.get("Arn", "an identity without a name"))

    def close(self) -> None:
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.client.close()
        self._wire.close()

    def _answer(
        self, path: str, made: _Made, operation: str, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(made.client, xform_name(operation))(**parameters)
        except Exception as error:  # noqa: BLE001 - translated, or raised again if unknown
            raise self._errors.of(path, error, made.origin) from None
        return answer

    def _may_renew(self, made: _Made) -> bool:
        """Whether there are other credentials, or they may be looked for."""
        with self._lock:
            if self._made is made:
                pause = self._renew_not_before
                if pause is not None and self._monotonic() < pause:
                    return False
                self._made = None
            return True

    def _current(self, path: str) -> _Made:
        with self._lock:
            if self._made is None:
                if self._failure is not None and self._monotonic() < self._failure[0]:
                    known = self._failure[1]
                    raise type(known)(known.source, path, known.message)
                try:
                    self._made = self._make()
                except Exception as error:  # noqa: BLE001 - translated, or raised again if unknown
                    failure = self._errors.of_login(path, error)
                    self._failure = (self._monotonic() + _PAUSE, failure)
                    raise failure from None
                self._failure = None
            return self._made

    def _make(self) -> _Made:
        for left in reversed(range(_TRIES)):
            try:
                session = open_session(self._config, self._wire)
                credentials = session.get_credentials()
            except (ConfigParseError, PartialCredentialsError):
                if not left:
                    raise
                self._sleep(_HALF_WRITTEN)
            else:
                break
        if credentials is None:
            raise NoCredentialsError
        client = secrets_manager(session, self._config)
        return _Made(session, client, origin_of(credentials.method))
