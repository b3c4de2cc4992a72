"""The token of a Vault source: logins, and when another one is due."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from rotator.config.models import (
    FromEnv,
    FromFile,
    VaultAppRole,
    VaultKubernetes,
    VaultSource,
    VaultToken,
)
from rotator.config.references import resolve_local
from rotator.errors import SourceDenied, SourceError, SourceUnavailable, ValueUnavailable
from rotator.model import SourceRead
from rotator.ports import Observer
from rotator.sources.vault_http import Connections, NoAnswer, Refused

_MARGIN = 60.0
"""Seconds before its end at which a token is replaced, or a tenth of its life if that is less."""
_REPLACE_EVERY = 60.0
"""Seconds: a token that the policies keep from looking itself up seems invalid at every refusal."""
_SHORTEST_PAUSE = 1.0
_LONGEST_PAUSE = 300.0
"""Seconds between logins that fail. Vault locks a user out after five that it refuses:
https://developer.hashicorp.com/vault/docs/concepts/user-lockout
"""


class Tokens:
    """Logs in when somebody first has to, and for all who wait; a token never leaves memory."""

    def __init__(
        self,
        name: str,
        config: VaultSource,
        connections: Connections,
        observe: Observer,
        now: Callable[[], float],
    ) -> None:
        """`now` is in seconds, and never goes back."""
        self._name = name
        self._auth = config.auth
        self._connections = connections
        self._observe = observe
        self._now = now
        self._lock = threading.Lock()
        self._token: str | None = None
        self._ends = float("inf")
        self._replaceable_from = float("-inf")
        self._failure: SourceError | None = None
        self._pause = 0.0
        self._paused_until = float("-inf")

    def current(self) -> str:
        """Raises SourceError."""
        if isinstance(self._auth, VaultToken):
            return self._value(self._auth.token, "token")
        with self._lock:
            if self._token is None or self._now() >= self._ends:
                self._token = self._login()
            return self._token

    def other_than(self, refused: str) -> str | None:
        """A token in place of one that is no longer valid; None where there is none to be had.

        Raises SourceError.
        """
        if isinstance(self._auth, VaultToken):
            token = self.current()
            return token if token != refused else None
        with self._lock:
            if self._token in {None, refused}:
                if self._now() < self._replaceable_from:
                    return None
                self._replaceable_from = self._now() + _REPLACE_EVERY
                self._token = None
                self._token = self._login()
            return self._token

    def forget(self) -> None:
        with self._lock:
            self._token = None

    def _login(self) -> str:
        """Once for all that wait for it: a failure holds for a while too."""
        if self._failure is not None and self._now() < self._paused_until:
            # Another instance: each of the waiting threads raises its own.
            raise type(self._failure)(self._name, "", self._failure.message)
        started, result = self._now(), "ok"
        try:
            token = self._granted()
        except SourceError as error:
            result = error.result
            longest = _LONGEST_PAUSE if isinstance(error, SourceDenied) else _SHORTEST_PAUSE
            self._pause = min(longest, max(_SHORTEST_PAUSE, self._pause * 2))
            self._paused_until = self._now() + self._pause
            self._failure = error
            raise
        finally:
            self._observe(SourceRead(self._name, "login", result, self._now() - started))
        self._failure, self._pause = None, 0.0
        return token

    def _granted(self) -> str:
        asked = self._now()
        try:
            answer = self._asked()
        except Refused as refused:
            raise self._refusal(refused) from None
        except NoAnswer as failure:
            raise SourceUnavailable(self._name, "", f"login: {failure}") from None
        given = answer.get("auth")
        granted = given if isinstance(given, dict) else {}
        token = granted.get("client_token")
        if not isinstance(token, str) or not token:
            raise SourceDenied(
                self._name, "", f"the {self._auth.method} login gave no token; does it ask for MFA?"
            )
        life = granted.get("lease_duration")
        if isinstance(life, (int, float)) and life > 0:
            self._ends = asked + life - min(_MARGIN, life / 10)
        else:
            self._ends = float("inf")
        return _usable(self._name, token)

    def _asked(self) -> Mapping[str, Any]:
        auth = self._auth
        match auth:
            case VaultAppRole():
                role_id = (
                    auth.role_id
                    if isinstance(auth.role_id, str)
                    else self._value(auth.role_id, "role_id")
                )
                if auth.secret_id is None:
                    raise SourceError(self._name, "", "wrapped_secret_id is not supported yet")
                secret_id = self._value(auth.secret_id, "secret_id")
                with self._connections.client("") as client:
                    answer: Mapping[str, Any] = client.auth.approle.login(
                        role_id, secret_id, use_token=False, mount_point=auth.mount
                    )
            case VaultKubernetes():
                # The kubelet replaces it long before it ends, so it is read for each login.
                jwt = self._value(FromFile(file=auth.token_file), "token_file").strip()
                with self._connections.client("") as client:
                    answer = client.auth.kubernetes.login(
                        auth.role, jwt, use_token=False, mount_point=auth.mount
                    )
            case VaultToken():
                raise AssertionError("a token needs no login")
        return answer

    def _refusal(self, answer: Refused) -> SourceError:
        method = self._auth.method
        if answer.status in {400, 401, 403, 404}:
            return SourceDenied(
                self._name,
                "",
                f"the {method} login was refused (HTTP {answer.status}); check auth (mount, role, "
                "credential) and namespace",
            )
        return SourceUnavailable(
            self._name, "", f"the {method} login was answered by HTTP {answer.status}"
        )

    def _value(self, reference: FromEnv | FromFile, key: str) -> str:
        try:
            value = resolve_local(reference, f"auth.{key}")
        except ValueUnavailable as missing:
            raise SourceDenied(self._name, "", str(missing)) from None
        return _usable(self._name, value) if key == "token" else value


def _usable(name: str, token: str) -> str:
    """Checked here, since what HTTP libraries raise for a bad header holds all of it."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SourceDenied(name, "", "its token holds a character that no token has")
    return token
